#include "ops/packed_gemm.h"
#include "simd/nonzero.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

// Some rows and columns of one matrix.
template <typename Real>
struct Block {
  Real* c;
  const Real *a, *b, *bias;  // b: its first matrix element, from which `n` columns are skipped
  int64_t rows, n, columns;
};

template <typename Real>
FASTNN_INLINE void multiply_in_place(const Block<Real>& block, const StridedTiles<Real>& tiles, const GemmShape& shape) {
  Tile<Real> t;
  t.a = block.a, t.b = block.b + block.n, t.c = block.c;
  t.a_k = shape.a_k, t.b_k = shape.N, t.k = shape.K;
  t.bias = block.bias;
  t.start = block.bias == nullptr ? Start::zero : Start::bias;
  tiles.run(t, block.columns);
}

// Rows `first` to `end` of some columns of B, which are N apart, side by side.
template <typename Real>
FASTNN_INLINE void pack_columns(Real* to, const Real* b, int64_t N, int64_t n, int64_t columns, int64_t first, int64_t end) {
  // They lie further apart than a processor reads ahead by itself, which is within a page.
  constexpr int64_t kAhead = 16;
  for (int64_t k = first; k < end; ++k, to += kTileColumns<Real>) {
    const Real* const from = b + k * N + n;
    for_each_vector<Real>(columns, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      __builtin_prefetch(from + kAhead * N + i);
      lanes.store(to + i, lanes.load(from + i));
    });
  }
}

// Of B the panel of columns from n on, `length` k from k, to be fetched beside products over `beside` numbers.
template <typename Real>
FASTNN_INLINE Ahead panel_ahead(const Real* b, int64_t N, int64_t n, int64_t k, int64_t length, int64_t beside) {
  constexpr int64_t panel = kTileColumns<Real>, item = sizeof(Real);
  return {b + k * N + n, (N - n < panel ? N - n : panel) * item, N * item, length, beside / Ahead::kSpan};
}

// Rows of a tile beside which something is fetched: with many k, as many as there are addresses for.
FASTNN_INLINE int64_t rows_beside(const GemmShape& shape) { return shape.K < 192 ? kUsualRows : kTileRows; }

// The panel of B that is read after the one at column n of the block and at k, here or in the next task.
template <typename Real>
FASTNN_INLINE Ahead next_panel(const Block<Real>& block, const GemmShape& shape, int64_t n, int64_t k) {
  const auto length = [&] { return shape.K - k < shape.piece ? shape.K - k : shape.piece; };
  const int64_t beside = tile_heights(block.rows, rows_beside(shape)).tiles * length();
  n += kTileColumns<Real>;
  if (n >= block.columns) {
    k += shape.piece;
    if (k < shape.K) {
      n = 0;
    } else if (shape.row_tasks == 1) {
      k = 0;
    } else {
      return {};  // a task for other rows, which reads what this one did
    }
  }
  n += block.n;
  return n < shape.N ? panel_ahead(block.b, shape.N, n, k, length(), beside) : Ahead();
}

// The few rows of the block meet a piece of a panel of B where it lies, fetched beside the one before.
template <typename Real>
__attribute__((noinline)) void multiply_ahead(const Block<Real>& block, const GemmShape& shape) {
  constexpr int64_t panel = kTileColumns<Real>;
  const StridedTiles<Real> tiles(shape.a_row, shape.N, block.rows, rows_beside(shape));
  Tile<Real> t;
  t.a_k = 1, t.b_k = shape.N;
  int64_t k = 0;
  do {  // once where K is 0
    t.k = shape.K - k < shape.piece ? shape.K - k : shape.piece;
    t.a = block.a + k;
    for (int64_t n = 0; n < block.columns; n += panel) {
      Ahead ahead = next_panel(block, shape, n, k);
      t.ahead = &ahead;
      t.b = block.b + k * shape.N + block.n + n;
      t.c = block.c + n;
      t.bias = block.bias == nullptr ? nullptr : block.bias + n;
      t.start = k > 0 ? Start::accumulate : block.bias == nullptr ? Start::zero : Start::bias;
      tiles.run(t, block.columns - n < panel ? block.columns - n : panel);
    }
    k += shape.piece;
  } while (k < shape.K);
}

