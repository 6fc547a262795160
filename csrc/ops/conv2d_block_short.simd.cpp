// conv2d_block where an output sums few products, such as the first layer of a network on grey images: the weights of a vector of
// filters, or their gradients, stay in registers, and every other operand is a number of the image.
#include "ops/conv2d_block.h"
#include "ops/max_of_window.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

namespace {

// The offset from a window's first position to each of its outputs' first taps.
struct OutputsOfWindow {
  int64_t count, offset[256];
};
OutputsOfWindow outputs_of_window(const Conv2dBlockShape& shape) {
  const Conv2dShape& conv = shape.conv;
  OutputsOfWindow outputs;
  outputs.count = shape.rows.window * shape.columns.window;
  for (int64_t p = 0; p < outputs.count; ++p) {
    const int64_t row = p / shape.columns.window * conv.height.stride, column = p % shape.columns.window * conv.width.stride;
    outputs.offset[p] = (row * conv.width.image + column) * conv.C;
  }
  return outputs;
}

// The first position of the window (i, j) of a sample.
FASTNN_INLINE int64_t corner(const Conv2dBlockShape& shape, int64_t i, int64_t j) {
  const Conv2dShape& conv = shape.conv;
  return (i * shape.rows.window * conv.height.stride * conv.width.image + j * shape.columns.window * conv.width.stride) *
         conv.C;
}

// Calls body(number of the tap, broadcast value) for every tap of the output that begins at x. Rows that are known when compiled
// let each product find its operand by itself.
template <int rows, int width, typename Real, typename Body>
FASTNN_INLINE void for_taps(const Real* x, int64_t x_row, Body body) {
  FASTNN_UNROLL
  for (int kh = 0; kh < rows; ++kh, x += x_row) {
    FASTNN_UNROLL
    for (int k = 0; k < width; ++k) body(kh * width + k, broadcast(x[k]));
  }
}

// How many vectors of filters a number of the image is multiplied with at a time: their weights and four sums each, in registers.
#if defined(__AVX512F__)
constexpr int kForwardVectors = 2;
#else
constexpr int kForwardVectors = 1;
#endif

// A row of windows, for some vectors of filters, of which none or the only one is partial.
template <typename Real, int rows, int width, int vectors, bool partial>
void forward_row(Real* y, uint8_t* argmax, const Real* x, const Real* w, const Real* bias, const OutputsOfWindow& outputs,
                 const Conv2dBlockShape& shape, int tail) {
  constexpr int lanes = kLanes<Real>;
  const int64_t F = shape.conv.F, x_row = shape.conv.width.image * shape.conv.C, step = corner(shape, 0, 1);
  const Channels<Real, partial> filters{tail};
  Vec<Real> start[vectors], weight[vectors][rows * width];
  FASTNN_UNROLL
  for (int v = 0; v < vectors; ++v) {
    start[v] = bias == nullptr ? zero<Real>() : filters.read(bias + v * lanes);
    FASTNN_UNROLL
    for (int t = 0; t < rows * width; ++t) weight[v][t] = filters.read(w + t * F + v * lanes);
  }
  for (int64_t j = 0; j < shape.columns.output; ++j, x += step, y += F, argmax += F) {
    // Several sums at a time hide the latency of the additions.
    const auto sums_at = [&]<int n>(std::integral_constant<int, n>, int64_t p, Vec<Real>(*sum)[n])
                             __attribute__((always_inline)) {
                               FASTNN_UNROLL
                               for (int v = 0; v < vectors; ++v) {
                                 FASTNN_UNROLL
                                 for (int i = 0; i < n; ++i) sum[v][i] = start[v];
                               }
                               FASTNN_UNROLL
                               for (int kh = 0; kh < rows; ++kh) {
                                 FASTNN_UNROLL
                                 for (int k = 0; k < width; ++k) {
                                   FASTNN_UNROLL
                                   for (int i = 0; i < n; ++i) {
                                     const Vec<Real> number = broadcast(x[outputs.offset[p + i] + kh * x_row + k]);
                                     FASTNN_UNROLL
                                     for (int v = 0; v < vectors; ++v)
                                       sum[v][i] = fma(number, weight[v][kh * width + k], sum[v][i]);
                                   }
                                 }
                               }
                             };
    Largest<Real> largest[vectors];
    if (outputs.count == 4) {
      Vec<Real> sum[vectors][4];
      sums_at(std::integral_constant<int, 4>(), 0, sum);
      FASTNN_UNROLL
      for (int v = 0; v < vectors; ++v) {
        largest[v] = {sum[v][0], Mask<Real>{}};
        FASTNN_UNROLL
        for (int p = 1; p < 4; ++p) largest[v].offer(sum[v][p], p);
      }
    } else {
      Vec<Real> sum[vectors][1];
      sums_at(std::integral_constant<int, 1>(), 0, sum);
      FASTNN_UNROLL
      for (int v = 0; v < vectors; ++v) largest[v] = {sum[v][0], Mask<Real>{}};
      for (int64_t p = 1; p < outputs.count; ++p) {
        sums_at(std::integral_constant<int, 1>(), p, sum);
        FASTNN_UNROLL
        for (int v = 0; v < vectors; ++v) largest[v].offer(sum[v][0], p);
      }
    }
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const Vec<Real> best = largest[v].best;
      filters.write(y + v * lanes, shape.relu ? max<Real>(best, zero<Real>()) : best);
      filters.write_bytes(argmax + v * lanes, largest[v].winner);
    }
  }
}

