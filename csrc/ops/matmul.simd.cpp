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

// A transposed and many k: what a tile reads of both lies in rows that are far apart, a page or so from k to k, so nothing fetches
// them ahead and they share few sets of the first-level cache. A chunk of k at a time is copied side by side.
template <typename Real>
void multiply_long(Real* c, const Real* a, const Real* b, Scratch scratch, const GemmShape& shape, int64_t task) {
  const int64_t column_task = task % shape.column_tasks, row_task = task / shape.column_tasks % shape.row_tasks;
  const int64_t matrix = task / shape.column_tasks / shape.row_tasks;
  const int64_t m = row_task * shape.row_block, n = column_task * shape.column_block;
  const int64_t rows = m + shape.row_block < shape.M ? shape.row_block : shape.M - m;
  const int64_t columns = n + shape.column_block < shape.N ? shape.column_block : shape.N - n;
  a += matrix * shape.K * shape.M + m;
  b += matrix * shape.K * shape.N + n;
  c += (matrix * shape.M + m) * shape.N + n;
  static_assert(kTileRows <= kLongRows);
  Real* const of_b = scratch.as<Real>();
  Real* const of_a = of_b + kLongChunk * shape.column_block;
  int64_t a_rows[kTileRows], c_rows[kTileRows];
  for (int r = 0; r < kTileRows; ++r) {
    a_rows[r] = r;
    c_rows[r] = r * shape.N;
  }
  Tile<Real> t;
  t.a = of_a;
  t.b = of_b;
  t.a_rows = a_rows;
  t.c_rows = c_rows;
  t.a_k = kTileRows;
  t.b_k = columns;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  for (int64_t k = 0; k < shape.K; k += kLongChunk) {
    t.k = k + kLongChunk < shape.K ? kLongChunk : shape.K - k;
    t.start = k == 0 ? Start::zero : Start::accumulate;
    const auto copy = [&t](Real* to, const Real* from, int64_t step, int64_t size, int64_t to_step)
                          __attribute__((always_inline)) {
                            for (int64_t i = 0; i < t.k; ++i) {
                              for_each_vector<Real>(size, [&](int64_t j, auto lanes) __attribute__((always_inline)) {
                                lanes.store(to + i * to_step + j, lanes.load(from + i * step + j));
                              });
                            }
                          };
    copy(of_b, b + k * shape.N, shape.N, columns, columns);
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t first = rows * i / tiles, end = rows * (i + 1) / tiles;
      copy(of_a, a + k * shape.M + first, shape.M, end - first, kTileRows);
      t.c = c + first * shape.N;
      run_tile_row(t, end - first, columns);
    }
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
    {kernel<multiply_long<float>>, kernel<multiply_long<double>>},
};

}  // namespace fastnn::FASTNN_ISA
