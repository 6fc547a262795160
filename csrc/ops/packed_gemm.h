// The product of what kernels.pack of a GemmKernels has packed, for any kernel that needs a part of it.
#pragma once

#include "ops/epilogue_rows.h"
#include "ops/matmul.h"
#include "simd/packed_tile.h"

namespace fastnn::FASTNN_ISA {

// The rows of a tile and a panel of packed columns, all of it or the first few.
template <typename Real>
FASTNN_INLINE void multiply_panel(const PackedTile<Real>& t, int64_t rows, int64_t columns) {
  if (columns < kTileColumns<Real>) {
    Tile<Real> part;
    part.a = t.a, part.b = t.b, part.c = t.c, part.bias = t.bias;
    part.a_k = t.a_k, part.b_k = kTileColumns<Real>, part.k = t.k, part.start = t.start;
    run_strided_tiles(part, t.a_row, t.c_row, rows, columns);
  } else if (t.a_row == 1) {
    run_packed_rows<Real, kTileVectors, true, kSideBySideRows>(t, rows);
  } else {
    run_packed_rows<Real, kTileVectors, false, kTileRows>(t, rows);
  }
}

// What the tasks that packed B have seen.
template <typename Real>
FASTNN_INLINE bool b_is_finite(const Real* workspace, const PackedGemmShape& shape) {
  for (int64_t i = 0; i < shape.checks; ++i) {
    if (workspace[shape.checks_begin + i] != 0) return false;
  }
  return true;
}

// What a task multiplies: tiles of rows from `first` to `end` and columns `n`, where a panel of B begins, to `end_n`.
struct Share {
  int64_t first, end, n, end_n;
};

// C += A B for a tile of rows and a panel of columns, `length` k from `k`. `c` is where the first row of the share lies, with all
// its columns; a is all of A, in tiles or in rows, of which a transposed A has one for each k; `columns` are these k of the panel.
template <typename Real>
struct PackedProduct {
  Real* c;
  const Real *a, *bias;
  const PackedGemmShape& shape;
  const TileHeights heights;
  const int64_t first_row;

  FASTNN_INLINE PackedProduct(Real* c, const Real* a, const Real* bias, const PackedGemmShape& shape, const Share& share)
      : c(c),
        a(a),
        bias(bias),
        shape(shape),
        heights(tile_heights(shape.M, shape.height)),
        first_row(heights.first_row(share.first)) {}

  FASTNN_INLINE int64_t length(int64_t k) const { return shape.K - k < shape.piece ? shape.K - k : shape.piece; }
  FASTNN_INLINE int64_t width(int64_t n) const { return shape.N - n < kTileColumns<Real> ? shape.N - n : kTileColumns<Real>; }

  FASTNN_INLINE void multiply(int64_t tile, int64_t n, int64_t k, const Real* columns, Ahead* ahead = nullptr) const {
    const Start start = k > 0 ? Start::accumulate : bias == nullptr ? Start::zero : Start::bias;
    const int64_t m = heights.first_row(tile), height = heights[tile];
    PackedTile<Real> t;
    t.b = columns, t.c = c + (m - first_row) * shape.N + n, t.bias = bias == nullptr ? nullptr : bias + n;
    t.c_row = shape.N, t.k = length(k), t.start = start, t.ahead = ahead;
    if (!shape.a_transposed) {
      t.a = a + m * shape.a_row + k, t.a_row = shape.a_row, t.a_k = 1;
    } else if (shape.a_tasks > 0) {
      t.a = a + m * shape.K + k * height, t.a_row = 1, t.a_k = height;
    } else {
      t.a = a + m + k * shape.M, t.a_row = 1, t.a_k = shape.M;
    }
    multiply_panel<Real>(t, height, width(n));
  }
};

// A share of the product with a B that has been packed. A tile of rows meets all panels before the next does: so whole rows of C
// are written in order, which is what memory likes where C is large (of 768 x 512 numbers it takes a tenth of the time off).
template <typename Real>
FASTNN_INLINE void multiply_packed_share(Real* c, const Real* a, const Real* b, const Real* bias, const Real* other,
                                         const PackedGemmShape& shape, const Share& share) {
  constexpr int64_t panel = kTileColumns<Real>;
  const PackedProduct<Real> product(c, a, bias, shape, share);
  int64_t k = 0;
  do {  // once where K is 0
    for (int64_t tile = share.first; tile < share.end; ++tile) {
      for (int64_t n = share.n; n < share.end_n; n += panel) product.multiply(tile, n, k, b + n * shape.K + k * panel);
      if (shape.epilogue == Epilogue::none || k + shape.piece < shape.K) continue;
      const int64_t at = (product.heights.first_row(tile) - product.first_row) * shape.N + share.n;
      finish(shape.epilogue, c, other, at, product.heights[tile], share.end_n - share.n, shape.N);
    }
    k += shape.piece;
  } while (k < shape.K);
}

}  // namespace fastnn::FASTNN_ISA