// A piece of K at a time. All rows of the block meet a panel of B while the second-level cache holds it.
template <typename Real>
FASTNN_INLINE void multiply_packing(const Block<Real>& block, Real* scratch, const GemmShape& shape) {
  constexpr int64_t panel = kTileColumns<Real>;
  Real* const copy = scratch + shape.piece * panel;
  const TileHeights heights = tile_heights(block.rows);
  PackedTile<Real> t;
  t.b = scratch, t.c_row = shape.N, t.a_row = shape.a_row, t.a_k = shape.a_k;
  int64_t k = 0;
  do {  // once where K is 0
    const int64_t end = k + shape.piece < shape.K ? k + shape.piece : shape.K;
    t.k = end - k;
    const Real* a = block.a + k * shape.a_k;
    if (shape.copies_a) {
      const bool turned = shape.a_row == 1;  // (K, rows) lies in memory
      const int64_t lines = turned ? t.k : block.rows, length = turned ? block.rows : t.k;
      const int64_t line = length + kGap, from_line = turned ? shape.a_k : shape.a_row;
      for (int64_t i = 0; i < lines; ++i) {
        const Real* const from = a + i * from_line;
        for_each_vector<Real>(length, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
          lanes.store(copy + i * line + j, lanes.load(from + j));
        });
      }
      a = copy;
      (turned ? t.a_k : t.a_row) = line;
    }
    for (int64_t n = 0; n < block.columns; n += panel) {
      const int64_t columns = block.columns - n < panel ? block.columns - n : panel;
      if (shape.b_transposed) {
        transpose(scratch, panel, block.b + (block.n + n) * shape.K + k, shape.K, columns, end - k);
      } else {
        pack_columns(scratch, block.b, shape.N, block.n + n, columns, k, end);
      }
      t.bias = block.bias == nullptr ? nullptr : block.bias + n;
      t.start = k > 0 ? Start::accumulate : block.bias == nullptr ? Start::zero : Start::bias;
      for (int64_t tile = 0; tile < heights.tiles; ++tile) {
        const int64_t m = heights.first_row(tile);
        t.a = a + m * t.a_row;
        t.c = block.c + m * shape.N + n;
        multiply_panel(t, heights[tile], columns);
      }
    }
    k = end;
  } while (k < shape.K);
}

// Marks of the K numbers of each row, those of kMarks k of all rows side by side; or false, if so many eighths of the numbers or more are
// not 0. Where none is 0, the first rows have told.
template <typename Real>
FASTNN_INLINE bool mark_rows(uint64_t* marks, const Real* a, int64_t a_row, int64_t rows, int64_t K, int64_t eighths) {
  int64_t nonzero = 0;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0, word = r; k < K; k += kMarks, word += rows) {
      marks[word] = marks_of(a + r * a_row + k, K - k < kMarks ? K - k : kMarks);
      nonzero += count_of(marks[word]);
    }
    if (16 * nonzero > (2 * eighths * (r + 1) + rows) * K) return false;
  }
  return 8 * nonzero < eighths * rows * K;
}

// How rows of B, one for each k, lie: N apart, as columns of memory, or packed.
enum class Lies : uint8_t { in_rows, in_columns, in_panels };

// Rows and columns of B, side by side. Whether they are finite.
template <typename Real, Lies lies>
FASTNN_INLINE bool copy_block(Real* to, int64_t width, const Real* b, int64_t N, int64_t K, int64_t rows, int64_t columns) {
  constexpr bool turned = lies == Lies::in_columns;
  Finiteness<Real> seen;
  if constexpr (turned) transpose(to, width, b, K, columns, rows);
  for (int64_t k = 0; k < rows; ++k, to += width) {
    for_each_vector<Real>(columns, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> v = lanes.load(turned ? to + i : b + k * N + i);
      seen.see(v);
      if constexpr (!turned) lanes.store(to + i, v);
    });
  }
  return seen.of_all();
}

