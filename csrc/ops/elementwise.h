// Ops that compute every element of the result from the same element of each operand. An op is one row of a list below.
//
//     y[i] = f(x[i])        y[i] = f(a[i], b[i])        y[i] = f(dy[i], a[i], b[i])
//
// Shapes     add, subtract, multiply, divide, maximum, minimum and equal broadcast as NumPy does: axes are counted from the
//            last, and an axis of length 1 is stretched. Every other op wants equal shapes. At most 32 axes.
// Backward   the rows named *_backward take what is cheapest to keep: the result (relu, sigmoid, tanh, sqrt) or the operand.
//            The gradients of a broadcasting op have the result's shape; sum_to_like shrinks them to the operand's.
// Writes     every element of the result once.
// Aliasing   the result may lie in the place of an operand of its own size, which is then not stretched: each element is read
//            before it is written. Not equal, whose elements are smaller than its operands'.
// Scratch    none.
// Requires   float or double; rows marked `numbers` also int32 and int64, which wrap. equal takes every dtype.
// Edges      NaN in any operand gives NaN (relu, clip, maximum and minimum included), but a NaN of dy stays out where no
//            gradient passes. The gradient of a tie goes to a; relu, abs and clip have the gradients 0, 0 and 1 at their
//            corners. sqrt and log of a negative number are NaN. cast cuts floats towards zero, saturates at the ends of an integer's range, turns NaN into 0, and wraps
//            from integer to integer; to bool it is != 0.
// Tasks      16384 elements: pieces of a long row, or several short rows.
// Numerics   one rounding per arithmetic operation; exp, log, tanh, sigmoid: see simd/math.h. A value depends on its operands
//            alone, not on where it stands.
// Cost       the flops of the row per element; every operand read once, the result written once.
// Source     sigmoid_cross_entropy is the form that cannot overflow, as in TensorFlow's
//            sigmoid_cross_entropy_with_logits and PyTorch's binary_cross_entropy_with_logits.
// Peers      maximum's tie: TensorFlow's convention; PyTorch and JAX give each side one half. relu'(0) = 0: all three.
#pragma once

#include <span>

#include "ops/op.h"

