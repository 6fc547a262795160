#include "ops/cross_entropy.h"
#include "simd/softmax_row.h"

namespace fastnn::FASTNN_ISA {

namespace {

template <typename Real>
constexpr Real kLow = static_cast<Real>(1e-7);
template <typename Real>
constexpr Real kHigh = static_cast<Real>(1 - 1e-7);

FASTNN_INLINE int64_t label_at(const void* labels, DType dtype, int64_t r) {
  if (dtype == DType::int64) return static_cast<const int64_t*>(labels)[r];
  if (dtype == DType::int32) return static_cast<const int32_t*>(labels)[r];
  return static_cast<const uint8_t*>(labels)[r];
}

// for_each_row with each row's label: row(r, first, label), or -1 where there is no such class.
template <typename Row>
FASTNN_INLINE void for_each_labelled_row(const void* labels, const CrossEntropyShape& shape, Errors& errors, int64_t task,
                                         Row row) {
  bool reported = false;  // the first of a task is the one that counts
  for_each_row(shape.rows, task, [&](int64_t r, int64_t first) __attribute__((always_inline)) {
    const int64_t label = label_at(labels, shape.labels, r);
    const bool inside = label >= 0 && label < shape.rows.N;
    if (!inside && !reported) errors.report(r, label);
    reported |= !inside;
    row(r, first, inside ? label : -1);
  });
}

// The logarithm of one number. For float that of the vectors, so that it has the same bits everywhere.
FASTNN_INLINE float log1(float x) { return log(broadcast(x))[0]; }
FASTNN_INLINE double log1(double x) { return __builtin_log(x); }

template <typename Real>
FASTNN_INLINE Real nan() {
  return static_cast<Real>(__builtin_nan(""));
}

// Which probabilities are clipped; a NaN is not, and stays one.
template <typename Real>
FASTNN_INLINE Mask<Real> clipped(Vec<Real> p) {
  return (p < broadcast(kLow<Real>)) | (p > broadcast(kHigh<Real>));
}
template <typename Real>
FASTNN_INLINE Vec<Real> clip(Vec<Real> p) {
  return min<Real>(max<Real>(p, broadcast(kLow<Real>)), broadcast(kHigh<Real>));
}

template <typename Real>
FASTNN_INLINE Vec<Real> row_sum(const Real* x, int64_t n) {
  Vec<Real> sum = zero<Real>();
  for_each_vector<Real>(n, [&](int64_t j, auto lanes) __attribute__((always_inline)) { sum += lanes.load(x + j); });
  return sum_all_lanes<Real>(sum);
}

// The sum of x - shift; lanes past the row count for nothing.
template <typename Real>
FASTNN_INLINE Vec<Real> row_sum(const Real* x, int64_t n, Vec<Real> shift) {
  Vec<Real> sum = zero<Real>();
  for_each_vector<Real>(
      n, [&](int64_t j, auto lanes) __attribute__((always_inline)) { sum += lanes.load(x + j, shift[0]) - shift; });
  return sum_all_lanes<Real>(sum);
}

// ---- of logits ------------------------------------------------------------------------------------------------------------

// What smoothing s makes of the target t of one of N classes: t (1 - s) + s / N. Without smoothing the very t.
template <typename Real>
struct Smoothed {
  Real keep, rest;
  explicit Smoothed(const CrossEntropyShape& shape)
      : keep(static_cast<Real>(1 - shape.smoothing)),
        rest(static_cast<Real>(shape.smoothing / static_cast<double>(shape.rows.N))) {}
  FASTNN_INLINE Vec<Real> of(Vec<Real> t) const { return fma(t, broadcast(keep), broadcast(rest)); }
};

template <typename Real>
void sparse_softmax(Real* loss, Real* probabilities, const Real* logits, const void* labels, const CrossEntropyShape& shape,
                    Errors& errors, int64_t task) {
  const Smoothed<Real> smoothed(shape);
  for_each_labelled_row(labels, shape, errors, task,
                        [&](int64_t r, int64_t first, int64_t label) __attribute__((always_inline)) {
                          const Real* z = logits + first;
                          const SoftmaxRow<Real> row = softmax_row(probabilities + first, z, shape.rows.N);
                          const Real log_of_sum = log1(row.sum[0]), at_label = label < 0 ? nan<Real>() : z[label] - row.max[0];
                          if (shape.smoothing == 0) {
                            loss[r] = log_of_sum - at_label;
                            return;
                          }
                          const Vec<Real> sum = row_sum(z, shape.rows.N, row.max);
                          loss[r] = log_of_sum - (smoothed.keep * at_label + smoothed.rest * sum[0]);
                        });
}

template <typename Real>
void softmax(Real* loss, Real* probabilities, const Real* logits, const Real* targets, const CrossEntropyShape& shape,
             int64_t task) {
  const Smoothed<Real> smoothed(shape);
  for_each_row(shape.rows, task, [&](int64_t r, int64_t first) __attribute__((always_inline)) {
    const Real *z = logits + first, *t = targets + first;
    const SoftmaxRow<Real> row = softmax_row(probabilities + first, z, shape.rows.N);
    const Vec<Real> log_of_sum = broadcast(log1(row.sum[0]));
    Vec<Real> sum = zero<Real>();
    for_each_vector<Real>(shape.rows.N, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
      sum = fma(lanes.load(t + j), log_of_sum - (lanes.load(z + j) - row.max), sum);
    });
    loss[r] = sum_lanes<Real>(sum);
    if (shape.smoothing == 0) return;
    const Real of_all = static_cast<Real>(shape.rows.N) * log_of_sum[0] - row_sum(z, shape.rows.N, row.max)[0];
    loss[r] = smoothed.keep * loss[r] + smoothed.rest * of_all;
  });
}

// loss = log(sum over j of exp(z[j])) - (1 - s) z[label] - s / N sum over j of z[j]  gives
// dz[j] = dloss (p[j] - (1 - s) [j = label] - s / N).
template <typename Real>
void sparse_softmax_backward(Real* dlogits, const Real* dloss, const Real* probabilities, const void* labels,
                             const CrossEntropyShape& shape, Errors& errors, int64_t task) {
  const Smoothed<Real> smoothed(shape);
  for_each_labelled_row(labels, shape, errors, task,
                        [&](int64_t r, int64_t first, int64_t label) __attribute__((always_inline)) {
                          const Real* p = probabilities + first;
                          Real* dz = dlogits + first;
                          // Read before dz, which may be p, is written.
                          const Real at_label = label < 0 ? 0 : dloss[r] * (p[label] - (smoothed.keep + smoothed.rest));
                          const Vec<Real> factor = broadcast(dloss[r]), rest = broadcast(smoothed.rest);
                          for_each_vector<Real>(shape.rows.N, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
                            lanes.store(dz + j, label < 0 ? zero<Real>() : factor * (lanes.load(p + j) - rest));
                          });
                          if (label >= 0) dz[label] = at_label;
                        });
}

