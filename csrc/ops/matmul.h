// Matrix product; dense is the same kernels under another name, with a bias.
//
//     C[m, n] = bias[n] + sum over k of A[m, k] * B[k, n]        for each matrix of a batch
//
// Shapes     A (..., M, K) or, transposed, (..., K, M); B (..., K, N) or, transposed, (..., N, K); C (..., M, N); bias (N,) or
//            none. All row-major; the leading axes are equal and make one batch axis.
// Backward   dA = dC B^T, dB = A^T dC: the same kernel with other transpositions; nothing is saved.
// Writes     every element of C once.
// Aliasing   none.
// Scratch    none. A transposed B is first copied into the workspace as (K, N).
// Requires   float or double.
// Edges      K = 0 gives bias or 0. NaN and infinities propagate as in the sum.
// Tasks      blocks of rows times panels of columns, and before them, for a transposed B, panels of its copy.
// Numerics   one chain of fused multiply-adds over k in order: |error| <= K eps sum |a||b|. A row's bits do not depend on M.
// Cost       2 M N K flop; M K + K N + M N elements.
// Source     Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008. At the sizes of small networks
//            (a panel of B within the second-level cache) packing B buys nothing: 116 GFLOP/s with and without (float, Zen 4).
#pragma once

#include "ops/op.h"

namespace fastnn {

struct GemmShape {
  int64_t batch, M, N, K;
  int64_t a_row, a_k;                 // strides of A in elements
  int64_t b_k;                        // stride of B (of its copy, if transposed) between values of k
  int64_t a_batch, b_batch, c_batch;  // strides between the matrices of a batch
  int64_t row_block, column_block;    // of C, per task
  int64_t row_tasks, column_tasks;
};

struct GemmKernels {            // [0] for float, [1] for double
  KernelFn multiply[2];         // C, A, B
  KernelFn multiply_bias[2];    // C, A, B, bias or null
  KernelFn copy_transposed[2];  // C, A, B, workspace: writes the workspace
  KernelFn multiply_copied[2];  // C, A, B, workspace: multiplies what stands there
};
FASTNN_PER_ISA(GemmKernels, gemm_kernels)

struct GemmOptions {
  bool transpose_a = false, transpose_b = false;
  bool bias = false;  // a fourth buffer follows; not with transpose_b
};
KernelPlan plan_gemm(Isa isa, DType dtype, int64_t batch, int64_t M, int64_t N, int64_t K, GemmOptions options);

}  // namespace fastnn
