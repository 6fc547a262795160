#include "ops/depthwise_conv2d.h"
#include "ops/conv2d_tiles.h"
#include "ops/max_of_window.h"

namespace fastnn::FASTNN_ISA {

namespace {

// Where the taps of an axis stand in the kernel: tap t is number first + t * step of its window.
struct Taps {
  int64_t first, step;
};

constexpr int kPixels = 4;  // that are summed together and share the loads of w

// `pixels` neighbouring results, x_step and y_step apart, of taps that are all inside: h_taps by w_taps of them.
template <typename Real, int pixels, typename Lanes>
FASTNN_INLINE void sum_taps(Real* y, const Real* x, const Real* w, Vec<Real> start, Lanes channels, int64_t h_taps,
                            int64_t w_taps, int64_t x_row, int64_t x_tap, int64_t w_row, int64_t w_tap, int64_t x_step,
                            int64_t y_step) {
  Vec<Real> sum[pixels];
  FASTNN_UNROLL
  for (int i = 0; i < pixels; ++i) sum[i] = start;
  for (int64_t kh = 0; kh < h_taps; ++kh) {
    for (int64_t kw = 0; kw < w_taps; ++kw) {
      const Vec<Real> factor = channels.read(w + kh * w_row + kw * w_tap);
      const Real* at = x + kh * x_row + kw * x_tap;
      FASTNN_UNROLL
      for (int i = 0; i < pixels; ++i) sum[i] = fma(channels.read(at + i * x_step), factor, sum[i]);
    }
  }
  FASTNN_UNROLL
  for (int i = 0; i < pixels; ++i) channels.write(y + i * y_step, sum[i]);
}

// One row of results: row `o` of h, all of v. x is the sample, y the row where the results go. Runs of results that see the
// same taps are computed together.
template <typename Real>
FASTNN_INLINE void convolve_row(Real* y, const Real* x, const Real* w, const Real* bias, const Axis& h, const Axis& v,
                                Taps h_kernel, Taps v_kernel, int64_t KW, int64_t C, int64_t o) {
  const int64_t x_row = v.source * C, w_row = h_kernel.step * KW * C, w_tap = v_kernel.step * C;
  const Span rows = taps_of(h, o, {0, h.taps});
  for (int64_t column = 0; column < v.results;) {
    const Span columns = taps_of(v, column, {0, v.taps});
    const int64_t end = run_end(v, column, v.results, {0, v.taps});
    const Real* window =
        w + ((h_kernel.first + rows.begin * h_kernel.step) * KW + v_kernel.first + columns.begin * v_kernel.step) * C;
    const Real* line =
        x + (h.first + o * h.stride + rows.begin * h.dilation) * x_row + (v.first + columns.begin * v.dilation) * C;
    for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
      const Vec<Real> start = bias == nullptr ? zero<Real>() : channels.read(bias + c);
      auto run = [&](int64_t i, auto count) __attribute__((always_inline)) {
        sum_taps<Real, decltype(count)::value>(y + (v.place + i * v.step) * C + c, line + i * v.stride * C + c, window + c,
                                               start, channels, rows.end - rows.begin, columns.end - columns.begin,
                                               h.dilation * x_row, v.dilation * C, w_row, w_tap, v.stride * C, v.step * C);
      };
      int64_t i = column;
      for (; i + kPixels <= end; i += kPixels) run(i, std::integral_constant<int, kPixels>{});
      for (; i < end; ++i) run(i, std::integral_constant<int, 1>{});
    });
    column = end;
  }
}

template <typename Real>
void forward(Real* y, const Real* x, const Real* w, const Real* bias, const DepthwiseShape& shape, int64_t task) {
  const Axis h = forward_axis(shape.height), v = forward_axis(shape.width);
  const int64_t C = shape.C, end = smaller(shape.rows, (task + 1) * shape.row_block);
  for (int64_t row = task * shape.row_block; row < end; ++row) {
    const int64_t sample = row / h.results, o = row % h.results;
    convolve_row(y + row * v.results * C, x + sample * h.source * v.source * C, w, bias, h, v, {0, 1}, {0, 1}, v.taps, C, o);
  }
}

