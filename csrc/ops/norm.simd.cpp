#include "ops/norm.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

namespace {

FASTNN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

template <typename Real>
FASTNN_INLINE Vec<Real> inverse_deviation(Vec<Real> variance, double epsilon) {
  return broadcast(Real(1)) / sqrt(variance + broadcast(static_cast<Real>(epsilon)));
}

// gamma and beta may be left out.
template <typename Real, typename Lanes>
FASTNN_INLINE Vec<Real> times(Vec<Real> v, const Real* gamma, int64_t i, Lanes lanes) {
  return gamma == nullptr ? v : v * lanes.load(gamma + i);
}

// -- Rows -------------------------------------------------------------------------------------------------------------------

// The sum of term(i, lanes) over a row, in every lane. Four vectors take turns, so that no addition waits for the one before.
// A term of lanes past the row must be 0.
template <typename Real, typename Term>
FASTNN_INLINE Vec<Real> sum_row(int64_t n, Term term) {
  constexpr int turns = 4, lanes = kLanes<Real>;
  Vec<Real> sum[turns] = {};
  int64_t i = 0;
  for (; i + turns * lanes <= n; i += turns * lanes) {
    FASTNN_UNROLL
    for (int k = 0; k < turns; ++k) sum[k] += term(i + k * lanes, AllLanes{});
  }
  FASTNN_UNROLL
  for (int k = 0; k < turns; ++k) {
    const int64_t at = i + k * lanes;
    if (n - at >= lanes) {
      sum[k] += term(at, AllLanes{});
    } else if (n > at) {
      sum[k] += term(at, FirstLanes{static_cast<int>(n - at)});
    }
  }
  return sum_all_lanes<Real>((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

template <typename Real, bool centered>
FASTNN_INLINE void norm_rows(Real* y, [[maybe_unused]] Real* mean, Real* variance, const Real* x, const Real* gamma,
                             const Real* beta, const RowNormShape& shape, int64_t task) {
  const int64_t N = shape.N, end = smaller(shape.rows, (task + 1) * shape.rows_per_task);
  const Vec<Real> length = broadcast(static_cast<Real>(N));
  for (int64_t r = task * shape.rows_per_task; r < end; ++r) {
    const Real* row = x + r * N;
    Real* result = y + r * N;
    Vec<Real> center = zero<Real>();
    if constexpr (centered) {
      center =
          sum_row<Real>(N, [&](int64_t i, auto lanes) __attribute__((always_inline)) { return lanes.load(row + i); }) / length;
      mean[r] = center[0];
    }
    const Vec<Real> squares = sum_row<Real>(N, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> distance = lanes.load(row + i, center[0]) - center;
      return distance * distance;
    });
    variance[r] = (squares / length)[0];
    const Vec<Real> scale = inverse_deviation<Real>(squares / length, shape.epsilon);
    for_each_vector<Real>(N, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> v = times((lanes.load(row + i) - center) * scale, gamma, i, lanes);
      lanes.store(result + i, beta == nullptr ? v : v + lanes.load(beta + i));
    });
  }
}

template <typename Real>
void layer_norm(Real* y, Real* mean, Real* variance, const Real* x, const Real* gamma, const Real* beta,
                const RowNormShape& shape, int64_t task) {
  norm_rows<Real, true>(y, mean, variance, x, gamma, beta, shape, task);
}
template <typename Real>
void rms_norm(Real* y, Real* mean_square, const Real* x, const Real* gamma, const RowNormShape& shape, int64_t task) {
  norm_rows<Real, false>(y, nullptr, mean_square, x, gamma, nullptr, shape, task);
}

// dx of some rows, plus `other` where it is given; what they give to dgamma and dbeta goes into this task's part, which lies in the
// cache meanwhile.
template <typename Real, bool centered>
FASTNN_INLINE void norm_rows_backward(Real* dx, const Real* dy, const Real* x, const Real* gamma, const Real* mean,
                                      const Real* variance, const Real* other, Real* parts, const RowNormShape& shape,
                                      int64_t task) {
  const int64_t N = shape.N, end = smaller(shape.rows, (task + 1) * shape.rows_per_task);
  const Vec<Real> length = broadcast(static_cast<Real>(N));
  Real *dgamma = parts + task * (centered ? 2 : 1) * N, *dbeta = dgamma + N;
  for (int64_t i = 0; i < (centered ? 2 : 1) * N; ++i) dgamma[i] = 0;
  for (int64_t r = task * shape.rows_per_task; r < end; ++r) {
    const Real *row = x + r * N, *gradient = dy + r * N;
    Real* result = dx + r * N;
    const Vec<Real> center = centered ? broadcast(mean[r]) : zero<Real>();
    const Vec<Real> scale = inverse_deviation<Real>(broadcast(variance[r]), shape.epsilon);
    Vec<Real> along_one = zero<Real>();
    if constexpr (centered) {
      along_one =
          sum_row<Real>(N, [&](int64_t i, auto lanes)
                               __attribute__((always_inline)) { return times(lanes.load(gradient + i), gamma, i, lanes); }) /
          length;
    }
    const Vec<Real> along_x = sum_row<Real>(N,
                                            [&](int64_t i, auto lanes) __attribute__((always_inline)) {
                                              const Vec<Real> g = times(lanes.load(gradient + i), gamma, i, lanes);
                                              return g * ((lanes.load(row + i) - center) * scale);
                                            }) /
                              length;
    for_each_vector<Real>(N, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> d = lanes.load(gradient + i), normal = (lanes.load(row + i) - center) * scale;
      lanes.store(dgamma + i, fma(d, normal, lanes.load(dgamma + i)));
      if constexpr (centered) lanes.store(dbeta + i, lanes.load(dbeta + i) + d);
      const Vec<Real> own = (times(d, gamma, i, lanes) - along_one - normal * along_x) * scale;
      lanes.store(result + i, other == nullptr ? own : own + lanes.load(other + r * N + i));
    });
  }
}

template <typename Real>
void layer_norm_backward(Real* dx, Real*, Real*, const Real* dy, const Real* x, const Real* gamma, const Real* mean,
                         const Real* variance, const Real* other, Real* parts, const RowNormShape& shape, int64_t task) {
  norm_rows_backward<Real, true>(dx, dy, x, gamma, mean, variance, other, parts, shape, task);
}
template <typename Real>
void rms_norm_backward(Real* dx, Real*, const Real* dy, const Real* x, const Real* gamma, const Real* mean_square,
                       const Real* other, Real* parts, const RowNormShape& shape, int64_t task) {
  norm_rows_backward<Real, false>(dx, dy, x, gamma, nullptr, mean_square, other, parts, shape, task);
}

// Adds `rows` rows of some columns, in order: to[j] = sum of from[r * stride + j].
template <typename Real>
FASTNN_INLINE void add_column_parts(Real* to, const Real* from, int64_t rows, int64_t stride, int64_t columns, int64_t task) {
  const int64_t first = task * kNormColumns;
  for_each_vector<Real>(smaller(kNormColumns, columns - first), [&](int64_t j, auto lanes) __attribute__((always_inline)) {
    Vec<Real> sum = zero<Real>();
    for (int64_t r = 0; r < rows; ++r) sum += lanes.load(from + r * stride + first + j);
    lanes.store(to + first + j, sum);
  });
}

template <typename Real>
void add_rows(Real* dgamma, Real* dbeta, const Real* parts, const RowNormShape& shape, int64_t task) {
  add_column_parts(dgamma, parts, shape.parts, 2 * shape.N, shape.N, task);
  add_column_parts(dbeta, parts + shape.N, shape.parts, 2 * shape.N, shape.N, task);
}
template <typename Real>
void add_rms_rows(Real* dgamma, const Real* parts, const RowNormShape& shape, int64_t task) {
  add_column_parts(dgamma, parts, shape.parts, shape.N, shape.N, task);
}

// -- Columns ----------------------------------------------------------------------------------------------------------------

// Calls body(c, lanes, vectors) for four vectors of channels at a time, then for one: `vectors` is a constant.
template <int count>
struct Vectors {
  static constexpr int value = count;
};
template <typename Real, typename Body>
FASTNN_INLINE void for_vectors_of_channels(int64_t channels, Body body) {
  constexpr int64_t lanes = kLanes<Real>;
  int64_t c = 0;
  for (; c + 4 * lanes <= channels; c += 4 * lanes) body(c, AllLanes{}, Vectors<4>{});
  for (; c + lanes <= channels; c += lanes) body(c, AllLanes{}, Vectors<1>{});
  if (c < channels) body(c, FirstLanes{static_cast<int>(channels - c)}, Vectors<1>{});
}

// Rows [begin, end) of a sample, which a chunk or a task has.
struct RowsOfSample {
  int64_t sample, begin, end;
};
FASTNN_INLINE RowsOfSample rows_of(const ColumnNormShape& shape, int64_t task, int64_t per_sample, int64_t rows) {
  const int64_t begin = task % per_sample * rows;
  return {task / per_sample, begin, smaller(shape.rows, begin + rows)};
}

// The mean of each channel of a chunk, and the sum of the squared distances from it.
template <typename Real>
void statistics(Real* parts, const Real* x, const ColumnNormShape& shape, int64_t task) {
  const RowsOfSample rows = rows_of(shape, task, shape.chunks, shape.chunk);
  const int64_t C = shape.channels, n = rows.end - rows.begin;
  const Real* first = x + (rows.sample * shape.rows + rows.begin) * C;
  Real *mean = parts + task * 2 * C, *squares = mean + C;
  const Vec<Real> length = broadcast(static_cast<Real>(n));
  for_vectors_of_channels<Real>(C, [&](int64_t c, auto lanes, auto vectors) __attribute__((always_inline)) {
    constexpr int count = decltype(vectors)::value;
    constexpr int64_t width = kLanes<Real>;
    Vec<Real> sum[count] = {}, center[count];
    for (int64_t r = 0; r < n; ++r) {
      FASTNN_UNROLL
      for (int v = 0; v < count; ++v) sum[v] += lanes.load(first + r * C + c + v * width);
    }
    FASTNN_UNROLL
    for (int v = 0; v < count; ++v) {
      center[v] = sum[v] / length;
      sum[v] = zero<Real>();
    }
    for (int64_t r = 0; r < n; ++r) {
      FASTNN_UNROLL
      for (int v = 0; v < count; ++v) {
        const Vec<Real> distance = lanes.load(first + r * C + c + v * width) - center[v];
        sum[v] = fma(distance, distance, sum[v]);
      }
    }
    FASTNN_UNROLL
    for (int v = 0; v < count; ++v) {
      lanes.store(mean + c + v * width, center[v]);
      lanes.store(squares + c + v * width, sum[v]);
    }
  });
}

FASTNN_INLINE int64_t rows_in_chunk(const ColumnNormShape& shape, int64_t chunk) {
  return smaller(shape.chunk, shape.rows - chunk * shape.chunk);
}

// mean = sum of n_k mean_k / n;  n variance = sum of squares_k + n_k (mean_k - mean)^2, over the chunks k.
template <typename Real>
void join_channels(Real* mean, Real* variance, const Real* parts, const ColumnNormShape& shape, int64_t task) {
  const int64_t C = shape.channels, begin = task * kNormColumns;
  const Vec<Real> rows = broadcast(static_cast<Real>(shape.rows));
  for_each_vector<Real>(smaller(kNormColumns, C - begin), [&](int64_t j, auto lanes) __attribute__((always_inline)) {
    const Real* part = parts + begin + j;
    Vec<Real> sum = zero<Real>();
    for (int64_t k = 0; k < shape.chunks; ++k) {
      sum = fma(broadcast(static_cast<Real>(rows_in_chunk(shape, k))), lanes.load(part + 2 * k * C), sum);
    }
    const Vec<Real> center = sum / rows;
    sum = zero<Real>();
    for (int64_t k = 0; k < shape.chunks; ++k) {
      const Vec<Real> distance = lanes.load(part + 2 * k * C) - center;
      sum +=
          fma(broadcast(static_cast<Real>(rows_in_chunk(shape, k))), distance * distance, lanes.load(part + (2 * k + 1) * C));
    }
    lanes.store(mean + begin + j, center);
    lanes.store(variance + begin + j, sum / rows);
  });
}

// The same over the chunks and the channels of each group of one sample.
template <typename Real>
void join_groups(Real* mean, Real* variance, const Real* parts, const ColumnNormShape& shape, int64_t sample) {
  const int64_t C = shape.channels, K = C / shape.groups;
  const Real* first = parts + sample * shape.chunks * 2 * C;
  const Real n = static_cast<Real>(shape.rows * K);
  for (int64_t g = 0; g < shape.groups; ++g) {
    Vec<Real> sum = zero<Real>();
    for (int64_t k = 0; k < shape.chunks; ++k) {
      const Real* means = first + 2 * k * C + g * K;
      Vec<Real> of_chunk = zero<Real>();
      for_each_vector<Real>(K,
                            [&](int64_t j, auto lanes) __attribute__((always_inline)) { of_chunk += lanes.load(means + j); });
      sum = fma(broadcast(static_cast<Real>(rows_in_chunk(shape, k))), of_chunk, sum);
    }
    const Real center = sum_lanes<Real>(sum) / n;
    sum = zero<Real>();
    for (int64_t k = 0; k < shape.chunks; ++k) {
      const Real *means = first + 2 * k * C + g * K, *squares = means + C;
      const Vec<Real> rows = broadcast(static_cast<Real>(rows_in_chunk(shape, k)));
      for_each_vector<Real>(K, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
        const Vec<Real> distance = lanes.load(means + j, center) - broadcast(center);
        sum += fma(rows, distance * distance, lanes.load(squares + j));
      });
    }
    mean[sample * shape.groups + g] = center;
    variance[sample * shape.groups + g] = sum_lanes<Real>(sum) / n;
  }
}

