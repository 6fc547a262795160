// The k largest numbers of every row, and where they stand.
//
//     values[..., i] = the i-th largest of x[..., :]      indices[..., i] = its place
//
// Shapes     x (..., N), values and indices (..., k), 1 <= k <= N. The leading axes are one row axis to the kernel.
// Backward   dx[indices[i]] = dvalues[i], else 0; the indices are saved.
// Writes     every element; the results serve as the heap.
// Aliasing   none.
// Scratch    none.
// Requires   float or double, int32 or int64; indices are int64.
// Edges      of equal numbers the one with the lower index comes first; a NaN counts as larger than everything. In the backward
//            op an index outside 0..N-1 is reported with its position and ignored, and gradients of equal indices are added.
// Tasks      rows of about 16384 elements together.
// Numerics   exact.
// Cost       a comparison per element, and k log k for those that come in; x read once.
// Source     a heap of the k best so far, the worst at its root: Williams, "Algorithm 232: heapsort", 1964.
// Peers      TensorFlow's and Keras's top_k (whose indices are int32), PyTorch's and JAX's.
#pragma once

#include "ops/op.h"

namespace fastnn {

struct TopKShape {
  int64_t rows, N, k, rows_per_task;
};

// By dtype in the order of DType: float32, float64, int32, int64.
struct TopKKernels {
  KernelFn forward[4];   // values, indices, x
  KernelFn backward[2];  // dx, dvalues, indices, x (null: only its shape counts)
};
FASTNN_PER_ISA(TopKKernels, top_k_kernels)

}  // namespace fastnn
