// The register tiles themselves, every size once: most of what the compiler has to do for this library.
#include "simd/tile.h"

namespace fastnn::FASTNN_ISA {

namespace {

// Rows whose address is kept in a general register. The others' are volatile, so that they stay in memory: left to itself GCC
// keeps them in vector registers, and moving them back delays each load (12 rows, runs of three k: 98 against 115 GFLOP/s).
constexpr int kNearRows = 8;

// `tail` is the number of columns in the last vector, kLanes for a whole one.
template <typename Real, int rows, int vectors, bool partial>
__attribute__((noinline)) void tile(const Tile<Real>& t, int tail) {
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
