// Two-dimensional pooling, channels-last.
//
//     max_pool2d       y[b,oh,ow,c] = max over kh, kw of x[b, oh*SH - top + kh, ow*SW - left + kw, c]
//                      argmax[b,oh,ow,c] = kh*KW + kw of that position
//     average_pool2d   y[b,oh,ow,c] = mean over kh, kw of the same
//
// over the positions inside the image.
//
// Shapes     x (B, H, W, C), y and argmax (B, OH, OW, C). OH, OW, top and left as in ops/conv2d.h.
// Backward   max: dx[b,h,w,c] = sum of dy[b,oh,ow,c] over the windows whose winner is (h, w); argmax is saved. average: the sum
//            of dy / (positions of the window) over the windows that see (h, w); nothing is saved.
// Writes     every element of y, argmax and dx once.
// Aliasing   none.
// Scratch    none.
// Requires   float or double; max: windows of at most 256 positions, so that argmax is one byte.
// Edges      Padding does not count, nor does what padding='ceil' lacks: an average divides by the positions inside the image.
//            Of equal values the first in row-major order wins; -0 equals 0. A NaN wins over every number, and the first NaN over
//            later ones. A position that no window chose gets 0, whatever dy holds.
// Tasks      blocks of output rows (forward) or image rows (backward), of all samples.
// Numerics   max is exact; sums are in row-major order, of the positions or of the windows.
// Cost       one comparison or addition per window position; x, y and argmax once. 2 x 2 windows: the speed of memory.
// Source     -
// Peers      Keras and PyTorch agree about padding='valid' and ties; PyTorch pads both sides alike, and its average divides by the
//            whole window unless told not to; with ceil_mode and without padding it is padding='ceil'.
#pragma once

#include "ops/window.h"

namespace fastnn {

struct Pool2dShape {
  int64_t C;
  Window height, width;
  int64_t rows, row_block;  // of all samples, and of a task
};

struct Pool2dKernels {           // [0] for float, [1] for double
  KernelFn max[2];               // y, argmax, x
  KernelFn max_backward[2];      // dx, dy, argmax
  KernelFn average[2];           // y, x
  KernelFn average_backward[2];  // dx, dy
};
FASTNN_PER_ISA(Pool2dKernels, pool2d_kernels)

}  // namespace fastnn
