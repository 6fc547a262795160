// Philox 4x32-10: random numbers as a pure function of (key, counter).
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Because a number depends only
// on its key (seed, stream) and counter (step, element), any thread may draw any element: the bits do not depend on who does.
// Checked against the known-answer vectors of the paper's Random123 distribution.
#pragma once

#include <cstdint>

namespace fastnn {

struct Philox {
  uint32_t value[4];
};

constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53, kPhiloxMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9, kPhiloxWeyl1 = 0xBB67AE85;
constexpr int kPhiloxRounds = 10;

// Kernels compiled per ISA call these too, and must not define a symbol that the linker could hand to an older CPU.
#define FASTNN_RANDOM inline __attribute__((always_inline))

FASTNN_RANDOM Philox philox(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  uint32_t c0 = static_cast<uint32_t>(counter_low), c1 = static_cast<uint32_t>(counter_low >> 32);
  uint32_t c2 = static_cast<uint32_t>(counter_high), c3 = static_cast<uint32_t>(counter_high >> 32);
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(kPhiloxMultiplier0) * c0;
    const uint64_t p1 = static_cast<uint64_t>(kPhiloxMultiplier1) * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
  return {{c0, c1, c2, c3}};
}

// One key out of seed and stream (a 64-bit finalizer after SplitMix64), so that streams of one seed are unrelated.
FASTNN_RANDOM uint64_t philox_key(uint64_t seed, uint64_t stream) {
  uint64_t z = seed + 0x9E3779B97F4A7C15u * (stream + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// Uniform in [0, 1): 24 bits for float, 53 for double (two words). Element i of a stream is word i % 4 of counter i / 4,
// or for double words 2 (i % 2) and 2 (i % 2) + 1 of counter i / 2.
FASTNN_RANDOM float uniform_float(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }
FASTNN_RANDOM double uniform_double(uint32_t low, uint32_t high) {
  return static_cast<double>(((static_cast<uint64_t>(high) << 32) | low) >> 11) * 0x1p-53;
}

}  // namespace fastnn
