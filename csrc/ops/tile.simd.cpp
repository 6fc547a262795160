// The register tiles themselves, every size once: most of what the compiler has to do for this library.
#include "simd/tile.h"

namespace fastnn::FASTNN_ISA {

namespace {

// `tail` is the number of columns in the last vector, kLanes for a whole one.
template <typename Real, int rows, int vectors, Walk walk, bool partial>
__attribute__((noinline)) void tile(const Tile<Real>& t, int64_t n, int tail) {
  Real* const c = t.c + n;
  constexpr int lanes = kLanes<Real>;
  Vec<Real> sum[rows][vectors];
  auto read = [&](const Real* p, int v)
                  __attribute__((always_inline)) { return partial && v == vectors - 1 ? load_first(p, tail) : load(p); };
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
    for (int v = 0; v < vectors; ++v) bias[v] = read(t.bias + n + v * lanes, v);
    start_with([&](int, int v) __attribute__((always_inline)) { return bias[v]; });
  } else {
    start_with([&](int r, int v) __attribute__((always_inline)) { return read(c + t.c_rows[r] + v * lanes, v); });
  }
  const Real* row[rows];
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) row[r] = t.a + t.a_rows[r];
  const int64_t b_bytes = t.b_k * static_cast<int64_t>(sizeof(Real));
  for (int64_t i = 0; i < t.blocks; ++i) {
    for (int64_t s = 0; s < t.segments; ++s) {
      const Real* const b = t.b + n + i * t.b_block + s * t.b_segment;
      const int64_t at = i * t.a_block + s * t.a_segment;
      if constexpr (walk == Walk::along_panel) {
        constexpr std::integral_constant<int64_t, kTileVectors * kVectorBytes> panel;
        add_along_rows<Real, rows, vectors>(sum, row, at, b, panel, t.k, read);
      } else if constexpr (walk == Walk::along_rows) {
        in_spans(t.ahead, t.k, [&](int64_t k, int64_t length) __attribute__((always_inline)) {
          add_along_rows<Real, rows, vectors>(sum, row, at + k, b + k * t.b_k, b_bytes, length, read);
        });
      } else if constexpr (walk == Walk::side_by_side) {
        add_side_by_side<Real, rows, vectors>(sum, row[0] + at, t.a_k, b, b_bytes, t.k, read);
      } else {
        add_anywhere<Real, rows, vectors>(sum, row, at, t.a_k, b, t.b_k, t.k, read);
      }
    }
  }
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
  table.whole[int(Walk::along_panel)][vectors][rows] = tile<Real, rows, vectors, Walk::along_panel, false>;
  table.whole[int(Walk::along_rows)][vectors][rows] = tile<Real, rows, vectors, Walk::along_rows, false>;
  table.whole[int(Walk::side_by_side)][vectors][rows] = tile<Real, rows, vectors, Walk::side_by_side, false>;
  table.whole[int(Walk::anywhere)][vectors][rows] = tile<Real, rows, vectors, Walk::anywhere, false>;
  table.partial[vectors][rows] = tile<Real, rows, vectors, Walk::anywhere, true>;
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
