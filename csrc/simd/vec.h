// Vectors: the only file with intrinsics. Included by `*.simd.cpp` only, which are compiled once per ISA.
//
// Everything lives in namespace fastnn::<isa>, so that no function compiled for AVX-512 can be linked into code that runs on a
// CPU without it. A vector has kLanes<Real> lanes; arithmetic is the compiler's own (+ - * / and comparisons on its vector
// types); what the language lacks stands below. Vectors are passed between inlined functions only, never across a call.
//
// fma(a, b, c) is one rounding where the ISA has it (AVX2, AVX-512, NEON) and two elsewhere; nothing else is ever contracted
// (-ffp-contract=off), so the bits of a kernel are those of its source, whatever its tile or its number of threads.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(FASTNN_NEON)  // by the build: every compiler for AArch64 has NEON, in the generic kernels too
#include <arm_neon.h>
#endif

#define FASTNN_INLINE inline __attribute__((always_inline))
// GCC peels at most 16 iterations by itself; a longer register-tile loop keeps its accumulators in memory (seen: 17 against
// 3.8 microseconds). On every loop over a register tile, but for the sanitizers, whose checks of every access would be unrolled
// with it: compiling a file took up to seven minutes.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FASTNN_UNROLL
#else
#define FASTNN_UNROLL _Pragma("GCC unroll 64")
#endif

namespace fastnn::FASTNN_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
#if defined(__AVX512F__) || defined(FASTNN_NEON)
constexpr int kVectorRegisters = 32;
#else
constexpr int kVectorRegisters = 16;
#endif

template <typename T>
constexpr int kLanes = kVectorBytes / sizeof(T);

template <typename T>
struct VecOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
};
template <typename T>
using Vec = typename VecOf<T>::type;

// The integer of the same width: what a comparison yields, all bits set or none.
template <typename Real>
struct MaskLane;
template <>
struct MaskLane<float> {
  using type = int32_t;
};
template <>
struct MaskLane<double> {
  using type = int64_t;
};
template <>
struct MaskLane<int32_t> {
  using type = int32_t;
};
template <>
struct MaskLane<int64_t> {
  using type = int64_t;
};
template <typename Real>
using Mask = Vec<typename MaskLane<Real>::type>;

template <typename T>
FASTNN_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VecOf<T>::unaligned*>(p);
}
template <typename T>
FASTNN_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VecOf<T>::unaligned*>(p) = v;
}
template <typename T>
FASTNN_INLINE Vec<T> zero() {
  return Vec<T>{};
}

// 0, 1, 2, ...
template <typename T>
FASTNN_INLINE Vec<T> lane_numbers() {
  Vec<T> v{};
  FASTNN_UNROLL
  for (int i = 0; i < kLanes<T>; ++i) v[i] = static_cast<T>(i);
  return v;
}

template <typename T>
FASTNN_INLINE Vec<T> select(Vec<typename MaskLane<T>::type> mask, Vec<T> yes, Vec<T> no) {
  return mask ? yes : no;
}

