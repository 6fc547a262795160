#include "ops/matmul.h"
#include "simd/packed_tile.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

template <typename Real>
FASTNN_INLINE void copy(Real* to, const Real* from, int64_t n) {
  for_each_vector<Real>(
      n, [&](int64_t i, auto lanes) __attribute__((always_inline)) { lanes.store(to + i, lanes.load(from + i)); });
}

template <typename Real>
void multiply_bias(Real* c, const Real* a, const Real* b, const Real* bias, const GemmShape& shape, int64_t task) {
  const int64_t column_task = task % shape.column_tasks, row_task = task / shape.column_tasks % shape.row_tasks;
  const int64_t first = task / shape.column_tasks / shape.row_tasks * shape.matrices;
  const int64_t end = first + shape.matrices < shape.batch.count ? first + shape.matrices : shape.batch.count;
  const int64_t m = row_task * shape.row_block, n = column_task * shape.column_block;
  const int64_t rows = m + shape.row_block < shape.M ? shape.row_block : shape.M - m;
  const int64_t columns = n + shape.column_block < shape.N ? shape.column_block : shape.N - n;
  Tile<Real> t;
  t.bias = bias == nullptr ? nullptr : bias + n;
  t.a_k = shape.a_k;
  t.b_k = shape.b_k;
  t.k = shape.K;
  t.start = bias == nullptr ? Start::zero : Start::bias;
  for (int64_t matrix = first; matrix < end; ++matrix) {
    int64_t index = matrix, a_at = 0, b_at = 0;
    for (int axis = shape.batch.axes - 1; axis >= 0; --axis) {
      const int64_t i = index % shape.batch.extent[axis];
      index /= shape.batch.extent[axis];
      a_at += i * shape.batch.a[axis];
      b_at += i * shape.batch.b[axis];
    }
    t.a = a + a_at + m * shape.a_row;
    t.b = b + b_at + n;
    t.c = c + (matrix * shape.M + m) * shape.N + n;
    run_strided_tiles(t, shape.a_row, shape.N, rows, columns);
  }
}

template <typename Real>
void multiply(Real* c, const Real* a, const Real* b, const GemmShape& shape, int64_t task) {
  multiply_bias<Real>(c, a, b, nullptr, shape, task);
}

// The sums of a block, chunk of K by chunk: the same chains of additions, over copies whose rows lie side by side.
template <typename Real>
void multiply_chunks(Real* c, const Real* a, const Real* b, Scratch scratch, const GemmShape& shape, int64_t task) {
  const int64_t m = task / shape.column_tasks * shape.row_block, n = task % shape.column_tasks * shape.column_block;
  const int64_t rows = m + shape.row_block < shape.M ? shape.row_block : shape.M - m;
  const int64_t columns = n + shape.column_block < shape.N ? shape.column_block : shape.N - n;
  Real *const of_a = scratch.as<Real>(), *const of_b = of_a + kChunk * shape.row_block;
  Tile<Real> t;
  t.a = of_a;
  t.a_k = rows;
  for (int64_t first = 0; first < shape.K; first += kChunk) {
    t.k = first + kChunk < shape.K ? kChunk : shape.K - first;
    t.start = first == 0 ? Start::zero : Start::accumulate;
    for (int64_t k = 0; k < t.k; ++k) copy(of_a + k * rows, a + (first + k) * shape.M + m, rows);
    for (int64_t k = 0; k < t.k; ++k) {
      for (int64_t j = 0; j < columns; j += kPackedColumns<Real>) {
        const int64_t width = columns - j < kPackedColumns<Real> ? columns - j : kPackedColumns<Real>;
        copy(of_b + j * t.k + k * width, b + (first + k) * shape.N + n + j, width);
      }
    }
    for (int64_t j = 0; j < columns; j += kPackedColumns<Real>) {
      const int64_t width = columns - j < kPackedColumns<Real> ? columns - j : kPackedColumns<Real>;
      t.b = of_b + j * t.k;
      t.b_k = width;
      t.c = c + m * shape.N + n + j;
      if (width == kPackedColumns<Real>) {
        run_packed_tiles<Real>({t.a, t.b, t.c, nullptr, 1, rows, shape.N, t.k, t.start}, rows);
      } else {
        run_strided_tiles(t, 1, shape.N, rows, width);
      }
    }
  }
}

template <typename Real>
void multiply_copied(Real* c, const Real* a, const Real*, const Real* copy, const GemmShape& shape, int64_t task) {
  multiply_bias<Real>(c, a, copy, nullptr, shape, task);
}

// The workspace becomes B as (K, N) from B as (N, K), in panels of columns.
template <typename Real>
void copy_transposed(Real*, const Real*, const Real* b, Real* copy, const GemmShape& shape, int64_t task) {
  const int64_t panels = (shape.N + kTransposeColumns - 1) / kTransposeColumns;
  const int64_t matrix = task / panels, n = task % panels * kTransposeColumns;
  const int64_t columns = n + kTransposeColumns < shape.N ? kTransposeColumns : shape.N - n;
  const Real* from = b + (matrix * shape.N + n) * shape.K;
  transpose(copy + matrix * shape.K * shape.N + n, shape.N, from, shape.K, columns, shape.K);
}

}  // namespace

const GemmKernels gemm_kernels = {
    {kernel<multiply<float>>, kernel<multiply<double>>},
    {kernel<multiply_bias<float>>, kernel<multiply_bias<double>>},
    {kernel<copy_transposed<float>>, kernel<copy_transposed<double>>},
    {kernel<multiply_copied<float>>, kernel<multiply_copied<double>>},
    {kernel<multiply_chunks<float>>, kernel<multiply_chunks<double>>},
};

}  // namespace fastnn::FASTNN_ISA
