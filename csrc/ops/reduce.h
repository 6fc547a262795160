// Folds over axes (sums, means, extrema, products, any, all), the places of extrema, and what undoes and follows broadcasting.
//
//     sum, max, min, prod     y[kept] = sum (largest, smallest, product) over the reduced axes of x
//     mean                    the sum divided by how many numbers that is
//     any, all                y[kept] = whether any (every) x over the reduced axes holds
//     sum_to_like             y = x summed over the axes along which `like` was stretched
//     argmax, argmin          y[kept] = the first index along one axis where x is largest (smallest)
//
// Shapes     x of any rank; axes=None means all, () none; keepdims leaves reduced axes as 1. sum_to_like and broadcast_like
//            have the shape of `like`, which broadcasts to x's shape, or x to its.
// Backward   sum_backward and mean_backward spread dy over the shape of x, whose values nobody keeps; sum_to_like and
//            broadcast_like are each other's gradient. Those of max, min and prod are made of other ops: equal extrema share
//            the gradient evenly. argmax, argmin, any and all have none.
// Writes     every element of y once.
// Aliasing   y may take x's memory where nothing is reduced or stretched: then it is a copy.
// Scratch    none; what parts of a long axis and several separate axes leave between steps lies in the workspace.
// Requires   float or double; all but mean also int32 and int64, whose sums and products wrap; any and all bool. At most 32
//            axes.
// Edges      a sum of nothing is 0, a product 1, a mean NaN, any false, all true; an extremum or its place of nothing is an
//            error. NaN and infinities propagate. argmax and argmin: the first of a tie wins, and the first NaN wins over
//            everything.
// Tasks      about 16384 elements of x: rows, parts of a long row, blocks of columns.
// Numerics   folds run in x's dtype in a fixed order that depends on the length of the reduced axis alone (and the ISA). A row:
//            4 vectors take turns, then are combined, then their lanes. A column: kColumnRows rows take turns. Axes longer than
//            kRowChunk or kColumnChunk are cut into chunks, whose results are folded the same way. So for sums |error| <= d eps
//            sum |x| with d, the longest chain of additions, at most 8 + min(n, 8192) / 4 L for a row of n (L lanes: 16 at
//            most) and 2 + min(n, 1024) / 2 for a column, per level of chunks. mean adds one rounding. A product has n - 1
//            roundings.
// Cost       one flop per element of x; x read once, y written once.
// Source     chunked summation: Higham, "The accuracy of floating point summation", 1993.
// Peers      NumPy, TensorFlow, PyTorch; NumPy's argmax also takes the first NaN. The gradient of equal extrema: TensorFlow,
//            JAX and PyTorch's amax.
#pragma once

#include "ops/elementwise.h"

namespace fastnn {

// Lengths beyond which a summed axis is cut. Functions of nothing else, so that a row's bits do not depend on its neighbours.
constexpr int64_t kRowChunk = 8192;     // 32 KB of float32
constexpr int64_t kColumnChunk = 1024;  // 22 tasks for the bias gradient of 32 filters over 32 images of 26 x 26

enum class Fold { sum, max, min, prod, any, all, count };

// One step of a fold: (outer, reduced, inner) to (outer, chunks, inner), each number that of one chunk of the middle axis.
struct FoldShape {
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

struct PlaceShape {
  int64_t outer, n, inner, results_per_task;
};

// By dtype in the order of DType: float32, float64, int32, int64; any and all have one dtype.
struct ReduceKernels {
  KernelFn rows[static_cast<size_t>(Fold::count)][4];  // read their buffers through FoldShape
  KernelFn columns[static_cast<size_t>(Fold::count)][4];
  KernelFn spread[4];             // y, x: x stretched to y's shape, and divided
  KernelFn argmax[4], argmin[4];  // y, x
};
FASTNN_PER_ISA(ReduceKernels, reduce_kernels)

}  // namespace fastnn
