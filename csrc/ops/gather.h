// Rows of an array by number, cast on the way: how a batch leaves the data set.
//
//     y[b, ...] = cast(x[indices[b], ...])
//
// Shapes     x (N, ...), indices (B,), y (B, ...).
// Backward   none: data sets have no gradient. (The gradient of a table of weights is a scatter, which is another op.)
// Writes     every element of y once.
// Aliasing   none.
// Scratch    none.
// Requires   x and y of any of the six dtypes, chosen by `dtype` ("" keeps x's); indices int64.
// Edges      An index outside 0..N-1 (a negative one too) is reported with its position, and that row is zero. It converts
//            as the op cast does: floats are cut towards zero, stop at the ends of an integer's range, and become 0 if NaN;
//            integers wrap; to bool it is x != 0.
// Tasks      blocks of rows that write about 64 kB.
// Numerics   one rounding, and none where the dtypes are equal.
// Cost       no flop; B rows read and written. 784 bytes of uint8 become float32 in 0.09 microseconds (Zen 4), which is why
//            `fit` keeps the data as the caller has it instead of converting it all beforehand.
// Peers      NumPy's take along axis 0, without negative indices.
#pragma once

#include "ops/op.h"

namespace fastnn {

struct GatherShape {
  int64_t rows, indices;  // N, B
  int64_t row;            // elements
  int64_t row_bytes;      // of x
  int64_t rows_per_task;
};

constexpr int kDTypes = 6;

struct GatherKernels {
  KernelFn copy;                    // y, x, indices: equal dtypes
  KernelFn cast[kDTypes][kDTypes];  // [of x][of y]; null on the diagonal
};
FASTNN_PER_ISA(GatherKernels, gather_kernels)

}  // namespace fastnn