// mean, and 1 / sqrt(variance + epsilon), of each channel of a sample: in batch_norm every channel has its own.
template <typename Real>
FASTNN_INLINE void expand(Real* center, Real* scale, const Real* mean, const Real* variance, const ColumnNormShape& shape,
                          int64_t sample) {
  const int64_t G = shape.groups, K = G > 0 ? shape.channels / G : 0;
  if (K == 1) {
    for_each_vector<Real>(G, [&](int64_t g, auto lanes) __attribute__((always_inline)) {
      lanes.store(center + g, lanes.load(mean + sample * G + g));
      lanes.store(scale + g, inverse_deviation<Real>(lanes.load(variance + sample * G + g), shape.epsilon));
    });
    return;
  }
  for (int64_t g = 0; g < G; ++g) {
    const Real middle = mean[sample * G + g];
    const Real inverse = inverse_deviation<Real>(broadcast(variance[sample * G + g]), shape.epsilon)[0];
    for (int64_t c = g * K; c < (g + 1) * K; ++c) {
      center[c] = middle;
      scale[c] = inverse;
    }
  }
}

template <typename Real>
void normalize(Real* y, const Real* x, const Real* gamma, const Real* beta, const Real* mean, const Real* variance,
               Scratch scratch, const ColumnNormShape& shape, int64_t task) {
  const RowsOfSample rows = rows_of(shape, task, shape.row_tasks, shape.rows_per_task);
  const int64_t C = shape.channels;
  Real *center = scratch.as<Real>(), *scale = center + C;
  expand(center, scale, mean, variance, shape, rows.sample);
  if (gamma != nullptr) {
    for (int64_t c = 0; c < C; ++c) scale[c] *= gamma[c];
  }
  for (int64_t r = rows.sample * shape.rows + rows.begin; r < rows.sample * shape.rows + rows.end; ++r) {
    for_each_vector<Real>(C, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> distance = lanes.load(x + r * C + c) - lanes.load(center + c), factor = lanes.load(scale + c);
      lanes.store(y + r * C + c, beta == nullptr ? distance * factor : fma(distance, factor, lanes.load(beta + c)));
    });
  }
}