// dw of some samples, for one vector of filters.
template <typename Real, int rows, int width, bool partial>
void backward_samples(Real* dw, const Real* x, const Real* g, const uint8_t* argmax, int64_t samples,
                      const OutputsOfWindow& outputs, const Conv2dBlockShape& shape, int tail) {
  using Index = typename MaskLane<Real>::type;
  const int64_t F = shape.conv.F, x_row = shape.conv.width.image * shape.conv.C, step = corner(shape, 0, 1);
  const Channels<Real, partial> filters{tail};
  Vec<Real> sum[rows * width];
  FASTNN_UNROLL
  for (int t = 0; t < rows * width; ++t) sum[t] = zero<Real>();
  for (int64_t sample = 0; sample < samples; ++sample, x += shape.conv.height.image * x_row) {
    for (int64_t i = 0; i < shape.rows.output; ++i) {
      const Real* at = x + corner(shape, i, 0);
      for (int64_t j = 0; j < shape.columns.output; ++j, at += step, g += F, argmax += F) {
        const Vec<Real> gradient = filters.read(g);
        const Mask<Real> winner = filters.read_bytes(argmax);
        for (int64_t p = 0; p < outputs.count; ++p) {
          const auto won = lanes_where<Real>(winner == Mask<Real>{} + static_cast<Index>(p));
          for_taps<rows, width>(at + outputs.offset[p], x_row, [&](int t, Vec<Real> value) __attribute__((always_inline)) {
            sum[t] = fma_where<Real>(won, value, gradient, sum[t]);
          });
        }
      }
    }
  }
  FASTNN_UNROLL
  for (int t = 0; t < rows * width; ++t) filters.write(dw + t * F, sum[t]);
}

enum { kOne, kPartial, kSeveral };  // vectors of filters
template <typename Real>
struct ShortTable {
  decltype(&forward_row<Real, 1, 1, 1, false>) forward[kShortRows][kShortSum][3] = {};  // [rows - 1][width - 1][kind]
  decltype(&backward_samples<Real, 1, 1, false>) backward[kShortRows][kShortSum][2] = {};
};
template <typename Real, int rows, int... w>
constexpr void fill_row(ShortTable<Real>& table, std::integer_sequence<int, w...>) {
  ((table.forward[rows - 1][w][kOne] = forward_row<Real, rows, w + 1, 1, false>), ...);
  ((table.forward[rows - 1][w][kPartial] = forward_row<Real, rows, w + 1, 1, true>), ...);
  ((table.forward[rows - 1][w][kSeveral] = forward_row<Real, rows, w + 1, kForwardVectors, false>), ...);
  ((table.backward[rows - 1][w][0] = backward_samples<Real, rows, w + 1, false>), ...);
  ((table.backward[rows - 1][w][1] = backward_samples<Real, rows, w + 1, true>), ...);
}
template <typename Real, int... r>
constexpr ShortTable<Real> make_short_table(std::integer_sequence<int, r...>) {
  ShortTable<Real> table;
  (fill_row<Real, r + 1>(table, std::make_integer_sequence<int, kShortSum / (r + 1)>()), ...);
  return table;
}
template <typename Real>
constexpr ShortTable<Real> kShort = make_short_table<Real>(std::make_integer_sequence<int, kShortRows>());

