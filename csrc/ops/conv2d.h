// Two-dimensional convolution (a cross-correlation: the kernel is not flipped), channels-last.
//
//     y[b,oh,ow,f] = bias[f] + sum over kh, kw, c of x[b, oh*SH - top + kh, ow*SW - left + kw, c] * w[kh,kw,c,f]
//
// over the taps that lie inside the image.
//
// Shapes     x (B, H, W, C), w (KH, KW, C, F), bias (F,) or none, y (B, OH, OW, F). padding='valid': OH = (H - KH)/SH + 1, top = 0;
//            'same': OH = ceil(H/SH), top = max((OH-1)*SH + KH - H, 0)/2, rounded down. Widths likewise.
// Backward   conv2d_backward_input: dx[b,h,w,c] = sum over kh, kw, f of dy[b,oh,ow,f] * w[kh,kw,c,f] where oh*SH - top + kh = h.
//            conv2d_backward_kernel: dw[kh,kw,c,f] = sum over b, oh, ow of x[b, oh*SH - top + kh, ...] * dy[b,oh,ow,f].
//            dbias = sum of dy over (b, oh, ow) (op sum). x and w are saved.
// Writes     every element of y, dx or dw once (dw: once per block of samples, by the same task).
// Aliasing   none.
// Scratch    none. backward_input first writes w with each tap transposed and flipped into the workspace.
// Requires   float or double; strides, windows and images of any positive size.
// Edges      Taps outside the image contribute nothing, not even 0 * NaN. Empty batch: y and dx empty, dw zero. C = 0: y = bias.
//            A window larger than the image is an error with padding='valid'.
// Tasks      forward, backward_input: (samples, output rows, filters), each of some 20 microseconds. backward_kernel: blocks of dw,
//            each summing all samples in order, so no two tasks add into the same number.
// Numerics   one chain of fused multiply-adds per element: kh, kw, c (or f) for y and dx, hence independent of batch and blocks;
//            samples in order for dw. |error| <= length of the chain * eps * sum of |products|.
// Cost       2 B OH OW KH KW C F flop (less what padding cuts off); x, w and y read or written once.
// Source     Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD architectures", 2018: direct
//            convolution without im2col. dx as sums over taps of dy, by phases of the stride: as in a transposed convolution.
// Peers      Keras's and JAX's layout and 'same'; PyTorch stores (B, C, H, W) and (F, C, KH, KW).
#pragma once

#include "ops/window.h"

namespace fastnn {

struct Conv2dShape {
  int64_t B, C, F;
  Window height, width;
  // Forward and backward_input: what a task computes. The last of each may be smaller.
  int64_t samples, row_blocks, column_block;  // samples per task, parts the rows are cut into, columns per task
  int64_t sample_tasks, column_tasks;
  // backward_kernel: dw as a matrix of KH*KW*C rows and F columns.
  int64_t unit_rows, unit_tasks;      // rows that tiles do not cross, and the tasks these are cut into
  int64_t visit_samples, visit_rows;  // what a tile sums at a visit: output rows of one sample, or whole samples
  // backward_input's first step.
  int64_t turn_tasks;  // per tap
};

constexpr int64_t kTurnedFilters = 64;  // per task of that step

struct Conv2dKernels {          // [0] for float, [1] for double
  KernelFn forward[2];          // y, x, w, bias or null
  KernelFn turn_kernel[2];      // dx, dy, w, workspace: writes the workspace
  KernelFn backward_input[2];   // dx, dy, w, workspace
  KernelFn backward_kernel[2];  // dw, x, dy
};
FASTNN_PER_ISA(Conv2dKernels, conv2d_kernels)

}  // namespace fastnn
