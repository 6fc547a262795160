// Ops that compute every element of the result from the same element of each operand. An op is one row of a list below.
//
//     y[i] = f(x[i])        y[i] = f(a[i], b[i])        y[i] = f(dy[i], a[i], b[i])
//
// Shapes     the ops of two operands (but not the *_backward and sigmoid_cross_entropy) and where broadcast as NumPy does: axes
//            are counted from the last, and an axis of length 1 is stretched. Every other op wants equal shapes. At most 32
//            axes.
// Backward   the rows named *_backward take what is cheapest to keep: the result (relu, relu6, hard_sigmoid, sigmoid, tanh,
//            sqrt) or the operand; the pass activation_slope has silu, mish and gelu make their slope as well, which shares their
//            exponential, and leaves a product. The gradients of a broadcasting op have the result's shape; sum_to_like shrinks
//            them to the operand's. What has no row here has a gradient made of other ops. stop_gradient, sign, floor, ceil and round have
//            the gradient 0, comparisons none.
// Writes     every element of the result once.
// Aliasing   the result may lie in the place of an operand of its own size, which is then not stretched: each element is read
//            before it is written. Not that of a comparison, whose elements are smaller than its operands'.
// Scratch    none.
// Requires   float or double; rows marked `numbers` also int32 and int64, which wrap. Comparisons take every dtype, where too,
//            with a bool condition; logical_and and logical_or take bool.
// Edges      NaN in any operand that is read gives NaN (relu, clip, maximum and minimum included; prelu does not read alpha
//            where x > 0), but a NaN of dy stays out where no gradient passes, and power keeps C's exceptions: x^0 = 1^y = 1.
//            The gradient of a tie goes to a; relu, abs and leaky_relu have the gradients 0, 0 and negative_slope at their
//            corner, clip 1 at both of its, relu6, hard_sigmoid and hard_silu those of the flat side. sqrt, rsqrt and log of a
//            negative number are NaN, and so is a negative number to a power that is no integer. silu, gelu, mish and hard_silu
//            of -infinity are 0, their limit. round takes halves to the even integer. cast cuts floats towards zero, saturates
//            at the ends of an integer's range, turns NaN into 0, and wraps from integer to integer; to bool it is != 0.
// Tasks      16384 elements: pieces of a long row, or several short rows.
// Numerics   one rounding per arithmetic operation; transcendental functions: see simd/math.h. softplus, silu and mish: 6 eps
//            |y|, but silu is 0 already below -88.7 and mish below -87.3, where 3e-37 would be left. gelu: 6 eps |y| above 0,
//            (6 + x^2) eps |y| below; with the tanh (8 + 4 |u|) eps |y| below, u being the argument of tanh. Gradients of x
//            f(x) have two terms, which may cancel: 8 eps |dy| (1 + |x|). power: half a unit in the last place. sin and cos:
//            every x; beyond +-131072 one lane at a time. A value depends on its operands alone, not on where it stands.
// Cost       the flops of the row per element; every operand read once, the result written once.
// Source     sigmoid_cross_entropy is the form that cannot overflow, as in TensorFlow's sigmoid_cross_entropy_with_logits and
//            PyTorch's binary_cross_entropy_with_logits. gelu: Hendrycks, Gimpel, "Gaussian error linear units", 2016. silu:
//            Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units", 2017. mish: Misra, "Mish", 2019. elu: Clevert,
//            Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2015. prelu: He,
//            Zhang, Ren, Sun, "Delving deep into rectifiers", 2015. hard_silu: Howard et al., "Searching for MobileNetV3",
//            2019.
// Peers      maximum's tie: TensorFlow's convention; PyTorch and JAX give each side one half. relu'(0) = 0: all three.
#pragma once

#include <span>

#include "ops/op.h"

