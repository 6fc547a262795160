// The product of what kernels.pack of a GemmKernels has packed, for any kernel that needs a part of it.
#pragma once

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

// Tiles of rows `first` to `end` and columns `begin_n`, where a panel of B begins, to `end_n`. `c` is where the first of these rows
// lies, with all its columns; a is all of A, in tiles or in rows. panel_of(n, k, length) is `length` rows of a panel of B.
template <typename Real, typename Panel>
FASTNN_INLINE void multiply_tiles(Real* c, const Real* a, Panel panel_of, const Real* bias, const PackedGemmShape& shape,
                                  int64_t first, int64_t end, int64_t begin_n, int64_t end_n) {
  constexpr int64_t panel = kTileColumns<Real>;
  const TileHeights heights = tile_heights(shape.M, shape.height);
  const int64_t first_row = heights.first_row(first);
  int64_t k = 0;
  do {  // once where K is 0
    const int64_t length = shape.K - k < shape.piece ? shape.K - k : shape.piece;
    const Start start = k > 0 ? Start::accumulate : bias == nullptr ? Start::zero : Start::bias;
    for (int64_t n = begin_n; n < end_n; n += panel) {
      const Real* const columns = panel_of(n, k, length);
      const Real* const bias_n = bias == nullptr ? nullptr : bias + n;
      for (int64_t tile = first; tile < end; ++tile) {
        const int64_t m = heights.first_row(tile), height = heights[tile];
        const Real* const rows = shape.a_transposed ? a + m * shape.K + k * height : a + m * shape.a_row + k;
        const int64_t row = shape.a_transposed ? 1 : shape.a_row, next_k = shape.a_transposed ? height : 1;
        Real* const to = c + (m - first_row) * shape.N + n;
        multiply_panel<Real>({rows, columns, to, bias_n, row, next_k, shape.N, length, start}, height,
                             shape.N - n < panel ? shape.N - n : panel);
      }
    }
    k += shape.piece;
  } while (k < shape.K);
}

// The same of a B that has been packed.
template <typename Real>
FASTNN_INLINE void multiply_packed_tiles(Real* c, const Real* a, const Real* b, const Real* bias, const PackedGemmShape& shape,
                                         int64_t first, int64_t end, int64_t begin_n, int64_t end_n) {
  const auto panel_of = [&](int64_t n, int64_t k, int64_t) { return b + n * shape.K + k * kTileColumns<Real>; };
  multiply_tiles(c, a, panel_of, bias, shape, first, end, begin_n, end_n);
}

}  // namespace fastnn::FASTNN_ISA