// Of each channel of a chunk the sums of dy xhat and of dy.
template <typename Real>
void sums(Real* parts, const Real* dy, const Real* x, const Real* mean, const Real* variance, Scratch scratch,
          const ColumnNormShape& shape, int64_t task) {
  const RowsOfSample rows = rows_of(shape, task, shape.chunks, shape.chunk);
  const int64_t C = shape.channels, n = rows.end - rows.begin, first = (rows.sample * shape.rows + rows.begin) * C;
  Real *center = scratch.as<Real>(), *scale = center + C;
  expand(center, scale, mean, variance, shape, rows.sample);
  Real *along_x = parts + task * 2 * C, *along_one = along_x + C;
  for_vectors_of_channels<Real>(C, [&](int64_t c, auto lanes, auto vectors) __attribute__((always_inline)) {
    constexpr int count = decltype(vectors)::value;
    constexpr int64_t width = kLanes<Real>;
    Vec<Real> products[count] = {}, sum[count] = {}, middle[count];
    FASTNN_UNROLL
    for (int v = 0; v < count; ++v) middle[v] = lanes.load(center + c + v * width);
    for (int64_t r = 0; r < n; ++r) {
      const int64_t at = first + r * C + c;
      FASTNN_UNROLL
      for (int v = 0; v < count; ++v) {
        const Vec<Real> d = lanes.load(dy + at + v * width);
        sum[v] += d;
        products[v] = fma(d, lanes.load(x + at + v * width) - middle[v], products[v]);
      }
    }
    FASTNN_UNROLL
    for (int v = 0; v < count; ++v) {
      lanes.store(along_x + c + v * width, products[v] * lanes.load(scale + c + v * width));
      lanes.store(along_one + c + v * width, sum[v]);
    }
  });
}

