#include "ops/conv2d.h"
#include "simd/tile.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

FASTNN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
FASTNN_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// -- Forward and backward_input: one convolution ------------------------------------------------------------

// One axis of it: result o, stored at place + o * step, sums the positions first + o * stride + t of the
// source, for the taps 0 <= t < taps inside it. `taps_before` is where its taps begin in the turned kernel of
// backward_input.
struct Axis {
  int64_t results, place, step;
  int64_t source, first, stride, taps;
  int64_t taps_before = 0;
};

// The taps of result o inside the source, of those in `wanted`.
FASTNN_INLINE Span taps_of(const Axis& axis, int64_t o, Span wanted) {
  const int64_t start = axis.first + o * axis.stride;
  const int64_t begin = larger(-start, wanted.begin), end = smaller(axis.source - start, wanted.end);
  return end > begin ? Span{begin, end} : Span{0, 0};
}
// The end of the results from o on, before `end`, that have the same.
FASTNN_INLINE int64_t run_end(const Axis& axis, int64_t o, int64_t end, Span wanted) {
  const Span taps = taps_of(axis, o, wanted);
  for (++o; o < end; ++o) {
    const Span other = taps_of(axis, o, wanted);
    if (other.begin != taps.begin || other.end != taps.end) break;
  }
  return o;
}

FASTNN_INLINE Axis forward_axis(const Window& w) { return {w.output, 0, 1, w.image, -w.before, w.stride, w.window}; }

// The image positions h = phase + j * stride. Let phase + before = shift * stride + remainder; then they take
// the taps k = remainder + q * stride of the outputs j + shift - q. With q turned round, t = taps - 1 - q,
// that is a convolution of stride 1 over the outputs.
FASTNN_INLINE Axis backward_axis(const Window& w, int64_t phase) {
  auto taps_of_phase = [&](int64_t p) {
    const int64_t remainder = (p + w.before) % w.stride;
    return remainder < w.window ? (w.window - remainder + w.stride - 1) / w.stride : 0;
  };
  const int64_t taps = taps_of_phase(phase), shift = (phase + w.before) / w.stride;
  const int64_t results = phase < w.image ? (w.image - phase + w.stride - 1) / w.stride : 0;
  Axis axis{results, phase, w.stride, w.output, shift - taps + 1, 1, taps};
  for (int64_t p = 0; p < phase; ++p) axis.taps_before += taps_of_phase(p);
  return axis;
}

// The part of the results that a task computes.
struct Part {
  int64_t sample, samples;
  int64_t row_block, row_blocks;
  int64_t column, columns;
};

FASTNN_INLINE Part part_of(const Conv2dShape& shape, int64_t all_columns, int64_t task) {
  const int64_t column = task % shape.column_tasks * shape.column_block, rest = task / shape.column_tasks;
  const int64_t i = rest / shape.row_blocks, sample = shape.B * i / shape.sample_tasks;
  return {sample, shape.B * (i + 1) / shape.sample_tasks - sample,  rest % shape.row_blocks, shape.row_blocks,
          column, smaller(shape.column_block, all_columns - column)};
}

