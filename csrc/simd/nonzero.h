// Products that leave out the zeros of their first factor, of which what a relu gives, or an image, is often full: a mark, one bit, says
// which numbers are not 0, and only those meet a row of b, in the order of k as everywhere.
//
// 0 times a finite number changes no sum, a sum of 0 perhaps excepted, whose sign it may change. So whoever leaves products out has to
// know that all of b is finite.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// Mark i is set where number i is not 0. Of 64 numbers at most.
template <typename Real>
FASTNN_INLINE uint64_t marks_of(const Real* numbers, int64_t count) {
  uint64_t marks = 0;
  for_each_vector<Real>(count, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
    marks |= bits_of<Real>(lanes.load(numbers + i) != zero<Real>()) << i;
  });
  return marks;
}
FASTNN_INLINE int64_t count_of(uint64_t marks) { return __builtin_popcountll(marks); }

// sum[v] += numbers[i] * vector v of row i of b, for each mark i; read(i, v) is that vector.
template <typename Real, int vectors, typename Read>
FASTNN_INLINE void add_marked(Vec<Real> (&sum)[vectors], uint64_t marks, const Real* numbers, Read read) {
  for (; marks != 0; marks &= marks - 1) {
    const int64_t i = __builtin_ctzll(marks);
    const Vec<Real> factor = broadcast(numbers[i]);
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) sum[v] = fma(factor, read(i, v), sum[v]);
  }
}

// Whether all that was seen is finite.
template <typename Real>
class Finiteness {
 public:
  FASTNN_INLINE void see(Vec<Real> v) { differences_ += v - v; }  // 0, or NaN
  FASTNN_INLINE bool of_all() const { return sum_lanes<Real>(differences_) == 0; }

 private:
  Vec<Real> differences_ = zero<Real>();
};

}  // namespace fastnn::FASTNN_ISA
