#include "ops/winograd.h"

#include "ops/max_of_window.h"
#include "simd/tile.h"

namespace fastnn::FASTNN_ISA {

namespace {

template <typename Real>
using Patch = Vec<Real>[4][4];

// G w G' for some channels.
template <typename Real>
void transform(Real* transformed, const Real* w, const WinogradShape& shape, int64_t task) {
  const int64_t C = shape.C, F = shape.F, first = task * shape.transformed_channels;
  const int64_t end = first + shape.transformed_channels < C ? first + shape.transformed_channels : C;
  const Vec<Real> half = broadcast(Real(0.5));
  // Along one axis: g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2.
  const auto along = [half](Vec<Real> a, Vec<Real> b, Vec<Real> c, int i) __attribute__((always_inline)) {
    return i == 0 ? a : i == 1 ? half * (a + b + c) : i == 2 ? half * (a - b + c) : c;
  };
  const auto write = [&](const Vec<Real>(&g)[3][3], int64_t at, auto filters) __attribute__((always_inline)) {
    FASTNN_UNROLL
    for (int i = 0; i < 4; ++i) {
      Vec<Real> row[3];
      FASTNN_UNROLL
      for (int k = 0; k < 3; ++k) row[k] = along(g[0][k], g[1][k], g[2][k], i);
      FASTNN_UNROLL
      for (int j = 0; j < 4; ++j)
        filters.write(transformed + (i * 4 + j) * shape.kernel_plane + at, along(row[0], row[1], row[2], j));
    }
  };
  for (int64_t c = first; c < end; ++c) {
    for_channels<Real>(F, [&](int64_t f, auto filters) __attribute__((always_inline)) {
      Vec<Real> g[3][3];
      if (shape.turned) {  // w is (3, 3, F, C), and each filter's numbers lie C apart
        const int n = filters.tail > 0 ? filters.tail : kLanes<Real>;
        for (int t = 0; t < 9; ++t) {
          Real numbers[kLanes<Real>] = {};
          for (int i = 0; i < n; ++i) numbers[i] = w[((8 - t) * F + f + i) * C + c];
          g[t / 3][t % 3] = load(numbers);
        }
      } else {
        FASTNN_UNROLL
        for (int t = 0; t < 9; ++t) g[t / 3][t % 3] = filters.read(w + (t * C + c) * F + f);
      }
      write(g, c * F + f, filters);
    });
  }
}

struct TilePlace {
  int64_t sample, i, j;
};
FASTNN_INLINE TilePlace place_of(const WinogradShape& shape, int64_t tile) {
  const int64_t row = tile / shape.tile_columns;
  return {row / shape.tile_rows, row % shape.tile_rows, tile % shape.tile_columns};
}

// B' d B of `count` tiles from `first` on: (16, chunk, C).
template <typename Real>
void transform_patches(Real* patches, const Real* source, const WinogradShape& shape, int64_t first, int64_t count) {
  const int64_t C = shape.C, plane = shape.chunk * C;
  // Along one axis: d0 - d2, d1 + d2, d2 - d1, d1 - d3.
  const auto along = [](Vec<Real> a, Vec<Real> b, Vec<Real> c, Vec<Real> d, int i) __attribute__((always_inline)) {
    return i == 0 ? a - c : i == 1 ? b + c : i == 2 ? c - b : b - d;
  };
  for (int64_t t = 0; t < count; ++t) {
    const TilePlace place = place_of(shape, first + t);
    const int64_t h = place.i * 2 - shape.before_h, v = place.j * 2 - shape.before_w;
    const Real* const from = source + ((place.sample * shape.H + h) * shape.W + v) * C;
    const bool inside = h >= 0 && v >= 0 && h + 4 <= shape.H && v + 4 <= shape.W;
    const auto transform_with = [&](auto is_inside) __attribute__((always_inline)) {
      for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
        Patch<Real> d;
        FASTNN_UNROLL
        for (int k = 0; k < 4; ++k) {
          Vec<Real> column[4];
          FASTNN_UNROLL
          for (int i = 0; i < 4; ++i) {
            const bool exists = is_inside || (h + i >= 0 && h + i < shape.H && v + k >= 0 && v + k < shape.W);
            column[i] = exists ? channels.read(from + (i * shape.W + k) * C + c) : zero<Real>();
          }
          FASTNN_UNROLL
          for (int i = 0; i < 4; ++i) d[i][k] = along(column[0], column[1], column[2], column[3], i);
        }
        FASTNN_UNROLL
        for (int i = 0; i < 4; ++i) {
          FASTNN_UNROLL
          for (int j = 0; j < 4; ++j) {
            channels.write(patches + (i * 4 + j) * plane + t * C + c, along(d[i][0], d[i][1], d[i][2], d[i][3], j));
          }
        }
      });
    };
    if (inside) {
      transform_with(std::true_type());
    } else {
      transform_with(std::false_type());
    }
  }
}

