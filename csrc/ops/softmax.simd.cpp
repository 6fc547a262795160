#include "ops/softmax.h"
#include "simd/softmax_row.h"

namespace fastnn::FASTNN_ISA {

namespace {

template <typename Real>
void softmax(Real* y, const Real* x, const SoftmaxShape& shape, int64_t task) {
  for_each_row(shape, task,
               [&](int64_t, int64_t first) __attribute__((always_inline)) { softmax_row(y + first, x + first, shape.N); });
}

// y[j] = e^x[j] / sum  gives  dx[j] = y[j] dy[j] - y[j] sum over k of y[k] dy[k].
template <typename Real>
void softmax_backward(Real* dx, const Real* dy, const Real* y, const SoftmaxShape& shape, int64_t task) {
  for_each_row(shape, task, [&](int64_t, int64_t first) __attribute__((always_inline)) {
    const Real *dy_row = dy + first, *y_row = y + first;
    Real* dx_row = dx + first;
    Vec<Real> sum = zero<Real>();
    for_each_vector<Real>(shape.N, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
      sum = fma(lanes.load(dy_row + j), lanes.load(y_row + j), sum);
    });
    sum = sum_all_lanes<Real>(sum);
    for_each_vector<Real>(shape.N, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
      lanes.store(dx_row + j, lanes.load(y_row + j) * (lanes.load(dy_row + j) - sum));
    });
  });
}

}  // namespace

const SoftmaxKernels softmax_kernels = {
    {kernel<softmax<float>>, kernel<softmax<double>>},
    {kernel<softmax_backward<float>>, kernel<softmax_backward<double>>},
};

}  // namespace fastnn::FASTNN_ISA
