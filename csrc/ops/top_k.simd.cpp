#include "ops/top_k.h"

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

namespace {

// Numbers with their places, in an order without ties: whether (a, at_a) comes before (b, at_b).
template <typename T>
FASTNN_INLINE bool before(T a, int64_t at_a, T b, int64_t at_b) {
  if (a > b) return true;
  if (a < b) return false;
  const bool nan_a = a != a, nan_b = b != b;
  return nan_a != nan_b ? nan_a : at_a < at_b;
}

// Puts a number into a heap whose root is the last in order, at a hole or below it, whose subtrees are heaps.
template <typename T>
FASTNN_INLINE void sift(T* values, int64_t* indices, int64_t size, int64_t hole, T value, int64_t index) {
  for (;;) {
    int64_t child = 2 * hole + 1;
    if (child >= size) break;
    const int64_t other = child + 1;
    if (other < size && before(values[child], indices[child], values[other], indices[other])) child = other;
    if (!before(value, index, values[child], indices[child])) break;
    values[hole] = values[child];
    indices[hole] = indices[child];
    hole = child;
  }
  values[hole] = value;
  indices[hole] = index;
}

template <typename T>
void top_k(T* values, int64_t* indices, const T* x, const TopKShape& shape, int64_t task) {
  const int64_t begin = task * shape.rows_per_task, k = shape.k;
  const int64_t end = shape.rows - begin < shape.rows_per_task ? shape.rows : begin + shape.rows_per_task;
  for (int64_t r = begin; r < end; ++r) {
    const T* row = x + r * shape.N;
    T* best = values + r * k;
    int64_t* place = indices + r * k;
    for (int64_t i = k - 1; i >= 0; --i) sift(best, place, k, i, row[i], i);
    for (int64_t i = k; i < shape.N; ++i) {
      if (row[i] <= best[0]) continue;  // equal ones lose to those that stand before them
      if (before(row[i], i, best[0], place[0])) sift(best, place, k, 0, row[i], i);
    }
    for (int64_t size = k - 1; size > 0; --size) {  // the last in order goes behind the shrinking heap
      const T value = best[size];
      const int64_t index = place[size];
      best[size] = best[0];
      place[size] = place[0];
      sift(best, place, size, 0, value, index);
    }
  }
}

template <typename Real>
void top_k_backward(Real* dx, const Real* dvalues, const int64_t* indices, const TopKShape& shape, Errors& errors,
                    int64_t task) {
  const int64_t begin = task * shape.rows_per_task, k = shape.k;
  const int64_t end = shape.rows - begin < shape.rows_per_task ? shape.rows : begin + shape.rows_per_task;
  bool reported = false;  // the first of a task is the one that counts
  for (int64_t r = begin; r < end; ++r) {
    Real* row = dx + r * shape.N;
    for (int64_t j = 0; j < shape.N; ++j) row[j] = 0;
    for (int64_t i = r * k; i < (r + 1) * k; ++i) {
      const bool inside = indices[i] >= 0 && indices[i] < shape.N;
      if (inside) row[indices[i]] += dvalues[i];
      if (!inside && !reported) errors.report(i, indices[i]);
      reported |= !inside;
    }
  }
}

}  // namespace

const TopKKernels top_k_kernels = {
    {kernel<top_k<float>>, kernel<top_k<double>>, kernel<top_k<int32_t>>, kernel<top_k<int64_t>>},
    {kernel<top_k_backward<float>>, kernel<top_k_backward<double>>},
};

}  // namespace fastnn::FASTNN_ISA
