// One row of softmax, shared by the ops softmax and cross_entropy.
//
//     p[j] = exp(x[j] - max x) / sum over k of exp(x[k] - max x)
//
// Subtracting the maximum keeps every exponential at or below 1, so that nothing overflows; the largest is 1, so that the sum
// is never 0. A row with a NaN, with +infinity, or of -infinity alone comes out as NaN.
#pragma once

#include "simd/math.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// Calls row(r, first) for the rows of a task; row r is the elements first... of a (rows, N) array.
template <typename Shape, typename Row>
FASTNN_INLINE void for_each_row(const Shape& shape, int64_t task, Row row) {
  const int64_t begin = task * shape.rows_per_task;
  const int64_t end = begin + shape.rows_per_task < shape.rows ? begin + shape.rows_per_task : shape.rows;
  for (int64_t r = begin; r < end; ++r) row(r, r * shape.N);
}

template <typename Real>
struct SoftmaxRow {
  Vec<Real> max, sum;  // the same in every lane; log of the row's sum of exponentials = max + log(sum)
};

// The row's largest number and its sum; exponential(j, lanes, e) sees e = exp(x[j] - max x) on the way.
template <typename Real, typename Exponential>
FASTNN_INLINE SoftmaxRow<Real> softmax_sums(const Real* x, int64_t n, Exponential exponential) {
  const Real minus_infinity = -static_cast<Real>(__builtin_inf());  // whose exponential is 0: lanes past the row add nothing
  Vec<Real> largest = broadcast(minus_infinity), sum = zero<Real>();
  for_each_vector<Real>(n, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
    largest = max<Real>(largest, lanes.load(x + j, minus_infinity));
  });
  largest = max_all_lanes<Real>(largest);
  for_each_vector<Real>(n, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
    const Vec<Real> e = exp(lanes.load(x + j, minus_infinity) - largest);
    sum += e;
    exponential(j, lanes, e);
  });
  return {largest, sum_all_lanes<Real>(sum)};
}
template <typename Real>
FASTNN_INLINE SoftmaxRow<Real> softmax_sums(const Real* x, int64_t n) {
  return softmax_sums(x, n, [](int64_t, auto, Vec<Real>) __attribute__((always_inline)) {});
}

// Writes the row's softmax to p, which may be x.
template <typename Real>
FASTNN_INLINE SoftmaxRow<Real> softmax_row(Real* p, const Real* x, int64_t n) {
  const SoftmaxRow<Real> row =
      softmax_sums(x, n, [p](int64_t j, auto lanes, Vec<Real> e) __attribute__((always_inline)) { lanes.store(p + j, e); });
  const Vec<Real> scale = broadcast(Real(1)) / row.sum;
  for_each_vector<Real>(
      n, [&](int64_t j, auto lanes) __attribute__((always_inline)) { lanes.store(p + j, lanes.load(p + j) * scale); });
  return row;
}

}  // namespace fastnn::FASTNN_ISA
