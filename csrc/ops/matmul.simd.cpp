#include "ops/matmul.h"
#include "simd/tile.h"
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
FASTNN_INLINE void multiply_in_place(const Block<Real>& block, const GemmShape& shape) {
  Tile<Real> t;
  t.a = block.a, t.b = block.b + block.n, t.c = block.c;
  t.a_k = shape.a_k, t.b_k = shape.N, t.k = shape.K;
  t.bias = block.bias;
  t.start = block.bias == nullptr ? Start::zero : Start::bias;
  run_strided_tiles(t, shape.a_row, shape.N, block.rows, block.columns);
}

// Rows `first` to `end` of some columns of B, side by side.
template <typename Real>
FASTNN_INLINE void pack_columns(Real* to, const Real* b, const GemmShape& shape, int64_t n, int64_t columns, int64_t first,
                                int64_t end) {
  if (shape.b_transposed) {
    transpose(to, kTileColumns<Real>, b + n * shape.K + first, shape.K, columns, end - first);
    return;
  }
  constexpr int64_t kAhead = 16;
  for (int64_t k = first; k < end; ++k, to += kTileColumns<Real>) {
    const Real* const from = b + k * shape.N + n;
    for_each_vector<Real>(columns, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      __builtin_prefetch(from + kAhead * shape.N + i);
      lanes.store(to + i, lanes.load(from + i));
    });
  }
}

// A piece of K at a time. All rows of the block meet a panel of B while the second-level cache holds it.
template <typename Real>
FASTNN_INLINE void multiply_packing(const Block<Real>& block, Real* scratch, const GemmShape& shape) {
  constexpr int64_t panel = kTileColumns<Real>;
  Real* const copy = scratch + shape.piece * panel;
  Tile<Real> t;
  t.b = scratch, t.b_k = panel, t.a_k = shape.a_k;
  int64_t a_row = shape.a_row;
  int64_t k = 0;
  do {  // once where K is 0
    const int64_t end = k + shape.piece < shape.K ? k + shape.piece : shape.K;
    t.k = end - k;
    t.a = block.a + k * shape.a_k;
    if (shape.copies_a) {
      const bool turned = shape.a_row == 1;  // (K, rows) lies in memory
      const int64_t lines = turned ? t.k : block.rows, length = turned ? block.rows : t.k;
      const int64_t line = length + kGap, from_line = turned ? shape.a_k : shape.a_row;
      for (int64_t i = 0; i < lines; ++i) {
        const Real* const from = t.a + i * from_line;
        for_each_vector<Real>(length, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
          lanes.store(copy + i * line + j, lanes.load(from + j));
        });
      }
      t.a = copy;
      (turned ? t.a_k : a_row) = line;
    }
    for (int64_t n = 0; n < block.columns; n += panel) {
      const int64_t columns = block.columns - n < panel ? block.columns - n : panel;
      pack_columns(scratch, block.b, shape, block.n + n, columns, k, end);
      t.c = block.c + n;
      t.bias = block.bias == nullptr ? nullptr : block.bias + n;
      t.start = k > 0 ? Start::accumulate : block.bias == nullptr ? Start::zero : Start::bias;
      run_strided_tiles(t, a_row, shape.N, block.rows, columns);
    }
    k = end;
  } while (k < shape.K);
}

template <typename Real, bool packs>
FASTNN_INLINE void multiply_task(Real* c, const Real* a, const Real* b, const Real* bias, Real* scratch, const GemmShape& shape,
                                 int64_t task) {
  // Row by row within a panel of B, which the tasks of a thread then share: threads divide the larger operand between them.
  const int64_t row_task = task % shape.row_tasks, column_task = task / shape.row_tasks % shape.column_tasks;
  const int64_t first = task / shape.row_tasks / shape.column_tasks * shape.matrices;
  const int64_t end = first + shape.matrices < shape.batch.count ? first + shape.matrices : shape.batch.count;
  const int64_t m = row_task * shape.row_block, n = column_task * shape.column_block;
  const int64_t rows = m + shape.row_block < shape.M ? shape.row_block : shape.M - m;
  const int64_t columns = n + shape.column_block < shape.N ? shape.column_block : shape.N - n;
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
    if constexpr (packs) {
      multiply_packing(block, scratch, shape);
    } else {
      multiply_in_place(block, shape);
    }
  }
}

template <typename Real>
void multiply(Real* c, const Real* a, const Real* b, const GemmShape& shape, int64_t task) {
  multiply_task<Real, false>(c, a, b, nullptr, nullptr, shape, task);
}
template <typename Real>
void multiply_bias(Real* c, const Real* a, const Real* b, const Real* bias, const GemmShape& shape, int64_t task) {
  multiply_task<Real, false>(c, a, b, bias, nullptr, shape, task);
}
template <typename Real>
void pack_multiply(Real* c, const Real* a, const Real* b, Scratch scratch, const GemmShape& shape, int64_t task) {
  multiply_task<Real, true>(c, a, b, nullptr, scratch.as<Real>(), shape, task);
}
template <typename Real>
void pack_multiply_bias(Real* c, const Real* a, const Real* b, const Real* bias, Scratch scratch, const GemmShape& shape,
                        int64_t task) {
  multiply_task<Real, true>(c, a, b, bias, scratch.as<Real>(), shape, task);
}

}  // namespace

const GemmKernels gemm_kernels = {
    {kernel<multiply<float>>, kernel<multiply<double>>},
    {kernel<multiply_bias<float>>, kernel<multiply_bias<double>>},
    {kernel<pack_multiply<float>>, kernel<pack_multiply<double>>},
    {kernel<pack_multiply_bias<float>>, kernel<pack_multiply_bias<double>>},
};

}  // namespace fastnn::FASTNN_ISA
