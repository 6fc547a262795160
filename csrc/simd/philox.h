// The numbers of base/random.h, a vector of counters at a time. Included by `*.simd.cpp` only.
#pragma once

#include "base/random.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

constexpr int kPhiloxCounters = kLanes<uint64_t>;  // drawn at once
constexpr int kPhiloxWords = 4 * kPhiloxCounters;  // their random numbers

// The words of kPhiloxCounters consecutive counters, in order: `philox` of base/random.h with one counter per 64-bit lane,
// whose upper halves hold rubbish between rounds.
FASTNN_INLINE void draw_words(uint32_t* words, uint64_t key, uint64_t counter, uint64_t step) {
  Vec<uint64_t> c0 = zero<uint64_t>();
  FASTNN_UNROLL
  for (int i = 0; i < kPhiloxCounters; ++i) c0[i] = counter + static_cast<uint64_t>(i);
  Vec<uint64_t> c1 = c0 >> 32, c2 = zero<uint64_t>() + step, c3 = c2 >> 32;
  const Vec<uint64_t> m0 = zero<uint64_t>() + uint64_t{kPhiloxMultiplier0};
  const Vec<uint64_t> m1 = zero<uint64_t>() + uint64_t{kPhiloxMultiplier1};
  auto k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  FASTNN_UNROLL
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Vec<uint64_t> p0 = multiply_low_halves(c0, m0), p1 = multiply_low_halves(c2, m1);
    c0 = (p1 >> 32) ^ c1 ^ uint64_t{k0};
    c2 = (p0 >> 32) ^ c3 ^ uint64_t{k1};
    c1 = p1;
    c3 = p0;
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
  const Vec<uint64_t> first = (c0 & 0xffffffff) | c1 << 32, second = (c2 & 0xffffffff) | c3 << 32;
  uint64_t pairs[2 * kPhiloxCounters];
  FASTNN_UNROLL
  for (int i = 0; i < kPhiloxCounters; ++i) {
    pairs[2 * i] = first[i];
    pairs[2 * i + 1] = second[i];
  }
  __builtin_memcpy(words, pairs, sizeof(pairs));
}

}  // namespace fastnn::FASTNN_ISA