// -- What differs by ISA: broadcast, fma, sqrt, loads and stores of the first n lanes (1 <= n < kLanes; the others read 0), and
// the 64-bit product of the lower 32 bits of each lane (the compiler's own * of 64-bit lanes is 2 to 4 times slower).
#if defined(__AVX512F__)
FASTNN_INLINE Vec<float> broadcast(float s) { return (Vec<float>)_mm512_set1_ps(s); }
FASTNN_INLINE Vec<double> broadcast(double s) { return (Vec<double>)_mm512_set1_pd(s); }
FASTNN_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return (Vec<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
FASTNN_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return (Vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
FASTNN_INLINE Vec<float> sqrt(Vec<float> a) {
  return (Vec<float>)_mm512_maskz_sqrt_ps(0xffff, (__m512)a);  // the plain form warns in g++ 12's own header
}
FASTNN_INLINE Vec<double> sqrt(Vec<double> a) { return (Vec<double>)_mm512_maskz_sqrt_pd(0xff, (__m512d)a); }
FASTNN_INLINE Vec<float> load_first(const float* p, int n) {
  return (Vec<float>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
}
FASTNN_INLINE Vec<double> load_first(const double* p, int n) {
  return (Vec<double>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
}
FASTNN_INLINE void store_first(float* p, Vec<float> v, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), (__m512)v);
}
FASTNN_INLINE void store_first(double* p, Vec<double> v, int n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), (__m512d)v);
}
FASTNN_INLINE Vec<uint64_t> multiply_low_halves(Vec<uint64_t> a, Vec<uint64_t> b) {
  return (Vec<uint64_t>)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);
}
#elif defined(__AVX2__)
FASTNN_INLINE Vec<float> broadcast(float s) { return (Vec<float>)_mm256_set1_ps(s); }
FASTNN_INLINE Vec<double> broadcast(double s) { return (Vec<double>)_mm256_set1_pd(s); }
FASTNN_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return (Vec<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
FASTNN_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return (Vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
FASTNN_INLINE Vec<float> sqrt(Vec<float> a) { return (Vec<float>)_mm256_sqrt_ps((__m256)a); }
FASTNN_INLINE Vec<double> sqrt(Vec<double> a) { return (Vec<double>)_mm256_sqrt_pd((__m256d)a); }
FASTNN_INLINE __m256i first_lanes(float, int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
FASTNN_INLINE __m256i first_lanes(double, int n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
FASTNN_INLINE Vec<float> load_first(const float* p, int n) { return (Vec<float>)_mm256_maskload_ps(p, first_lanes(0.0f, n)); }
FASTNN_INLINE Vec<double> load_first(const double* p, int n) { return (Vec<double>)_mm256_maskload_pd(p, first_lanes(0.0, n)); }
FASTNN_INLINE void store_first(float* p, Vec<float> v, int n) { _mm256_maskstore_ps(p, first_lanes(0.0f, n), (__m256)v); }
FASTNN_INLINE void store_first(double* p, Vec<double> v, int n) { _mm256_maskstore_pd(p, first_lanes(0.0, n), (__m256d)v); }
FASTNN_INLINE Vec<uint64_t> multiply_low_halves(Vec<uint64_t> a, Vec<uint64_t> b) {
  return (Vec<uint64_t>)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}
#elif defined(FASTNN_NEON)
FASTNN_INLINE Vec<float> broadcast(float s) { return (Vec<float>)vdupq_n_f32(s); }
FASTNN_INLINE Vec<double> broadcast(double s) { return (Vec<double>)vdupq_n_f64(s); }
FASTNN_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return (Vec<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
FASTNN_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return (Vec<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
FASTNN_INLINE Vec<float> sqrt(Vec<float> a) { return (Vec<float>)vsqrtq_f32((float32x4_t)a); }
FASTNN_INLINE Vec<double> sqrt(Vec<double> a) { return (Vec<double>)vsqrtq_f64((float64x2_t)a); }
FASTNN_INLINE Vec<float> load_first(const float* p, int n) {
  if (n == 1) return (Vec<float>)vsetq_lane_f32(p[0], vdupq_n_f32(0), 0);
  const float32x4_t two = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
  return (Vec<float>)(n == 2 ? two : vld1q_lane_f32(p + 2, two, 2));
}
FASTNN_INLINE Vec<double> load_first(const double* p, int) { return (Vec<double>)vcombine_f64(vld1_f64(p), vdup_n_f64(0)); }
FASTNN_INLINE void store_first(float* p, Vec<float> v, int n) {
  if (n == 1) return vst1q_lane_f32(p, (float32x4_t)v, 0);
  vst1_f32(p, vget_low_f32((float32x4_t)v));
  if (n == 3) vst1q_lane_f32(p + 2, (float32x4_t)v, 2);
}
FASTNN_INLINE void store_first(double* p, Vec<double> v, int) { vst1q_lane_f64(p, (float64x2_t)v, 0); }
FASTNN_INLINE Vec<uint64_t> multiply_low_halves(Vec<uint64_t> a, Vec<uint64_t> b) {
  return (Vec<uint64_t>)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
}
#else
FASTNN_INLINE Vec<float> broadcast(float s) { return Vec<float>{s, s, s, s}; }
FASTNN_INLINE Vec<double> broadcast(double s) { return Vec<double>{s, s}; }
template <typename T>
FASTNN_INLINE T fma(T a, T b, T c) {
  return a * b + c;
}
template <typename T, typename Real>
FASTNN_INLINE T sqrt_lanes(T a) {
  T root = {};
  FASTNN_UNROLL
  for (int i = 0; i < kLanes<Real>; ++i) root[i] = sizeof(Real) == 4 ? __builtin_sqrtf(a[i]) : __builtin_sqrt(a[i]);
  return root;
}
FASTNN_INLINE Vec<float> sqrt(Vec<float> a) { return sqrt_lanes<Vec<float>, float>(a); }
FASTNN_INLINE Vec<double> sqrt(Vec<double> a) { return sqrt_lanes<Vec<double>, double>(a); }
template <typename Real>
FASTNN_INLINE Vec<Real> load_first(const Real* p, int n) {
  Vec<Real> v{};
  for (int i = 0; i < kLanes<Real> - 1; ++i) {
    if (i < n) v[i] = p[i];
  }
  return v;
}
template <typename Real>
FASTNN_INLINE void store_first(Real* p, Vec<Real> v, int n) {
  for (int i = 0; i < kLanes<Real> - 1; ++i) {
    if (i < n) p[i] = v[i];
  }
}
FASTNN_INLINE Vec<uint64_t> multiply_low_halves(Vec<uint64_t> a, Vec<uint64_t> b) {
#if defined(__x86_64__)
  return (Vec<uint64_t>)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}
#endif

// sum + a * b as fma(a, b, sum), and sum + *number * b, in the sum's own register.
#if defined(__AVX512F__)
// Left to itself, a compiler overwrites a factor instead of the sum and moves the sum back, and it spreads a number that is used
// twice once, into a register.
constexpr bool kAddsFromMemory = true;
FASTNN_INLINE Vec<float> add_product(Vec<float> sum, Vec<float> a, Vec<float> b) {
  asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}
FASTNN_INLINE Vec<double> add_product(Vec<double> sum, Vec<double> a, Vec<double> b) {
  asm("vfmadd231pd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}
FASTNN_INLINE Vec<float> add_product(Vec<float> sum, const float* number, Vec<float> b) {
  asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(b), "m"(*number));
  return sum;
}
FASTNN_INLINE Vec<double> add_product(Vec<double> sum, const double* number, Vec<double> b) {
  asm("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(b), "m"(*number));
  return sum;
}
#else
constexpr bool kAddsFromMemory = false;
FASTNN_INLINE Vec<float> add_product(Vec<float> sum, Vec<float> a, Vec<float> b) { return fma(a, b, sum); }
FASTNN_INLINE Vec<double> add_product(Vec<double> sum, Vec<double> a, Vec<double> b) { return fma(a, b, sum); }
template <typename Real>
FASTNN_INLINE Vec<Real> add_product(Vec<Real> sum, const Real* number, Vec<Real> b) {
  return fma(broadcast(*number), b, sum);
}
#endif

// dy where the mask lets it pass, else 0, or NaN where what was compared is one.
template <typename Real>
FASTNN_INLINE Vec<Real> gate(Mask<Real> pass, Vec<Real> dy, Vec<Real> x) {
  return select<Real>(pass, dy, select<Real>(x == x, zero<Real>(), x));
}
template <typename Real>
FASTNN_INLINE Vec<Real> gate(Mask<Real> pass, Vec<Real> dy, Vec<Real> a, Vec<Real> b) {
  return select<Real>(pass, dy, select<Real>(a == a, select<Real>(b == b, zero<Real>(), b), a));
}

// x 2^n for whole n from -150 to 128: two factors, because one exponent field only runs to 127.
FASTNN_INLINE Vec<float> times_power_of_two(Vec<float> x, Vec<float> n) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_maskz_scalef_ps(0xffff, (__m512)x, (__m512)n);
#else
  const Mask<float> exponent = __builtin_convertvector(n, Mask<float>), half = exponent >> 1;
  return x * (Vec<float>)((half + 127) << 23) * (Vec<float>)((exponent - half + 127) << 23);
#endif
}

// Which lanes of a vector an element of memory stands behind: all, or in the last one of an array only the first n. A loop body
// written once for either computes a tail with the same instructions as the rest, so that no bit depends on the length.
struct AllLanes {
  template <typename Real>
  FASTNN_INLINE Vec<Real> load(const Real* p) const {
    return FASTNN_ISA::load(p);
  }
  template <typename Real>
  FASTNN_INLINE Vec<Real> load(const Real* p, Real) const {
    return FASTNN_ISA::load(p);
  }
  template <typename Real>
  FASTNN_INLINE void store(Real* p, Vec<Real> v) const {
    FASTNN_ISA::store(p, v);
  }
};
struct FirstLanes {
  int n;
  template <typename Real>
  FASTNN_INLINE Vec<Real> load(const Real* p) const {
    return load_first(p, n);
  }
  // The lanes without an element read `rest`.
  template <typename Real>
  FASTNN_INLINE Vec<Real> load(const Real* p, Real rest) const {
    const Mask<Real> present = lane_numbers<typename MaskLane<Real>::type>() < static_cast<typename MaskLane<Real>::type>(n);
    return select<Real>(present, load_first(p, n), broadcast(rest));
  }
  template <typename Real>
  FASTNN_INLINE void store(Real* p, Vec<Real> v) const {
    store_first(p, v, n);
  }
};

// body(i, lanes) for i = 0, kLanes, 2 kLanes, ... below n.
template <typename Real, typename Body>
FASTNN_INLINE void for_each_vector(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + kLanes<Real> <= n; i += kLanes<Real>) body(i, AllLanes{});
  if (i < n) body(i, FirstLanes{static_cast<int>(n - i)});
}

// -- One byte per lane: masks and indices in memory. (__builtin_convertvector widens bytes one at a time in g++ 12: 27 cycles
// for 16 lanes against 2.) Values must fit into a byte.
template <typename Real>
FASTNN_INLINE Mask<Real> load_bytes(const uint8_t* p) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) == 4)
    return (Mask<Real>)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i_u*)p));
  else
    return (Mask<Real>)_mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i_u*)p));