// The block without the products of zeros. Each row of A finds the few rows of B that it needs, kMarks k of some columns, in the
// first-level cache, to which they are copied if they are not packed; what takes their place is fetched meanwhile. False, and nothing is
// done, where A has few zeros.
template <typename Real, Lies lies>
__attribute__((noinline)) bool multiply_skipping(const Block<Real>& block, int64_t a_row, Scratch scratch, int64_t N,
                                                 int64_t K) {
  constexpr int lanes = kLanes<Real>, vectors = kSkippingColumns / lanes < 8 ? kSkippingColumns / lanes : 8;
  constexpr int64_t width = vectors * lanes, panel = kTileColumns<Real>, item = sizeof(Real);
  constexpr bool copies = lies != Lies::in_panels;
  Real *const copy = scratch.as<Real>(), *const sums = copy + kMarks * kSkippingColumns;
  auto* const marks = reinterpret_cast<uint64_t*>(sums + kSkippingRows * kSkippingColumns);
  const int64_t eighths = lies == Lies::in_columns ? 3 : 4;  // to turn them takes longer
  if (!mark_rows(marks, block.a, a_row, block.rows, K, eighths)) return false;
  const auto b_at = [&](int64_t k, int64_t n) {
    return block.b + (lies == Lies::in_rows ? k * N + block.n + n : (block.n + n) * K + (copies ? k : k * panel));
  };
  const auto k_at = [&](int64_t k) { return K - k < kMarks ? K - k : kMarks; };
  const auto columns_at = [&](int64_t n) { return block.columns - n < width ? block.columns - n : width; };
  const auto copy_ahead = [&](int64_t k, int64_t n, int64_t rows) {
    if (!copies || n >= block.columns) return Ahead();
    return lies == Lies::in_columns ? Ahead(b_at(k, n), k_at(k) * item, K * item, columns_at(n), rows)
                                    : Ahead(b_at(k, n), columns_at(n) * item, N * item, k_at(k), rows);
  };
  for (int64_t row = 0; row < block.rows; row += kSkippingRows) {
    const int64_t end = row + kSkippingRows < block.rows ? row + kSkippingRows : block.rows;
    for (int64_t n = 0; n < block.columns; n += width) {
      const int64_t columns = columns_at(n);
      for (int64_t r = row; r < end; ++r) {
        for_each_vector<Real>(columns, [&](int64_t i, auto some) __attribute__((always_inline)) {
          some.store(sums + (r - row) * width + i, block.bias == nullptr ? zero<Real>() : some.load(block.bias + n + i));
        });
      }
      const uint64_t* words = marks + row;
      for (int64_t k = 0; k < K; k += kMarks, words += block.rows) {
        const Real* const b = copies ? copy : b_at(k, n);
        const bool finite = !copies || copy_block<Real, lies>(copy, width, b_at(k, n), N, K, k_at(k), columns);
        const uint64_t all = finite ? 0 : ~uint64_t{0} >> (kMarks - k_at(k));
        const bool more = k + kMarks < K;
        Ahead ahead = copy_ahead(more ? k + kMarks : 0, more ? n : n + width, end - row);
        const Real* numbers = block.a + row * a_row + k;
        Real* at = sums;
        for (int64_t r = 0; r < end - row; ++r, numbers += a_row, at += width) {
          ahead.fetch();
          const uint64_t marked = words[r] | all;
          if (marked == 0) continue;
          Vec<Real> sum[vectors];
          FASTNN_UNROLL
          for (int v = 0; v < vectors; ++v) sum[v] = load(at + v * lanes);
          add_marked<Real, vectors>(sum, marked, numbers, [&](int64_t i, int v) __attribute__((always_inline)) {
            constexpr int in_panel = panel / lanes;
            return load(b + (copies ? i * width + v * lanes : i * panel + v / in_panel * K * panel + v % in_panel * lanes));
          });
          FASTNN_UNROLL
          for (int v = 0; v < vectors; ++v) store(at + v * lanes, sum[v]);
        }
      }
      for (int64_t r = row; r < end; ++r) {
        for_each_vector<Real>(columns, [&](int64_t i, auto some) __attribute__((always_inline)) {
          some.store(block.c + r * N + n + i, some.load(sums + (r - row) * width + i));
        });
      }
    }
  }
  return true;
}

// A row of memory is read from end to end by one task.
template <typename Real>
FASTNN_INLINE void pack_a(Real* to, const Real* a, const PackedGemmShape& shape, int64_t task) {
  const int64_t first = task * shape.a_block, lines = shape.a_transposed ? shape.K : shape.M;
  const int64_t end = first + shape.a_block < lines ? first + shape.a_block : lines;
  if (!shape.a_transposed) {
    for (int64_t m = first; m < end; ++m) {
      for_each_vector<Real>(shape.K, [&](int64_t k, auto lanes) __attribute__((always_inline)) {
        lanes.store(to + m * shape.a_row + k, lanes.load(a + m * shape.K + k));
      });
    }
    return;
  }
  // Whole vectors: what one writes too much the next overwrites, and the last writes no more than its part. Some k of a tile after the
  // other, because rows and tiles whose distances are powers of two share few lines of a cache.
  constexpr int64_t kLines = 8, lanes = kLanes<Real>;
  const TileHeights heights = tile_heights(shape.M, shape.height);
  for (int64_t k = first; k < end; k += kLines) {
    const int64_t lines = end - k < kLines ? end - k : kLines;
    for (int64_t tile = 0; tile < heights.tiles; ++tile) {
      const int64_t m = heights.first_row(tile), height = heights[tile];
      const Real* from = a + k * shape.M + m;
      Real* target = to + m * shape.K + k * height;
      const bool fits = (height + lanes - 1) / lanes * lanes <= 2 * height;
      for (int64_t i = 1; i <= lines; ++i, from += shape.M, target += height) {
        __builtin_prefetch(from + kLines * shape.M);
        if (fits && i < lines) {
          for (int64_t j = 0; j < height; j += lanes) store(target + j, load(from + j));
        } else {
          for_each_vector<Real>(height, [&](int64_t j, auto some)
                                            __attribute__((always_inline)) { some.store(target + j, some.load(from + j)); });
        }
      }
    }
  }
}

