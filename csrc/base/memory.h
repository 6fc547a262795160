// Aligned memory. 64 bytes is a cache line and an AVX-512 vector.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace fastnn {

constexpr size_t kAlignment = 64;

constexpr size_t align_up(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

struct AlignedDelete {
  void operator()(std::byte* memory) const { std::free(memory); }
};

using AlignedMemory = std::unique_ptr<std::byte[], AlignedDelete>;

// In pages of two megabytes where that costs little and the system has them: rows of a large matrix lie pages of four kilobytes
// apart, more of them than a processor remembers, and looking one up takes longer than reading the row.
AlignedMemory allocate_aligned(size_t bytes);

}  // namespace fastnn