#elif defined(__AVX2__)
  if constexpr (sizeof(Real) == 4)
    return (Mask<Real>)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i_u*)p));
  else
    return (Mask<Real>)_mm256_cvtepu8_epi64(_mm_loadu_si32(p));
#elif defined(FASTNN_NEON)
  if constexpr (sizeof(Real) == 4) {
    uint32_t bytes;
    __builtin_memcpy(&bytes, p, 4);
    return (Mask<Real>)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes))));
  } else {
    uint16_t bytes;
    __builtin_memcpy(&bytes, p, 2);
    return (Mask<Real>)vmovl_u32(vget_low_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes))))));
  }
#else
  Mask<Real> lanes = {};
  for (int i = 0; i < kLanes<Real>; ++i) lanes[i] = p[i];
  return lanes;
#endif
}
template <typename Real>
FASTNN_INLINE void store_bytes(uint8_t* p, Mask<Real> lanes) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) == 4)
    _mm_storeu_si128((__m128i_u*)p, _mm512_cvtepi32_epi8((__m512i)lanes));
  else
    _mm_storel_epi64((__m128i_u*)p, _mm512_cvtepi64_epi8((__m512i)lanes));
#elif defined(__AVX2__)
  const __m128i low = _mm256_castsi256_si128((__m256i)lanes), high = _mm256_extracti128_si256((__m256i)lanes, 1);
  if constexpr (sizeof(Real) == 4) {
    const __m128i halves = _mm_packus_epi32(low, high);
    _mm_storel_epi64((__m128i_u*)p, _mm_packus_epi16(halves, halves));
  } else {
    const __m128i first = _mm_setr_epi8(0, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    _mm_storeu_si32(p, _mm_unpacklo_epi16(_mm_shuffle_epi8(low, first), _mm_shuffle_epi8(high, first)));
  }
#elif defined(FASTNN_NEON)
  if constexpr (sizeof(Real) == 4) {
    const uint16x4_t halves = vmovn_u32((uint32x4_t)lanes);
    const uint32_t bytes = vget_lane_u32((uint32x2_t)vmovn_u16(vcombine_u16(halves, halves)), 0);
    __builtin_memcpy(p, &bytes, 4);
  } else {
    const uint8x16_t bytes = (uint8x16_t)lanes;
    vst1q_lane_u8(p, bytes, 0);
    vst1q_lane_u8(p + 1, bytes, 8);
  }
#else
  for (int i = 0; i < kLanes<Real>; ++i) p[i] = static_cast<uint8_t>(lanes[i]);
#endif
}