// The taps of a phase, in reverse: see backward_axis.
FASTNN_INLINE Taps turned_taps(const Window& axis, const Axis& phase) {
  const int64_t remainder = (phase.place + axis.before) % axis.stride;
  return {remainder + (phase.taps - 1) * axis.stride, -axis.stride};
}

template <typename Real>
void backward_input(Real* dx, const Real* dy, const Real* w, const DepthwiseShape& shape, int64_t task) {
  const Window height = shape.height, width = shape.width;
  const int64_t C = shape.C, end = smaller(shape.rows, (task + 1) * shape.row_block);
  for (int64_t row = task * shape.row_block; row < end; ++row) {
    const int64_t sample = row / height.image, ih = row % height.image;
    const Axis h = backward_axis(height, ih % height.stride);
    const Real* outputs = dy + sample * height.output * width.output * C;
    for (int64_t j = 0; j < smaller(width.stride, width.image); ++j) {
      const Axis v = backward_axis(width, j);
      convolve_row<Real>(dx + row * width.image * C, outputs, w, nullptr, h, v, turned_taps(height, h), turned_taps(width, v),
                         width.window, C, ih / height.stride);
    }
  }
}

// What the output rows of a chunk give to dw: for each tap and vector of channels one sum over the pixels, of which kPixels take
// turns.
template <typename Real>
void backward_kernel(Real*, const Real* x, const Real* dy, Real* parts, const DepthwiseShape& shape, int64_t task) {
  const Axis h = forward_axis(shape.height), v = forward_axis(shape.width);
  const int64_t C = shape.C, x_row = v.source * C, end = smaller(shape.rows, (task + 1) * shape.row_block);
  Real* dw = parts + task * shape.taps * C;
  for (int64_t i = 0; i < shape.taps * C; ++i) dw[i] = 0;
  for (int64_t row = task * shape.row_block; row < end; ++row) {
    const int64_t sample = row / h.results, o = row % h.results;
    const Span rows = taps_of(h, o, {0, h.taps});
    for (int64_t column = 0; column < v.results;) {
      const Span columns = taps_of(v, column, {0, v.taps});
      const int64_t run = run_end(v, column, v.results, {0, v.taps}) - column;
      for (int64_t kh = rows.begin; kh < rows.end; ++kh) {
        const Real* line = x + (sample * h.source + h.first + o * h.stride + kh * h.dilation) * x_row;
        for (int64_t kw = columns.begin; kw < columns.end; ++kw) {
          const Real* pixels = line + (v.first + column * v.stride + kw * v.dilation) * C;
          const Real* gradients = dy + (row * v.results + column) * C;
          Real* to = dw + (kh * v.taps + kw) * C;
          for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
            Vec<Real> sum[kPixels] = {};
            auto add = [&](int turn, int64_t i) __attribute__((always_inline)) {
              sum[turn] = fma(channels.read(pixels + i * v.stride * C + c), channels.read(gradients + i * C + c), sum[turn]);
            };
            int64_t i = 0;
            for (; i + kPixels <= run; i += kPixels) {
              FASTNN_UNROLL
              for (int turn = 0; turn < kPixels; ++turn) add(turn, i + turn);
            }
            for (; i < run; ++i) add(0, i);
            channels.write(to + c, channels.read(to + c) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
          });
        }
      }
      column += run;
    }
  }
}

template <typename Real>
void add_chunks(Real* dw, const Real*, const Real*, const Real* parts, const DepthwiseShape& shape, int64_t task) {
  const int64_t size = shape.taps * shape.C, first = task * kDepthwiseColumns;
  for_channels<Real>(smaller(kDepthwiseColumns, size - first), [&](int64_t i, auto channels) __attribute__((always_inline)) {
    Vec<Real> sum = zero<Real>();
    for (int64_t chunk = 0; chunk < shape.chunks; ++chunk) sum += channels.read(parts + chunk * size + first + i);
    channels.write(dw + first + i, sum);
  });
}

}  // namespace

const DepthwiseKernels depthwise_kernels = {
    {kernel<forward<float>>, kernel<forward<double>>},
    {kernel<backward_input<float>>, kernel<backward_input<double>>},
    {kernel<backward_kernel<float>>, kernel<backward_kernel<double>>},
    {kernel<add_chunks<float>>, kernel<add_chunks<double>>},
};

}  // namespace fastnn::FASTNN_ISA
