// The register tiles themselves, every size once: most of what the compiler has to do for this library.
#include "simd/tile.h"

namespace fastnn::FASTNN_ISA {

namespace {

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
      sum[r][v] = t.start == Start::zero ? zero<Real>() : t.start == Start::bias ? read(t.bias, v) : read(t.c + t.c_rows[r], v);
    }
  }
  const Real* row[rows];
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) row[r] = t.a + t.a_rows[r];
  const int64_t a_k = t.a_k, b_k = t.b_k, k_end = t.k;
  for (int64_t i = 0; i < t.blocks; ++i) {
    for (int64_t s = 0; s < t.segments; ++s) {
      const Real* b = t.b + i * t.b_block + s * t.b_segment;
      int64_t at = i * t.a_block + s * t.a_segment;
      for (int64_t k = 0; k < k_end; ++k, at += a_k, b += b_k) {
        Vec<Real> column[vectors];
        FASTNN_UNROLL
        for (int v = 0; v < vectors; ++v) column[v] = read(b, v);
        FASTNN_UNROLL
        for (int r = 0; r < rows; ++r) {
          const Vec<Real> factor = broadcast(row[r][at]);
          FASTNN_UNROLL
          for (int v = 0; v < vectors; ++v) sum[r][v] = fma(factor, column[v], sum[r][v]);
        }
      }
    }
  }
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) {
      Real* c = t.c + t.c_rows[r] + v * lanes;
      if (partial && v == vectors - 1) {
        store_first(c, sum[r][v], tail);
      } else {
        store(c, sum[r][v]);
      }
    }
  }
}

template <typename Real, int vectors, int rows>
constexpr void fill(TileTable<Real>& table) {
  table.at[0][vectors][rows] = tile<Real, rows, vectors, false>;
  table.at[1][vectors][rows] = tile<Real, rows, vectors, true>;
  if constexpr (rows > 1) fill<Real, vectors, rows - 1>(table);
}

template <typename Real>
constexpr TileTable<Real> all_tiles() {
  TileTable<Real> table;
  fill<Real, 1, kTileRows>(table);
  fill<Real, 2, kTileRows>(table);
  return table;
}

}  // namespace

constinit const TileTable<float> float_tiles = all_tiles<float>();
constinit const TileTable<double> double_tiles = all_tiles<double>();

}  // namespace fastnn::FASTNN_ISA
