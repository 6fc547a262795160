#include "ops/matmul.h"
#include "simd/tile.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

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
};

}  // namespace fastnn::FASTNN_ISA
