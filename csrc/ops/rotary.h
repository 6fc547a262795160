// Rotary position embedding: pairs of a head's numbers turned by an angle that grows with the place in the sequence.
//
//     y[b, t, h, i]          = x[b, t, h, i] cos a - x[b, t, h, i + HS/2] sin a
//     y[b, t, h, i + HS/2]   = x[b, t, h, i + HS/2] cos a + x[b, t, h, i] sin a,   a = (positions[b] + t) base^(-2 i / HS)
//
// for i < HS/2; interleaved, the pairs are 2 i and 2 i + 1. So products of queries and keys depend on the distance alone.
//
// Shapes     x (B, T, NH, HS), HS even, y as x; positions (B,), the place of each sample's first row, or none: 0.
// Backward   the turn back: the same op with `reverse`, which is its own inverse and transpose. Nothing is saved.
// Writes     every element once.
// Aliasing   y may be x.
// Scratch    3 HS numbers.
// Requires   float or double; positions int32 or int64; base > 0.
// Edges      NaN reaches its pair.
// Tasks      rows (b, t) of 16384 elements together.
// Numerics   angles in double, for floats brought to -pi..pi there, so that places in the millions are turned right: |error| within
//            3 eps |pair|, and in double 2 (1 + place) eps |pair|, by the rounding of the frequency.
// Cost       3 flop an element; 2 elements moved. A sine and a cosine for each pair of a row, shared by its heads.
// Source     Su, Lu, Pan, Murtadha, Wen, Liu, "RoFormer: enhanced Transformer with rotary position embedding", 2021.
// Peers      Halves are those of GPT-NeoX, Llama and Hugging Face; interleaved is the paper and GPT-J.
#pragma once

#include "ops/op.h"

namespace fastnn {

struct RotaryShape {
  int64_t B, T, NH, HS;
  int64_t rows_per_task;
  double base;
  bool reverse, interleaved;
  bool wide_positions;  // int64
};

struct RotaryKernels {  // [0] for float, [1] for double
  KernelFn rotary[2];   // y, x, positions or null
};
FASTNN_PER_ISA(RotaryKernels, rotary_kernels)

}  // namespace fastnn
