#include "ops/matmul.h"
#include "simd/tile.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

// What a task computes: rows and columns of some matrices.
struct Block {
  int64_t first, end;  // matrices
  int64_t panel, m, rows, n, columns;
};
FASTNN_INLINE Block block_of(const GemmShape& shape, int64_t task) {
  const int64_t blocks = shape.row_tasks * shape.column_tasks, block = task % blocks;
  const int64_t row = shape.rows_first ? block % shape.row_tasks : block / shape.column_tasks;
  const int64_t panel = shape.rows_first ? block / shape.row_tasks : block % shape.column_tasks;
  const int64_t m = row * shape.row_block, n = panel * shape.column_block, first = task / blocks * shape.matrices;
  return {first,
          first + shape.matrices < shape.batch.count ? first + shape.matrices : shape.batch.count,
          panel,
          m,
          m + shape.row_block < shape.M ? shape.row_block : shape.M - m,
          n,
          n + shape.column_block < shape.N ? shape.column_block : shape.N - n};
}

// Some rows of a panel of B, side by side: `columns` columns from n on, for k from `first` to `end`.
template <typename Real>
FASTNN_INLINE void pack_panel(Real* to, const Real* b, const GemmShape& shape, int64_t n, int64_t columns, int64_t first,
                              int64_t end) {
  if (shape.b_transposed) {
    transpose(to, shape.column_block, b + n * shape.K + first, shape.K, columns, end - first);
    return;
  }
  constexpr int64_t kAhead = 16;  // rows: they lie further apart than the processor looks ahead by itself
  for (int64_t k = first; k < end; ++k, to += shape.column_block) {
    const Real* const from = b + k * shape.N + n;
    for_each_vector<Real>(columns, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      __builtin_prefetch(from + kAhead * shape.N + i);
      lanes.store(to + i, lanes.load(from + i));
    });
  }
}

enum class Packed { no, here, before };

// `packed` is the workspace, or room for a panel.
template <typename Real, Packed how>
FASTNN_INLINE void multiply_block(Real* c, const Real* a, const Real* b, const Real* bias, Real* packed, const GemmShape& shape,
                                  int64_t task) {
  const Block block = block_of(shape, task);
  Tile<Real> t;
  t.bias = bias == nullptr ? nullptr : bias + block.n;
  t.a_k = shape.a_k;
  t.b_k = how == Packed::no ? shape.N : shape.column_block;
  t.k = shape.K;
  t.start = bias == nullptr ? Start::zero : Start::bias;
  for (int64_t matrix = block.first; matrix < block.end; ++matrix) {
    int64_t index = matrix, a_at = 0, b_at = 0;
    for (int axis = shape.batch.axes - 1; axis >= 0; --axis) {
      const int64_t i = axis > 0 ? index % shape.batch.extent[axis] : index;
      index = axis > 0 ? index / shape.batch.extent[axis] : 0;
      a_at += i * shape.batch.a[axis];
      b_at += i * shape.batch.b[axis];
    }
    t.a = a + a_at + block.m * shape.a_row;
    if (how == Packed::here) pack_panel(packed, b + b_at, shape, block.n, block.columns, 0, shape.K);
    t.b = how == Packed::no     ? b + b_at + block.n
          : how == Packed::here ? packed
                                : packed + b_at + block.panel * shape.K * shape.column_block;
    t.c = c + (matrix * shape.M + block.m) * shape.N + block.n;
    run_strided_tiles(t, shape.a_row, shape.N, block.rows, block.columns);
  }
}

template <typename Real>
void multiply(Real* c, const Real* a, const Real* b, const GemmShape& shape, int64_t task) {
  multiply_block<Real, Packed::no>(c, a, b, nullptr, nullptr, shape, task);
}
template <typename Real>
void multiply_bias(Real* c, const Real* a, const Real* b, const Real* bias, const GemmShape& shape, int64_t task) {
  multiply_block<Real, Packed::no>(c, a, b, bias, nullptr, shape, task);
}
template <typename Real>
void pack_multiply(Real* c, const Real* a, const Real* b, Scratch scratch, const GemmShape& shape, int64_t task) {
  multiply_block<Real, Packed::here>(c, a, b, nullptr, scratch.as<Real>(), shape, task);
}
template <typename Real>
void pack_multiply_bias(Real* c, const Real* a, const Real* b, const Real* bias, Scratch scratch, const GemmShape& shape,
                        int64_t task) {
  multiply_block<Real, Packed::here>(c, a, b, bias, scratch.as<Real>(), shape, task);
}
template <typename Real>
void multiply_packed(Real* c, const Real* a, const Real* b, Real* packed, const GemmShape& shape, int64_t task) {
  multiply_block<Real, Packed::before>(c, a, b, nullptr, packed, shape, task);
}

// The workspace has the panels of each matrix of B one after the other, all of one size.
template <typename Real>
void pack(Real*, const Real*, const Real* b, Real* packed, const GemmShape& shape, int64_t task) {
  const int64_t parts = (shape.K + kPackedRows - 1) / kPackedRows, panel = task / parts, first = task % parts * kPackedRows;
  const int64_t n = panel % shape.column_tasks * shape.column_block;
  pack_panel(packed + (panel * shape.K + first) * shape.column_block, b + panel / shape.column_tasks * shape.K * shape.N, shape,
             n, n + shape.column_block < shape.N ? shape.column_block : shape.N - n, first,
             first + kPackedRows < shape.K ? first + kPackedRows : shape.K);
}

}  // namespace

const GemmKernels gemm_kernels = {
    {kernel<multiply<float>>, kernel<multiply<double>>},
    {kernel<multiply_bias<float>>, kernel<multiply_bias<double>>},
    {kernel<pack_multiply<float>>, kernel<pack_multiply<double>>},
    {kernel<pack_multiply_bias<float>>, kernel<pack_multiply_bias<double>>},
    {kernel<pack<float>>, kernel<pack<double>>},
    {kernel<multiply_packed<float>>, kernel<multiply_packed<double>>},
};

}  // namespace fastnn::FASTNN_ISA
