// The loop inside every register tile:  sum[r][v] += the number of row r at k  *  vector v of b at k,  for all k in order.
//
// A number of `a` is spread over the lanes, a row of `b` is `vectors` vectors. What the loop costs beside its multiply-adds is
// instructions. Where a second thread of the core is busy, on a shared machine most of the time, a core of a Cascade Lake takes 2 to
// 2.8 of them a cycle, and two should be multiply-adds. So
//   - every third row's number is read and spread by its multiply-adds themselves. More rows would ask for more loads than there
//     are, and with an index in its address the instruction counts as two, so the addresses of these rows are counted on;
//   - the other rows share one index, and four k share the counting;
//   - every row's address is in a register, which is why a tile has 12 rows there: of 14 some addresses are read again for each k.
// 12 x 2 vectors so take 36 instructions for 24 multiply-adds, 38 where rows of b are any distance apart; 14 x 2 had taken 48 and 54
// for 28.
#pragma once

#include <type_traits>

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

template <typename Real, int rows, int vectors>
using Sums = Vec<Real>[rows][vectors];

template <int vectors>
constexpr bool read_by_product(int row) {
  return kAddsFromMemory && vectors == 2 && row % 3 == 0;
}

// One k. `number(r)` is where row r's number lies; `by_product`: in an address that its products may read. `read(p, v)` is vector v
// of b's row, at p.
template <bool by_product, typename Real, int rows, int vectors, typename Number, typename Read>
FASTNN_INLINE void add_step(Sums<Real, rows, vectors>& sum, const Real* b, Number number, Read read) {
  Vec<Real> column[vectors];
  FASTNN_UNROLL
  for (int v = 0; v < vectors; ++v) column[v] = read(b + v * kLanes<Real>, v);
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    if (by_product && read_by_product<vectors>(r)) {
      FASTNN_UNROLL
      for (int v = 0; v < vectors; ++v) sum[r][v] = add_product(sum[r][v], number(r), column[v]);
    } else {
      const Vec<Real> factor = broadcast(*number(r));
      FASTNN_UNROLL
      for (int v = 0; v < vectors; ++v) sum[r][v] = add_product(sum[r][v], factor, column[v]);
    }
  }
}

// A value of which the compiler knows nothing, so that it computes no other from it, to keep in a register that is not there. (Given
// back and not changed in place: what an asm statement changes in an array, the array is kept in memory for.)
template <typename T>
FASTNN_INLINE T forget(T value) {
  asm("" : "+r"(value));
  return value;
}

// The same object, of which the compiler has read nothing: what a loop leaves no register for is then read where it is used and not
// kept on the stack. Results wait in the queue of stores, where a Zen 4 has 64 places and a vector of 64 bytes takes two; behind 24
// of them 16 more stores fill it, and the next tile does not begin. (Tiles of 12 x 2 vectors: 57 cycles of a pause instead of 76, of 8 x
// 2 none instead of 60.)
template <typename T>
FASTNN_INLINE const T& read_again(const T& object) {
  const T* p = &object;
  asm volatile("" : "+r"(p));
  return *p;
}

// The next row of b. Beside 12 addresses, an index and b itself there is no register for a distance.
template <typename Real>
FASTNN_INLINE const Real* next_row(const Real* b, const int64_t& bytes) {
#if defined(__AVX512F__)
  asm("add %1, %0" : "+r"(b) : "m"(bytes));
  return b;
#else
  return b + bytes / static_cast<int64_t>(sizeof(Real));
#endif
}
template <typename Real, int64_t bytes>
FASTNN_INLINE const Real* next_row(const Real* b, std::integral_constant<int64_t, bytes>) {
  return b + bytes / static_cast<int64_t>(sizeof(Real));
}

// Rows lie anywhere, the k of each side by side; rows of b are `b_bytes` apart, an int64_t or an integral constant.
template <typename Real, int rows, int vectors, typename Distance, typename Read>
FASTNN_INLINE void add_along_rows(Sums<Real, rows, vectors>& sum, const Real* const (&row)[rows], int64_t first, const Real* b,
                                  const Distance b_bytes, int64_t k, Read read) {
  constexpr int unrolled = 4;
  const int64_t whole = k & -unrolled;
  const Real* from[rows];
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) from[r] = forget(row[r] + first + (read_by_product<vectors>(r) ? 0 : whole));
  int64_t at = -whole;
  while (at != 0) {
    FASTNN_UNROLL
    for (int i = 0; i < unrolled; ++i) {
      const auto number = [&](int r)
                              __attribute__((always_inline)) { return from[r] + i + (read_by_product<vectors>(r) ? 0 : at); };
      add_step<true, Real, rows, vectors>(sum, b, number, read);
      b = next_row(b, b_bytes);
    }
    FASTNN_UNROLL
    for (int r = 0; r < rows; ++r) {
      if (read_by_product<vectors>(r)) from[r] = forget(from[r] + unrolled);
    }
    at = forget(at + unrolled);
  }
  for (; at < k - whole; ++at) {
    const auto number = [&](int r) __attribute__((always_inline)) { return from[r] + at; };
    add_step<false, Real, rows, vectors>(sum, b, number, read);
    b = next_row(b, b_bytes);
  }
}

// Rows lie side by side: their numbers at one k are neighbours, `a_k` from those at the next.
template <typename Real, int rows, int vectors, typename Distance, typename Read>
FASTNN_INLINE void add_side_by_side(Sums<Real, rows, vectors>& sum, const Real* a, int64_t a_k, const Real* b,
                                    const Distance b_bytes, int64_t k, Read read) {
  for (; k > 0; --k, a += a_k, b = next_row(b, b_bytes)) {
    add_step<true, Real, rows, vectors>(sum, b, [&](int r) __attribute__((always_inline)) { return a + r; }, read);
  }
}

// Rows and their k lie anywhere, or there are few k.
template <typename Real, int rows, int vectors, typename Read>
FASTNN_INLINE void add_anywhere(Sums<Real, rows, vectors>& sum, const Real* const (&row)[rows], int64_t at, int64_t a_k,
                                const Real* b, int64_t b_k, int64_t k, Read read) {
  for (; k > 0; --k, at += a_k, b += b_k) {
    add_step<false, Real, rows, vectors>(sum, b, [&](int r) __attribute__((always_inline)) { return row[r] + at; }, read);
  }
}

}  // namespace fastnn::FASTNN_ISA