// Bit i is set where lane i of the mask is.
template <typename Real>
FASTNN_INLINE uint64_t bits_of(Mask<Real> mask) {
#if defined(__AVX512F__)
  return sizeof(Real) == 4 ? _mm512_movepi32_mask((__m512i)mask) : _mm512_movepi64_mask((__m512i)mask);
#elif defined(__AVX2__)
  return static_cast<uint32_t>(sizeof(Real) == 4 ? _mm256_movemask_ps((__m256)mask) : _mm256_movemask_pd((__m256d)mask));
#else
  uint64_t bits = 0;
  FASTNN_UNROLL
  for (int i = 0; i < kLanes<Real>; ++i) bits |= (mask[i] != 0 ? uint64_t{1} : 0) << i;
  return bits;
#endif
}

// The same fused multiply-add for one number, so that a scalar tail rounds like the vectors before it.
template <typename Real>
FASTNN_INLINE Real fma1(Real a, Real b, Real c) {
#if defined(__FMA__) || defined(FASTNN_NEON)
  return sizeof(Real) == 4 ? __builtin_fmaf(a, b, c) : __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// a * b + c in the lanes of a mask, c in the others; b counts as 0 there, where the ISA has no operation of its own.
#if defined(__AVX512F__)
template <typename Real>
FASTNN_INLINE __mmask16 lanes_where(Mask<Real> mask) {
  if constexpr (sizeof(Real) == 4) return _mm512_movepi32_mask((__m512i)mask);
  if constexpr (sizeof(Real) == 8) return _mm512_movepi64_mask((__m512i)mask);
}
template <typename Real>
FASTNN_INLINE Vec<Real> fma_where(__mmask16 where, Vec<Real> a, Vec<Real> b, Vec<Real> c) {
  if constexpr (sizeof(Real) == 4) return (Vec<Real>)_mm512_mask3_fmadd_ps((__m512)a, (__m512)b, (__m512)c, where);
  if constexpr (sizeof(Real) == 8) {
    return (Vec<Real>)_mm512_mask3_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c, static_cast<__mmask8>(where));
  }
}
#else
template <typename Real>
FASTNN_INLINE Mask<Real> lanes_where(Mask<Real> mask) {
  return mask;
}
template <typename Real>
FASTNN_INLINE Vec<Real> fma_where(Mask<Real> where, Vec<Real> a, Vec<Real> b, Vec<Real> c) {
  return fma(a, select<Real>(where, b, zero<Real>()), c);
}
#endif

