// The register tile behind every matrix-like kernel: dense, matmul, convolution.
//
//     c[c_rows[r] + n] = start + sum over i, s, k of a[a_rows[r] + i*a_block + s*a_segment + k*a_k]
//                                                  * b[i*b_block + s*b_segment + k*b_k + n]
//
// for rows r and columns n that fit into registers: one row of accumulators per row of c, `a` broadcast one number at a time,
// `b` and `c` read as vectors. A plain matrix product has one segment; a convolution has one per kernel row, each as long as
// the window is wide times the channels, which are contiguous in a channels-last image. So no im2col exists anywhere.
//
// Rows lie anywhere, at the offsets `a_rows` and `c_rows`: that lets a 3 x 3 map fill a tile (nine pixels, or twelve of two samples)
// where rows of one stride would be three, and one tile hold all taps of a one-channel kernel. How the loop over k walks through A is
// chosen by where its rows and their k lie: see simd/chains.h.
//
// Every element of c is one chain of fused multiply-adds over (i, s, k) in order, whatever the tile: results depend neither on
// the tile's size nor on how many rows or columns there are, and a chain cut into pieces (start from c) is the same chain.
//
// Sizes: 12 x 2 vectors of AVX-512's 32 registers, for as many addresses as there are registers, or 9 x 2 (kUsualRows); 6 x 2 of
// AVX2's 16. On NEON 14 x 2 vectors fill the registers: the 28 multiply-adds of a k take their factors from single lanes, so that a
// number of `a` needs one plain load and no instruction to spread it.
#pragma once

#include "simd/ahead.h"
#include "simd/chains.h"

