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

// The numbers of the image that a window's outputs read: so many rows of so many columns, channels included.
struct Patch {
  int64_t rows, columns;
};
Patch patch_of(const Conv2dBlockShape& shape) {
  const Window h = shape.conv.height, w = shape.conv.width;
  return {(shape.rows.window - 1) * h.stride + h.window, ((shape.columns.window - 1) * w.stride + w.window) * shape.conv.C};
}
#if defined(__AVX512F__)
constexpr bool kHasPatches = true;
#else
constexpr bool kHasPatches = false;
#endif

bool is_square(const Conv2dShape& conv) { return conv.C == 1 && conv.height.window == conv.width.window; }

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

// A row of windows, for a vector of filters.
template <typename Real, int rows, int width, bool partial>
void forward_row(Real* y, uint8_t* argmax, const Real* x, const Real* w, const Real* bias, const OutputsOfWindow& outputs,
                 const Conv2dBlockShape& shape, int tail) {
  const int64_t F = shape.conv.F, x_row = shape.conv.width.image * shape.conv.C, step = corner(shape, 0, 1);
  const Channels<Real, partial> filters{tail};
  const Vec<Real> start = bias == nullptr ? zero<Real>() : filters.read(bias);
  Vec<Real> weight[rows * width];
  FASTNN_UNROLL
  for (int t = 0; t < rows * width; ++t) weight[t] = filters.read(w + t * F);
  for (int64_t j = 0; j < shape.columns.output; ++j, x += step, y += F, argmax += F) {
    // Several sums at a time hide the latency of the additions.
    const auto sums_at = [&]<int n>(std::integral_constant<int, n>, int64_t p, Vec<Real>(&sum)[n])
                             __attribute__((always_inline)) {
                               FASTNN_UNROLL
                               for (int i = 0; i < n; ++i) sum[i] = start;
                               FASTNN_UNROLL
                               for (int kh = 0; kh < rows; ++kh) {
                                 FASTNN_UNROLL
                                 for (int k = 0; k < width; ++k) {
                                   FASTNN_UNROLL
                                   for (int i = 0; i < n; ++i) {
                                     const Real* number = x + outputs.offset[p + i] + kh * x_row + k;
                                     sum[i] = fma(broadcast(*number), weight[kh * width + k], sum[i]);
                                   }
                                 }
                               }
                             };
    Largest<Real> largest;
    if (outputs.count == 4) {
      Vec<Real> sum[4];
      sums_at(std::integral_constant<int, 4>(), 0, sum);
      largest = largest_of<Real>(sum[0], sum[1], sum[2], sum[3]);
    } else {
      Vec<Real> sum[1];
      sums_at(std::integral_constant<int, 1>(), 0, sum);
      largest = {sum[0], Mask<Real>{}};
      for (int64_t p = 1; p < outputs.count; ++p) {
        sums_at(std::integral_constant<int, 1>(), p, sum);
        largest.offer(sum[0], p);
      }
    }
    filters.write(y, shape.relu ? relu_of<Real>(largest.best) : largest.best);
    filters.write_bytes(argmax, largest.winner);
  }
}

// The same for one channel, strides of 1 and windows of 2 x 2, where all distances are known when compiled: then the sums of three
// windows fit into 32 registers and hide each other's latency (5.2 instead of 5.9 us for 169 windows of 32 filters, Cascade Lake).
constexpr int kWindows = kVectorRegisters == 32 ? 3 : 1;

template <typename Real, int rows, int width, int windows>
FASTNN_INLINE void pooled_windows(Real* y, uint8_t* argmax, const Real* x, int64_t x_row,
                                  const Vec<Real> (&weight)[rows * width], Vec<Real> start, int64_t F, bool relu) {
  Vec<Real> sum[4][windows];
  FASTNN_UNROLL
  for (int p = 0; p < 4; ++p) {
    FASTNN_UNROLL
    for (int i = 0; i < windows; ++i) sum[p][i] = start;
  }
  // A number of the image goes to all sums that it is part of at once: it would not stay in a register till the next.
  FASTNN_UNROLL
  for (int h = 0; h <= rows; ++h) {
    FASTNN_UNROLL
    for (int v = 0; v < 2 * windows + width - 1; ++v) {
      const Vec<Real> number = broadcast(x[h * x_row + v]);
      FASTNN_UNROLL
      for (int p = 0; p < 4; ++p) {
        FASTNN_UNROLL
        for (int i = 0; i < windows; ++i) {
          const int kh = h - p / 2, k = v - 2 * i - p % 2;
          if (kh < 0 || kh >= rows || k < 0 || k >= width) continue;
          sum[p][i] = fma(number, weight[kh * width + k], sum[p][i]);
        }
      }
    }
  }
  FASTNN_UNROLL
  for (int i = 0; i < windows; ++i) {
    const Largest<Real> largest = largest_of<Real>(sum[0][i], sum[1][i], sum[2][i], sum[3][i]);
    store(y + i * F, relu ? relu_of<Real>(largest.best) : largest.best);
    store_bytes<Real>(argmax + i * F, largest.winner);
  }
}

