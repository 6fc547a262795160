// Dropout: keeps each element with probability 1 - rate, and scales what it keeps to keep the expectation. And the random
// numbers by themselves.
//
//     dropout         y[i] = u[i] >= rate ? x[i] / (1 - rate) : 0
//     random_uniform  y[i] = u[i]
//
// u[i] is uniform in [0, 1): uniform_float of word i % 4 of counter (i / 4, step), see base/random.h.
//
// Shapes     x any, random_state (2,) int64 = [seed, step], y as x. random_uniform reads only the shape of x.
// Backward   dx = dropout(dy, random_state) with the same attributes: linear in x, and its own gradient. Nothing is saved, the
//            mask is drawn again (2.5 integer instructions an element are cheaper than writing and reading it). Nothing has a
//            gradient through random_uniform.
// Writes     every element of y once.
// Aliasing   y may be x.
// Scratch    none.
// Requires   float or double; 0 <= rate < 1.
// Edges      rate 0 is the identity. u depends on (seed, stream, step, i) alone: not on dtype, ISA, threads or batch.
//            What is dropped is 0 even where x is NaN: the result does not depend on it.
// Tasks      chunks of 16384 elements.
// Numerics   one rounding of 1 / (1 - rate), one of the product. The chance to keep is right to 2^-24; u is a multiple of 2^-24,
//            without rounding.
// Cost       1 flop per element; 2 elements moved, 1 by random_uniform; 10 Philox rounds per 4 elements.
// Source     Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014, in the inverted form
//            of Keras and PyTorch; Philox: see base/random.h.
#pragma once

#include "ops/op.h"

namespace fastnn {

struct DropoutShape {
  int64_t elements;
  uint64_t stream;
  uint32_t threshold;  // kept where the upper 24 bits of the random word reach it
  double scale;
};
constexpr int64_t kDropoutChunk = 16384;  // a multiple of every block of counters

struct DropoutKernels {  // [0] for float, [1] for double
  KernelFn dropout[2];   // y, x, random_state
  KernelFn uniform[2];   // y, x, random_state
};
FASTNN_PER_ISA(DropoutKernels, dropout_kernels)

// random_uniform for the host: the same numbers.
void draw_uniform(float* y, int64_t elements, uint64_t seed, uint64_t stream, uint64_t step);

}  // namespace fastnn