// y (B, y_height, y_width, N) from x (B, h.source, w.source, K) and the kernel (h.taps, w.taps, K, N). The
// results are cut into rectangles that see the same taps, so that padding costs nothing; their pixels, of all
// samples of the part, fill one tile after the other.
template <typename Real>
void convolve(Real* y, const Real* x, const Real* kernel, const Real* bias, const Axis& h, const Axis& w, int64_t y_height,
              int64_t y_width, int64_t K, int64_t N, const Part& part) {
  const int64_t x_row = w.source * K, x_sample = h.source * x_row;
  const int64_t y_row = y_width * N, y_sample = y_height * y_row;
  const int64_t end_row = h.results * (part.row_block + 1) / part.row_blocks;
  Tile<Real> t;
  int64_t a_rows[kTileRows], c_rows[kTileRows];
  t.c = y + part.column;
  t.a_rows = a_rows;
  t.c_rows = c_rows;
  t.bias = bias == nullptr ? nullptr : bias + part.column;
  t.start = bias == nullptr ? Start::zero : Start::bias;
  t.a_k = 1;
  t.b_k = N;
  t.a_segment = x_row;
  t.b_segment = w.taps * K * N;
  for (int64_t row = h.results * part.row_block / part.row_blocks; row < end_row;) {
    const Span h_taps = taps_of(h, row, {0, h.taps});
    const int64_t rows = run_end(h, row, end_row, {0, h.taps}) - row;
    t.segments = h_taps.end - h_taps.begin;
    for (int64_t column = 0; column < w.results;) {
      const Span w_taps = taps_of(w, column, {0, w.taps});
      const int64_t columns = run_end(w, column, w.results, {0, w.taps}) - column;
      t.k = (w_taps.end - w_taps.begin) * K;
      t.a = x;
      t.b = kernel + (h_taps.begin * w.taps + w_taps.begin) * K * N + part.column;

      // The pixels row-major, sample after sample, in tiles that differ by one pixel at most.
      int64_t a_line = part.sample * x_sample + (h.first + row * h.stride + h_taps.begin) * x_row +
                       (w.first + column * w.stride + w_taps.begin) * K;
      int64_t c_line = part.sample * y_sample + (h.place + row * h.step) * y_row + (w.place + column * w.step) * N;
      int64_t i = 0, j = 0, a_pixel = a_line, c_pixel = c_line;
      const int64_t pixels = part.samples * rows * columns, tiles = (pixels + kTileRows - 1) / kTileRows;
      const int64_t least = pixels / tiles, larger_tiles = pixels % tiles;
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t tile_rows = least + (tile < larger_tiles);
        for (int64_t r = 0; r < tile_rows; ++r) {
          a_rows[r] = a_pixel;
          c_rows[r] = c_pixel;
          a_pixel += w.stride * K;
          c_pixel += w.step * N;
          if (++j < columns) continue;
          j = 0;
          a_line += h.stride * x_row;
          c_line += h.step * y_row;
          if (++i == rows) {
            i = 0;
            a_line += x_sample - rows * h.stride * x_row;
            c_line += y_sample - rows * h.step * y_row;
          }
          a_pixel = a_line;
          c_pixel = c_line;
        }
        run_tile_row(t, tile_rows, part.columns);
      }
      column += columns;
    }
    row += rows;
  }
}

template <typename Real>
void forward(Real* y, const Real* x, const Real* w, const Real* bias, const Conv2dShape& shape, int64_t task) {
  convolve(y, x, w, bias, forward_axis(shape.height), forward_axis(shape.width), shape.height.output, shape.width.output,
           shape.C, shape.F, part_of(shape, shape.F, task));
}

template <typename Real>
void backward_input(Real* dx, const Real* dy, const Real*, const Real* turned, const Conv2dShape& shape, int64_t task) {
  const Part part = part_of(shape, shape.C, task);
  const Window &height = shape.height, &width = shape.width;
  for (int64_t i = 0; i < smaller(height.stride, height.image); ++i) {
    const Axis h = backward_axis(height, i);
    for (int64_t j = 0; j < smaller(width.stride, width.image); ++j) {
      const Axis w = backward_axis(width, j);
      const int64_t taps_before = h.taps_before * width.window + h.taps * w.taps_before;
      convolve<Real>(dx, dy, turned + taps_before * shape.F * shape.C, nullptr, h, w, height.image, width.image, shape.F,
                     shape.C, part);
    }
  }
}

// The kernel that backward_input multiplies by: phase by phase, in each the taps in reverse, each tap (F, C).
// A task writes a block of filters of one tap.
template <typename Real>
void turn_kernel(Real*, const Real*, const Real* w, Real* turned, const Conv2dShape& shape, int64_t task) {
  const Window &height = shape.height, &width = shape.width;
  const int64_t C = shape.C, F = shape.F;
  const int64_t f = task % shape.turn_tasks * kTurnedFilters, tap = task / shape.turn_tasks;
  const int64_t kh = tap / width.window, kw = tap % width.window;
  auto axis_with = [](const Window& axis, int64_t k) {
    return backward_axis(axis, ((k - axis.before) % axis.stride + axis.stride) % axis.stride);
  };
  const Axis h = axis_with(height, kh), v = axis_with(width, kw);
  const int64_t row = h.taps - 1 - kh / height.stride, column = v.taps - 1 - kw / width.stride;
  const int64_t place = h.taps_before * width.window + h.taps * v.taps_before + row * v.taps + column;
  transpose(turned + (place * F + f) * C, C, w + tap * C * F + f, F, C, smaller(kTurnedFilters, F - f));
}

// -- backward_kernel ----------------------------------------------------------------------------------------

