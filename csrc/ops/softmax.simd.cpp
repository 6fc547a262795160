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

template <typename Real>
void log_softmax(Real* y, const Real* x, const SoftmaxShape& shape, int64_t task) {
  for_each_row(shape, task, [&](int64_t, int64_t first) __attribute__((always_inline)) {
    const Real* x_row = x + first;
    Real* y_row = y + first;
    const SoftmaxRow<Real> row = softmax_sums(x_row, shape.N);
    const Vec<Real> log_of_sum = log(row.sum);
    for_each_vector<Real>(shape.N, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
      lanes.store(y_row + j, (lanes.load(x_row + j) - row.max) - log_of_sum);
    });
  });
}

// y[j] = x[j] - log(sum over k of e^x[k])  gives  dx[j] = dy[j] - e^y[j] sum over k of dy[k].
template <typename Real>
void log_softmax_backward(Real* dx, const Real* dy, const Real* y, const SoftmaxShape& shape, int64_t task) {
  for_each_row(shape, task, [&](int64_t, int64_t first) __attribute__((always_inline)) {
    const Real *dy_row = dy + first, *y_row = y + first;
    Real* dx_row = dx + first;
    Vec<Real> sum = zero<Real>();
    for_each_vector<Real>(shape.N,
                          [&](int64_t j, auto lanes) __attribute__((always_inline)) { sum += lanes.load(dy_row + j); });
    sum = sum_all_lanes<Real>(sum);
    for_each_vector<Real>(shape.N, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
      lanes.store(dx_row + j, lanes.load(dy_row + j) - exp(lanes.load(y_row + j)) * sum);
    });
  });
}

}  // namespace

#define FASTNN_BOTH(function) {kernel<function<float>>, kernel<function<double>>}

const SoftmaxKernels softmax_kernels = {
    FASTNN_BOTH(softmax),
    FASTNN_BOTH(log_softmax),
    FASTNN_BOTH(softmax_backward),
    FASTNN_BOTH(log_softmax_backward),
};

}  // namespace fastnn::FASTNN_ISA
