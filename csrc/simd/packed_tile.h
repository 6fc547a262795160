// The register tile for what was packed: of B the columns of a tile lie side by side, and of A perhaps the rows.
//
//     c[r*c_row + n] = start + sum over k of a[r*a_row + k*a_k] * b[k*width + n]        n < width = vectors of columns
//
// The same chains of fused multiply-adds as those of simd/tile.h, so the bits do not tell which tile it was. Rows of A have one
// stride, and their k are neighbours (a_k 1) or the rows themselves (a_row 1).
#pragma once

#include <type_traits>

#include "simd/tile.h"

namespace fastnn::FASTNN_ISA {

// Rows side by side have one address, so there may be as many as sums fit into registers.
constexpr int kSideBySideRows = kVectorRegisters == 32 ? 14 : 6;
constexpr int kWideTileVectors = 4;
constexpr int kWideTileRows = kVectorRegisters == 32 ? 6 : 3;
template <typename Real>
constexpr int64_t kWideTileColumns = kWideTileVectors * kLanes<Real>;

template <typename Real>
struct PackedTile {
  const Real *a, *b;
  Real* c;
  const Real* bias = nullptr;
  int64_t a_row, a_k, c_row, k;
  Start start = Start::zero;
  Ahead* ahead = nullptr;
};

// side_by_side: a_row is 1; else a_k is. fetching: there is something ahead.
template <typename Real, int rows, int vectors, bool side_by_side, bool fetching>
__attribute__((noinline)) void packed_tile(const PackedTile<Real>& t) {
  constexpr int lanes = kLanes<Real>;
  Vec<Real> sum[rows][vectors];
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
    start_with([&](int, int v) __attribute__((always_inline)) { return load(t.bias + v * lanes); });
  } else {
    start_with([&](int r, int v) __attribute__((always_inline)) { return load(t.c + r * t.c_row + v * lanes); });
  }
  // A result that is large lies far away by the time it is written.
  if (t.start != Start::accumulate) {
    FASTNN_UNROLL
    for (int r = 0; r < rows; ++r) {
      FASTNN_UNROLL
      for (int v = 0; v < vectors; ++v) __builtin_prefetch(t.c + r * t.c_row + v * lanes, 1);
    }
  }
  constexpr std::integral_constant<int64_t, vectors * kVectorBytes> b_bytes;
  const auto read = [](const Real* p, int) __attribute__((always_inline)) { return load(p); };
  const auto add = [&](int64_t k, int64_t length) __attribute__((always_inline)) {
    const PackedTile<Real>& again = read_again(t);
    const Real* const b = again.b + k * vectors * lanes;
    if constexpr (side_by_side) {
      add_side_by_side<Real, rows, vectors>(sum, again.a + k * again.a_k, again.a_k, b, b_bytes, length, read);
    } else {
      const Real* row[rows];
      FASTNN_UNROLL
      for (int r = 0; r < rows; ++r) row[r] = again.a + r * again.a_row;
      add_along_rows<Real, rows, vectors>(sum, row, k, b, b_bytes, length, read);
    }
  };
  if constexpr (fetching) {
    in_spans(*t.ahead, t.k, add);
  } else {
    add(0, t.k);
  }
  const PackedTile<Real>& again = read_again(t);
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) store(again.c + r * again.c_row + v * lanes, sum[r][v]);
  }
}

// 1 <= rows <= height.
template <typename Real, int vectors, bool side_by_side, int height>
FASTNN_INLINE void run_packed_rows(const PackedTile<Real>& t, int64_t rows) {
  if (height == 1 || rows == height) {
    if (t.ahead == nullptr) {
      packed_tile<Real, height, vectors, side_by_side, false>(t);
    } else {
      packed_tile<Real, height, vectors, side_by_side, true>(t);
    }
  } else if constexpr (height > 1) {
    run_packed_rows<Real, vectors, side_by_side, height - 1>(t, rows);
  }
}

// Any number of rows of one stride in tiles of four vectors and about equal height.
template <typename Real>
FASTNN_INLINE void run_wide_tiles(const PackedTile<Real>& block, int64_t rows) {
  const int64_t tiles = (rows + kWideTileRows - 1) / kWideTileRows;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t first = rows * i / tiles;
    PackedTile<Real> t = block;
    t.a += first * t.a_row;
    t.c += first * t.c_row;
    run_packed_rows<Real, kWideTileVectors, false, kWideTileRows>(t, rows * (i + 1) / tiles - first);
  }
}

}  // namespace fastnn::FASTNN_ISA
