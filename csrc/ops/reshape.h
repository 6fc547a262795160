// The same numbers under another shape.
//
//     y[j] = x[i]   where the flat row-major positions of i and j are equal
//
// Shapes     x any; y `shape`, whose extents multiply to as many elements. One extent may be -1: whatever is left over.
// Backward   dx = reshape(dy, shape of x). Nothing is saved.
// Writes     nothing: y is x's memory.
// Aliasing   y is x.
// Scratch    none.
// Requires   any dtype.
// Edges      Axes that stand equal at the front of both shapes cancel before -1 is worked out, so that (batch, 28, 28) becomes
//            (batch, 784) by (batch, -1) for an empty batch too (NumPy, which divides 0 by 0 there, refuses).
// Tasks      none.
// Numerics   exact.
// Cost       nothing.
// Peers      NumPy's reshape in C order.
#pragma once

#include "ops/op.h"
