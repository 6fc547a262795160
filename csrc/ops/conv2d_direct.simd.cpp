#include "ops/conv2d_tiles.h"
#include "ops/epilogue_rows.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

// -- Forward and backward_input: one convolution ------------------------------------------------------------

// Images of `width` by `height` pixels and N channels, from the sample and the column of a part on.
template <typename Real>
FASTNN_INLINE Results<Real> results_of(Real* y, int64_t height, int64_t width, int64_t N, const Part& part) {
  const int64_t sample = height * width * N;
  return {y + part.sample * sample + part.column, N, width * N, sample};
}

// The epilogue of rows `first`, `first` + `step`, ... of such images, those of number `rows`.
template <typename Real>
FASTNN_INLINE void finish_rows(Epilogue epilogue, Real* y, const Real* other, int64_t height, int64_t width, int64_t N,
                               const Part& part, Span rows, int64_t first, int64_t step) {
  if (epilogue == Epilogue::none) return;
  for (int64_t sample = part.sample; sample < part.sample + part.samples; ++sample) {
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      const int64_t at = (sample * height + first + row * step) * width * N + part.column;
      const bool whole = part.columns == N;
      finish(epilogue, y, other, at, whole ? 1 : width, whole ? width * N : part.columns, N);
    }
  }
}

// Without groups there is one, of all channels and of the columns of the part.
template <typename Real>
void forward(Real* y, const Real* x, const Real* w, const Real* bias, const Real* other, const Conv2dShape& shape,
             int64_t task) {
  const Part part = part_of(shape, shape.F, task);
  const Window &height = shape.height, &width = shape.width;
  const int64_t C = shape.C / shape.groups, F = shape.F, N = shape.groups == 1 ? part.columns : F / shape.groups;
  x += part.sample * height.image * width.image * shape.C;
  Results<Real> results = results_of(y, height.output, width.output, F, part);
  for (int64_t group = 0, f = part.column; group < shape.groups; ++group, f += N) {
    convolve(results, x + group * C, w + f, bias == nullptr ? nullptr : bias + f, forward_axis(height), forward_axis(width),
             Sum{C, N, shape.C, F, C * F}, part.samples, part.rows(height.output));
    results.at += N;
  }
  finish_rows(shape.epilogue, y, other, height.output, width.output, F, part, part.rows(height.output), 0, 1);
}

template <typename Real>
void backward_input(Real* dx, const Real* dy, const Real*, const Real* other, const Real* turned, const Conv2dShape& shape,
                    int64_t task) {
  const Part part = part_of(shape, shape.C, task);
  const Window &height = shape.height, &width = shape.width;
  const int64_t C = shape.C / shape.groups, F = shape.F / shape.groups, tap = C * shape.F;
  const int64_t N = shape.groups == 1 ? part.columns : C;
  dy += part.sample * height.output * width.output * shape.F;
  turned += part.column;
  for (int64_t i = 0; i < smaller(height.stride, height.image); ++i) {
    const Axis h = backward_axis(height, i);
    for (int64_t j = 0; j < smaller(width.stride, width.image); ++j) {
      const Axis w = backward_axis(width, j);
      const Real* taps = turned + (h.taps_before * width.window + h.taps * w.taps_before) * tap;
      Results<Real> results = results_of(dx, height.image, width.image, shape.C, part);
      for (int64_t group = 0; group < shape.groups; ++group) {
        convolve<Real>(results, dy + group * F, taps + group * F * C, nullptr, h, w, Sum{F, N, shape.F, C, tap}, part.samples,
                       part.rows(h.results));
        results.at += N;
      }
    }
    finish_rows(shape.epilogue, dx, other, height.image, width.image, shape.C, part, part.rows(h.results), i, height.stride);
  }
}

// The kernel that backward_input multiplies by: phase by phase, in each the taps in reverse, each tap (F, C/G).
// A task writes a block of filters of one tap.
template <typename Real>
void turn_kernel(Real* turned, const Real* w, const Conv2dShape& shape, int64_t task) {
  const Window &height = shape.height, &width = shape.width;
  const int64_t C = shape.C / shape.groups, F = shape.F;
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

// Adds what the given outputs contribute to `rows` rows of dw from row m on. A row is one (kh, kw, c); x points at the first
// channel of the group that the columns belong to. The
// outputs are cut into rectangles in which the same taps of these rows lie inside the image; only their rows
// take part.
template <typename Real>
void add_outputs(Real* dw, const Real* x, const Real* dy, const Conv2dShape& shape, int64_t m, int64_t rows, int64_t column,
                 int64_t columns, int64_t sample, int64_t samples, int64_t oh, int64_t oh_last) {
  const Axis h = forward_axis(shape.height), w = forward_axis(shape.width);
  const int64_t C = shape.C / shape.groups, F = shape.F, KW = w.taps, pixel = shape.C, x_row = w.source * pixel;
  const int64_t first_tap = m / C, last_tap = (m + rows - 1) / C;
  const Span kh{first_tap / KW, last_tap / KW + 1};
  const Span kw = kh.end - kh.begin > 1 ? Span{0, KW} : Span{first_tap % KW, last_tap % KW + 1};
  int64_t a_rows[kTileRows], c_rows[kTileRows];
  Tile<Real> t;
  t.c = dw + column;
  t.a_rows = a_rows;
  t.c_rows = c_rows;
  t.a_k = w.stride * pixel;
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
      // Row by row; where a tap reads, and whether it takes part, changes with the tap only.
      int64_t active = 0, tap_h = first_tap / KW, tap_w = first_tap % KW, c = m % C;
      const int64_t line = h.first + oh * h.stride, place = w.first + ow * w.stride;
      for (int64_t r = m, end = m + rows; r < end;) {
        const int64_t stop = smaller(r + C - c, end);
        if (tap_h >= h_taps.begin && tap_h < h_taps.end && tap_w >= w_taps.begin && tap_w < w_taps.end) {
          int64_t at = (line + tap_h * h.dilation) * x_row + (place + tap_w * w.dilation) * pixel + c;
          for (; r < stop; ++r, ++at, ++active) {
            a_rows[active] = at;
            c_rows[active] = r * F;
          }
        }
        r = stop;
        c = 0;
        if (++tap_w < KW) continue;
        tap_w = 0;
        ++tap_h;
      }
      t.side_by_side = active > 0 && a_rows[active - 1] - a_rows[0] == active - 1;  // they ascend
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
  if (shape.groups > 1) x += column / shape.column_block * (shape.C / shape.groups);
  const int64_t unit = part / shape.unit_tasks * shape.unit_rows, i = part % shape.unit_tasks;
  const int64_t begin = unit + shape.unit_rows * i / shape.unit_tasks;
  const int64_t end = unit + shape.unit_rows * (i + 1) / shape.unit_tasks;
  for (int64_t m = begin; m < end; ++m) {
    for (int64_t f = column; f < column + columns; ++f) dw[m * shape.F + f] = 0;
  }
  if (begin == end) return;
  const TileHeights heights = tile_heights(end - begin);
  for (int64_t sample = 0; sample < shape.B; sample += shape.visit_samples) {
    const int64_t samples = smaller(shape.visit_samples, shape.B - sample);
    for (int64_t oh = 0; oh < shape.height.output; oh += shape.visit_rows) {
      const int64_t oh_end = smaller(oh + shape.visit_rows, shape.height.output);
      for (int64_t tile = 0, first = begin; tile < heights.tiles; first += heights[tile++]) {
        add_outputs(dw, x, dy, shape, first, heights[tile], column, columns, sample, samples, oh, oh_end);
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
