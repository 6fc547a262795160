// Two-dimensional convolution of each channel with a window of its own, channels-last.
//
//     y[b,oh,ow,c] = bias[c] + sum over kh, kw of x[b, oh*SH - top + kh*DH, ow*SW - left + kw*DW, c] * w[kh,kw,c]
//
// over the taps inside the image. Channels are the lanes, so nothing is multiplied that is not needed; conv2d with as many groups
// as channels computes the same, one channel at a time.
//
// Shapes     x (B, H, W, C), w (KH, KW, C, 1), bias (C,) or none, y (B, OH, OW, C); OH, OW, top and left as in ops/conv2d.h.
//            Several filters per channel are made of channels that are repeated first, in Python.
// Backward   depthwise_conv2d_backward_input: dx[b,h,v,c] = sum of dy[b,oh,ow,c] * w[kh,kw,c] over the taps with oh*SH - top +
//            kh*DH = h, ow*SW - left + kw*DW = v. depthwise_conv2d_backward_kernel: dw[kh,kw,c] = sum over b, oh, ow of
//            x[...] * dy[b,oh,ow,c]. dbias is the sum of dy (op sum). x and w are saved.
// Writes     every element of y, dx and dw once.
// Aliasing   none.
// Scratch    none. backward_kernel: a workspace of one dw per chunk of rows.
// Requires   float or double; along one axis the stride or the dilation is 1.
// Edges      Taps outside the image contribute nothing, not even 0 * NaN. Empty batch: dw is 0.
// Tasks      forward and backward_input: blocks of rows of the result, of all samples. backward_kernel: chunks of output rows, as
//            many as the shape says, whose sums a second step adds in order.
// Numerics   one chain of fused multiply-adds per element, over the taps in order; of dw one per chunk, then the chunks.
// Cost       2 KH KW flop per element of y; x and y once. With 3 x 3 windows in first-level cache it is bound by loads.
// Source     Chollet, "Xception: deep learning with depthwise separable convolutions", 2017.
// Peers      Keras stores w as we do; PyTorch has it as conv2d with groups.
#pragma once

#include "ops/conv2d.h"

namespace fastnn {

struct DepthwiseShape {
  int64_t B, C;
  Window height, width;
  int64_t rows, row_block;  // of the result, of all samples; of a task
  int64_t chunks;           // backward_kernel: of output rows, row_block each
  int64_t taps;             // KH * KW
};

constexpr int64_t kDepthwiseColumns = 64;  // per task where chunks are added

struct DepthwiseKernels {       // [0] for float, [1] for double
  KernelFn forward[2];          // y, x, w, bias or null
  KernelFn backward_input[2];   // dx, dy, w
  KernelFn backward_kernel[2];  // dw, x, dy, workspace: writes the workspace
  KernelFn add_chunks[2];       // dw, x, dy, workspace
};
FASTNN_PER_ISA(DepthwiseKernels, depthwise_kernels)

}  // namespace fastnn
