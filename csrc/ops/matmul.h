// Matrix product; dense is the same kernels under another name, with a bias.
//
//     C[m, n] = bias[n] + sum over k of A[m, k] * B[k, n]        for each matrix of a batch
//
// Shapes     A (..., M, K) or, transposed, (..., K, M); B (..., K, N) or, transposed, (..., N, K); C (..., M, N); bias (N,) or
//            none. All row-major; the leading axes broadcast as NumPy's do, and those along which both operands move as along
//            one are one. One B for all matrices of an A that is not transposed is one product of all their rows.
// Backward   dA = dC B^T, dB = A^T dC: the same kernel with other transpositions, summed over the axes along which the operand
//            was stretched; nothing is saved.
// Writes     every element of C once.
// Aliasing   none.
// Scratch    none, but where K is long and A transposed: chunks of K, of A and B. A transposed B is first copied into the workspace
//            as (K, N).
// Requires   float or double.
// Edges      K = 0 gives bias or 0. NaN and infinities propagate as in the sum.
// Tasks      blocks of rows times panels of columns of each matrix, or several small matrices; before them, for a transposed B,
//            panels of its copy.
// Numerics   one chain of fused multiply-adds over k in order: |error| <= K eps sum |a||b|. A row's bits do not depend on M.
// Cost       2 M N K flop; M K + K N + M N elements.
// Source     Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008. At the sizes of small networks
//            (a panel of B within the second-level cache) packing B buys nothing: 116 GFLOP/s with and without (float, Zen 4).
//            A weight's gradient over thousands of rows is the exception: a column panel of B then has a number in each of
//            thousands of pages, and rows of 4 KiB share a few places of the cache.
#pragma once

#include "ops/elementwise.h"

namespace fastnn {

// The matrices of C in order, as axes, and how A and B move along each: in matrices, and in a GemmShape in elements.
struct GemmBatch {
  int axes = 0;
  int64_t extent[kMaxAxes], a[kMaxAxes], b[kMaxAxes];
  int64_t count = 1;       // matrices of C
  int64_t b_matrices = 1;  // of B as it lies in memory

  static GemmBatch equal(int64_t count);  // as many of A and B as of C
  static GemmBatch broadcast(const Dims& a, const Dims& b, const Dims& c);
};

struct GemmShape {
  GemmBatch batch;
  int64_t M, N, K;
  int64_t a_row, a_k;               // strides of A in elements
  int64_t b_k;                      // stride of B (of its copy, if transposed) between values of k
  int64_t row_block, column_block;  // of C, per task
  int64_t row_tasks, column_tasks;
  int64_t matrices;  // per task; several only where one block is a whole matrix
};

constexpr int64_t kChunk = 128;  // of K, copied before it is multiplied

constexpr int64_t kTransposeColumns = 64;  // of a transposed B, copied by one task

struct GemmKernels {            // [0] for float, [1] for double
  KernelFn multiply[2];         // C, A, B
  KernelFn multiply_bias[2];    // C, A, B, bias or null
  KernelFn copy_transposed[2];  // C, A, B, workspace: writes the workspace
  KernelFn multiply_copied[2];  // C, A, B, workspace: multiplies what stands there
  KernelFn multiply_chunks[2];  // C, A (transposed), B
};
FASTNN_PER_ISA(GemmKernels, gemm_kernels)

struct GemmOptions {
  bool transpose_a = false, transpose_b = false;
  bool bias = false;  // a fourth buffer follows; not with transpose_b
};
KernelPlan plan_gemm(Isa isa, DType dtype, GemmBatch batch, int64_t M, int64_t N, int64_t K, GemmOptions options);
inline KernelPlan plan_gemm(Isa isa, DType dtype, int64_t batch, int64_t M, int64_t N, int64_t K, GemmOptions options) {
  return plan_gemm(isa, dtype, GemmBatch::equal(batch), M, N, K, options);
}

}  // namespace fastnn
