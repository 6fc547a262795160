#include "base/memory.h"

#include <algorithm>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace fastnn {

namespace {

constexpr size_t kPage = size_t{2} << 20;

void* allocate(size_t bytes) {
#ifdef MADV_HUGEPAGE
  // The last page is worth it only where more than half of it is used.
  if (const size_t huge = (bytes + kPage / 2) / kPage * kPage; huge > 0) {
    void* memory = nullptr;  // aligned_alloc wants whole pages
    if (posix_memalign(&memory, kPage, std::max(bytes, huge)) != 0) return nullptr;
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

SharedMemory allocate_together(size_t bytes) {
#if defined(MADV_HUGEPAGE) && !defined(__SANITIZE_ADDRESS__)  // which would not see who writes into a neighbour
  constexpr size_t least = 4096;
  struct Page {
    SharedMemory memory;
    size_t used = kPage;
  };
  thread_local Page page;
  bytes = align_up(bytes);
  if (bytes >= least && bytes < kPage / 2) {
    if (page.memory.use_count() == 1) page = {};  // whoever had a part of it is gone
    if (kPage - page.used < bytes) page = {SharedMemory(allocate_aligned(kPage)), 0};
    std::byte* const memory = page.memory.get() + page.used;
    page.used += bytes;
    return SharedMemory(page.memory, memory);
  }
#endif
  return allocate_aligned(bytes);
}

}  // namespace fastnn