template <typename Real, int rows, int width>
void forward_plain_row(Real* y, uint8_t* argmax, const Real* x, const Real* w, const Real* bias, const OutputsOfWindow&,
                       const Conv2dBlockShape& shape, int) {
  const int64_t F = shape.conv.F, x_row = shape.conv.width.image, last = shape.columns.output;
  const Vec<Real> start = bias == nullptr ? zero<Real>() : load(bias);
  Vec<Real> weight[rows * width];
  FASTNN_UNROLL
  for (int t = 0; t < rows * width; ++t) weight[t] = load(w + t * F);
  int64_t j = 0;
  for (; j + kWindows <= last; j += kWindows) {
    pooled_windows<Real, rows, width, kWindows>(y + j * F, argmax + j * F, x + 2 * j, x_row, weight, start, F, shape.relu);
  }
  for (; j < last; ++j) {
    pooled_windows<Real, rows, width, 1>(y + j * F, argmax + j * F, x + 2 * j, x_row, weight, start, F, shape.relu);
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

#if defined(__AVX512F__)
// The same where the numbers that a window reads, a patch of a few short rows, fit into one vector: each filter's lane takes its
// winner's out of it. That is one multiplication a tap where the way above has one a tap and position.
template <typename Real, int rows, int width, int vectors, bool partial>
void backward_patches(Real* dw, const Real* x, const Real* g, const uint8_t* argmax, int64_t samples,
                      const OutputsOfWindow& outputs, const Conv2dBlockShape& shape, int tail) {
  using Index = typename MaskLane<Real>::type;
  constexpr int lanes = kLanes<Real>;
  constexpr int64_t kPatches = 16;  // written at a time, so that they are in the cache before they are read
  const int64_t F = shape.conv.F, x_row = shape.conv.width.image * shape.conv.C, step = corner(shape, 0, 1);
  const Patch patch = patch_of(shape);
  const auto positions = static_cast<Index>(outputs.count);
  const Channels<Real, partial> filters{tail};
  Mask<Real> place{};  // in a patch, of each position's first tap
  for (int64_t p = 0; p < outputs.count; ++p) {
    const int64_t row = p / shape.columns.window * shape.conv.height.stride;
    place[p] = static_cast<Index>(row * patch.columns + p % shape.columns.window * shape.conv.width.stride * shape.conv.C);
  }
  Vec<Real> sum[vectors][rows * width];
  FASTNN_UNROLL
  for (int v = 0; v < vectors; ++v) {
    FASTNN_UNROLL
    for (int t = 0; t < rows * width; ++t) sum[v][t] = zero<Real>();
  }
  Real patches[(kPatches + 2) * lanes];
  for (Real& number : patches) number = 0;
  for (int64_t sample = 0; sample < samples; ++sample, x += shape.conv.height.image * x_row) {
    for (int64_t i = 0; i < shape.rows.output; ++i) {
      const Real* at = x + corner(shape, i, 0);
      for (int64_t first = 0; first < shape.columns.output; first += kPatches) {
        const int64_t count = shape.columns.output - first < kPatches ? shape.columns.output - first : kPatches;
        for (int64_t j = 0; j < count; ++j, at += step) {
          for (int64_t r = 0; r < patch.rows; ++r) {  // the end of each is written over by the next
            store(patches + j * lanes + r * patch.columns, load_first(at + r * x_row, static_cast<int>(patch.columns)));
          }
        }
        for (int64_t j = 0; j < count; ++j, g += F, argmax += F) {
          Vec<Real> gradient[vectors];
          Mask<Real> taken[vectors];
          FASTNN_UNROLL
          for (int v = 0; v < vectors; ++v) {
            const Mask<Real> winner = filters.read_bytes(argmax + v * lanes);
            taken[v] = shuffle<Index>(place, winner);
            gradient[v] = select<Real>(winner < positions, filters.read(g + v * lanes), zero<Real>());
          }
          FASTNN_UNROLL
          for (int kh = 0; kh < rows; ++kh) {
            FASTNN_UNROLL
            for (int k = 0; k < width; ++k) {
              const Vec<Real> numbers = load(patches + j * lanes + kh * patch.columns + k);
              FASTNN_UNROLL
              for (int v = 0; v < vectors; ++v) {
                Vec<Real>& total = sum[v][kh * width + k];
                total = fma(shuffle<Real>(numbers, taken[v]), gradient[v], total);
              }
            }
          }
        }
      }
    }
  }
  FASTNN_UNROLL
  for (int v = 0; v < vectors; ++v) {
    FASTNN_UNROLL
    for (int t = 0; t < rows * width; ++t) filters.write(dw + t * F + v * lanes, sum[v][t]);
  }
}
#endif

enum { kOne, kPartial, kPlain, kTwo = kPlain };  // vectors of filters; plain rows forward, two vectors at a time backward
template <typename Real>
using ForwardRow = decltype(&forward_row<Real, 1, 1, false>);
template <typename Real>
using BackwardSamples = decltype(&backward_samples<Real, 1, 1, false>);
template <typename Real>
struct ShortTable {
  ForwardRow<Real> forward[kShortRows][kShortSum][3] = {};           // [rows - 1][width - 1][kind]
  BackwardSamples<Real> backward[2][kShortRows][kShortSum][3] = {};  // [1]: with patches
};
template <typename Real, int rows, int... w>
constexpr void fill_row(ShortTable<Real>& table, std::integer_sequence<int, w...>) {
  ((table.forward[rows - 1][w][kOne] = forward_row<Real, rows, w + 1, false>), ...);
  ((table.forward[rows - 1][w][kPartial] = forward_row<Real, rows, w + 1, true>), ...);
  ((table.backward[0][rows - 1][w][kOne] = backward_samples<Real, rows, w + 1, false>), ...);
  ((table.backward[0][rows - 1][w][kPartial] = backward_samples<Real, rows, w + 1, true>), ...);
  // What takes longer to compile than it is worth for others is for square kernels of one channel.
  table.forward[rows - 1][rows - 1][kPlain] = forward_plain_row<Real, rows, rows>;
#if defined(__AVX512F__)
  table.backward[1][rows - 1][rows - 1][kOne] = backward_patches<Real, rows, rows, 1, false>;
  table.backward[1][rows - 1][rows - 1][kPartial] = backward_patches<Real, rows, rows, 1, true>;
  table.backward[1][rows - 1][rows - 1][kTwo] = backward_patches<Real, rows, rows, 2, false>;
#endif
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
  const bool plain = is_square(conv) && conv.height.stride == 1 && conv.width.stride == 1 && shape.rows.window == 2 &&
                     shape.columns.window == 2;
  const int whole = plain ? kPlain : kOne;
  const int64_t F = conv.F, sample_size = conv.height.image * conv.width.image * conv.C;
  const int64_t rows = conv.B * shape.rows.output, end = rows * (task + 1) / conv.sample_tasks;
  for (int64_t row = rows * task / conv.sample_tasks; row < end; ++row) {
    const Real* const from = x + row / shape.rows.output * sample_size + corner(shape, row % shape.rows.output, 0);
    const int64_t to = row * shape.columns.output * F;
    for (int64_t f = 0; f < F; f += kLanes<Real>) {
      row_of[F - f < kLanes<Real> ? kPartial : whole](y + to + f, argmax + to + f, from, w + f,
                                                      bias == nullptr ? nullptr : bias + f, outputs, shape,
                                                      static_cast<int>(F - f));
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
  const Patch patch = patch_of(shape);
  const bool patches = kHasPatches && is_square(conv) && patch.rows * patch.columns <= kLanes<Real>;
  const auto& samples_of = kShort<Real>.backward[patches][KH - 1][width - 1];
  for (int64_t f = F * part / shape.filter_tasks; f < last;) {
    const int kind = last - f < kLanes<Real> ? kPartial : patches && last - f >= 2 * kLanes<Real> ? int{kTwo} : int{kOne};
    samples_of[kind](groups + group * KH * width * F + f, x + sample * conv.height.image * conv.width.image * conv.C,
                     g + from + f, argmax + from + f, end - sample, outputs, shape, static_cast<int>(last - f));
    f += (kind == kTwo ? 2 : 1) * kLanes<Real>;
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
