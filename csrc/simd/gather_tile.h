// The register tile of simd/tile.h with rows that lie anywhere: convolution's pixels and window taps.
//
//     c[c_rows[r] + n] = start + sum over i, s, k of a[a_rows[r] + i*a_block + s*a_segment + k*a_k]
//                                                  * b[i*b_block + s*b_segment + k*b_k + n]
//
// Rows that follow no single stride let a 3 x 3 map fill a tile (nine pixels, or fourteen of two samples)
// where a strided tile would hold three, and let one tile hold all taps of a one-channel kernel. Not all row
// addresses fit into general registers, so some are read again for every k; beside 28 multiply-adds that
// costs nothing: the speed is the strided tile's (14 x 2 vectors of 16 lanes: 115 GFLOP/s, the peak of Zen
// 4).
//
// Every element of c is one chain of fused multiply-adds over (i, s, k) in order, whatever the tile.
#pragma once

#include "simd/tile.h"

namespace fastnn::FASTNN_ISA {

template <typename Real>
struct GatherTile {
  const Real *a, *b;
  Real* c;
  const Real* bias = nullptr;
  const int64_t *a_rows, *c_rows;  // one offset per row
  int64_t a_k, b_k;
  int64_t k;
  int64_t segments = 1, a_segment = 0, b_segment = 0;
  int64_t blocks = 1, a_block = 0, b_block = 0;
  Start start = Start::zero;
};

// Rows whose address is kept in a general register. The others' are volatile, so that they stay in memory:
// left to itself GCC keeps them in vector registers, and moving them back delays each load (12 rows, runs of
// three k: 98 against 115 GFLOP/s).
constexpr int kNearRows = 8;

// `tail` is the number of columns in the last vector, kLanes for a whole one.
template <typename Real, int rows, int vectors, bool partial>
__attribute__((noinline)) void gather_tile(const GatherTile<Real>& t, int tail) {
  constexpr int lanes = kLanes<Real>;
  Vec<Real> sum[rows][vectors];
  auto read = [&](const Real* p, int v) __attribute__((always_inline)) {
    return partial && v == vectors - 1 ? load_first(p + v * lanes, tail) : load(p + v * lanes);
  };
  auto start_with = [&](auto&& first) __attribute__((always_inline)) {
    FASTNN_UNROLL
    for (int r = 0; r < rows; ++r) {
      FASTNN_UNROLL
      for (int v = 0; v < vectors; ++v) sum[r][v] = first(r, v);
    }
  };
  if (t.start == Start::zero) {
    start_with([](int, int) __attribute__((always_inline)) { return zero<Real>(); });
  } else if (t.start == Start::bias) {
    Vec<Real> bias[vectors];
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) bias[v] = read(t.bias, v);
    start_with([&](int, int v) __attribute__((always_inline)) { return bias[v]; });
  } else {
    start_with([&](int r, int v) __attribute__((always_inline)) { return read(t.c + t.c_rows[r], v); });
  }
  constexpr int near = rows < kNearRows ? rows : kNearRows;
  const Real* row[near];
  const Real* volatile far_row[rows - near + 1];
  FASTNN_UNROLL
  for (int r = 0; r < near; ++r) row[r] = t.a + t.a_rows[r];
  FASTNN_UNROLL
  for (int r = near; r < rows; ++r) far_row[r - near] = t.a + t.a_rows[r];
  const int64_t a_k = t.a_k, b_k = t.b_k, k_end = t.k;
  for (int64_t i = 0; i < t.blocks; ++i) {
    for (int64_t s = 0; s < t.segments; ++s) {
      const Real* b = t.b + i * t.b_block + s * t.b_segment;
      int64_t at = i * t.a_block + s * t.a_segment;
      for (int64_t k = 0; k < k_end; ++k, at += a_k, b += b_k) {
        Vec<Real> column[vectors];
        FASTNN_UNROLL
        for (int v = 0; v < vectors; ++v) column[v] = read(b, v);
        auto add = [&](int r, Real number) __attribute__((always_inline)) {
          const Vec<Real> factor = broadcast(number);
          FASTNN_UNROLL
          for (int v = 0; v < vectors; ++v) sum[r][v] = fma(factor, column[v], sum[r][v]);
        };
        FASTNN_UNROLL
        for (int r = 0; r < near; ++r) add(r, row[r][at]);
        FASTNN_UNROLL
        for (int r = near; r < rows; ++r) add(r, far_row[r - near][at]);
      }
    }
  }
  Real* const c = t.c;
  const int64_t* const c_rows = t.c_rows;
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    Real* row_of_c = c + c_rows[r];
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) {
      if (partial && v == vectors - 1) {
        store_first(row_of_c + v * lanes, sum[r][v], tail);
      } else {
        store(row_of_c + v * lanes, sum[r][v]);
      }
    }
  }
}

template <typename Real>
using GatherTileFn = void (*)(const GatherTile<Real>&, int tail);

template <typename Real>
struct GatherTileTable {
  GatherTileFn<Real> at[2][kTileVectors + 1][kTileRows + 1] = {};  // [partial][vectors][rows]
  template <int vectors, int rows>
  constexpr void fill() {
    at[0][vectors][rows] = gather_tile<Real, rows, vectors, false>;
    at[1][vectors][rows] = gather_tile<Real, rows, vectors, true>;
    if constexpr (rows > 1) fill<vectors, rows - 1>();
  }
  constexpr GatherTileTable() {
    fill<1, kTileRows>();
    fill<2, kTileRows>();
  }
};
template <typename Real>
constexpr GatherTileTable<Real> kGatherTiles;

// 1 <= rows <= kTileRows rows and any number of columns.
template <typename Real>
FASTNN_INLINE void run_gather_tiles(const GatherTile<Real>& block, int64_t rows, int64_t columns) {
  GatherTile<Real> t = block;
  for (int64_t n = 0; n < columns; n += kTileColumns<Real>) {
    const int64_t width = columns - n < kTileColumns<Real> ? columns - n : kTileColumns<Real>;
    const int vectors = static_cast<int>((width + kLanes<Real> - 1) / kLanes<Real>);
    const int tail = static_cast<int>(width - (vectors - 1) * kLanes<Real>);
    t.b = block.b + n;
    t.c = block.c + n;
    if (block.bias != nullptr) t.bias = block.bias + n;
    kGatherTiles<Real>.at[tail < kLanes<Real>][vectors][rows](t, tail);
  }
}

}  // namespace fastnn::FASTNN_ISA
