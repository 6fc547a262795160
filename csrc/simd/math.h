// Vector exp, expm1, log, log1p, pow, tanh, sigmoid, erf, the normal distribution, sin, cos and rounding. Included by
// `*.simd.cpp` only.
//
// float: polynomials after Moshier's Cephes library (expf.c, logf.c, tanhf.c, sinf.c), with the argument of exp reduced after
// Cody and Waite, "Software manual for the elementary functions", 1980, and log1p after Goldberg, "What every computer
// scientist should know about floating-point arithmetic", 1991, theorem 4. erfc is scaled as by Shepherd and Laframboise,
// "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < infinity", 1981, with polynomials of our own (minimax by
// Lawson's iteration). No branch but for large arguments of sin and cos: every lane takes every path and the mask chooses.
// double: libm lane by lane. It proves the algebra and need not be fast.
//
// Results are exact at 0 (and log at 1), have the right limits at +-infinity and at the ends of the range, and a NaN stays one.
// Denormals count as 0, as everywhere in a run (see FlushDenormals). Largest error seen over every seventh float, in units in
// the last place:
//
//     exp 1.01    log 0.80    log1p 2.43    tanh 1.33    sigmoid 2.47
//
// and over every 1009th (pow: over two million pairs)
//
//     expm1 1.47    erf 2.35    sin 1.48    cos 1.50    pow 0.51    normal_cdf 5 above 0, (6 + x^2) below, 0 below -12.9
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

// The polynomial (e^r - 1 - r) / r^2 for |r| <= log(2) / 2.
constexpr float kExp[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                          4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};

FASTNN_INLINE Vec<float> exp(Vec<float> x) {
  // Beyond these limits the result is infinity and 0, which the scaling below yields by itself.
  x = within(x, -104.0f, 89.0f);
  // Adding 1.5 * 2^23 rounds to an integer.
  const Vec<float> magic = broadcast(0x1.8p23f);
  const Vec<float> shifted = fma(x, broadcast(1.44269504088896341f), magic);
  const Vec<float> n = shifted - magic;
  Vec<float> r = fma(n, broadcast(-kLog2High), x);
  r = fma(n, broadcast(-kLog2Low), r);
  const Vec<float> e = fma(polynomial(r, kExp), r * r, r) + broadcast(1.0f);
  return times_power_of_two(e, n);
}
FASTNN_INLINE Vec<double> exp(Vec<double> x) {
  return each_lane(x, [](double lane) { return __builtin_exp(lane); });
}

// 2^x, in half the instructions of e^x; 0 from -127 down. A polynomial of our own (minimax by Lawson's iteration) that is exact at 0;
// 1.4 eps.
template <bool below_zero>
FASTNN_INLINE Vec<float> exp2(Vec<float> x) {
  // At -127 the exponent's bits are 0, and so is the result. A NaN stays one.
  const Vec<float> least = broadcast(-127.0f);
  x = select<float>(x < least, least, x);
  if constexpr (!below_zero) x = select<float>(x > broadcast(128.0f), broadcast(128.0f), x);
  const Vec<float> magic = broadcast(0x1.8p23f), shifted = x + magic;  // rounds, and leaves the integer in the low bits
  const Vec<float> r = x - (shifted - magic);
  constexpr float c[] = {1.3264727313e-3f, 9.6715129912e-3f, 5.5507335812e-2f, 2.4022242427e-1f, 6.9314700365e-1f, 1.0f};
  const Mask<float> exponent = ((Mask<float>)shifted - ((Mask<float>)magic - 127)) << 23;
  return polynomial(r, c) * (Vec<float>)exponent;
}

