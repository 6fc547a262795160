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
  // Where k are few, reading again costs more than it spares.
  const auto here = [&]() __attribute__((always_inline)) -> const Tile<Real>& {
    if constexpr (walk == Walk::anywhere) return t;
    return read_again(t);
  };
  const Real* row[rows];
  const auto find_rows = [&](const Tile<Real>& of) __attribute__((always_inline)) {
    FASTNN_UNROLL
    for (int r = 0; r < rows; ++r) row[r] = of.a + of.a_rows[r];
  };
  if constexpr (walk == Walk::along_rows) {
    find_rows(here());
    add_along_rows<Real, rows, vectors>(sum, row, 0, t.b + n, t.b_k * int64_t{sizeof(Real)}, t.k, read);
  } else if constexpr (walk == Walk::fetching) {
    find_rows(t);
    const int64_t b_bytes = t.b_k * int64_t{sizeof(Real)};
    in_spans(*t.ahead, t.k, [&](int64_t k, int64_t length) __attribute__((always_inline)) {
      add_along_rows<Real, rows, vectors>(sum, row, k, t.b + n + k * t.b_k, b_bytes, length, read);
    });
  } else {
    if constexpr (walk == Walk::anywhere) find_rows(t);
    for (int64_t i = 0; i < here().blocks; ++i) {
      for (int64_t s = 0; s < here().segments; ++s) {
        const Tile<Real>& again = here();
        const Real* const b = again.b + n + i * again.b_block + s * again.b_segment;
        const int64_t at = i * again.a_block + s * again.a_segment, b_bytes = again.b_k * int64_t{sizeof(Real)};
        if constexpr (walk == Walk::along_panel) {
          constexpr std::integral_constant<int64_t, kTileVectors * kVectorBytes> panel;
          find_rows(again);
          add_along_rows<Real, rows, vectors>(sum, row, at, b, panel, again.k, read);
        } else if constexpr (walk == Walk::along_segments) {
          find_rows(again);
          add_along_rows<Real, rows, vectors>(sum, row, at, b, b_bytes, again.k, read);
        } else if constexpr (walk == Walk::side_by_side) {
          add_side_by_side<Real, rows, vectors>(sum, again.a + again.a_rows[0] + at, again.a_k, b, b_bytes, again.k, read);
        } else {
          add_anywhere<Real, rows, vectors>(sum, row, at, again.a_k, b, again.b_k, again.k, read);
        }
      }
    }
  }
  const int64_t* const c_rows = here().c_rows;
  Real* const result = walk == Walk::anywhere ? c : forget(here().c + n);
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    Real* row_of_c = result + c_rows[r];
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
  // Tiles that are half as wide, or wait for no queue of stores, do without code of their own.
  constexpr bool wide = vectors == kTileVectors;
  constexpr Walk one_segment = wide && kUsualRows < kTileRows ? Walk::along_rows : Walk::along_segments;
  constexpr Walk fetching = wide ? Walk::fetching : Walk::along_segments;
  table.whole[int(Walk::along_panel)][vectors][rows] = tile<Real, rows, vectors, Walk::along_panel, false>;
  table.whole[int(Walk::along_segments)][vectors][rows] = tile<Real, rows, vectors, Walk::along_segments, false>;
  table.whole[int(Walk::along_rows)][vectors][rows] = tile<Real, rows, vectors, one_segment, false>;
  table.whole[int(Walk::fetching)][vectors][rows] = tile<Real, rows, vectors, fetching, false>;
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