template <typename Real>
void add_columns(Real* dgamma, Real* dbeta, const Real* parts, const ColumnNormShape& shape, int64_t task) {
  const int64_t C = shape.channels;
  add_column_parts(dgamma, parts, shape.parts, 2 * C, C, task);
  add_column_parts(dbeta, parts + C, shape.parts, 2 * C, C, task);
}

// Of each group of one sample the sums of g xhat and of g, g being dy gamma.
template <typename Real>
void add_groups(Real* group_sums, const Real* gamma, const Real* parts, const ColumnNormShape& shape, int64_t sample) {
  const int64_t C = shape.channels, G = shape.groups, K = C / G;
  const Real* first = parts + sample * shape.chunks * 2 * C;
  Real *along_x = group_sums + sample * 2 * G, *along_one = along_x + G;
  for (int64_t g = 0; g < G; ++g) {
    Vec<Real> products = zero<Real>(), sum = zero<Real>();
    for (int64_t k = 0; k < shape.chunks; ++k) {
      const Real* part = first + 2 * k * C;
      for_each_vector<Real>(K, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
        const int64_t c = g * K + j;
        products += times(lanes.load(part + c), gamma, c, lanes);
        sum += times(lanes.load(part + C + c), gamma, c, lanes);
      });
    }
    along_x[g] = sum_lanes<Real>(products);
    along_one[g] = sum_lanes<Real>(sum);
  }
}