// Whether what a task packs is finite; of a transposed B only where it is asked for, because that takes another look.
template <typename Real>
FASTNN_INLINE bool pack_b(Real* to, const Real* b, const PackedGemmShape& shape, int64_t task) {
  constexpr int64_t panel = kTileColumns<Real>;
  const int64_t parts = shape.b_transposed ? shape.b_parts : 1, part = task % parts;
  const int64_t first = task / parts * shape.b_block, lines = shape.b_transposed ? shape.N : shape.K;
  const int64_t end = first + shape.b_block < lines ? first + shape.b_block : lines;
  Finiteness<Real> seen;
  if (shape.b_transposed) {
    const int64_t k = shape.K * part / parts, length = shape.K * (part + 1) / parts - k;
    for (int64_t n = first; n < end; n += panel) {
      transpose(to + n * shape.K + k * panel, panel, b + n * shape.K + k, shape.K, end - n < panel ? end - n : panel, length);
    }
    for (int64_t n = first; n < end && shape.checks > 0; ++n) {
      for_each_vector<Real>(
          length, [&](int64_t i, auto lanes) __attribute__((always_inline)) { seen.see(lanes.load(b + n * shape.K + k + i)); });
    }
    return seen.of_all();
  }
  for (int64_t k = first; k < end; ++k) {
    for (int64_t n = 0; n < shape.N; n += panel) {
      for_each_vector<Real>(shape.N - n < panel ? shape.N - n : panel,
                            [&](int64_t i, auto lanes) __attribute__((always_inline)) {
                              const Vec<Real> v = lanes.load(b + k * shape.N + n + i);
                              seen.see(v);
                              lanes.store(to + n * shape.K + k * panel + i, v);
                            });
    }
  }
  return seen.of_all();
}

template <typename Real>
void pack(Real* to, const Real* a, const Real* b, const PackedGemmShape& shape, int64_t task) {
  if (task < shape.a_tasks) {
    pack_a(to, a, shape, task);
  } else {
    task -= shape.a_tasks;
    const bool finite = pack_b(to + shape.b_begins, b, shape, task);
    if (shape.checks > 0) to[shape.checks_begin + task] = finite ? 0 : 1;
  }
}

FASTNN_INLINE Share share_of(const PackedGemmShape& shape, int64_t task) {
  const int64_t tiles = tile_heights(shape.M, shape.height).tiles;
  const int64_t first = task % shape.row_tasks * shape.tile_block, n = task / shape.row_tasks * shape.column_block;
  return {first, first + shape.tile_block < tiles ? first + shape.tile_block : tiles, n,
          n + shape.column_block < shape.N ? n + shape.column_block : shape.N};
}
FASTNN_INLINE int64_t first_row(const PackedGemmShape& shape, const Share& share) {
  return tile_heights(shape.M, shape.height).first_row(share.first);
}