// max(a, b) with a NaN in either operand coming out as NaN (an x86 CPU's own max drops one of them).
template <typename Real>
FASTNN_INLINE Vec<Real> max(Vec<Real> a, Vec<Real> b) {
#if defined(FASTNN_NEON)
  if constexpr (Real(0.5) != Real(0) && sizeof(Real) == 4) return (Vec<Real>)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
  if constexpr (Real(0.5) != Real(0) && sizeof(Real) == 8) return (Vec<Real>)vmaxq_f64((float64x2_t)a, (float64x2_t)b);
#endif
  return select<Real>((a > b) | (a != a), a, b);
}
template <typename Real>
FASTNN_INLINE Vec<Real> min(Vec<Real> a, Vec<Real> b) {
#if defined(FASTNN_NEON)
  if constexpr (Real(0.5) != Real(0) && sizeof(Real) == 4) return (Vec<Real>)vminq_f32((float32x4_t)a, (float32x4_t)b);
  if constexpr (Real(0.5) != Real(0) && sizeof(Real) == 8) return (Vec<Real>)vminq_f64((float64x2_t)a, (float64x2_t)b);
#endif
  return select<Real>((a < b) | (a != a), a, b);
}

// x, or the limit that it is beyond. A NaN stays: an x86 CPU's own max and min return the second operand then.
template <typename Real>
FASTNN_INLINE Vec<Real> within(Vec<Real> x, Real low, Real high) {
  const Vec<Real> least = broadcast(low), most = broadcast(high);
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) == 4) {
    return (Vec<Real>)_mm512_maskz_min_ps(0xffff, (__m512)most, _mm512_maskz_max_ps(0xffff, (__m512)least, (__m512)x));
  } else {
    return (Vec<Real>)_mm512_maskz_min_pd(0xff, (__m512d)most, _mm512_maskz_max_pd(0xff, (__m512d)least, (__m512d)x));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(Real) == 4) {
    return (Vec<Real>)_mm256_min_ps((__m256)most, _mm256_max_ps((__m256)least, (__m256)x));
  } else {
    return (Vec<Real>)_mm256_min_pd((__m256d)most, _mm256_max_pd((__m256d)least, (__m256d)x));
  }