// dx = (g - one - xhat x) / s with the means `one` of g and `x` of g xhat under each channel's mean, which `means(c)` gives
// as sums. With r = 1 / s that is dy (gamma r) - one r - (x - mean) (x r^2): three factors per channel.
template <typename Real, typename Sums>
FASTNN_INLINE void columns_backward(Real* dx, const Real* dy, const Real* x, const Real* gamma, const Real* mean,
                                    const Real* variance, Scratch scratch, const ColumnNormShape& shape, int64_t task,
                                    Sums sums_under) {
  const RowsOfSample rows = rows_of(shape, task, shape.row_tasks, shape.rows_per_task);
  const int64_t C = shape.channels;
  Real *center = scratch.as<Real>(), *of_dy = center + C, *constant = of_dy + C, *of_x = constant + C;
  expand(center, of_dy, mean, variance, shape, rows.sample);
  const Real n = static_cast<Real>(shape.rows * (C / shape.groups));
  for (int64_t c = 0; c < C; ++c) {
    Real along_x, along_one;
    sums_under(rows.sample, c, along_x, along_one);
    constant[c] = along_one / n * of_dy[c];
    of_x[c] = along_x / n * of_dy[c] * of_dy[c];
    if (gamma != nullptr) of_dy[c] *= gamma[c];
  }
  for (int64_t r = rows.sample * shape.rows + rows.begin; r < rows.sample * shape.rows + rows.end; ++r) {
    for_each_vector<Real>(C, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> distance = lanes.load(x + r * C + c) - lanes.load(center + c);
      const Vec<Real> direct = fma(lanes.load(dy + r * C + c), lanes.load(of_dy + c), -lanes.load(constant + c));
      lanes.store(dx + r * C + c, fma(-distance, lanes.load(of_x + c), direct));
    });
  }
}