namespace fastnn {

// ---- The rows: name, operands, dtypes, flops, formula, in words -----------------------------------------------------------
//
// A formula is code on vectors of T (see elementwise.simd.cpp) and is compiled there only. `p` and `q` are the op's attributes
// as numbers, in the order of the table in elementwise.cpp.
// clang-format off

#define FASTNN_UNARY_ROWS(row) \
  row(stop_gradient, x, numbers, 0, x,  "y = x, a constant to whoever differentiates") \
  row(negative, x, numbers,  1, -x,                            "y = -x") \
  row(square,   x, numbers,  1, x * x,                         "y = x^2") \
  row(abs,      x, numbers,  1, abs<T>(x),                     "y = |x|") \
  row(relu,     x, floats,   1, max<T>(x, zero<T>()),          "y = max(x, 0)") \
  row(sqrt,     x, floats,   1, sqrt(x),                       "y = square root of x") \
  row(exp,      x, floats,  18, exp(x),                        "y = e^x") \
  row(log,      x, floats,  24, log(x),                        "y = natural logarithm of x") \
  row(sigmoid,  x, floats,  21, sigmoid<T>(x),                 "y = 1 / (1 + e^-x)") \
  row(tanh,     x, floats,  32, tanh(x),                       "y = hyperbolic tangent of x") \
  row(clip,     x, floats,   2, min<T>(max<T>(x, p), q),       "y = x, but at least minimum and at most maximum") \
  row(sign,     x, floats,   2, sign<T>(x),                    "y = -1, 0 or 1, as x is below, at or above 0") \
  row(floor,    x, floats,   2, floor<T>(x),                   "y = the largest integer that is not above x") \
  row(ceil,     x, floats,   2, ceil<T>(x),                    "y = the smallest integer that is not below x") \
  row(round,    x, floats,   2, round<T>(x),                   "y = the nearest integer, of two the even one") \
  row(rsqrt,    x, floats,   2, one<T>() / sqrt(x),            "y = 1 / square root of x") \
  row(expm1,    x, floats,  21, expm1(x),                      "y = e^x - 1") \
  row(log1p,    x, floats,  28, log1p(x),                      "y = log(1 + x)") \
  row(erf,      x, floats,  54, erf(x),                        "y = 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x") \
  row(sin,      x, floats,  24, sin(x),                        "y = sine of x, in radians") \
  row(cos,      x, floats,  24, cos(x),                        "y = cosine of x, in radians") \
  row(softplus, x, floats,  50, max<T>(x, zero<T>()) + log1p(exp(-abs<T>(x))),  "y = log(1 + e^x)") \
  row(elu,      x, floats,  25, q * select<T>(x > zero<T>(), x, p * expm1(min<T>(x, zero<T>()))), \
      "y = scale x where x > 0, else scale alpha (e^x - 1)") \
  row(leaky_relu,   x, floats, 2, select<T>(x > zero<T>(), x, p * x),           "y = x where x > 0, else negative_slope x") \
  row(relu6,        x, floats, 2, min<T>(max<T>(x, zero<T>()), six<T>()),       "y = x, but at least 0 and at most 6") \
  row(hard_sigmoid, x, floats, 4, hard_sigmoid<T>(x),                         "y = x / 6 + 1/2, but at least 0 and at most 1") \
  row(hard_silu,    x, floats, 6, max<T>(x, -half<T>() * six<T>()) * hard_sigmoid<T>(x),  "y = x hard_sigmoid(x)")

#define FASTNN_SLOPED_ROWS(row) /* functions that can make their derivative as well, which has parts in common with them */ \
  row(silu, x, floats, 22, silu<T>(x),     "y = x sigmoid(x), and perhaps its slope") \
  row(mish, x, floats, 27, mish<T>(x),     "y = x tanh(log(1 + e^x)), and perhaps its slope") \
  row(gelu, x, floats, 42, gelu<T>(x, p),  "y = x P(X <= x) of a standard normal X, or approximately, and perhaps its slope")

#define FASTNN_BINARY_ROWS(row) \
  row(add,      a, b, numbers, 1, a + b,         "y = a + b, broadcasting") \
  row(subtract, a, b, numbers, 1, a - b,         "y = a - b, broadcasting") \
  row(multiply, a, b, numbers, 1, a * b,         "y = a b, broadcasting") \
  row(divide,   a, b, floats,  1, a / b,         "y = a / b, broadcasting") \
  row(maximum,  a, b, numbers, 1, max<T>(a, b),  "y = the larger of a and b, broadcasting") \
  row(minimum,  a, b, numbers, 1, min<T>(a, b),  "y = the smaller of a and b, broadcasting") \
  row(power,    a, b, floats, 60, pow(a, b),     "y = a to the power of b, broadcasting") \
  row(prelu,    x, alpha, floats, 2, select<T>(x > zero<T>(), x, alpha * x),  "y = x where x > 0, else alpha x, broadcasting")

#define FASTNN_PAIR_ROWS(row) /* two operands of one shape */ \
  row(relu_backward,    dy, y, floats, 1, gate<T>(y > zero<T>(), dy, y),  "dx = dy where y > 0, else 0") \
  row(sigmoid_backward, dy, y, floats, 3, dy * (y * (one<T>() - y)),      "dx = dy y (1 - y)") \
  row(tanh_backward,    dy, y, floats, 3, dy * fma(-y, y, one<T>()),      "dx = dy (1 - y^2)") \
  row(sqrt_backward,    dy, y, floats, 2, dy / (y + y),                   "dx = dy / (2 y)") \
  row(abs_backward,     dy, x, floats, 1, dy * sign<T>(x),                "dx = dy sign(x)") \
  row(clip_backward,    dy, x, floats, 1, gate<T>((x >= p) & (x <= q), dy, x), \
      "dx = dy where x lies in [minimum, maximum], else 0") \
  row(silu_backward,    dy, x, floats, 26, dy * silu<T>(x).slope,         "dx = dy s (1 + x (1 - s)), s = sigmoid(x)") \
  row(mish_backward,    dy, x, floats, 40, dy * mish<T>(x).slope, \
      "dx = dy (t + x (1 - t^2) sigmoid(x)), t = tanh(log(1 + e^x))") \
  row(gelu_backward,    dy, x, floats, 50, dy * gelu<T>(x, p).slope,     "dx = dy (P(X <= x) + x density(x)), or by the tanh") \
  row(elu_backward,     dy, x, floats, 23, q * select<T>(x > zero<T>(), dy, dy * (p * exp(min<T>(x, zero<T>())))), \
      "dx = scale dy where x > 0, else scale alpha e^x dy") \
  row(leaky_relu_backward,   dy, x, floats, 2, select<T>(x > zero<T>(), dy, gate<T>(x <= zero<T>(), p * dy, x)), \
      "dx = dy where x > 0, else negative_slope dy") \
  row(relu6_backward,        dy, y, floats, 1, gate<T>((y > zero<T>()) & (y < six<T>()), dy, y), \
      "dx = dy where 0 < y < 6, else 0") \
  row(hard_sigmoid_backward, dy, y, floats, 2, gate<T>((y > zero<T>()) & (y < one<T>()), dy / six<T>(), y), \
      "dx = dy / 6 where 0 < y < 1, else 0") \
  row(hard_silu_backward,    dy, x, floats, 4, select<T>(x <= -half<T>() * six<T>(), zero<T>(), dy * hard_silu_slope<T>(x)), \
      "dx = dy (2 x + 3) / 6 where |x| < 3, else dy where x > 0, else 0") \
  row(sigmoid_cross_entropy, logits, targets, floats, 56, \
      max<T>(logits, zero<T>()) - logits * targets + log1p(exp(-abs<T>(logits))), \
      "loss = max(z, 0) - z t + log(1 + e^-|z|), which is -t log p - (1 - t) log(1 - p) with p = sigmoid(z)")

#define FASTNN_TRIPLE_ROWS(row) /* dy has the shape of a and b together */ \
  row(maximum_backward_a, dy, a, b, floats, 1, gate<T>(a >= b, dy, a, b),  "dy where a >= b, else 0") \
  row(maximum_backward_b, dy, a, b, floats, 1, gate<T>(a < b, dy, a, b),   "dy where a < b, else 0") \
  row(minimum_backward_a, dy, a, b, floats, 1, gate<T>(a <= b, dy, a, b),  "dy where a <= b, else 0") \
  row(minimum_backward_b, dy, a, b, floats, 1, gate<T>(a > b, dy, a, b),   "dy where a > b, else 0") \
  row(prelu_backward_x,     dy, x, alpha, floats, 2, select<T>(x > zero<T>(), dy, gate<T>(x <= zero<T>(), alpha * dy, x)), \
      "dy where x > 0, else alpha dy") \
  row(prelu_backward_alpha, dy, x, alpha, floats, 2, gate<T>(x <= zero<T>(), x * dy, x),  "0 where x > 0, else x dy")

#define FASTNN_COMPARISON_ROWS(row) /* name, formula on single numbers, in words */ \
  row(equal,         a == b,  "y = whether a and b are the same number, broadcasting") \
  row(not_equal,     a != b,  "y = whether a and b differ, broadcasting") \
  row(less,          a < b,   "y = whether a < b, broadcasting") \
  row(less_equal,    a <= b,  "y = whether a <= b, broadcasting")

#define FASTNN_EXCHANGED_ROWS(row) /* name, the row it is with its operands exchanged, in words */ \
  row(greater,       less,        "y = whether a > b, broadcasting") \
  row(greater_equal, less_equal,  "y = whether a >= b, broadcasting")

#define FASTNN_LOGICAL_ROWS(row) \
  row(logical_and, a & b,  "y = a and b, broadcasting") \
  row(logical_or,  a | b,  "y = a or b, broadcasting")

// clang-format on

enum Types : bool { floats, numbers };             // float32 and float64; those and int32 and int64
void expect_types(const Call& call, Types types);  // of the first operand

#define FASTNN_ENUMERATOR(name, ...) name,
enum class Unary { FASTNN_UNARY_ROWS(FASTNN_ENUMERATOR) count };
enum class Sloped { FASTNN_SLOPED_ROWS(FASTNN_ENUMERATOR) count };
enum class Binary { FASTNN_BINARY_ROWS(FASTNN_ENUMERATOR) FASTNN_PAIR_ROWS(FASTNN_ENUMERATOR) count };
enum class Triple { FASTNN_TRIPLE_ROWS(FASTNN_ENUMERATOR) count };
enum class Comparison {
  FASTNN_COMPARISON_ROWS(FASTNN_ENUMERATOR) FASTNN_EXCHANGED_ROWS(FASTNN_ENUMERATOR) FASTNN_LOGICAL_ROWS(FASTNN_ENUMERATOR)
      count
};
#undef FASTNN_ENUMERATOR

// ---- Broadcasting ---------------------------------------------------------------------------------------------------------

constexpr int64_t kTaskElements = 16384;  // 64 KB of float32 in and out: some 5 microseconds where memory is the limit

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
  double p = 0, q = 0;  // the op's attributes
};

// By dtype in the order of DType; null where the row does not take it. Buffers: the result, the operands.
struct ElementwiseKernels {
  KernelFn unary[static_cast<size_t>(Unary::count)][4];
  KernelFn sloped[static_cast<size_t>(Sloped::count)][4];  // y, slope or null, x
  KernelFn binary[static_cast<size_t>(Binary::count)][4];
  KernelFn triple[static_cast<size_t>(Triple::count)][4];
  KernelFn comparison[static_cast<size_t>(Comparison::count)][6];
  KernelFn where[6];
  KernelFn cast[6][6];  // [from][to]
};
FASTNN_PER_ISA(ElementwiseKernels, elementwise_kernels)

}  // namespace fastnn
