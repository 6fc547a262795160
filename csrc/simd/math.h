// Vector exp, log, log1p, tanh and sigmoid. Included by `*.simd.cpp` only.
//
// float: polynomials after Moshier's Cephes library (expf.c, logf.c, tanhf.c), with the argument of exp reduced after Cody and
// Waite, "Software manual for the elementary functions", 1980, and log1p after Goldberg, "What every computer scientist should
// know about floating-point arithmetic", 1991, theorem 4. No branch: every lane takes every path and the mask chooses.
// double: libm lane by lane. It proves the algebra and need not be fast.
//
// Results are exact at 0 (and log at 1), have the right limits at +-infinity and at the ends of the range, and a NaN stays one.
// Denormals count as 0, as everywhere in a run (see FlushDenormals). Largest error seen over every seventh float, in units in
// the last place:
//
//     exp 1.01    log 0.80    log1p 2.43    tanh 1.33    sigmoid 2.47
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

template <typename Real>
FASTNN_INLINE Vec<Real> abs(Vec<Real> x) {
  return (Vec<Real>)((Mask<Real>)x & ~(Mask<Real>)broadcast(Real(-0.0)));
}

// c[0] x^(n-1) + ... + c[n-1], after Horner.
template <int n>
FASTNN_INLINE Vec<float> polynomial(Vec<float> x, const float (&c)[n]) {
  Vec<float> sum = broadcast(c[0]);
  FASTNN_UNROLL
  for (int i = 1; i < n; ++i) sum = fma(sum, x, broadcast(c[i]));
  return sum;
}

// function is a lambda, because Clang's built-in functions have no address.
template <typename Function>
FASTNN_INLINE Vec<double> each_lane(Vec<double> x, Function function) {
  double lane[kLanes<double>];
  store(lane, x);
  for (int i = 0; i < kLanes<double>; ++i) lane[i] = function(lane[i]);
  return load(lane);
}

// log 2 in two parts; the first has 9 bits, so that its product with an exponent is exact.
constexpr float kLog2High = 0.693359375f, kLog2Low = -2.12194440e-4f;

FASTNN_INLINE Vec<float> exp(Vec<float> x) {
  // Beyond these limits the result is infinity and 0, which the scaling below yields by itself.
  x = min<float>(max<float>(x, broadcast(-104.0f)), broadcast(89.0f));
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const Vec<float> magic = broadcast(0x1.8p23f);
  const Vec<float> shifted = fma(x, broadcast(1.44269504088896341f), magic);
  const Vec<float> n = shifted - magic;
  Vec<float> r = fma(n, broadcast(-kLog2High), x);
  r = fma(n, broadcast(-kLog2Low), r);
  constexpr float c[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                         4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
  const Vec<float> e = fma(polynomial(r, c), r * r, r) + broadcast(1.0f);
  // 2^n as two factors: n runs from -150 to 128, one exponent field only to 127.
  const Mask<float> exponent = (Mask<float>)shifted - (Mask<float>)magic;
  const Mask<float> half = exponent >> 1;
  return e * (Vec<float>)((half + 127) << 23) * (Vec<float>)((exponent - half + 127) << 23);
}
FASTNN_INLINE Vec<double> exp(Vec<double> x) {
  return each_lane(x, [](double lane) { return __builtin_exp(lane); });
}

FASTNN_INLINE Vec<float> log(Vec<float> x) {
  // x = 2^e m with sqrt(1/2) <= m < sqrt(2), read off the bits; unsigned, because those of a negative x overflow.
  using Bits = Vec<uint32_t>;
  const Bits bits = (Bits)x, root_half = (Bits)broadcast(0.70710678f);
  const Mask<float> exponent = (Mask<float>)(bits - root_half) >> 23;
  const Vec<float> e = __builtin_convertvector(exponent, Vec<float>);
  const Vec<float> f = (Vec<float>)(bits - ((Bits)exponent << 23)) - broadcast(1.0f);
  const Vec<float> square = f * f;
  constexpr float c[] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,  -1.2420140846e-1f, 1.4249322787e-1f,
                         -1.6668057665e-1f, 2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
  Vec<float> y = polynomial(f, c) * f * square;
  y = fma(e, broadcast(kLog2Low), y);
  y = fma(square, broadcast(-0.5f), y);
  y = fma(e, broadcast(kLog2High), f + y);
  const Vec<float> infinity = broadcast(__builtin_inff());
  y = select<float>(x < broadcast(0x1p-126f), -infinity, y);
  y = select<float>(x < zero<float>(), broadcast(__builtin_nanf("")), y);
  return select<float>(x < infinity, y, x);  // infinity and NaN are their own logarithms
}
FASTNN_INLINE Vec<double> log(Vec<double> x) {
  return each_lane(x, [](double lane) { return __builtin_log(lane); });
}

FASTNN_INLINE Vec<float> log1p(Vec<float> x) {
  const Vec<float> one = broadcast(1.0f), u = one + x;
  // The factor x / (u - 1) makes up for what rounding u lost. Where nothing is left of x, and at infinity, log1p(x) = x.
  const Vec<float> y = log(u) * (x / (u - one));
  return select<float>((u == one) | (x == broadcast(__builtin_inff())), x, y);
}
FASTNN_INLINE Vec<double> log1p(Vec<double> x) {
  return each_lane(x, [](double lane) { return __builtin_log1p(lane); });
}

FASTNN_INLINE Vec<float> tanh(Vec<float> x) {
  const Vec<float> size = abs<float>(x), square = x * x;
  constexpr float c[] = {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f};
  const Vec<float> near_zero = fma(polynomial(square, c) * square, size, size);
  const Vec<float> one = broadcast(1.0f);
  const Vec<float> far = one - broadcast(2.0f) / (exp(size + size) + one);
  const Mask<float> sign = (Mask<float>)x & (Mask<float>)broadcast(-0.0f);
  return (Vec<float>)((Mask<float>)select<float>(size < broadcast(0.625f), near_zero, far) | sign);
}
FASTNN_INLINE Vec<double> tanh(Vec<double> x) {
  return each_lane(x, [](double lane) { return __builtin_tanh(lane); });
}

// 1 / (1 + exp(-x)); 0 already below -88.7, where the result would still be 3e-39.
template <typename Real>
FASTNN_INLINE Vec<Real> sigmoid(Vec<Real> x) {
  const Vec<Real> one = broadcast(Real(1));
  return one / (one + exp(-x));
}

}  // namespace fastnn::FASTNN_ISA