// Adds what the given outputs contribute to `rows` rows of dw from row m on. A row is one (kh, kw, c). The
// outputs are cut into rectangles in which the same taps of these rows lie inside the image; only their rows
// take part.
template <typename Real>
void add_outputs(Real* dw, const Real* x, const Real* dy, const Conv2dShape& shape, int64_t m, int64_t rows, int64_t column,
                 int64_t columns, int64_t sample, int64_t samples, int64_t oh, int64_t oh_last) {
  const Axis h = forward_axis(shape.height), w = forward_axis(shape.width);
  const int64_t C = shape.C, F = shape.F, KW = w.taps, x_row = w.source * C;
  const int64_t first_tap = m / C, last_tap = (m + rows - 1) / C;
  const Span kh{first_tap / KW, last_tap / KW + 1};
  const Span kw = kh.end - kh.begin > 1 ? Span{0, KW} : Span{first_tap % KW, last_tap % KW + 1};
  int64_t a_rows[kTileRows], c_rows[kTileRows];
  Tile<Real> t;
  t.c = dw + column;
  t.a_rows = a_rows;
  t.c_rows = c_rows;
  t.a_k = w.stride * C;
  t.b_k = F;
  t.a_segment = h.stride * x_row;
  t.b_segment = w.results * F;
  t.blocks = samples;
  t.a_block = h.source * x_row;
  t.b_block = h.results * w.results * F;
  t.start = Start::accumulate;
  t.a = x + sample * t.a_block;
  while (oh < oh_last) {
    const Span h_taps = taps_of(h, oh, kh);
    const int64_t oh_end = run_end(h, oh, oh_last, kh);
    t.segments = oh_end - oh;
    for (int64_t ow = 0; ow < w.results;) {
      const Span w_taps = taps_of(w, ow, kw);
      const int64_t ow_end = run_end(w, ow, w.results, kw);
      t.k = ow_end - ow;
      t.b = dy + sample * t.b_block + (oh * w.results + ow) * F + column;
      int64_t active = 0, tap_h = first_tap / KW, tap_w = first_tap % KW, c = m % C;
      for (int64_t r = m; r < m + rows; ++r) {
        if (tap_h >= h_taps.begin && tap_h < h_taps.end && tap_w >= w_taps.begin && tap_w < w_taps.end) {
          a_rows[active] = (h.first + oh * h.stride + tap_h) * x_row + (w.first + ow * w.stride + tap_w) * C + c;
          c_rows[active] = r * F;
          ++active;
        }
        if (++c < C) continue;
        c = 0;
        if (++tap_w < KW) continue;
        tap_w = 0;
        ++tap_h;
      }
      if (active > 0) run_tile_row(t, active, columns);
      ow = ow_end;
    }
    oh = oh_end;
  }
}

template <typename Real>
void backward_kernel(Real* dw, const Real* x, const Real* dy, const Conv2dShape& shape, int64_t task) {
  const int64_t column = task % shape.column_tasks * shape.column_block, part = task / shape.column_tasks;
  const int64_t columns = smaller(shape.column_block, shape.F - column);
  const int64_t unit = part / shape.unit_tasks * shape.unit_rows, i = part % shape.unit_tasks;
  const int64_t begin = unit + shape.unit_rows * i / shape.unit_tasks;
  const int64_t end = unit + shape.unit_rows * (i + 1) / shape.unit_tasks;
  for (int64_t m = begin; m < end; ++m) {
    for (int64_t f = column; f < column + columns; ++f) dw[m * shape.F + f] = 0;
  }
  const int64_t tiles = (end - begin + kTileRows - 1) / kTileRows;
  for (int64_t sample = 0; sample < shape.B; sample += shape.visit_samples) {
    const int64_t samples = smaller(shape.visit_samples, shape.B - sample);
    for (int64_t oh = 0; oh < shape.height.output; oh += shape.visit_rows) {
      const int64_t oh_end = smaller(oh + shape.visit_rows, shape.height.output);
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t first = begin + (end - begin) * tile / tiles;
        const int64_t rows = begin + (end - begin) * (tile + 1) / tiles - first;
        add_outputs(dw, x, dy, shape, first, rows, column, columns, sample, samples, oh, oh_end);
      }
    }
  }
}

}  // namespace

const Conv2dKernels conv2d_kernels = {
    {kernel<forward<float>>, kernel<forward<double>>},
    {kernel<turn_kernel<float>>, kernel<turn_kernel<double>>},
    {kernel<backward_input<float>>, kernel<backward_input<double>>},
    {kernel<backward_kernel<float>>, kernel<backward_kernel<double>>},
};

}  // namespace fastnn::FASTNN_ISA
