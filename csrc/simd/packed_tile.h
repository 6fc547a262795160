// A register tile that is four vectors wide, for what was packed: of B the columns of a tile lie side by side.
//
//     c[r*c_row + n] = start + sum over k of a[r*a_row + k*a_k] * b[k*width + n]        n < width = 4 vectors
//
// The same chains of fused multiply-adds as those of simd/tile.h, so the bits do not tell which tile it was. With few rows it
// needs fewer loads for each multiply-add: 6 x 4 vectors take 34 instructions for 24 of them, 14 x 2 take 52 for 28, which is
// what a Cascade Lake core can decode in the time (8 rows, K = 1024: 65 GFLOP/s there, float).
#pragma once

#include "simd/tile.h"

namespace fastnn::FASTNN_ISA {

constexpr int kPackedRows = kVectorRegisters == 32 ? 6 : 3;
template <typename Real>
constexpr int64_t kPackedColumns = 4 * kLanes<Real>;

template <typename Real>
struct PackedTile {
  const Real *a, *b;
  Real* c;
  const Real* bias = nullptr;
  int64_t a_row, a_k, c_row, k;
  Start start = Start::zero;
};

template <typename Real, int rows>
__attribute__((noinline)) void packed_tile(const PackedTile<Real>& t) {
  constexpr int lanes = kLanes<Real>;
  Vec<Real> sum[rows][4];
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    FASTNN_UNROLL
    for (int v = 0; v < 4; ++v) {
      sum[r][v] = t.start == Start::zero   ? zero<Real>()
                  : t.start == Start::bias ? load(t.bias + v * lanes)
                                           : load(t.c + r * t.c_row + v * lanes);
    }
  }
  const Real *a = t.a, *b = t.b;
  const int64_t a_row = t.a_row, a_k = t.a_k;
  for (int64_t k = 0; k < t.k; ++k, a += a_k, b += 4 * lanes) {
    Vec<Real> column[4];
    FASTNN_UNROLL
    for (int v = 0; v < 4; ++v) column[v] = load(b + v * lanes);
    FASTNN_UNROLL
    for (int r = 0; r < rows; ++r) {
      const Vec<Real> factor = broadcast(a[r * a_row]);
      FASTNN_UNROLL
      for (int v = 0; v < 4; ++v) sum[r][v] = fma(factor, column[v], sum[r][v]);
    }
  }
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    FASTNN_UNROLL
    for (int v = 0; v < 4; ++v) store(t.c + r * t.c_row + v * lanes, sum[r][v]);
  }
}

// Any number of rows, in tiles of about equal height.
template <typename Real, int height = kPackedRows>
FASTNN_INLINE void run_packed_rows(const PackedTile<Real>& t, int64_t rows) {
  if constexpr (height == 1) {
    packed_tile<Real, 1>(t);
  } else if (rows == height) {
    packed_tile<Real, height>(t);
  } else {
    run_packed_rows<Real, height - 1>(t, rows);
  }
}
template <typename Real>
FASTNN_INLINE void run_packed_tiles(const PackedTile<Real>& block, int64_t rows) {
  const int64_t tiles = (rows + kPackedRows - 1) / kPackedRows;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t first = rows * i / tiles;
    PackedTile<Real> t = block;
    t.a += first * t.a_row;
    t.c += first * t.c_row;
    run_packed_rows<Real>(t, rows * (i + 1) / tiles - first);
  }
}

}  // namespace fastnn::FASTNN_ISA
