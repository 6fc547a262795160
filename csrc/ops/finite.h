// A guard: passes its operand through and reports what is not a number.
//
//     y[i] = x[i]
//
// Shapes     x any; y as x.
// Backward   dx = dy. Nothing is saved.
// Writes     every element of y once.
// Aliasing   y may be x.
// Scratch    none.
// Requires   float or double.
// Edges      The element that is reported is the first one in row-major order that is NaN or infinite. Every value is passed
//            through. A run that reports skips commit, so a loss that went to NaN leaves the weights as they were.
// Tasks      chunks of 32768 elements.
// Numerics   exact.
// Cost       one comparison and one subtraction per element; 2 elements moved.
// Peers      JAX's debug_nans, TensorFlow's check_numerics.
#pragma once

#include "ops/op.h"

namespace fastnn {

struct FiniteShape {
  int64_t elements;
};
constexpr int64_t kFiniteChunk = 32768;

enum NotFinite : int64_t { kIsNan, kIsInfinite, kIsMinusInfinite };  // what the kernel reports

struct FiniteKernels {  // [0] for float, [1] for double
  KernelFn check[2];    // y, x
};
FASTNN_PER_ISA(FiniteKernels, finite_kernels)

}  // namespace fastnn