// Computes the tiles of a task, chunk by chunk, and calls finish(place, first filter, number of filters, products, plane) for each
// tile and some filters: products[k * plane + n] belongs to place k of the patch and filter n.
template <typename Real, typename Finish>
FASTNN_INLINE void for_tiles(const Real* source, const Real* transformed, Scratch scratch, const WinogradShape& shape,
                             int64_t task, Finish finish) {
  const int64_t C = shape.C, F = shape.F, plane = shape.chunk * shape.filters;
  Real* const patches = scratch.as<Real>();
  Real* const products = patches + 16 * shape.chunk * C;
  const int64_t tiles = shape.B * shape.tile_rows * shape.tile_columns, end = tiles * (task + 1) / shape.tasks;
  for (int64_t first = tiles * task / shape.tasks; first < end; first += shape.chunk) {
    const int64_t count = end - first < shape.chunk ? end - first : shape.chunk;
    transform_patches(patches, source, shape, first, count);
    for (int64_t f = 0; f < F; f += shape.filters) {
      const int64_t filters = F - f < shape.filters ? F - f : shape.filters;
      for (int64_t k = 0; k < 16; ++k) {
        Tile<Real> tile{};
        tile.a = patches + k * shape.chunk * C, tile.b = transformed + k * shape.kernel_plane + f,
        tile.c = products + k * plane;
        tile.a_k = 1, tile.b_k = F, tile.k = C, tile.segments = tile.blocks = 1;
        run_strided_tiles(tile, C, shape.filters, count, filters);
      }
      for (int64_t t = 0; t < count; ++t) finish(place_of(shape, first + t), f, filters, products + t * shape.filters, plane);
    }
  }
}

// A' m A: the four outputs of a tile.
template <typename Real, typename Channels>
FASTNN_INLINE void outputs_of(Vec<Real> (&out)[4], const Real* products, int64_t plane, Channels filters) {
  Vec<Real> row[2][4];
  FASTNN_UNROLL
  for (int k = 0; k < 4; ++k) {
    Vec<Real> m[4];
    FASTNN_UNROLL
    for (int i = 0; i < 4; ++i) m[i] = filters.read(products + (i * 4 + k) * plane);
    row[0][k] = m[0] + m[1] + m[2];
    row[1][k] = m[1] - m[2] - m[3];
  }
  FASTNN_UNROLL
  for (int i = 0; i < 2; ++i) {
    out[2 * i] = row[i][0] + row[i][1] + row[i][2];
    out[2 * i + 1] = row[i][1] - row[i][2] - row[i][3];
  }
}

template <typename Real>
void convolve(Real* y, const Real* source, const Real* transformed, const Real* bias, Scratch scratch,
              const WinogradShape& shape, int64_t task) {
  for_tiles(source, transformed, scratch, shape, task,
            [&](TilePlace place, int64_t first, int64_t count, const Real* products, int64_t plane)
                __attribute__((always_inline)) {
                  const int64_t row = place.i * 2, column = place.j * 2;
                  Real* const to = y + ((place.sample * shape.rows + row) * shape.columns + column) * shape.F + first;
                  for_channels<Real>(count, [&](int64_t n, auto filters) __attribute__((always_inline)) {
                    Vec<Real> out[4];
                    outputs_of<Real>(out, products + n, plane, filters);
                    const Vec<Real> start = bias == nullptr ? zero<Real>() : filters.read(bias + first + n);
                    FASTNN_UNROLL
                    for (int p = 0; p < 4; ++p) {
                      if (row + p / 2 >= shape.rows || column + p % 2 >= shape.columns) continue;
                      filters.write(to + (p / 2 * shape.columns + p % 2) * shape.F + n, out[p] + start);
                    }
                  });
                });
}

template <typename Real>
void gradient(Real* dx, const Real* dy, const Real* transformed, Scratch scratch, const WinogradShape& shape, int64_t task) {
  convolve<Real>(dx, dy, transformed, nullptr, scratch, shape, task);
}

// Each tile is a window of the pool.
template <typename Real>
void pool(Real* y, uint8_t* argmax, const Real* source, const Real* transformed, const Real* bias, Scratch scratch,
          const WinogradShape& shape, int64_t task) {
  for_tiles(
      source, transformed, scratch, shape, task,
      [&](TilePlace place, int64_t first, int64_t count, const Real* products, int64_t plane) __attribute__((always_inline)) {
        const int64_t to = ((place.sample * shape.tile_rows + place.i) * shape.tile_columns + place.j) * shape.F + first;
        for_channels<Real>(count, [&](int64_t n, auto filters) __attribute__((always_inline)) {
          Vec<Real> out[4];
          outputs_of<Real>(out, products + n, plane, filters);
          Largest<Real> largest{out[0], Mask<Real>{}};
          FASTNN_UNROLL
          for (int p = 1; p < 4; ++p) largest.offer(out[p], p);
          Vec<Real> best = largest.best;
          if (bias != nullptr) best += filters.read(bias + first + n);
          filters.write(y + to + n, shape.relu ? max<Real>(best, zero<Real>()) : best);
          filters.write_bytes(argmax + to + n, largest.winner);
        });
      });
}

}  // namespace

const WinogradKernels winograd_kernels = {
    {kernel<transform<float>>, kernel<transform<double>>},
    {kernel<convolve<float>>, kernel<convolve<double>>},
    {kernel<gradient<float>>, kernel<gradient<double>>},
    {kernel<pool<float>>, kernel<pool<double>>},
};

}  // namespace fastnn::FASTNN_ISA