namespace fastnn {

// ---- The rows: name, operands, dtypes, flops, formula, in words -----------------------------------------------------------
//
// A formula is code on vectors of T (see elementwise.simd.cpp) and is compiled there only.
// clang-format off

#define FASTNN_UNARY_ROWS(row) \
  row(negative, x, numbers,  1, -x,                            "y = -x") \
  row(square,   x, numbers,  1, x * x,                         "y = x^2") \
  row(abs,      x, numbers,  1, abs<T>(x),                     "y = |x|") \
  row(relu,     x, floats,   1, max<T>(x, zero<T>()),          "y = max(x, 0)") \
  row(sqrt,     x, floats,   1, sqrt(x),                       "y = square root of x") \
  row(exp,      x, floats,  18, exp(x),                        "y = e^x") \
  row(log,      x, floats,  24, log(x),                        "y = natural logarithm of x") \
  row(sigmoid,  x, floats,  21, sigmoid<T>(x),                 "y = 1 / (1 + e^-x)") \
  row(tanh,     x, floats,  32, tanh(x),                       "y = hyperbolic tangent of x") \
  row(clip,     x, floats,   2, min<T>(max<T>(x, low), high),  "y = x, but at least minimum and at most maximum")

#define FASTNN_BINARY_ROWS(row) \
  row(add,      a, b, numbers, 1, a + b,         "y = a + b, broadcasting") \
  row(subtract, a, b, numbers, 1, a - b,         "y = a - b, broadcasting") \
  row(multiply, a, b, numbers, 1, a * b,         "y = a b, broadcasting") \
  row(divide,   a, b, floats,  1, a / b,         "y = a / b, broadcasting") \
  row(maximum,  a, b, numbers, 1, max<T>(a, b),  "y = the larger of a and b, broadcasting") \
  row(minimum,  a, b, numbers, 1, min<T>(a, b),  "y = the smaller of a and b, broadcasting")

#define FASTNN_PAIR_ROWS(row) /* two operands of one shape */ \
  row(relu_backward,    dy, y, floats, 1, gate<T>(y > zero<T>(), dy, y),  "dx = dy where y > 0, else 0") \
  row(sigmoid_backward, dy, y, floats, 3, dy * (y * (one<T>() - y)),      "dx = dy y (1 - y)") \
  row(tanh_backward,    dy, y, floats, 3, dy * fma(-y, y, one<T>()),      "dx = dy (1 - y^2)") \
  row(sqrt_backward,    dy, y, floats, 2, dy / (y + y),                   "dx = dy / (2 y)") \
  row(abs_backward,     dy, x, floats, 1, dy * sign<T>(x),                "dx = dy sign(x)") \
  row(clip_backward,    dy, x, floats, 1, gate<T>((x >= low) & (x <= high), dy, x), \
      "dx = dy where x lies in [minimum, maximum], else 0") \
  row(sigmoid_cross_entropy, logits, targets, floats, 56, \
      max<T>(logits, zero<T>()) - logits * targets + log1p(exp(-abs<T>(logits))), \
      "loss = max(z, 0) - z t + log(1 + e^-|z|), which is -t log p - (1 - t) log(1 - p) with p = sigmoid(z)")

#define FASTNN_TRIPLE_ROWS(row) /* dy has the shape of a and b together */ \
  row(maximum_backward_a, dy, a, b, floats, 1, gate<T>(a >= b, dy, a, b),  "dy where a >= b, else 0") \
  row(maximum_backward_b, dy, a, b, floats, 1, gate<T>(a < b, dy, a, b),   "dy where a < b, else 0") \
  row(minimum_backward_a, dy, a, b, floats, 1, gate<T>(a <= b, dy, a, b),  "dy where a <= b, else 0") \
  row(minimum_backward_b, dy, a, b, floats, 1, gate<T>(a > b, dy, a, b),   "dy where a > b, else 0")

// clang-format on

enum Types : bool { floats, numbers };             // float32 and float64; those and int32 and int64
void expect_types(const Call& call, Types types);  // of the first operand

#define FASTNN_ENUMERATOR(name, ...) name,
enum class Unary { FASTNN_UNARY_ROWS(FASTNN_ENUMERATOR) count };
enum class Binary { FASTNN_BINARY_ROWS(FASTNN_ENUMERATOR) FASTNN_PAIR_ROWS(FASTNN_ENUMERATOR) count };
enum class Triple { FASTNN_TRIPLE_ROWS(FASTNN_ENUMERATOR) count };
#undef FASTNN_ENUMERATOR

// ---- Broadcasting ---------------------------------------------------------------------------------------------------------

constexpr int64_t kTaskElements = 16384;  // 64 KB of float32 in and out: some 5 microseconds where memory is the limit
constexpr size_t kMaxAxes = 32;
void expect_axes(const Call& call, const Shape& shape);  // no more than these

// A result and up to three operands laid over it, as rows that are contiguous in the result. Axes that broadcast alike are one
// axis here: equal shapes are a single row, and (B, H, W, C) + (C,) is a row of C under one axis of B H W.
struct Broadcast {
  int64_t length = 1;    // of a row
  int64_t step[3] = {};  // of each operand within a row: 1, or 0 where it is stretched
  int64_t rows = 1;      // in all
  int64_t block = 1;     // rows in sequence: an operand advances by row_stride from each to the next
  int64_t row_stride[3] = {};
  int axes = 0;  // those above the block, the first being the outermost
  int64_t extent[kMaxAxes];
  int64_t stride[3][kMaxAxes];
  // Tasks: pieces of one long row, or several rows in one piece.
  int64_t rows_per_task = 1, pieces = 1, piece = 1, tasks = 0;
};

Broadcast plan_broadcast(const Dims& result, std::span<const Dims> operands);

struct ElementwiseShape {
  Broadcast over;
  double low = 0, high = 0;  // of clip
};

// By dtype in the order of DType; null where the row does not take it. Buffers: the result, the operands.
struct ElementwiseKernels {
  KernelFn unary[static_cast<size_t>(Unary::count)][4];
  KernelFn binary[static_cast<size_t>(Binary::count)][4];
  KernelFn triple[static_cast<size_t>(Triple::count)][4];
  KernelFn equal[6];
  KernelFn cast[6][6];  // [from][to]
};
FASTNN_PER_ISA(ElementwiseKernels, elementwise_kernels)

}  // namespace fastnn