template <typename Real>
void multiply_packed_bias(Real* c, const Real* packed, const Real* a, const Real* bias, const Real* other, Scratch scratch,
                          const PackedGemmShape& shape, int64_t task) {
  const Share share = share_of(shape, task);
  const int64_t first = first_row(shape, share), at = first * shape.N;
  const Real* const rows_of_a = shape.a_tasks == 0 ? a : packed;
  if (shape.skips_zeros && b_is_finite(packed, shape)) {
    const int64_t rows = tile_heights(shape.M, shape.height).first_row(share.end) - first, columns = share.end_n - share.n;
    const Block<Real> block{c + at + share.n,
                            rows_of_a + first * shape.a_row,
                            packed + shape.b_begins,
                            bias == nullptr ? nullptr : bias + share.n,
                            rows,
                            share.n,
                            columns};
    if (multiply_skipping<Real, Lies::in_panels>(block, shape.a_row, scratch, shape.N, shape.K)) {
      return finish(shape.epilogue, c, other, at + share.n, rows, columns, shape.N);
    }
  }
  multiply_packed_share(c + at, rows_of_a, packed + shape.b_begins, bias, other == nullptr ? nullptr : other + at, shape,
                        share);
}
template <typename Real>
void multiply_packed(Real* c, const Real* packed, const Real* a, Scratch scratch, const PackedGemmShape& shape, int64_t task) {
  multiply_packed_bias<Real>(c, packed, a, nullptr, nullptr, scratch, shape, task);
}
// C^T, of which a panel is computed in scratch memory and transposed when it is done, B being packed or, where it is null, packed here.
// Panels are whole: what stands in a column that is none stays in it.
template <typename Real>
void multiply_turned(Real* c, const Real* packed, const Real* a, const Real* b, const Real* other, Scratch scratch,
                     const PackedGemmShape& shape, int64_t task) {
  constexpr int64_t panel = kTileColumns<Real>;
  const Share share = share_of(shape, task);
  const int64_t first = first_row(shape, share), rows = tile_heights(shape.M, shape.height).first_row(share.end) - first;
  if (shape.skips_zeros) {
    const Block<Real> block{c + first, b, a, nullptr, shape.N, first, rows};
    if (multiply_skipping<Real, Lies::in_columns>(block, shape.K, scratch, shape.M, shape.K)) {
      return finish(shape.epilogue, c, other, first, shape.N, rows, shape.M);
    }
  }
  Real* const turned = scratch.as<Real>();
  Real* const own = turned + shape.tile_block * shape.height * panel;  // of B, where it is packed here
  PackedGemmShape one = shape;
  one.N = panel, one.epilogue = Epilogue::none;
  for (int64_t n = 0; n < shape.N; n += panel) {
    const int64_t at = n * shape.M + first, columns = shape.N - n < panel ? shape.N - n : panel;
    if (packed == nullptr) transpose(own, panel, b + n * shape.K, shape.K, columns, shape.K);
    multiply_packed_share<Real>(turned, a, packed == nullptr ? own : packed + n * shape.K, nullptr, nullptr, one,
                                {share.first, share.end, 0, panel});
    transpose(c + at, shape.M, turned, panel, rows, columns);
    finish(shape.epilogue, c, other, at, columns, rows, shape.M);
  }
}
// A panel of B is packed before it is multiplied by, while what the next is made of is fetched: it meets all tiles of A before the next
// takes its place.
template <typename Real>
void pack_b_multiply(Real* c, const Real* a, const Real* b, Scratch scratch, const PackedGemmShape& shape, int64_t task) {
  constexpr int64_t panel = kTileColumns<Real>;
  const Share share = share_of(shape, task);
  const int64_t first = first_row(shape, share);
  Real* const columns = scratch.as<Real>();
  Real* const turned = columns + shape.piece * panel;
  for (int64_t n = share.n; n < share.end_n; n += panel) {
    const int64_t width = shape.N - n < panel ? shape.N - n : panel;
    PackedGemmShape one = shape;  // where the result is turned, its panel alone
    if (shape.turned) one.N = width;
    const PackedProduct<Real> product(shape.turned ? turned : c + first * shape.N, a, nullptr, one, share);
    int64_t k = 0;
    do {  // once where K is 0
      const int64_t length = product.length(k);
      pack_columns(columns, b, shape.N, n, width, k, k + length);
      const bool more = k + length < shape.K;
      const int64_t next_n = more ? n : n + panel, next_k = more ? k + length : 0;
      Ahead ahead;
      if (next_n < shape.N && (next_n < share.end_n || shape.row_tasks == 1)) {
        ahead = panel_ahead(b, shape.N, next_n, next_k, product.length(next_k), (share.end - share.first) * length);
      }
      for (int64_t tile = share.first; tile < share.end; ++tile)
        product.multiply(tile, shape.turned ? 0 : n, k, columns, &ahead);
      k += shape.piece;
    } while (k < shape.K);
    if (shape.turned) {
      const TileHeights heights = tile_heights(shape.M, shape.height);
      transpose(c + n * shape.M + first, shape.M, turned, width, heights.first_row(share.end) - first, width);
    }
  }
}

