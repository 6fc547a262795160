// Matrix product; dense is the same kernels under another name, with a bias.
//
//     C[m, n] = bias[n] + sum over k of A[m, k] * B[k, n]        for each matrix of a batch
//
// and of one product perhaps an epilogue, elementwise with one more array D of C's shape: max(C, 0), C + D, C D, or C where D > 0.
//
// Shapes     A (..., M, K) or, transposed, (..., K, M); B (..., K, N) or, transposed, (..., N, K); C (..., M, N); bias (N,) or
//            none. All row-major; the leading axes broadcast as NumPy's do, and those along which both operands move as along
//            one are one. One B for all matrices of an A that is not transposed is one product of all their rows.
// Backward   dA = dC B^T, dB = A^T dC: the same kernel with other transpositions, summed over the axes along which the operand
//            was stretched; nothing is saved.
// Writes     every element of C once.
// Aliasing   none.
// Scratch    where a task packs what it multiplies, a piece of a panel of B, and perhaps of a block of A. Where it may leave out zeros,
//            64 x 64 numbers of B, as many columns of its rows of C, and marks. Where operands are packed first, a workspace as large
//            as they are.
// Requires   float or double.
// Edges      K = 0 gives bias or 0. NaN and infinities propagate as in the sum.
// Tasks      blocks of rows times blocks of columns of each matrix, or several small matrices.
// Numerics   one chain of fused multiply-adds over k in order: |error| <= K eps sum |a||b|. A row's bits do not depend on M. Of 16 or
//            more rows of A the products of zeros are left out of it where there are many and what they would meet is finite: that changes
//            no bit, but perhaps the sign of a 0 in C.
// Cost       2 M N K flop; M K + K N + M N elements.
// Source     Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008. At the sizes of small networks
//            (a panel of B within the second-level cache) packing B buys nothing on a Zen 4: 116 GFLOP/s with and without. But
//            rows that lie a kilobyte or more apart are read ahead by no processor, and fight for few lines of a cache where that
//            is a power of two: then a task packs what it multiplies (Cascade Lake: 512 cubed took 1.6 times as long without).
//            Where operands and result do not fit into a second-level cache, packing once and for all is faster still (there, two
//            threads: 512 cubed 217 to 240 GFLOP/s against 167 to 182), and where they do it is slower by as much. Where some
//            hundred rows meet B, or A of a gradient has short rows, they are read where they lie by processors that do so as fast; and
//            C^T = B^T A^T is computed where that spares packing the larger operand.
#pragma once

#include "ops/elementwise.h"
#include "ops/epilogue.h"

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
  int64_t row_block, column_block;  // of C, per task
  int64_t row_tasks, column_tasks;
  int64_t matrices;  // per task; several only where one block is a whole matrix
  bool b_transposed;
  bool skips_zeros;  // of A, where most numbers are 0
  bool packs;        // B, and not fetches it
  bool copies_a;     // of what a task packs
  int64_t piece;     // of K, packed or fetched at a time; 0: nothing is
  Epilogue epilogue;
};

// Where products of zeros are left out: how many k have marks in one word, and how many rows and columns of C are summed at a time.
constexpr int64_t kMarks = 64, kSkippingRows = 64, kSkippingColumns = 64;

// B packed in a step of its own, in panels of columns, and perhaps with it a transposed A, in tiles of rows, [k][row] each, one after
// the other. Another A is read where it lies, or from a copy if its rows lie in each other's way.
struct PackedGemmShape {
  int64_t M, N, K;
  bool a_transposed, b_transposed;
  int64_t height;                               // the most rows of a tile
  int64_t b_begins;                             // where B lies in the workspace
  int64_t checks, checks_begin;                 // tasks that pack B and say there whether it is finite, 0 or 1; 0: none does
  int64_t a_row;                                // between rows of an A that is not transposed
  int64_t a_block, b_block;                     // what a task packs: rows of memory
  int64_t b_parts;                              // of K, among which tasks that pack a transposed B divide its rows
  int64_t a_tasks;                              // tasks that pack A, before those that pack B; 0: A is read where it lies
  int64_t piece;                                // of K, multiplied at a time
  int64_t tile_block, column_block, row_tasks;  // tiles and columns of C, per task
  bool turned;                                  // the result is written as (N, M)
  bool skips_zeros;                             // of A, where most numbers are 0, or of a turned product's B
  Epilogue epilogue;
};

constexpr int64_t kPackedColumns = 32;  // the most that a register tile has
constexpr int64_t kGap = 16;            // elements between packed rows of A, whose distance is then no power of two

struct GemmKernels {                       // [0] for float, [1] for double
  KernelFn multiply[2];                    // C, A, B
  KernelFn multiply_bias[2];               // C, A, B, bias or null, the epilogue's other or null
  KernelFn multiply_with_scratch[2];       // C, A, B: packs, or skips zeros
  KernelFn multiply_with_scratch_bias[2];  // C, A, B, bias or null, other or null
  KernelFn pack[2];                        // workspace, A, B
  KernelFn multiply_packed[2];             // C, workspace, A
  KernelFn multiply_packed_bias[2];        // C, workspace, A, bias or null, other or null
  KernelFn multiply_turned[2];             // C turned, workspace or null, A, B, other or null
  KernelFn pack_b_multiply[2];             // C, or C turned, workspace or A, B
  int tile_rows, side_by_side_rows, tile_columns[2];
};
FASTNN_PER_ISA(GemmKernels, gemm_kernels)

struct GemmOptions {
  bool transpose_a = false, transpose_b = false;
  size_t bias = kNoOperand;  // which of the op's buffers, C, A and B being the first three
  Epilogue epilogue = Epilogue::none;
  size_t other = kNoOperand;  // the epilogue's
  size_t workspace = 3;       // the op's first
  int tile_rows = 0;          // of what pack_gemm packs, at most; 0: what suits the kernels
  bool skips_zeros = false;   // of what pack_gemm packs B for: whether B is finite is checked
};
// A product that packs its operands, or with `packs_b` false only A, in a step of its own, up to that step. Whoever multiplies
// sets tile_block, column_block and row_tasks.
struct PackedGemm {
  PackedGemmShape shape;
  KernelStep pack;  // its operands, a workspace, A and B, are to be named
  size_t workspace_bytes;
};
PackedGemm pack_gemm(Isa isa, DType dtype, int64_t M, int64_t N, int64_t K, GemmOptions options, bool packs_b = true);
KernelPlan plan_gemm(Isa isa, DType dtype, GemmBatch batch, int64_t M, int64_t N, int64_t K, GemmOptions options);
inline KernelPlan plan_gemm(Isa isa, DType dtype, int64_t batch, int64_t M, int64_t N, int64_t K, GemmOptions options) {
  return plan_gemm(isa, dtype, GemmBatch::equal(batch), M, N, K, options);
}

}  // namespace fastnn
