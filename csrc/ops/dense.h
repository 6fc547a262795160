// Fully connected layer.
//
//     y[..., u] = bias[u] + sum over c of x[..., c] * w[c, u]
//
// and perhaps an epilogue, relu or the addition of an array of y's shape; of dx an addition, a product or relu_backward. The bits
// are those of two ops; the pass product_epilogue makes one of them.
//
// Shapes     x (..., C), w (C, U), bias (U,) or none, y (..., U). The leading axes are one row axis to the kernel.
// Backward   dx = dy w^T (dense_backward_input), dw = x^T dy (dense_backward_kernel), dbias = sum of dy over rows (op sum).
//            Nothing is saved.
// Writes, Aliasing, Scratch, Requires, Edges, Tasks, Numerics, Cost: those of ops/matmul.h.
// Peers      Keras's Dense and its (C, U) kernel; PyTorch's Linear keeps the transpose (U, C).
#pragma once

#include "ops/matmul.h"