#else
  return min<Real>(max<Real>(x, least), most);
#endif
}

// The lanes of a and b, counted through, in this order. (Clang has no shuffle by a vector; of known numbers it makes one.)
template <typename Real>
FASTNN_INLINE Vec<Real> shuffle(Vec<Real> a, Vec<Real> b, Mask<Real> order) {
#if defined(__clang__)
  Vec<Real> result{};
  FASTNN_UNROLL
  for (int i = 0; i < kLanes<Real>; ++i) {
    result[i] = order[i] < kLanes<Real> ? a[order[i] % kLanes<Real>] : b[order[i] % kLanes<Real>];
  }
  return result;
#else
  return __builtin_shuffle(a, b, order);
#endif
}
template <typename Real>
FASTNN_INLINE Vec<Real> shuffle(Vec<Real> v, Mask<Real> order) {
#if defined(__clang__)
  return shuffle<Real>(v, v, order);
#else
  return __builtin_shuffle(v, order);
#endif
}

// op over all lanes, in every lane of the result, in the fixed order of a halving tree: ((0+4)+(2+6)) + ((1+5)+(3+7)) for
// eight lanes. op must commute.
template <typename Real, typename Op>
FASTNN_INLINE Vec<Real> reduce_lanes(Vec<Real> v, Op op) {
  const auto number = lane_numbers<typename MaskLane<Real>::type>();
  FASTNN_UNROLL
  for (int half = kLanes<Real> / 2; half > 0; half /= 2) {
    v = op(v, shuffle<Real>(v, number ^ static_cast<typename MaskLane<Real>::type>(half)));
  }
  return v;
}
template <typename Real>
FASTNN_INLINE Vec<Real> sum_all_lanes(Vec<Real> v) {
  return reduce_lanes<Real>(v, [](Vec<Real> a, Vec<Real> b) __attribute__((always_inline)) { return a + b; });
}
template <typename Real>
FASTNN_INLINE Vec<Real> max_all_lanes(Vec<Real> v) {
  return reduce_lanes<Real>(v, [](Vec<Real> a, Vec<Real> b) __attribute__((always_inline)) { return max<Real>(a, b); });
}
template <typename Real>
FASTNN_INLINE Real sum_lanes(Vec<Real> v) {
  return sum_all_lanes<Real>(v)[0];
}

}  // namespace fastnn::FASTNN_ISA
