#include "ops/conv2d.h"
#include "simd/tile.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

FASTNN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// -- Forward and backward_input: one convolution ----------------------------------------------------------------------------

// One axis of it: result o, stored at place + o * step, sums the source positions first + o * stride + t, 0 <= t < taps.
struct Axis {
  int64_t results, place, step;
  int64_t source, first, stride, taps;
  FASTNN_INLINE Span inside(int64_t o) const {
    const int64_t start = first + o * stride;
    const int64_t begin = start < 0 ? -start : 0, end = smaller(taps, source - start);
    return end > begin ? Span{begin, end} : Span{0, 0};
  }
  // The end of the results from o on, before `end`, that see the same taps.
  FASTNN_INLINE int64_t run_end(int64_t o, int64_t end) const {
    const Span taps_of_run = inside(o);
    int64_t next = o + 1;
    for (; next < end; ++next) {
      const Span s = inside(next);
      if (s.begin != taps_of_run.begin || s.end != taps_of_run.end) break;
    }
    return next;
  }
};

FASTNN_INLINE Axis forward_axis(const Window& w) { return {w.output, 0, 1, w.image, -w.before, w.stride, w.window}; }

// Image positions h = phase + j * stride take the taps k = remainder + q * stride of the outputs o = j + shift - q, where
// phase + before = shift * stride + remainder. With q turned round (t = taps - 1 - q) these are a convolution of stride 1.
struct Phase {
  int64_t taps, shift, taps_before;  // taps_before: taps of the phases before this one, for the layout of the turned kernel
};
FASTNN_INLINE Phase phase_of(const Window& w, int64_t phase) {
  Phase result{0, 0, 0};
  for (int64_t p = 0; p <= phase; ++p) {
    result.taps_before += result.taps;
    const int64_t remainder = (p + w.before) % w.stride;
    result.shift = (p + w.before) / w.stride;
    result.taps = remainder < w.window ? (w.window - remainder + w.stride - 1) / w.stride : 0;
  }
  return result;
}
FASTNN_INLINE Axis backward_axis(const Window& w, int64_t phase) {
  const Phase p = phase_of(w, phase);
  const int64_t results = phase < w.image ? (w.image - phase + w.stride - 1) / w.stride : 0;
  return {results, phase, w.stride, w.output, p.shift - p.taps + 1, 1, p.taps};
}

// The part of the results that a task computes.
struct Part {
  int64_t sample, samples;
  int64_t row_block, row_blocks;
  int64_t column, columns;
};

FASTNN_INLINE Part part_of(const Conv2dShape& shape, int64_t all_columns, int64_t task) {
  const int64_t column = task % shape.column_tasks * shape.column_block, rest = task / shape.column_tasks;
  const int64_t sample = rest / shape.row_blocks * shape.samples;
  return {sample, smaller(shape.samples, shape.B - sample),         rest % shape.row_blocks, shape.row_blocks,
          column, smaller(shape.column_block, all_columns - column)};
}

// y (B, h.source.., w..., N) from x (..., K) and the kernel w (h.taps, w.taps, K, N). The results are cut into rectangles that
// see the same taps, so padding costs nothing; their pixels, of all samples of the part, fill tiles one after the other.
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
    const Span h_taps = h.inside(row);
    const int64_t rows = h.run_end(row, end_row) - row;
    t.segments = h_taps.end - h_taps.begin;
    for (int64_t column = 0; column < w.results;) {
      const Span w_taps = w.inside(column);
      const int64_t columns = w.run_end(column, w.results) - column;
      t.k = (w_taps.end - w_taps.begin) * K;
      t.a = x;
      t.b = kernel + (h_taps.begin * w.taps + w_taps.begin) * K * N + part.column;

      // The pixels row-major, sample after sample, in tiles that differ by one pixel at most. Where a row ends is not
      // predictable, hence the selections instead of a branch.
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
          const bool row_ends = ++j == columns;
          j = row_ends ? 0 : j;
          i += row_ends;
          a_line += row_ends ? h.stride * x_row : 0;
          c_line += row_ends ? h.step * y_row : 0;
          if (i == rows) {
            i = 0;
            a_line += x_sample - rows * h.stride * x_row;
            c_line += y_sample - rows * h.step * y_row;
          }
          a_pixel = row_ends ? a_line : a_pixel + w.stride * K;
          c_pixel = row_ends ? c_line : c_pixel + w.step * N;
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
      const int64_t taps_before = phase_of(height, i).taps_before * width.window + h.taps * phase_of(width, j).taps_before;
      convolve<Real>(dx, dy, turned + taps_before * shape.F * shape.C, nullptr, h, w, height.image, width.image, shape.F,
                     shape.C, part);
    }
  }
}

