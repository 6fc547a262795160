#include "ops/matmul.h"
#include "simd/tile.h"

namespace fastnn::FASTNN_ISA {

namespace {

constexpr int64_t kTransposeColumns = 64;

template <typename Real>
void multiply_bias(Real* c, const Real* a, const Real* b, const Real* bias, const GemmShape& shape, int64_t task) {
  const int64_t column_task = task % shape.column_tasks, row_task = task / shape.column_tasks % shape.row_tasks;
  const int64_t matrix = task / shape.column_tasks / shape.row_tasks;
  const int64_t m = row_task * shape.row_block, n = column_task * shape.column_block;
  const int64_t rows = m + shape.row_block < shape.M ? shape.row_block : shape.M - m;
  const int64_t columns = n + shape.column_block < shape.N ? shape.column_block : shape.N - n;
  Tile<Real> t;
  t.a = a + matrix * shape.a_batch + m * shape.a_row;
  t.b = b + matrix * shape.b_batch + n;
  t.c = c + matrix * shape.c_batch + m * shape.N + n;
  t.bias = bias == nullptr ? nullptr : bias + n;
  t.a_k = shape.a_k;
  t.b_k = shape.b_k;
  t.k = shape.K;
  t.start = bias == nullptr ? Start::zero : Start::bias;
  run_strided_tiles(t, shape.a_row, shape.N, rows, columns);
}

template <typename Real>
void multiply(Real* c, const Real* a, const Real* b, const GemmShape& shape, int64_t task) {
  multiply_bias<Real>(c, a, b, nullptr, shape, task);
}

template <typename Real>
void multiply_copied(Real* c, const Real* a, const Real*, const Real* copy, const GemmShape& shape, int64_t task) {
  multiply_bias<Real>(c, a, copy, nullptr, shape, task);
}

// The workspace becomes B as (K, N) from B as (N, K), in panels of columns: reads run along k, and the 64 lines that are
// written stay in the first-level cache.
template <typename Real>
void copy_transposed(Real*, const Real*, const Real* b, Real* copy, const GemmShape& shape, int64_t task) {
  const int64_t panels = (shape.N + kTransposeColumns - 1) / kTransposeColumns;
  const int64_t matrix = task / panels, n = task % panels * kTransposeColumns;
  const int64_t end = n + kTransposeColumns < shape.N ? n + kTransposeColumns : shape.N;
  const Real* from = b + matrix * shape.K * shape.N;
  Real* to = copy + matrix * shape.K * shape.N;
  for (int64_t k0 = 0; k0 < shape.K; k0 += 16) {
    const int64_t k1 = k0 + 16 < shape.K ? k0 + 16 : shape.K;
    for (int64_t j = n; j < end; ++j) {
      for (int64_t k = k0; k < k1; ++k) to[k * shape.N + j] = from[j * shape.K + k];
    }
  }
}

}  // namespace

const GemmKernels gemm_kernels = {
    {kernel<multiply<float>>, kernel<multiply<double>>},
    {kernel<multiply_bias<float>>, kernel<multiply_bias<double>>},
    {kernel<copy_transposed<float>>, kernel<copy_transposed<double>>},
    {kernel<multiply_copied<float>>, kernel<multiply_copied<double>>},
};

}  // namespace fastnn::FASTNN_ISA
