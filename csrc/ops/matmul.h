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
// Scratch    none, but for a transposed A and K from 256 a copy of 128 k of both. A transposed B is first copied into the
//            workspace as (K, N).
// Requires   float or double.
// Edges      K = 0 gives bias or 0. NaN and infinities propagate as in the sum.
// Tasks      blocks of rows times panels of columns of each matrix, or several small matrices; before them, for a transposed B,
//            panels of its copy.
// Numerics   one chain of fused multiply-adds over k in order: |error| <= K eps sum |a||b|. A row's bits do not depend on M.
// Cost       2 M N K flop; M K + K N + M N elements.
// Source     Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008. At the sizes of small networks
//            (a panel of B within the second-level cache) packing B buys nothing: 116 GFLOP/s with and without (float, Zen 4).
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

constexpr int64_t kLongChunk = 128;        // of K, copied at once where A is transposed
constexpr int64_t kLongRows = 16;          // no tile has more
constexpr int64_t kTransposeColumns = 64;  // of a transposed B, copied by one task

struct GemmKernels {            // [0] for float, [1] for double
  KernelFn multiply[2];         // C, A, B
  KernelFn multiply_bias[2];    // C, A, B, bias or null
  KernelFn copy_transposed[2];  // C, A, B, workspace: writes the workspace
  KernelFn multiply_copied[2];  // C, A, B, workspace: multiplies what stands there
  KernelFn multiply_long[2];    // C, A, B: of a transposed A and many k
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