// loss = sum over j of t[j] (log(sum over k of exp(z[k])) - z[j])  gives  dz[j] = dloss (p[j] sum t - t[j]), t being smoothed;
// the sum of those is (1 - s) sum t + s.
template <typename Real>
void softmax_backward(Real* dlogits, const Real* dloss, const Real* probabilities, const Real* targets,
                      const CrossEntropyShape& shape, int64_t task) {
  const Smoothed<Real> smoothed(shape);
  for_each_row(shape.rows, task, [&](int64_t r, int64_t first) __attribute__((always_inline)) {
    const Real *p = probabilities + first, *t = targets + first;
    const Vec<Real> factor = broadcast(dloss[r]);
    const Vec<Real> sum =
        fma(row_sum(t, shape.rows.N), broadcast(smoothed.keep), broadcast(static_cast<Real>(shape.smoothing)));
    for_each_vector<Real>(shape.rows.N, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
      lanes.store(dlogits + first + j, factor * (lanes.load(p + j) * sum - smoothed.of(lanes.load(t + j))));
    });
  });
}

// ---- of probabilities -----------------------------------------------------------------------------------------------------

template <typename Real>
void sparse(Real* loss, const Real* probabilities, const void* labels, const CrossEntropyShape& shape, Errors& errors,
            int64_t task) {
  for_each_labelled_row(labels, shape, errors, task,
                        [&](int64_t r, int64_t first, int64_t label) __attribute__((always_inline)) {
                          loss[r] = label < 0 ? nan<Real>() : -log1(clip<Real>(broadcast(probabilities[first + label]))[0]);
                        });
}

