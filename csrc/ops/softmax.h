// Softmax and its logarithm over the last axis.
//
//     softmax      y[..., j] = exp(x[..., j] - max) / sum over k of exp(x[..., k] - max),   max being the row's largest x
//     log_softmax  y[..., j] = (x[..., j] - max) - log(sum over k of exp(x[..., k] - max))
//
// Shapes     x (..., N), y and dx as x. The leading axes are one row axis to the kernel.
// Backward   softmax: dx = y (dy - sum over k of dy[k] y[k]); log_softmax: dx = dy - exp(y) sum over k of dy[k]. y is saved.
// Writes     every element.
// Aliasing   none.
// Scratch    none.
// Requires   float or double, at least 1 axis.
// Edges      -infinity is a class that is ruled out: its y is 0, or -infinity of log_softmax. A row that holds a NaN or
//            +infinity, or -infinity alone, is NaN throughout.
// Tasks      blocks of rows of about 8192 elements.
// Numerics   relative error of softmax within about (4 + sqrt(N) + |x - max|) eps, absolute error of log_softmax within about
//            (4 + sqrt(N) + 2 |y|) eps; a row's bits depend on nothing else.
// Cost       4 N flop a row, forward and back; 2 and 3 elements moved per element. 10 classes take 0.02 microseconds a row and
//            long rows 0.6 nanoseconds an element (float, Zen 4).
// Source     Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990. The shift by the
//            maximum is that of every peer.
#pragma once

#include "ops/op.h"

namespace fastnn {

struct SoftmaxShape {
  int64_t rows, N;
  int64_t rows_per_task;
};
SoftmaxShape softmax_shape(const Call& call, size_t operand);  // of an operand (..., N)
int64_t softmax_tasks(const SoftmaxShape& shape);

struct SoftmaxKernels {                                   // [0] for float, [1] for double
  KernelFn softmax[2], log_softmax[2];                    // y, x
  KernelFn softmax_backward[2], log_softmax_backward[2];  // dx, dy, y
};
FASTNN_PER_ISA(SoftmaxKernels, softmax_kernels)

}  // namespace fastnn
