// Sums of everything up to a place along an axis.
//
//     y[i] = x[0] + ... + x[i]          exclusive: y[i] = x[0] + ... + x[i - 1], and y[0] = 0
//                                       reverse: from the other end, y[i] = x[n - 1] + ... + x[i]
//
// Shapes     x of at least 1 axis, y as x.
// Backward   dx is the cumsum of dy with the other `reverse`; nothing is saved.
// Writes     every element of y once.
// Aliasing   none.
// Scratch    none.
// Requires   float or double, int32 or int64, which wrap.
// Edges      NaN and infinities reach every later sum.
// Tasks      rows, or blocks of the columns behind the axis, of about 16384 elements; a row is never cut.
// Numerics   one addition after the other, in x's dtype: |error| of y[i] <= i eps sum of |x|.
// Cost       one flop per element; x read, y read and written once. Along the last axis every addition waits for the one
//            before.
// Peers      TensorFlow's cumsum has the same keywords; NumPy's and PyTorch's have neither.
#pragma once

#include "ops/op.h"

namespace fastnn {

struct CumsumShape {
  int64_t outer, n, inner;
  bool exclusive, reverse;
  int64_t outer_per_task = 1;
  int64_t block = 1, blocks = 1;  // columns of one task
};

// By dtype in the order of DType: float32, float64, int32, int64. Buffers: y, x.
struct CumsumKernels {
  KernelFn forward[4];
};
FASTNN_PER_ISA(CumsumKernels, cumsum_kernels)

}  // namespace fastnn