namespace fastnn::FASTNN_ISA {

enum class Start : uint8_t { zero, bias, accumulate };  // from 0, from a row vector, from what c holds

#if defined(__AVX512F__)
constexpr int kTileRows = 12;  // as many addresses as there are registers for
#else
constexpr int kTileRows = kVectorRegisters == 32 ? 14 : 6;
#endif
// The most that a tile has unless something is fetched beside many k: behind 18 vectors of results a Zen 4's queue of stores has room
// for what the next tile keeps on the stack (see read_again). Tiles of 9 rows follow each other without a pause; 12 cost 60 cycles.
constexpr int kUsualRows = kVectorBytes == 64 ? 9 : kTileRows;
constexpr int kTileVectors = 2;
template <typename Real>
constexpr int64_t kTileColumns = kTileVectors * kLanes<Real>;

template <typename Real>
struct Tile {
  const Real *a, *b;
  Real* c;
  const Real* bias = nullptr;
  const int64_t *a_rows, *c_rows;  // one offset per row
  int64_t a_k, b_k;
  int64_t k;
  int64_t segments = 1, a_segment = 0, b_segment = 0;
  int64_t blocks = 1, a_block = 0, b_block = 0;
  Start start = Start::zero;
  bool side_by_side = false;  // the offsets a_rows follow each other
  Ahead* ahead = nullptr;     // of a product of one segment
};

// The ways through A that simd/chains.h has.
enum class Walk : uint8_t {
  along_panel,     // rows of B follow each other
  along_segments,  // of rows
  along_rows,      // of one segment
  fetching,        // the same, and ahead of them
  side_by_side,
  anywhere
};
constexpr int kWalks = 6;

// The code of every tile size, in ops/tile.simd.cpp, for the columns from n on; `tail` is their number in the last vector.
template <typename Real>
using TileFn = void (*)(const Tile<Real>&, int64_t n, int tail);
template <typename Real>
struct TileTable {
  TileFn<Real> whole[kWalks][kTileVectors + 1][kTileRows + 1] = {};  // [walk][vectors][rows]
  TileFn<Real> partial[kTileVectors + 1][kTileRows + 1] = {};        // for columns that do not fill the last vector
};
extern const TileTable<float> float_tiles;
extern const TileTable<double> double_tiles;
FASTNN_INLINE const TileTable<float>& tiles_of(float) { return float_tiles; }
FASTNN_INLINE const TileTable<double>& tiles_of(double) { return double_tiles; }

// 1 <= rows <= kTileRows rows and any number of columns.
template <typename Real>
FASTNN_INLINE void run_tile_row(const Tile<Real>& t, int64_t rows, int64_t columns) {
  const TileTable<Real>& tiles = tiles_of(Real());
  Walk walk = Walk::anywhere;
  if (t.side_by_side) {
    walk = Walk::side_by_side;
  } else if (t.a_k == 1 && t.k >= 8) {
    walk = t.b_k == kTileColumns<Real>        ? Walk::along_panel
           : t.ahead != nullptr               ? Walk::fetching
           : t.segments == 1 && t.blocks == 1 ? Walk::along_rows
                                              : Walk::along_segments;
  }
  for (int64_t n = 0; n < columns; n += kTileColumns<Real>) {
    const int64_t width = columns - n < kTileColumns<Real> ? columns - n : kTileColumns<Real>;
    const int vectors = static_cast<int>((width + kLanes<Real> - 1) / kLanes<Real>);
    const int tail = static_cast<int>(width - (vectors - 1) * kLanes<Real>);
    (tail < kLanes<Real> ? tiles.partial : tiles.whole[static_cast<int>(walk)])[vectors][rows](t, n, tail);
  }
}

// Rows in tiles of about equal height: 26 are 13 + 13, not 14 + 12. The first `larger` tiles have one more than the others.
struct TileHeights {
  int64_t tiles, least, larger;
  FASTNN_INLINE int64_t operator[](int64_t tile) const { return least + (tile < larger); }
  FASTNN_INLINE int64_t first_row(int64_t tile) const { return tile * least + (tile < larger ? tile : larger); }
};
FASTNN_INLINE TileHeights tile_heights(int64_t rows, int64_t most = kUsualRows) {
  const uint32_t divisor = static_cast<uint32_t>(most);
  const int64_t tiles = rows >> 31 ? (rows + most - 1) / most : (static_cast<uint32_t>(rows) + divisor - 1) / divisor;
  // Before Ice Lake a division of 64 bits takes 40 to 95 cycles, where a small tile takes 400.
  const int64_t least = rows >> 32 ? rows / tiles : static_cast<uint32_t>(rows) / static_cast<uint32_t>(tiles);
  return {tiles, least, rows - least * tiles};
}

// Rows of one stride, any number of them but 0, column panel by column panel. What only their number and strides tell is worked out
// once, for as many blocks as there are.
template <typename Real>
class StridedTiles {
 public:
  FASTNN_INLINE StridedTiles(int64_t a_row, int64_t c_row, int64_t rows, int64_t most = kUsualRows)
      : a_row_(a_row), c_row_(c_row), heights_(tile_heights(rows, most)) {
    for (int r = 0; r < kTileRows; ++r) {
      a_rows_[r] = r * a_row;
      c_rows_[r] = r * c_row;
    }
  }

  // The offsets of `block` are set here.
  FASTNN_INLINE void run(const Tile<Real>& block, int64_t columns) const {
    for (int64_t n = 0; n < columns; n += kTileColumns<Real>) {
      const int64_t width = columns - n < kTileColumns<Real> ? columns - n : kTileColumns<Real>;
      Tile<Real> t = block;
      t.a_rows = a_rows_;
      t.c_rows = c_rows_;
      t.side_by_side = a_row_ == 1;
      t.b += n;
      t.c += n;
      if (t.bias != nullptr) t.bias += n;
      for (int64_t tile = 0; tile < heights_.tiles; ++tile) {
        run_tile_row(t, heights_[tile], width);
        t.a += heights_[tile] * a_row_;
        t.c += heights_[tile] * c_row_;
      }
    }
  }

 private:
  int64_t a_row_, c_row_;
  TileHeights heights_;
  int64_t a_rows_[kTileRows], c_rows_[kTileRows];
};

template <typename Real>
FASTNN_INLINE void run_strided_tiles(const Tile<Real>& block, int64_t a_row, int64_t c_row, int64_t rows, int64_t columns) {
  if (rows > 0) StridedTiles<Real>(a_row, c_row, rows).run(block, columns);
}

}  // namespace fastnn::FASTNN_ISA
