// Two-dimensional convolution (a cross-correlation: the kernel is not flipped), channels-last.
//
//     y[b,oh,ow,f] = bias[f] + sum over kh, kw, c of
//                    x[b, oh*SH - top + kh*DH, ow*SW - left + kw*DW, c] * w[kh,kw,c,f]
//
// over the taps (kh, kw) that lie inside the image. With G groups filter f belongs to group g = f / (F/G) and
// reads the channels g*C/G + c of x, 0 <= c < C/G.
//
// Shapes     x (B, H, W, C), w (KH, KW, C/G, F), bias (F,) or none, y (B, OH, OW, F). With R = (KH-1)*DH + 1,
//            the window's reach: padding='valid': OH = (H - R)/SH + 1, top = 0. padding='same': OH = ceil(H/SH)
//            and top = max((OH-1)*SH + R - H, 0)/2, rounded down. padding='causal': the same OH, top = R - 1.
//            Widths likewise.
// Backward   conv2d_backward_input: dx[b,h,v,c] = sum of dy[b,oh,ow,f] * w[kh,kw,c,f] over f and the taps
//            with oh*SH - top + kh*DH = h, ow*SW - left + kw*DW = v. conv2d_backward_kernel: dw[kh,kw,c,f] =
//            sum over b, oh, ow of x[b, oh*SH - top + kh*DH, ow*SW - left + kw*DW, c] * dy[b,oh,ow,f]. dbias is
//            the sum of dy over b, oh, ow (op sum). x and w are saved. The transposed convolution is
//            conv2d_backward_input under another name.
// Epilogues  y: relu or add; dx: add, multiply or relu_backward; see ops/epilogue.h. They come to a task's results, of dx by
//            Winograd's way to whole samples, while a cache has them.
// Writes     every element of y and dx once, and again by an epilogue; of dw once per block of samples, always by the same task.
// Aliasing   none.
// Scratch    none. backward_input first writes w, turned round and transposed, into the workspace.
// Requires   float or double; strides and windows of any positive size; along one axis the stride or the
//            dilation D is 1.
// Ways       "winograd", of 3 x 3 kernels of stride 1 where it pays: see ops/winograd.h for what it needs and how it rounds.
//            "direct" everywhere; the rest is about it.
// Edges      Taps outside the image contribute nothing, not even 0 * NaN. Empty batch: y and dx are empty, dw
//            is zero. C = 0: y = bias. A window larger than the image is an error with padding='valid'.
// Tasks      forward and backward_input: groups of samples, or parts of one by rows or columns, some 20
//            microseconds each. backward_kernel: blocks of dw, each of which sums all samples in order, so
//            that no two tasks add to the same number.
// Numerics   y and dx: one chain of fused multiply-adds per element in the order of the taps, hence the same
//            bits in any batch. dw: one chain over samples and outputs. |error| <= length * eps * sum of
//            |products|.
// Cost       2 B OH OW KH KW C/G F flop, less what padding cuts off; x, w and y once. A group is a convolution
//            of its own, so tiles are only as wide as F/G: for G = C see depthwise_conv2d.
// Source     Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD
//            architectures", 2018, for convolution without im2col.
// Peers      Keras's and JAX's layout and 'same'; PyTorch stores (B, C, H, W) and (F, C, KH, KW).
#pragma once

#include "ops/epilogue.h"
#include "ops/window.h"

namespace fastnn {

struct Conv2dShape {
  int64_t B, C, F;
  int64_t groups;
  Window height, width;
  // Columns are filters or, of dx, channels: how many a task computes, and how many parts that makes.
  int64_t column_block, column_tasks;
  // Forward and backward_input: the parts that the samples and the rows of each are cut into.
  int64_t sample_tasks, row_blocks;
  // backward_input's first step: tasks per tap.
  int64_t turn_tasks;
  // backward_kernel: dw is a matrix of KH*KW*C/G rows and F columns. Tiles do not cross units of its rows, and
  // a task has a part of a unit, for the columns of one group. At a visit a tile sums some samples, or some output rows of one.
  int64_t unit_rows, unit_tasks;
  int64_t visit_samples, visit_rows;
  Epilogue epilogue;  // forward and backward_input
};

constexpr int64_t kTurnedFilters = 64;  // per task of backward_input's first step

struct Conv2dKernels {          // [0] for float, [1] for double
  KernelFn forward[2];          // y, x, w, bias or null, the epilogue's other or null
  KernelFn turn_kernel[2];      // workspace, w
  KernelFn backward_input[2];   // dx, dy, w, other or null, workspace
  KernelFn backward_kernel[2];  // dw, x, dy
};
FASTNN_PER_ISA(Conv2dKernels, conv2d_kernels)

// Shared with conv2d_block. Checks x, w and bias, the first three operands.
void expect_convolution(const Call& call, int64_t groups);
Conv2dShape shape_of(const Shape& images, const ImageWindow& window, const Extent& C, const Extent& F);
// How many tasks to make of what is worth so many: numbers that give two or four threads equal shares. The little work of a prediction
// for one sample is cut finer: opening a step costs less than a microsecond. (The CNN for MNIST, two threads: 10 % less time.)
int64_t equal_shares(double tasks);
// Cuts `rows` by `columns` results of every sample into tasks and returns how many: whole samples, several where they are
// small; parts of them where the batch is too small to make 16 tasks that are worth it. `inner` is what each sums per tap.
int64_t cut_images(Conv2dShape& shape, int64_t rows, int64_t columns, int64_t inner);
inline int64_t parts(int64_t whole, int64_t part) { return part > 0 ? (whole + part - 1) / part : 0; }

}  // namespace fastnn
