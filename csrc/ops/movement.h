// Ops that move numbers and compute none: transpose, broadcast_to, slice, pad, concatenate, split.
//
//     y[t(i)] = x[f(i)]    for every i of a box, t and f being strided; some boxes write a constant instead
//
// Each of these ops is a list of boxes that together cover the results once: one for transpose, one per operand or part for
// concatenate and split, one copied and up to two constant ones per axis for pad, one per reflected corner beside it. One
// kernel walks a box of any kind, so there is one place where copies are fast.
//
// Shapes     transpose: y's axis k is x's axis axes[k]; none given: the reverse order. broadcast_to: NumPy's broadcasting.
//            slice: begin, end and strides per axis as in NumPy (negative ones count from the end, what lies beyond is cut
//            off); axes without an entry are whole, axes named in `drop` are taken at `begin` alone and go. pad: before and
//            after of each axis in turns. concatenate, split: along `axis`. Extents may be symbols wherever the result's can be
//            written down: a symbolic axis is sliced whole, backwards or at one place, padded by nothing, and joined with
//            multiples of itself.
// Backward   transpose by the inverse order; sum_to_like; slice_backward, which is 0 where the slice did not look; slice;
//            split; concatenate. Nothing is saved.
// Writes     every element of the results once.
// Aliasing   none.
// Scratch    none.
// Requires   any of the six dtypes; the kernels see elements of 1, 4 and 8 bytes.
// Edges      pad's modes: constant; edge repeats the last element, reflect mirrors without it, symmetric with it; the mirrored
//            part must fit into x. Bits move untouched, NaN's too.
// Tasks      about 64 kB of a box.
// Numerics   exact.
// Cost       no flop; every element read once and written once. Runs go at the speed of a copy: heads out of (32, 64, 4, 32)
//            floats at 18 GB/s, parts of (32, 64, 512) at 16, where a plain copy of 4 MB does 24; (1024, 1024) transposed at
//            14, six times NumPy's (Zen 4, one thread).
// Peers      NumPy's functions of these names (edge, reflect, symmetric: its words too; Keras has constant, reflect,
//            symmetric).
#pragma once

#include "ops/elementwise.h"

namespace fastnn {

enum class Walk : uint8_t { runs, fill, strided, transposed };

// Axes are in order of the result; those along which both sides move as along one are one. The last is the one that a row runs
// along; `rows` is the one before, or where that is short the one before it, or what the operand has in sequence (transposed).
struct Box {
  Walk walk = Walk::strided;
  size_t to = 0, from = 0;  // buffers; a box of the constant has none to read from
  bool constant = false;
  int64_t to_first = 0, from_first = 0;
  int64_t length = 1, to_step = 1, from_step = 1;  // of a row. transposed: to_step is 1
  int64_t rows = 1, to_row = 0, from_row = 0;      // transposed: from_row is 1
  int axes = 0;                                    // those above, the first being the outermost
  int64_t extent[kMaxAxes], to_stride[kMaxAxes], from_stride[kMaxAxes];
  // Tasks: a part of rows x length, or several of these whole.
  int64_t piece = 1, pieces = 1, row_piece = 1, row_pieces = 1, blocks = 1, blocks_per_task = 1;
  int64_t first_task = 0;
};

struct MovementShape {
  const Box* boxes = nullptr;  // owned below
  int64_t count = 0;
  uint64_t constant = 0;  // its bits
  std::shared_ptr<const Box[]> owner;
};

struct MovementKernels {
  KernelFn move[3];  // elements of 1, 4, 8 bytes
};
FASTNN_PER_ISA(MovementKernels, movement_kernels)

}  // namespace fastnn