// The kernel that backward_input multiplies by: phase by phase of the stride, in each the taps in reverse, each tap (F, C). A
// task writes a block of filters of one tap.
template <typename Real>
void turn_kernel(Real*, const Real*, const Real* w, Real* turned, const Conv2dShape& shape, int64_t task) {
  const Window &height = shape.height, &width = shape.width;
  const int64_t C = shape.C, F = shape.F;
  const int64_t f = task % shape.turn_tasks * kTurnedFilters, tap = task / shape.turn_tasks;
  const int64_t kh = tap / width.window, kw = tap % width.window;
  auto phase_with = [](const Window& axis, int64_t k) {
    return phase_of(axis, ((k - axis.before) % axis.stride + axis.stride) % axis.stride);
  };
  const Phase h = phase_with(height, kh), v = phase_with(width, kw);
  const int64_t row = h.taps - 1 - kh / height.stride, column = v.taps - 1 - kw / width.stride;
  const int64_t place = h.taps_before * width.window + h.taps * v.taps_before + row * v.taps + column;
  transpose(turned + (place * F + f) * C, C, w + tap * C * F + f, F, C, smaller(kTurnedFilters, F - f));
}

// -- backward_kernel --------------------------------------------------------------------------------------------------------

// The taps inside the image of those in `wanted`, and the end of the outputs from o on, before `end`, that have the same.
FASTNN_INLINE Span clipped(const Axis& axis, int64_t o, Span wanted) {
  const Span s = axis.inside(o);
  const int64_t begin = s.begin > wanted.begin ? s.begin : wanted.begin, end = smaller(s.end, wanted.end);
  return end > begin ? Span{begin, end} : Span{0, 0};
}
FASTNN_INLINE int64_t clipped_run_end(const Axis& axis, int64_t o, int64_t end, Span wanted) {
  const Span first = clipped(axis, o, wanted);
  int64_t next = o + 1;
  for (; next < end; ++next) {
    const Span s = clipped(axis, next, wanted);
    if (s.begin != first.begin || s.end != first.end) break;
  }
  return next;
}

// Adds what the given outputs contribute to `rows` rows of dw from row m on. A row is one (kh, kw, c); the outputs are cut into
// rectangles in which the same taps of these rows lie inside the image, and only those rows take part.
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
    const Span h_taps = clipped(h, oh, kh);
    const int64_t oh_end = clipped_run_end(h, oh, oh_last, kh);
    t.segments = oh_end - oh;
    for (int64_t ow = 0; ow < w.results;) {
      const Span w_taps = clipped(w, ow, kw);
      const int64_t ow_end = clipped_run_end(w, ow, w.results, kw);
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
  const int64_t begin = unit + shape.unit_rows * i / shape.unit_tasks,
                end = unit + shape.unit_rows * (i + 1) / shape.unit_tasks;
  for (int64_t m = begin; m < end; ++m) {
    for (int64_t f = column; f < column + columns; ++f) dw[m * shape.F + f] = 0;
  }
  const int64_t tiles = (end - begin + kTileRows - 1) / kTileRows,
                visits = (shape.height.output + shape.visit_rows - 1) / shape.visit_rows;
  for (int64_t sample = 0; sample < shape.B; sample += shape.visit_samples) {
    const int64_t samples = smaller(shape.visit_samples, shape.B - sample);
    for (int64_t visit = 0; visit < visits; ++visit) {
      const int64_t oh = visit * shape.visit_rows, oh_last = smaller(oh + shape.visit_rows, shape.height.output);
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t first = begin + (end - begin) * tile / tiles, last = begin + (end - begin) * (tile + 1) / tiles;
        add_outputs(dw, x, dy, shape, first, last - first, column, columns, sample, samples, oh, oh_last);
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
