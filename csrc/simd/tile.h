// The register tile behind every matrix-like kernel: dense, matmul, convolution.
//
//     c[r][n] = start[r][n] + sum over s, k of a[s*a_segment + r*a_row + k*a_k] * b[s*b_segment + k*b_k + n]
//
// for `rows` rows and `columns` columns that fit into registers: one row of accumulators per row of c, `a` broadcast one number
// at a time, `b` and `c` read as vectors. A plain matrix product has one segment; a convolution has one per kernel row, each as
// long as the window is wide times the channels, which are contiguous in a channels-last image. So no im2col exists anywhere.
//
// Every element of c is one chain of fused multiply-adds over (s, k) in order, whatever the tile: results depend neither on the
// tile's size nor on how many rows or columns there are, and a chain cut into pieces (start from c) is the same chain.
//
// Sizes (Zen 4, float): 14 x 2 vectors of 16 lanes hold 28 of 32 registers and reach 98 % of the FMA peak; 6 x 2 vectors of 8
// lanes do the same with AVX2's 16 registers.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

enum class Start : uint8_t { zero, bias, accumulate };  // from 0, from a row vector, from what c holds

template <typename Real>
struct Tile {
  const Real *a, *b;
  Real* c;
  const Real* bias = nullptr;
  int64_t a_row, a_k, b_k, c_row;
  int64_t k;
  int64_t segments = 1, a_segment = 0, b_segment = 0;
  Start start = Start::zero;
};

#if defined(__AVX512F__)
constexpr int kTileRows = 14;
#elif defined(__AVX2__)
constexpr int kTileRows = 6;
#else
constexpr int kTileRows = 6;  // 16 registers of 4 lanes
#endif
constexpr int kTileVectors = 2;
template <typename Real>
constexpr int64_t kTileColumns = kTileVectors * kLanes<Real>;

// `tail` is the number of columns in the last vector, kLanes for a whole one.
template <typename Real, int rows, int vectors, bool partial>
__attribute__((noinline)) void tile(const Tile<Real>& t, int tail) {
  constexpr int lanes = kLanes<Real>;
  Vec<Real> sum[rows][vectors];
  auto read = [&](const Real* p, int v) __attribute__((always_inline)) {
    return partial && v == vectors - 1 ? load_first(p + v * lanes, tail) : load(p + v * lanes);
  };
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) {
      sum[r][v] = t.start == Start::zero   ? zero<Real>()
                  : t.start == Start::bias ? read(t.bias, v)
                                           : read(t.c + r * t.c_row, v);
    }
  }
  const Real *a_segment = t.a, *b_segment = t.b;
  const int64_t a_row = t.a_row, a_k = t.a_k, b_k = t.b_k, k_end = t.k;
  for (int64_t s = 0; s < t.segments; ++s, a_segment += t.a_segment, b_segment += t.b_segment) {
    const Real *a = a_segment, *b = b_segment;
    for (int64_t k = 0; k < k_end; ++k, a += a_k, b += b_k) {
      Vec<Real> column[vectors];
      FASTNN_UNROLL
      for (int v = 0; v < vectors; ++v) column[v] = read(b, v);
      FASTNN_UNROLL
      for (int r = 0; r < rows; ++r) {
        const Vec<Real> factor = broadcast(a[r * a_row]);
        FASTNN_UNROLL
        for (int v = 0; v < vectors; ++v) sum[r][v] = fma(factor, column[v], sum[r][v]);
      }
    }
  }
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) {
      Real* c = t.c + r * t.c_row + v * lanes;
      if (partial && v == vectors - 1) {
        store_first(c, sum[r][v], tail);
      } else {
        store(c, sum[r][v]);
      }
    }
  }
}

template <typename Real>
using TileFn = void (*)(const Tile<Real>&, int tail);

template <typename Real>
struct TileTable {
  TileFn<Real> at[2][kTileVectors + 1][kTileRows + 1] = {};  // [partial][vectors][rows]
  template <int vectors, int rows>
  constexpr void fill() {
    at[0][vectors][rows] = tile<Real, rows, vectors, false>;
    at[1][vectors][rows] = tile<Real, rows, vectors, true>;
    if constexpr (rows > 1) fill<vectors, rows - 1>();
  }
  constexpr TileTable() {
    fill<1, kTileRows>();
    fill<2, kTileRows>();
  }
};
template <typename Real>
constexpr TileTable<Real> kTiles;

// One tile of 1 <= rows <= kTileRows and 1 <= columns <= kTileColumns.
template <typename Real>
FASTNN_INLINE void run_tile(const Tile<Real>& t, int64_t rows, int64_t columns) {
  const int vectors = static_cast<int>((columns + kLanes<Real> - 1) / kLanes<Real>);
  const int tail = static_cast<int>(columns - (vectors - 1) * kLanes<Real>);
  kTiles<Real>.at[tail < kLanes<Real>][vectors][rows](t, tail);
}

// A block of any size, column panel by column panel, each in rows of about equal tiles (26 rows are 13 + 13, not 14 + 12).
template <typename Real>
FASTNN_INLINE void run_tiles(const Tile<Real>& block, int64_t rows, int64_t columns) {
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  for (int64_t n = 0; n < columns; n += kTileColumns<Real>) {
    const int64_t width = columns - n < kTileColumns<Real> ? columns - n : kTileColumns<Real>;
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t first = rows * i / tiles, end = rows * (i + 1) / tiles;
      Tile<Real> t = block;
      t.a += first * t.a_row;
      t.b += n;
      t.c += first * t.c_row + n;
      if (t.bias != nullptr) t.bias += n;
      run_tile(t, end - first, width);
    }
  }
}

}  // namespace fastnn::FASTNN_ISA
