// One number in another dtype, shared by the ops cast and gather_rows.
//
// Floats are cut towards zero, stop at the ends of an integer's range, and become 0 if NaN: C++ leaves what lies outside the range
// undefined, and CPUs differ. Integers wrap.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

template <typename To, typename From>
FASTNN_INLINE To convert(From x) {
  constexpr bool from_float = From(0.5) != From(0), to_float = To(0.5) != To(0);
  if constexpr (from_float && !to_float) {
    // 2^bits is the first number beyond the range: a float exactly, as the last number in the range is not.
    constexpr bool is_signed = To(-1) < To(0);
    constexpr int bits = 8 * sizeof(To) - is_signed;
    constexpr From limit = From(2) * static_cast<From>(uint64_t{1} << (bits - 1));
    constexpr To highest = static_cast<To>(~uint64_t{0} >> (64 - bits));
    constexpr To lowest = is_signed ? -highest - 1 : 0;
    if (x >= limit) return highest;
    if (x <= static_cast<From>(lowest)) return lowest;
    return x == x ? static_cast<To>(x) : To(0);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace fastnn::FASTNN_ISA