// loss = -log(clip(p[label]))  gives  dp[label] = -dloss / p[label] where nothing was clipped.
template <typename Real>
void sparse_backward(Real* dprobabilities, const Real* dloss, const Real* probabilities, const void* labels,
                     const CrossEntropyShape& shape, Errors& errors, int64_t task) {
  for_each_labelled_row(labels, shape, errors, task,
                        [&](int64_t r, int64_t first, int64_t label) __attribute__((always_inline)) {
                          Real* dp = dprobabilities + first;
                          for (int64_t j = 0; j < shape.rows.N; ++j) dp[j] = 0;
                          if (label < 0) return;
                          const Real p = probabilities[first + label];
                          if (!(p < kLow<Real> || p > kHigh<Real>)) dp[label] = -dloss[r] / p;
                        });
}

template <typename Real>
void dense(Real* loss, const Real* probabilities, const Real* targets, const CrossEntropyShape& shape, int64_t task) {
  for_each_row(shape.rows, task, [&](int64_t r, int64_t first) __attribute__((always_inline)) {
    const Real *p = probabilities + first, *t = targets + first;
    const Vec<Real> sum_p = row_sum(p, shape.rows.N);
    Vec<Real> sum = zero<Real>();
    for_each_vector<Real>(shape.rows.N, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
      sum = fma(lanes.load(t + j), -log(clip<Real>(lanes.load(p + j) / sum_p)), sum);
    });
    loss[r] = sum_lanes<Real>(sum);
  });
}

// loss = -sum over j of t[j] log(clip(q[j])), q = p / s, s = sum p. With dq[j] = -t[j] / q[j] where nothing was clipped, else
// 0: dp[j] = (dq[j] - sum over k of dq[k] q[k]) / s, and dq[k] q[k] = -t[k].
template <typename Real>
void dense_backward(Real* dprobabilities, const Real* dloss, const Real* probabilities, const Real* targets,
                    const CrossEntropyShape& shape, int64_t task) {
  for_each_row(shape.rows, task, [&](int64_t r, int64_t first) __attribute__((always_inline)) {
    const Real *p = probabilities + first, *t = targets + first;
    const Vec<Real> sum_p = row_sum(p, shape.rows.N), factor = broadcast(dloss[r]) / sum_p;
    Vec<Real> sum_t = zero<Real>();
    for_each_vector<Real>(shape.rows.N, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
      const Mask<Real> constant = clipped<Real>(lanes.load(p + j) / sum_p);
      sum_t += select<Real>(constant, zero<Real>(), lanes.load(t + j));
    });
    sum_t = sum_all_lanes<Real>(sum_t);
    for_each_vector<Real>(shape.rows.N, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> q = lanes.load(p + j) / sum_p;
      const Vec<Real> own = select<Real>(clipped<Real>(q), zero<Real>(), lanes.load(t + j) / q);
      lanes.store(dprobabilities + first + j, factor * (sum_t - own));
    });
  });
}

#define FASTNN_BOTH(function) {kernel<function<float>>, kernel<function<double>>}

}  // namespace

const CrossEntropyKernels cross_entropy_kernels = {
    FASTNN_BOTH(sparse_softmax), FASTNN_BOTH(softmax), FASTNN_BOTH(sparse_softmax_backward), FASTNN_BOTH(softmax_backward),
    FASTNN_BOTH(sparse),         FASTNN_BOTH(dense),   FASTNN_BOTH(sparse_backward),         FASTNN_BOTH(dense_backward),
};

}  // namespace fastnn::FASTNN_ISA
