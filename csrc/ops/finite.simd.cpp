#include "ops/finite.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

namespace {

// x - x is 0 for a finite x and NaN for any other.
template <typename Real>
void check_finite(Real* y, const Real* x, const FiniteShape& shape, Errors& errors, int64_t task) {
  constexpr int lanes = kLanes<Real>;
  const int64_t begin = task * kFiniteChunk;
  const int64_t end = begin + kFiniteChunk < shape.elements ? begin + kFiniteChunk : shape.elements;
  Vec<Real> difference = zero<Real>();
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) {
    const Vec<Real> v = load(x + i);
    difference += v - v;
    store(y + i, v);
  }
  if (i < end) {
    const int tail = static_cast<int>(end - i);
    const Vec<Real> v = load_first(x + i, tail);
    difference += v - v;
    store_first(y + i, v, tail);
  }
  if (sum_lanes<Real>(difference) == 0) return;
  for (i = begin; y[i] - y[i] == 0;) ++i;
  errors.report(i, y[i] != y[i] ? kIsNan : y[i] > 0 ? kIsInfinite : kIsMinusInfinite);
}

}  // namespace

const FiniteKernels finite_kernels = {{kernel<check_finite<float>>, kernel<check_finite<double>>}};

}  // namespace fastnn::FASTNN_ISA
