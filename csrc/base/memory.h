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

// The same for what lives long and is smaller: arrays of some kilobytes that one thread asks for lie side by side in a large page,
// which is given back with the last of them.
using SharedMemory = std::shared_ptr<std::byte[]>;
SharedMemory allocate_together(size_t bytes);

}  // namespace fastnn
