// Elements by number: a batch out of the data set, embeddings, one-hot rows.
//
//     gather_rows    y[b, ...] = cast(x[indices[b], ...])
//     take           y[o, i, n] = x[o, indices[i], n]            o the axes before `axis`, n those behind it
//     take_backward  dx[o, r, n] = sum of dy[o, i, n] over the i with indices[i] = r
//     one_hot        y[o, c, n] = 1 if indices[o, n] = c, else 0
//
// Shapes     gather_rows: x (N, ...), indices (B,), y (B, ...). take: indices of any shape, which replaces the axis in y.
//            one_hot: an axis of `num_classes` is put in at `axis` of the result.
// Backward   take_backward, which differentiates to take. gather_rows has none: data sets have no gradient.
// Writes     every element of the result once; take_backward writes 0 first.
// Aliasing   none.
// Scratch    none.
// Requires   x of any of the six dtypes (take_backward: float or double). Indices int64; take and one_hot take int32 too. The
//            result has x's dtype, or that named by `dtype`.
// Edges      An index outside 0..N-1 (a negative one too) is reported with its position, and that row is zero. gather_rows
//            converts as the op cast does: floats are cut towards zero, stop at the ends of an integer's range, and become 0 if
//            NaN; integers wrap; to bool it is x != 0.
// Tasks      about 64 kB of the result; take_backward: columns, 64 at a time, for each o.
// Numerics   one rounding, and none where the dtypes are equal. take_backward adds in the order of the indices, whatever the
//            threads, because a task owns its columns of every row.
// Cost       one addition per element of dy in take_backward, else no flop; B rows read and written. 784 bytes of uint8 become
//            float32 in 0.09 microseconds (Zen 4), which is why `fit` keeps the data as the caller has it instead of converting
//            it all beforehand.
// Peers      NumPy's take, without negative indices. Keras's one_hot writes zeros for an index out of range.
#pragma once

#include "ops/op.h"

namespace fastnn {

struct GatherShape {
  int64_t rows, indices;  // N, B
  int64_t row;            // elements
  int64_t row_bytes;      // of x
  int64_t rows_per_task;
};

struct TakeShape {
  int64_t outer, rows, indices, inner;  // x (outer, rows, inner), y (outer, indices, inner); elements
  int64_t per_task;                     // rows of y; of one_hot: rows of `outer`
  int64_t inner_bytes;
  int64_t blocks;  // of columns
  uint64_t one;    // of one_hot: the bits of 1
};

constexpr int kDTypes = 6;
constexpr int64_t kColumnBlock = 64;
constexpr int64_t kZeroBytes = 65536;  // of take_backward's result per task

struct GatherKernels {
  KernelFn copy;                    // y, x, indices: equal dtypes
  KernelFn cast[kDTypes][kDTypes];  // [of x][of y]; null on the diagonal
  // [int32, int64 indices]
  KernelFn take[2];          // y, x, indices
  KernelFn add_taken[2][2];  // [float, double]: dx, dy, indices
  KernelFn set_zero;         // dx
  KernelFn one_hot[2][3];    // [elements of 1, 4, 8 bytes]: y, indices
};
FASTNN_PER_ISA(GatherKernels, gather_kernels)

}  // namespace fastnn
