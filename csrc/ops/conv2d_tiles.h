// Convolution on register tiles, without im2col: what the forward and input-gradient kernels of conv2d and conv2d_block share.
// Included by `*.simd.cpp` only.
#pragma once

#include "ops/conv2d.h"
#include "simd/tile.h"

namespace fastnn::FASTNN_ISA {

FASTNN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
FASTNN_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// One axis of it: result o, stored at place + o * step, sums the positions first + o * stride + t * dilation of
// the source, for the taps 0 <= t < taps inside it. `taps_before` is where its taps begin in the turned kernel of
// backward_input.
struct Axis {
  int64_t results, place, step;
  int64_t source, first, stride, taps;
  int64_t taps_before = 0;
  int64_t dilation = 1;
};

// The taps of result o inside the source, of those in `wanted`.
FASTNN_INLINE Span taps_of(const Axis& axis, int64_t o, Span wanted) {
  const int64_t start = axis.first + o * axis.stride;
  int64_t first = -start, last = axis.source - start;
  if (axis.dilation > 1) {  // both rounded up; what is negative may as well be 0
    first = (first + axis.dilation - 1) / axis.dilation;
    last = (last + axis.dilation - 1) / axis.dilation;
  }
  const int64_t begin = larger(first, wanted.begin), end = smaller(last, wanted.end);
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

FASTNN_INLINE Axis forward_axis(const Window& w) {
  return {w.output, 0, 1, w.image, -w.before, w.stride, w.window, 0, w.dilation};
}

// The image positions h = phase + j * stride. Let phase + before = shift * stride + remainder; then they take
// the taps k = remainder + q * stride of the outputs j + shift - q. With q turned round, t = taps - 1 - q,
// that is a convolution of stride 1 over the outputs. With dilation, where the stride is 1, tap k lies k *
// dilation further back.
FASTNN_INLINE Axis backward_axis(const Window& w, int64_t phase) {
  // How many taps the first n remainders have in all, which start again after each stride: without a loop, because a phase may
  // be one of a million.
  auto taps_until = [&](int64_t n) {
    const int64_t r = n % w.stride;
    return n / w.stride * w.window + w.window / w.stride * r + smaller(r, w.window % w.stride);
  };
  const int64_t begin = w.before % w.stride + phase, taps = taps_until(begin + 1) - taps_until(begin);
  const int64_t shift = (phase + w.before) / w.stride;
  const int64_t results = phase < w.image ? (w.image - phase + w.stride - 1) / w.stride : 0;
  const int64_t taps_before = taps_until(begin) - taps_until(w.before % w.stride);
  return {results, phase, w.stride, w.output, shift - (taps - 1) * w.dilation, 1, taps, taps_before, w.dilation};
}

// The part of the results that a task computes.
struct Part {
  int64_t sample, samples;
  int64_t row_block, row_blocks;
  int64_t column, columns;
  FASTNN_INLINE Span rows(int64_t all) const { return {all * row_block / row_blocks, all * (row_block + 1) / row_blocks}; }
};

// Where results go: pixels, rows and samples at these distances.
template <typename Real>
struct Results {
  Real* at;
  int64_t pixel, row, sample;
};

FASTNN_INLINE Part part_of(const Conv2dShape& shape, int64_t all_columns, int64_t task) {
  const int64_t column = task % shape.column_tasks * shape.column_block, rest = task / shape.column_tasks;
  const int64_t i = rest / shape.row_blocks, sample = shape.B * i / shape.sample_tasks;
  return {sample, shape.B * (i + 1) / shape.sample_tasks - sample,  rest % shape.row_blocks, shape.row_blocks,
          column, smaller(shape.column_block, all_columns - column)};
}

// What a result sums: K of the numbers of each pixel of x, whose pixels are `pixel` apart, times N of the kernel's `columns`
// columns; its taps are `tap` apart. Without groups pixel is K, columns are all, and tap is K * columns.
struct Sum {
  int64_t K, N, pixel, columns, tap;
};

// The results in `rows` of `samples` samples; x, `kernel` and `bias` point at the first number and column of `sum`. x is
// (samples, h.source, w.source, pixel), the kernel (h.taps, w.taps, K, columns). The results are cut into rectangles that see
// the same taps, so that padding costs nothing; their pixels, of all samples, fill one tile after the other.
template <typename Real>
FASTNN_INLINE void convolve(const Results<Real>& y, const Real* x, const Real* kernel, const Real* bias, const Axis& h,
                            const Axis& w, const Sum& sum, int64_t samples, Span all_rows) {
  const int64_t K = sum.K, x_row = w.source * sum.pixel, x_sample = h.source * x_row;
  // The pixels under a kernel row are one run of numbers, unless something lies between them.
  const bool whole_rows = sum.pixel == K && w.dilation == 1;
  Tile<Real> t;
  int64_t a_rows[kTileRows], c_rows[kTileRows];
  t.c = y.at;
  t.a_rows = a_rows;
  t.c_rows = c_rows;
  t.bias = bias;
  t.start = bias == nullptr ? Start::zero : Start::bias;
  t.a_k = 1;
  t.b_k = sum.columns;
  t.a_segment = whole_rows ? h.dilation * x_row : w.dilation * sum.pixel;
  t.b_segment = whole_rows ? w.taps * sum.tap : sum.tap;
  t.a_block = h.dilation * x_row;
  t.b_block = w.taps * sum.tap;
  for (int64_t row = all_rows.begin; row < all_rows.end;) {
    const Span h_taps = taps_of(h, row, {0, h.taps});
    const int64_t rows = run_end(h, row, all_rows.end, {0, h.taps}) - row;
    for (int64_t column = 0; column < w.results;) {
      const Span w_taps = taps_of(w, column, {0, w.taps});
      const int64_t columns = run_end(w, column, w.results, {0, w.taps}) - column;
      if (whole_rows) {
        t.segments = h_taps.end - h_taps.begin;
        t.k = (w_taps.end - w_taps.begin) * K;
      } else {
        t.blocks = h_taps.end - h_taps.begin;
        t.segments = w_taps.end - w_taps.begin;
        t.k = K;
      }
      t.a = x;
      t.b = kernel + (h_taps.begin * w.taps + w_taps.begin) * sum.tap;

      // The pixels row-major, sample after sample, in tiles that differ by one pixel at most.
      int64_t a_line = (h.first + row * h.stride + h_taps.begin * h.dilation) * x_row +
                       (w.first + column * w.stride + w_taps.begin * w.dilation) * sum.pixel;
      int64_t c_line = (h.place + row * h.step) * y.row + (w.place + column * w.step) * y.pixel;
      int64_t i = 0, j = 0, a_pixel = a_line, c_pixel = c_line;
      const TileHeights heights = tile_heights(samples * rows * columns);
      for (int64_t tile = 0; tile < heights.tiles; ++tile) {
        const int64_t tile_rows = heights[tile];
        for (int64_t r = 0; r < tile_rows; ++r) {
          a_rows[r] = a_pixel;
          c_rows[r] = c_pixel;
          a_pixel += w.stride * sum.pixel;
          c_pixel += w.step * y.pixel;
          if (++j < columns) continue;
          j = 0;
          a_line += h.stride * x_row;
          c_line += h.step * y.row;
          if (++i == rows) {
            i = 0;
            a_line += x_sample - rows * h.stride * x_row;
            c_line += y.sample - rows * h.step * y.row;
          }
          a_pixel = a_line;
          c_pixel = c_line;
        }
        run_tile_row(t, tile_rows, sum.N);
      }
      column += columns;
    }
    row += rows;
  }
}

}  // namespace fastnn::FASTNN_ISA
