#include "base/memory.h"

#include <algorithm>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace fastnn {

namespace {

void* allocate(size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr size_t page = size_t{2} << 20;
  // The last page is worth it only where more than half of it is used.
  if (const size_t huge = (bytes + page / 2) / page * page; huge > 0) {
    void* memory = nullptr;  // aligned_alloc wants whole pages
    if (posix_memalign(&memory, page, std::max(bytes, huge)) != 0) return nullptr;
    madvise(memory, huge, MADV_HUGEPAGE);  // refused by a kernel without: then the pages are small
    return memory;
  }
#endif
  return std::aligned_alloc(kAlignment, bytes);
}

}  // namespace

AlignedMemory allocate_aligned(size_t bytes) {
  // Kernels may be handed an empty array: one line of memory keeps the pointer valid.
  void* memory = allocate(align_up(bytes ? bytes : 1));
  if (memory == nullptr) throw std::bad_alloc();
  return AlignedMemory(static_cast<std::byte*>(memory));
}

}  // namespace fastnn