template <typename Real>
void batch_backward(Real* dx, const Real* dgamma, const Real* dbeta, const Real* dy, const Real* x, const Real* gamma,
                    const Real* mean, const Real* variance, Scratch scratch, const ColumnNormShape& shape, int64_t task) {
  columns_backward(dx, dy, x, gamma, mean, variance, scratch, shape, task,
                   [&](int64_t, int64_t c, Real& along_x, Real& along_one) __attribute__((always_inline)) {
                     const Real factor = gamma == nullptr ? Real(1) : gamma[c];
                     along_x = factor * dgamma[c];
                     along_one = factor * dbeta[c];
                   });
}

template <typename Real>
void group_backward(Real* dx, const Real* group_sums, const Real* dy, const Real* x, const Real* gamma, const Real* mean,
                    const Real* variance, Scratch scratch, const ColumnNormShape& shape, int64_t task) {
  const int64_t G = shape.groups, K = shape.channels / G;
  columns_backward(dx, dy, x, gamma, mean, variance, scratch, shape, task,
                   [&](int64_t sample, int64_t c, Real& along_x, Real& along_one) __attribute__((always_inline)) {
                     along_x = group_sums[sample * 2 * G + c / K];
                     along_one = group_sums[(sample * 2 + 1) * G + c / K];
                   });
}

}  // namespace

const NormKernels norm_kernels = {
    {kernel<layer_norm<float>>, kernel<layer_norm<double>>},
    {kernel<rms_norm<float>>, kernel<rms_norm<double>>},
    {kernel<layer_norm_backward<float>>, kernel<layer_norm_backward<double>>},
    {kernel<rms_norm_backward<float>>, kernel<rms_norm_backward<double>>},
    {kernel<add_rows<float>>, kernel<add_rows<double>>},
    {kernel<add_rms_rows<float>>, kernel<add_rms_rows<double>>},
    {kernel<statistics<float>>, kernel<statistics<double>>},
    {kernel<join_channels<float>>, kernel<join_channels<double>>},
    {kernel<join_groups<float>>, kernel<join_groups<double>>},
    {kernel<normalize<float>>, kernel<normalize<double>>},
    {kernel<sums<float>>, kernel<sums<double>>},
    {kernel<add_columns<float>>, kernel<add_columns<double>>},
    {kernel<add_groups<float>>, kernel<add_groups<double>>},
    {kernel<batch_backward<float>>, kernel<batch_backward<double>>},
    {kernel<group_backward<float>>, kernel<group_backward<double>>},
};

}  // namespace fastnn::FASTNN_ISA