template <typename Real, bool has_scratch>
FASTNN_INLINE void multiply_block(const Block<Real>& block, const StridedTiles<Real>& tiles, Scratch scratch,
                                  const GemmShape& shape) {
  if constexpr (has_scratch) {
    if (shape.skips_zeros && multiply_skipping<Real, Lies::in_rows>(block, shape.K, scratch, shape.N, shape.K)) return;
    shape.packs ? multiply_packing(block, scratch.as<Real>(), shape) : multiply_ahead(block, shape);
  } else {
    shape.piece > 0 ? multiply_ahead(block, shape) : multiply_in_place(block, tiles, shape);
  }
}

template <typename Real, bool has_scratch>
FASTNN_INLINE void multiply_task(Real* c, const Real* a, const Real* b, const Real* bias, const Real* other, Scratch scratch,
                                 const GemmShape& shape, int64_t task) {
  // Row by row within a panel of B, which the tasks of a thread then share: threads divide the larger operand between them.
  const int64_t row_task = task % shape.row_tasks, column_task = task / shape.row_tasks % shape.column_tasks;
  const int64_t first = task / shape.row_tasks / shape.column_tasks * shape.matrices;
  const int64_t end = first + shape.matrices < shape.batch.count ? first + shape.matrices : shape.batch.count;
  const int64_t m = row_task * shape.row_block, n = column_task * shape.column_block;
  const int64_t rows = m + shape.row_block < shape.M ? shape.row_block : shape.M - m;
  const int64_t columns = n + shape.column_block < shape.N ? shape.column_block : shape.N - n;
  const StridedTiles<Real> tiles(shape.a_row, shape.N, rows);
  for (int64_t matrix = first; matrix < end; ++matrix) {
    int64_t index = matrix, a_at = 0, b_at = 0;
    for (int axis = shape.batch.axes - 1; axis >= 0; --axis) {
      const int64_t i = axis > 0 ? index % shape.batch.extent[axis] : index;
      index = axis > 0 ? index / shape.batch.extent[axis] : 0;
      a_at += i * shape.batch.a[axis];
      b_at += i * shape.batch.b[axis];
    }
    const Block<Real> block{c + (matrix * shape.M + m) * shape.N + n,
                            a + a_at + m * shape.a_row,
                            b + b_at,
                            bias == nullptr ? nullptr : bias + n,
                            rows,
                            n,
                            columns};
    multiply_block<Real, has_scratch>(block, tiles, scratch, shape);
    finish(shape.epilogue, c, other, block.c - c, rows, columns, shape.N);
  }
}

template <typename Real>
void multiply(Real* c, const Real* a, const Real* b, const GemmShape& shape, int64_t task) {
  multiply_task<Real, false>(c, a, b, nullptr, nullptr, {}, shape, task);
}
template <typename Real>
void multiply_bias(Real* c, const Real* a, const Real* b, const Real* bias, const Real* other, const GemmShape& shape,
                   int64_t task) {
  multiply_task<Real, false>(c, a, b, bias, other, {}, shape, task);
}
template <typename Real>
void multiply_with_scratch(Real* c, const Real* a, const Real* b, Scratch scratch, const GemmShape& shape, int64_t task) {
  multiply_task<Real, true>(c, a, b, nullptr, nullptr, scratch, shape, task);
}
template <typename Real>
void multiply_with_scratch_bias(Real* c, const Real* a, const Real* b, const Real* bias, const Real* other, Scratch scratch,
                                const GemmShape& shape, int64_t task) {
  multiply_task<Real, true>(c, a, b, bias, other, scratch, shape, task);
}

}  // namespace

const GemmKernels gemm_kernels = {
    {kernel<multiply<float>>, kernel<multiply<double>>},
    {kernel<multiply_bias<float>>, kernel<multiply_bias<double>>},
    {kernel<multiply_with_scratch<float>>, kernel<multiply_with_scratch<double>>},
    {kernel<multiply_with_scratch_bias<float>>, kernel<multiply_with_scratch_bias<double>>},
    {kernel<pack<float>>, kernel<pack<double>>},
    {kernel<multiply_packed<float>>, kernel<multiply_packed<double>>},
    {kernel<multiply_packed_bias<float>>, kernel<multiply_packed_bias<double>>},
    {kernel<multiply_turned<float>>, kernel<multiply_turned<double>>},
    {kernel<pack_b_multiply<float>>, kernel<pack_b_multiply<double>>},
    kUsualRows,
    kSideBySideRows,
    {kTileColumns<float>, kTileColumns<double>},
};

}  // namespace fastnn::FASTNN_ISA
