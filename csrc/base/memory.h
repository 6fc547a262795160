// Aligned memory. 64 bytes is a cache line and an AVX-512 vector.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace fastnn {

constexpr size_t kAlignment = 64;

constexpr size_t align_up(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

struct AlignedDelete {
  void operator()(std::byte* memory) const { std::free(memory); }
};

using AlignedMemory = std::unique_ptr<std::byte[], AlignedDelete>;

inline AlignedMemory allocate_aligned(size_t bytes) {
  // Kernels may be handed an empty array: one line of memory keeps the pointer valid.
  void* memory = std::aligned_alloc(kAlignment, align_up(bytes ? bytes : 1));
  if (memory == nullptr) throw std::bad_alloc();
  return AlignedMemory(static_cast<std::byte*>(memory));
}

}  // namespace fastnn