FASTNN_INLINE Vec<float> expm1(Vec<float> x) {
  x = within(x, -20.0f, 89.0f);
  const Vec<float> magic = broadcast(0x1.8p23f), one = broadcast(1.0f);  // as in exp
  const Vec<float> shifted = fma(x, broadcast(1.44269504088896341f), magic);
  const Vec<float> n = shifted - magic;
  Vec<float> r = fma(n, broadcast(-kLog2High), x);
  r = fma(n, broadcast(-kLog2Low), r);
  const Vec<float> p = fma(polynomial(r, kExp), r * r, r);  // e^r - 1
  // 2^n (p + 1) - 1 = 2^n (p + (1 - 2^-n)), where beyond n = 30 nothing is left of 2^-n.
  const Mask<float> exponent = (Mask<float>)shifted - (Mask<float>)magic, half = exponent >> 1;
  const Mask<float> limit = Mask<float>{} + 30, small = exponent < limit ? exponent : limit;
  const Vec<float> rest = one - (Vec<float>)((127 - small) << 23);
  return (p + rest) * (Vec<float>)((half + 127) << 23) * (Vec<float>)((exponent - half + 127) << 23);
}
FASTNN_INLINE Vec<double> expm1(Vec<double> x) {
  return each_lane(x, [](double lane) { return __builtin_expm1(lane); });
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

// ---- The error function and the normal distribution ---------------------------------------------------------------------

// e^(z^2) erfc(z) for z >= 0.
FASTNN_INLINE Vec<float> scaled_erfc(Vec<float> z) {
  const Vec<float> w = broadcast(1.0f) / (z + broadcast(3.0f)), s = fma(broadcast(-6.0f), w, broadcast(1.0f));
  constexpr float c[] = {-3.2472604256e-4f, -4.8200786394e-4f, 3.0805750935e-3f, -1.2270386964e-3f, -2.6840058667e-2f,
                         1.1952917129e-1f,  -3.1046597111e-1f, 5.9022829229e-1f, -8.8339448776e-1f, 1.0740069078f};
  return polynomial(s, c) * w;  // s = (z - 3) / (z + 3)
}

FASTNN_INLINE Vec<float> erf(Vec<float> x) {
  const Vec<float> size = abs<float>(x), square = x * x;
  constexpr float c[] = {-6.5352786704e-4f, 5.0851373116e-3f,  -2.6820810575e-2f,
                         1.1283112901e-1f,  -3.7612601395e-1f, 1.1283791637f};
  const Vec<float> near_zero = polynomial(square, c) * size;
  const Vec<float> far = broadcast(1.0f) - exp(-square) * scaled_erfc(size);
  const Mask<float> sign = (Mask<float>)x & (Mask<float>)broadcast(-0.0f);
  return (Vec<float>)((Mask<float>)select<float>(size < broadcast(0.8f), near_zero, far) | sign);
}
FASTNN_INLINE Vec<double> erf(Vec<double> x) {
  return each_lane(x, [](double lane) { return __builtin_erf(lane); });
}

// e^(-x^2 / 2) / 2.
FASTNN_INLINE Vec<float> half_bell(Vec<float> x) {
  return exp2<true>(fma(x * x, broadcast(-0.72134752044448170f), broadcast(-1.0f)));
}
FASTNN_INLINE Vec<double> half_bell(Vec<double> x) { return exp(x * x * broadcast(-0.5)) * broadcast(0.5); }

// P(X <= x) and the density for a normal X. The lower tail keeps its relative accuracy but for the rounding of x^2.
FASTNN_INLINE Vec<float> normal_cdf(Vec<float> x) {
  const Vec<float> z = abs<float>(x) * broadcast(0.70710678118654752f);
  const Vec<float> tail = half_bell(x) * scaled_erfc(z);
  return select<float>(x < zero<float>(), tail, broadcast(1.0f) - tail);
}
FASTNN_INLINE Vec<double> normal_cdf(Vec<double> x) {
  return broadcast(0.5) * each_lane(x * broadcast(-0.70710678118654752), [](double lane) { return __builtin_erfc(lane); });
}
template <typename Real>
FASTNN_INLINE Vec<Real> normal_density(Vec<Real> x) {
  return half_bell(x) * broadcast(Real(0.79788456080286536));
}

// ---- Rounding -----------------------------------------------------------------------------------------------------------

template <typename Real>
FASTNN_INLINE Vec<Real> with_sign_of(Vec<Real> x, Vec<Real> size) {
  return (Vec<Real>)((Mask<Real>)size | ((Mask<Real>)x & (Mask<Real>)broadcast(Real(-0.0))));
}

// To the nearest integer, halves to the even one. Adding a number whose last bit is worth 1 rounds; larger ones are integers.
template <typename Real>
FASTNN_INLINE Vec<Real> round(Vec<Real> x) {
  const Vec<Real> magic = broadcast(sizeof(Real) == 4 ? Real(0x1p23) : Real(0x1p52)), size = abs<Real>(x);
  return select<Real>(size < magic, with_sign_of<Real>(x, (size + magic) - magic), x);  // a NaN stays one
}
template <typename Real>
FASTNN_INLINE Vec<Real> floor(Vec<Real> x) {
  const Vec<Real> y = round<Real>(x);
  return with_sign_of<Real>(x, abs<Real>(y - select<Real>(y > x, broadcast(Real(1)), zero<Real>())));
}
template <typename Real>
FASTNN_INLINE Vec<Real> ceil(Vec<Real> x) {
  const Vec<Real> y = round<Real>(x);
  return with_sign_of<Real>(x, abs<Real>(y + select<Real>(y < x, broadcast(Real(1)), zero<Real>())));
}

// ---- What floats alone cannot do well: in double, half a vector at a time -------------------------------------------------

// f(a, b) on doubles, rounded to float.
template <typename F>
FASTNN_INLINE Vec<float> in_double(Vec<float> a, Vec<float> b, F f) {
  typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
  struct Halves {
    Half half[2];
  };
  const Halves from_a = __builtin_bit_cast(Halves, a), from_b = __builtin_bit_cast(Halves, b);
  Halves to;
  FASTNN_UNROLL
  for (int i = 0; i < 2; ++i) {
    const Vec<double> y =
        f(__builtin_convertvector(from_a.half[i], Vec<double>), __builtin_convertvector(from_b.half[i], Vec<double>));
    to.half[i] = __builtin_convertvector(y, Half);
  }
  return __builtin_bit_cast(Vec<float>, to);
}

// c[0] x^(n-1) + ... + c[n-1].
template <int n>
FASTNN_INLINE Vec<double> polynomial(Vec<double> x, const double (&c)[n]) {
  Vec<double> sum = broadcast(c[0]);
  FASTNN_UNROLL
  for (int i = 1; i < n; ++i) sum = fma(sum, x, broadcast(c[i]));
  return sum;
}

// sin (quarter 0) or cos (quarter 1). x = n pi/2 + r, |r| about pi/4 at most: n decides which of the two polynomials it is, and
// the sign. In double the difference keeps enough digits, the product with the first part of pi/2 (33 bits) being exact.
template <int quarter>
FASTNN_INLINE Vec<float> circular(Vec<float> x) {
  constexpr float limit = 131072;
  const Vec<float> magic = broadcast(0x1.8p23f);
  const Vec<float> shifted = fma(x, broadcast(0.63661977236758134f), magic);
  const Vec<float> r = in_double(x, shifted - magic, [](Vec<double> a, Vec<double> n) __attribute__((always_inline)) {
    return (a - n * broadcast(0x1.921fb544p0)) - n * broadcast(0x1.0b4611a626331p-34);
  });
  const Vec<float> square = r * r;
  constexpr float s[] = {-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f};
  constexpr float c[] = {2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f};
  const Vec<float> sine = fma(polynomial(square, s) * square, r, r);
  const Vec<float> cosine = fma(polynomial(square, c), square * square, fma(square, broadcast(-0.5f), broadcast(1.0f)));
  const Mask<float> n = (Mask<float>)shifted - (Mask<float>)magic + quarter;
  const Vec<float> y = (n & 1) != 0 ? cosine : sine;
  const Vec<float> signed_y = (Vec<float>)((Mask<float>)y ^ ((n & 2) << 30));
  const Mask<float> beyond = ~(abs<float>(x) <= broadcast(limit));  // NaN too
  if (reduce_lanes<int32_t>(beyond, [](auto a, auto b) __attribute__((always_inline)) { return a | b; })[0] == 0)
    return signed_y;
  float lane[kLanes<float>];
  store(lane, x);
  for (int i = 0; i < kLanes<float>; ++i) {
    lane[i] = static_cast<float>(quarter ? __builtin_cos(lane[i]) : __builtin_sin(lane[i]));
  }
  return select<float>(beyond, load(lane), signed_y);
}
FASTNN_INLINE Vec<float> sin(Vec<float> x) { return circular<0>(x); }
FASTNN_INLINE Vec<float> cos(Vec<float> x) { return circular<1>(x); }
FASTNN_INLINE Vec<double> sin(Vec<double> x) {
  return each_lane(x, [](double lane) { return __builtin_sin(lane); });
}
FASTNN_INLINE Vec<double> cos(Vec<double> x) {
  return each_lane(x, [](double lane) { return __builtin_cos(lane); });
}

// log2 of floats in double, to about 40 bits: of x = 2^e m with m within a factor sqrt(2) of 1 it is e + 2 atanh(f) / log 2
// with f = (m - 1) / (m + 1).
FASTNN_INLINE Vec<double> log2_of_float(Vec<double> x) {
  using Bits = Vec<uint64_t>;
  const Bits bits = (Bits)x, root_half = (Bits)broadcast(0.70710678118654752);
  const Mask<double> exponent = (Mask<double>)(bits - root_half) >> 52;
  const Vec<double> m = (Vec<double>)(bits - ((Bits)exponent << 52)), one = broadcast(1.0);
  const Vec<double> f = (m - one) / (m + one);
  constexpr double c[] = {1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1.0};
  const Vec<double> y =
      fma(polynomial(f * f, c) * f, broadcast(2.8853900817779268), __builtin_convertvector(exponent, Vec<double>));
  const Vec<double> infinity = broadcast(__builtin_inf());
  return select<double>(x == zero<double>(), -infinity, select<double>(x < infinity, y, x));
}

// 2^x to about 35 bits, by e^(r log 2) for the rest r = x - n.
FASTNN_INLINE Vec<double> exp2_to_float(Vec<double> x) {
  x = within(x, -1000.0, 1000.0);
  const Vec<double> magic = broadcast(0x1.8p52), shifted = x + magic;
  const Vec<double> r = (x - (shifted - magic)) * broadcast(0.69314718055994531);
  constexpr double c[] = {1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0};
  const Mask<double> exponent = (Mask<double>)shifted - (Mask<double>)magic;
  return polynomial(r, c) * (Vec<double>)((exponent + 1023) << 52);
}

// x^y with C's conventions: x^0 and 1^y are 1 even of a NaN, a negative x has real powers where y is an integer.
FASTNN_INLINE Vec<float> pow(Vec<float> x, Vec<float> y) {
  const Vec<float> size = abs<float>(x), one = broadcast(1.0f);
  Vec<float> power = in_double(
      size, y, [](Vec<double> a, Vec<double> b) __attribute__((always_inline)) { return exp2_to_float(b * log2_of_float(a)); });
  power = select<float>((y == zero<float>()) | (x == one) | ((size == one) & (abs<float>(y) == broadcast(__builtin_inff()))),
                        one, power);
  const Vec<float> half = y * broadcast(0.5f);
  const Mask<float> integer = round<float>(y) == y, odd = integer & (round<float>(half) != half);
  const Mask<float> negative = (Mask<float>)x >> 31;  // -0 too
  power = (Vec<float>)((Mask<float>)power | (negative & odd & (Mask<float>)broadcast(-0.0f)));
  const Mask<float> complex = (x < zero<float>()) & (size < broadcast(__builtin_inff())) & ~integer & (y == y);
  return select<float>(complex, broadcast(__builtin_nanf("")), power);
}
FASTNN_INLINE Vec<double> pow(Vec<double> x, Vec<double> y) {
  double lane[2][kLanes<double>];
  store(lane[0], x);
  store(lane[1], y);
  for (int i = 0; i < kLanes<double>; ++i) lane[0][i] = __builtin_pow(lane[0][i], lane[1][i]);
  return load(lane[0]);
}

}  // namespace fastnn::FASTNN_ISA