template <typename Real>
void forward(Real* y, uint8_t* argmax, const Real* x, const Real* w, const Real* bias, const Conv2dBlockShape& shape,
             int64_t task) {
  const Conv2dShape& conv = shape.conv;
  const OutputsOfWindow outputs = outputs_of_window(shape);
  const auto& row_of = kShort<Real>.forward[conv.height.window - 1][conv.width.window * conv.C - 1];
  const int64_t F = conv.F, sample_size = conv.height.image * conv.width.image * conv.C;
  const int64_t rows = conv.B * shape.rows.output, end = rows * (task + 1) / conv.sample_tasks;
  for (int64_t row = rows * task / conv.sample_tasks; row < end; ++row) {
    const Real* const from = x + row / shape.rows.output * sample_size + corner(shape, row % shape.rows.output, 0);
    const int64_t to = row * shape.columns.output * F;
    for (int64_t f = 0; f < F;) {
      const int kind = F - f >= kForwardVectors * kLanes<Real> ? kSeveral : F - f >= kLanes<Real> ? kOne : kPartial;
      row_of[kind](y + to + f, argmax + to + f, from, w + f, bias == nullptr ? nullptr : bias + f, outputs, shape,
                   static_cast<int>(F - f));
      f += (kind == kSeveral ? kForwardVectors : 1) * kLanes<Real>;
    }
  }
}

// dw of one group of samples into the workspace, (groups, KH, KW, C, F).
template <typename Real>
void backward_kernel(Real*, const Real* x, const Real* g, const uint8_t* argmax, Real* groups, const Conv2dBlockShape& shape,
                     int64_t task) {
  const Conv2dShape& conv = shape.conv;
  const OutputsOfWindow outputs = outputs_of_window(shape);
  const int64_t KH = conv.height.window, width = conv.width.window * conv.C, F = conv.F;
  const int64_t group = task / shape.filter_tasks, part = task % shape.filter_tasks;
  const int64_t sample = conv.B * group / shape.sample_groups, end = conv.B * (group + 1) / shape.sample_groups;
  const int64_t from = sample * shape.rows.output * shape.columns.output * F, last = F * (part + 1) / shape.filter_tasks;
  for (int64_t f = F * part / shape.filter_tasks; f < last; f += kLanes<Real>) {
    kShort<Real>.backward[KH - 1][width - 1][last - f < kLanes<Real>](
        groups + group * KH * width * F + f, x + sample * conv.height.image * conv.width.image * conv.C, g + from + f,
        argmax + from + f, end - sample, outputs, shape, static_cast<int>(last - f));
  }
}

template <typename Real>
void add_groups(Real* dw, const Real*, const Real*, const uint8_t*, const Real* groups, const Conv2dBlockShape& shape,
                int64_t task) {
  const int64_t size = shape.conv.height.window * shape.conv.width.window * shape.conv.C * shape.conv.F;
  const int64_t first = task * kAddedNumbers, count = size - first < kAddedNumbers ? size - first : kAddedNumbers;
  for_each_vector<Real>(count, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
    Vec<Real> total = lanes.load(groups + first + i);
    for (int64_t group = 1; group < shape.sample_groups; ++group) total += lanes.load(groups + group * size + first + i);
    lanes.store(dw + first + i, total);
  });
}

}  // namespace

const ShortBlockKernels short_block_kernels = {
    {kernel<forward<float>>, kernel<forward<double>>},
    {kernel<backward_kernel<float>>, kernel<backward_kernel<double>>},
    {kernel<add_groups<float>>, kernel<add_groups<double>>},
};

}  // namespace fastnn::FASTNN_ISA
