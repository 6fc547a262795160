// New rows in a cache of keys or values, each sample's at its own place.
//
//     y[b, position[b] + t] = rows[b, t]     for 0 <= t < T
//     y[b, s] = cache[b, s]                  elsewhere
//
// A Variable that is assigned y is a cache: what stands behind the rows that are filled means nothing, and attention with
// `positions` never reads it. So a prompt may be padded to a longer T, and the next token overwrites the padding.
//
// Shapes     cache and y (B, S, ...), rows (B, T, ...), position (B,).
// Backward   none: generation is not trained.
// Writes     every element of y once: the op copies the cache, and a commit copies y to the Variable.
// Aliasing   none.
// Scratch    none.
// Requires   cache and rows of one dtype, any of the six; position int32 or int64.
// Edges      A position outside 0..S-T is reported with its sample, whose cache is copied as it is; not so where S = 0. T = 0 copies
//            everything.
// Tasks      rows of the result, about 64 kB.
// Numerics   none: bits are copied.
// Cost       no flop; y is written and as much read.
// Peers      JAX's dynamic_update_slice writes one place for all samples, and moves one that does not fit instead of refusing it.
#pragma once

#include "ops/op.h"

namespace fastnn {

struct CacheAppendShape {
  int64_t B, S, T;
  int64_t row_bytes;
  int64_t per_task;  // rows of y
};

struct CacheAppendKernels {
  KernelFn append[2];  // [int32, int64 positions]: y, cache, rows, position
};
FASTNN_PER_ISA(CacheAppendKernels, cache_append_kernels)

}  // namespace fastnn
