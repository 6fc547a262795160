// Sums, means and argmax over axes, and the ops that undo and follow broadcasting.
//
//     sum          y[kept] = sum over the reduced axes of x          mean: divided by how many numbers that is
//     sum_to_like  y = x summed over the axes along which `like` was stretched
//     argmax       y[kept] = the first index along one axis where x is largest
//
// Shapes     x of any rank; axes=None means all, () none; keepdims leaves reduced axes as 1. sum_to_like and broadcast_like have the shape of
//            `like`, which broadcasts to x's shape, or x to its.
// Backward   sum_backward and mean_backward spread dy over the shape of x, whose values nobody keeps; sum_to_like and
//            broadcast_like are each other's gradient. argmax has none.
// Writes     every element of y once.
// Aliasing   y may take x's memory where nothing is summed or stretched: then it is a copy.
// Scratch    none; what parts of a long axis and several separate axes leave between steps lies in the workspace.
// Requires   float or double; sum, sum_to_like, broadcast_like and argmax also int32 and int64, whose sums wrap. At most 32 axes.
// Edges      a sum of nothing is 0, a mean of nothing NaN, argmax of nothing an error. NaN and infinities propagate. argmax: the
//            first of a tie wins, and the first NaN wins over everything.
// Tasks      about 16384 elements of x: rows, parts of a long row, blocks of columns.
// Numerics   sums run in x's dtype in a fixed order that depends on the length of the summed axis alone (and the ISA). A row: 4
//            vectors take turns, then are added, then their lanes. A column: kColumnRows rows take turns. Axes longer than
//            kRowChunk or kColumnChunk are cut into chunks, whose sums are summed the same way. So |error| <= d eps sum |x|
//            with d, the longest chain of additions, at most 8 + min(n, 8192) / 4 L for a row of n (L lanes: 16 at most) and
//            2 + min(n, 1024) / 2 for a column, per level of chunks. mean adds one rounding.
// Cost       one flop per element of x; x read once, y written once.
// Source     chunked summation: Higham, "The accuracy of floating point summation", 1993.
// Peers      NumPy, TensorFlow, PyTorch; NumPy's argmax also takes the first NaN.
#pragma once

#include "ops/elementwise.h"

namespace fastnn {

// Lengths beyond which a summed axis is cut. Functions of nothing else, so that a row's bits do not depend on its neighbours.
constexpr int64_t kRowChunk = 8192;     // 32 KB of float32
constexpr int64_t kColumnChunk = 1024;  // 22 tasks for the bias gradient of 32 filters over 32 images of 26 x 26

// One step of a sum: (outer, reduced, inner) to (outer, chunks, inner), each number the sum of one chunk of the middle axis.
struct SumShape {
  int64_t outer, reduced, inner;
  int64_t chunk, chunks;
  double divisor = 1;          // of the mean, in its last step
  int64_t units_per_task = 1;  // a unit is one chunk of one outer index ...
  int64_t column_block = 1;    // ... and this many columns
  int64_t column_blocks = 1;
  size_t from_buffer = 1, to_buffer = 0;
  int64_t from = 0, to = 0;  // elements into these buffers
};

struct SpreadShape {
  Broadcast over;
  double divisor = 1;
};

struct ArgmaxShape {
  int64_t outer, n, inner, results_per_task;
};

// By dtype in the order of DType: float32, float64, int32, int64.
struct ReduceKernels {
  KernelFn sum_rows[4], sum_columns[4];  // read their buffers through SumShape
  KernelFn spread[4];                    // y, x: x stretched to y's shape, and divided
  KernelFn argmax[4];                    // y, x
};
FASTNN_PER_ISA(ReduceKernels, reduce_kernels)

}  // namespace fastnn
