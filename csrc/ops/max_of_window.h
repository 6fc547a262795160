// The largest value of a window, channel by channel: what pooling and conv2d_block share. Included by `*.simd.cpp` only.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// A vector of Real at p, of which the first `tail` lanes exist if `partial`; likewise of bytes.
template <typename Real, bool partial>
struct Channels {
  int tail;
  FASTNN_INLINE Vec<Real> read(const Real* p) const { return partial ? load_first(p, tail) : load(p); }
  FASTNN_INLINE void write(Real* p, Vec<Real> v) const { partial ? store_first(p, v, tail) : store(p, v); }
  FASTNN_INLINE Mask<Real> read_bytes(const uint8_t* p) const {
    if (!partial) return load_bytes<Real>(p);
    uint8_t bytes[kLanes<Real>] = {};
    for (int i = 0; i < tail; ++i) bytes[i] = p[i];
    return load_bytes<Real>(bytes);
  }
  FASTNN_INLINE void write_bytes(uint8_t* p, Mask<Real> lanes) const {
    if (!partial) return store_bytes<Real>(p, lanes);
    uint8_t bytes[kLanes<Real>];
    store_bytes<Real>(bytes, lanes);
    for (int i = 0; i < tail; ++i) p[i] = bytes[i];
  }
};

// Calls body(c, channels) for each vector of the channels from c on.
template <typename Real, typename Body>
FASTNN_INLINE void for_channels(int64_t C, Body&& body) {
  int64_t c = 0;
  for (; c + kLanes<Real> <= C; c += kLanes<Real>) body(c, Channels<Real, false>{0});
  if (c < C) body(c, Channels<Real, true>{static_cast<int>(C - c)});
}

// The largest of several values and its number. A value wins where it is larger, or not a number where the best still is one.
template <typename Real>
struct Largest {
  Vec<Real> best;
  Mask<Real> winner;
  FASTNN_INLINE void offer(Vec<Real> value, int64_t number) {
    offer({value, Mask<Real>{} + static_cast<typename MaskLane<Real>::type>(number)});
  }
  FASTNN_INLINE void offer(const Largest& other) {
#if defined(__AVX512F__)  // the compiler makes vectors of the masks in between
    if constexpr (sizeof(Real) == 4) {
      const __mmask16 larger = _mm512_cmp_ps_mask((__m512)other.best, (__m512)best, _CMP_NLE_UQ);
      const __mmask16 wins = _mm512_mask_cmp_ps_mask(larger, (__m512)best, (__m512)best, _CMP_ORD_Q);
      best = (Vec<Real>)_mm512_mask_mov_ps((__m512)best, wins, (__m512)other.best);
      winner = (Mask<Real>)_mm512_mask_mov_epi32((__m512i)winner, wins, (__m512i)other.winner);
    } else {
      const __mmask8 larger = _mm512_cmp_pd_mask((__m512d)other.best, (__m512d)best, _CMP_NLE_UQ);
      const __mmask8 wins = _mm512_mask_cmp_pd_mask(larger, (__m512d)best, (__m512d)best, _CMP_ORD_Q);
      best = (Vec<Real>)_mm512_mask_mov_pd((__m512d)best, wins, (__m512d)other.best);
      winner = (Mask<Real>)_mm512_mask_mov_epi64((__m512i)winner, wins, (__m512i)other.winner);
    }
#else
    const Mask<Real> wins = ~(other.best <= best) & (best == best);
    best = select<Real>(wins, other.best, best);
    winner = wins ? other.winner : winner;
#endif
  }
};

// Of four values; two pairs do not wait for each other.
template <typename Real>
FASTNN_INLINE Largest<Real> largest_of(Vec<Real> a, Vec<Real> b, Vec<Real> c, Vec<Real> d) {
  using Index = typename MaskLane<Real>::type;
  Largest<Real> first{a, Mask<Real>{}}, second{c, Mask<Real>{} + Index(2)};
  first.offer(b, 1);
  second.offer(d, 3);
  first.offer(second);
  return first;
}

// max(x, 0) in one instruction where there is one: a NaN is no less than 0.
template <typename Real>
FASTNN_INLINE Vec<Real> relu_of(Vec<Real> x) {
  return select<Real>(zero<Real>() > x, zero<Real>(), x);
}

// finish(the largest value) of `rows` by `columns` positions from x on, and its number; the first position's is `first`.
template <typename Real, typename Finish>
FASTNN_INLINE void max_of_window(Real* y, uint8_t* argmax, const Real* x, int64_t C, int64_t x_row, int64_t rows,
                                 int64_t columns, int64_t KW, int64_t first, Finish finish) {
  using Index = typename MaskLane<Real>::type;
  for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
    Largest<Real> largest{channels.read(x + c), Mask<Real>{} + static_cast<Index>(first)};
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = i == 0; j < columns; ++j) {
        largest.offer(channels.read(x + i * x_row + j * C + c), first + i * KW + j);
      }
    }
    channels.write(y + c, finish(largest.best));
    channels.write_bytes(argmax + c, largest.winner);
  });
}

}  // namespace fastnn::FASTNN_ISA
