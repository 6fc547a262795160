#include "ops/optimizer.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

namespace {

// Calls piece(k, first, at, count) for every run of elements of this task's chunk that lies in one parameter: elements first..
// of parameter k, which are at.. of the flat state.
template <typename Piece>
FASTNN_INLINE void for_each_piece(const UpdateShape& shape, int64_t task, Piece piece) {
  const int64_t* offsets = shape.offsets;
  const int64_t n = shape.parameters, total = offsets[n];
  int64_t at = task * kUpdateChunk;
  const int64_t end = at + kUpdateChunk < total ? at + kUpdateChunk : total;
  int64_t k = 0;
  for (int64_t above = n; above - k > 1;) {  // offsets[k] <= at < offsets[above]
    const int64_t middle = (k + above) / 2;
    (offsets[middle] <= at ? k : above) = middle;
  }
  for (; at < end; ++k) {
    const int64_t stop = offsets[k + 1] < end ? offsets[k + 1] : end;
    if (stop > at) piece(k, at - offsets[k], at, stop - at);
    at = stop;
  }
}

template <typename Real>
FASTNN_INLINE Real* array(Buffers buffers, int64_t index) {
  return static_cast<Real*>(buffers.at[index]);
}

// Buffers: p'_1..n, lr, none, p_1..n, g_1..n.
template <typename Real>
void sgd(Buffers buffers, const UpdateShape& shape, int64_t task) {
  const int64_t n = shape.parameters;
  const Vec<Real> minus_rate = broadcast(-*array<Real>(buffers, n));
  for_each_piece(shape, task, [&](int64_t k, int64_t first, int64_t, int64_t count) __attribute__((always_inline)) {
    Real* new_p = array<Real>(buffers, k) + first;
    const Real* p = array<Real>(buffers, n + 2 + k) + first;
    const Real* g = array<Real>(buffers, 2 * n + 2 + k) + first;
    for_each_vector<Real>(count, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      lanes.store(new_p + i, fma(minus_rate, lanes.load(g + i), lanes.load(p + i)));
    });
  });
}

// Buffers: velocity', p'_1..n, lr, velocity, p_1..n, g_1..n.
template <typename Real, bool nesterov>
void sgd_momentum(Buffers buffers, const UpdateShape& shape, int64_t task) {
  const int64_t n = shape.parameters;
  const Vec<Real> minus_rate = broadcast(-*array<Real>(buffers, n + 1));
  const Vec<Real> momentum = broadcast(static_cast<Real>(shape.momentum));
  for_each_piece(shape, task, [&](int64_t k, int64_t first, int64_t at, int64_t count) __attribute__((always_inline)) {
    Real* new_velocity = array<Real>(buffers, 0) + at;
    Real* new_p = array<Real>(buffers, 1 + k) + first;
    const Real* velocity = array<Real>(buffers, n + 2) + at;
    const Real* p = array<Real>(buffers, n + 3 + k) + first;
    const Real* g = array<Real>(buffers, 2 * n + 3 + k) + first;
    for_each_vector<Real>(count, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> step = minus_rate * lanes.load(g + i);
      const Vec<Real> v = fma(momentum, lanes.load(velocity + i), step);
      lanes.store(new_velocity + i, v);
      lanes.store(new_p + i, lanes.load(p + i) + (nesterov ? fma(momentum, v, step) : v));
    });
  });
}

// Buffers: m', v', p'_1..n, lr, step, m, v, p_1..n, g_1..n.
template <typename Real>
void adam(Buffers buffers, const UpdateShape& shape, int64_t task) {
  const int64_t n = shape.parameters;
  const auto step = static_cast<double>(*array<int64_t>(buffers, n + 3));
  const double rate = static_cast<double>(*array<Real>(buffers, n + 2)) *
                      __builtin_sqrt(1 - __builtin_pow(shape.beta_2, step)) / (1 - __builtin_pow(shape.beta_1, step));
  const Vec<Real> minus_alpha = broadcast(static_cast<Real>(-rate)), epsilon = broadcast(static_cast<Real>(shape.epsilon));
  const Vec<Real> new_in_m = broadcast(static_cast<Real>(1 - shape.beta_1));
  const Vec<Real> new_in_v = broadcast(static_cast<Real>(1 - shape.beta_2));
  for_each_piece(shape, task, [&](int64_t k, int64_t first, int64_t at, int64_t count) __attribute__((always_inline)) {
    Real* new_m = array<Real>(buffers, 0) + at;
    Real* new_v = array<Real>(buffers, 1) + at;
    Real* new_p = array<Real>(buffers, 2 + k) + first;
    const Real* old_m = array<Real>(buffers, n + 4) + at;
    const Real* old_v = array<Real>(buffers, n + 5) + at;
    const Real* p = array<Real>(buffers, n + 6 + k) + first;
    const Real* gradient = array<Real>(buffers, 2 * n + 6 + k) + first;
    for_each_vector<Real>(count, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> g = lanes.load(gradient + i);
      Vec<Real> m = lanes.load(old_m + i), v = lanes.load(old_v + i);
      m = fma(g - m, new_in_m, m);
      v = fma(g * g - v, new_in_v, v);
      lanes.store(new_m + i, m);
      lanes.store(new_v + i, v);
      lanes.store(new_p + i, fma(minus_alpha, m / (sqrt(v) + epsilon), lanes.load(p + i)));
    });
  });
}

}  // namespace

const OptimizerKernels optimizer_kernels = {
    {kernel<sgd<float>>, kernel<sgd<double>>},
    {kernel<sgd_momentum<float, false>>, kernel<sgd_momentum<double, false>>},
    {kernel<sgd_momentum<float, true>>, kernel<sgd_momentum<double, true>>},
    {kernel<adam<float>>, kernel<adam<double>>},
};

}  // namespace fastnn::FASTNN_ISA
