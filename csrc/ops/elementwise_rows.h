// What kernels over broadcast rows share: numbers by the vector, and the walk over a task's rows. For `*.simd.cpp` only.
#pragma once

#include "ops/elementwise.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// A pack is a vector of floats, or one integer: the compiler's own vectorisation serves integer loops well enough. Integers are
// unsigned here, because their overflow wraps.
template <typename T>
struct PackOf {
  using type = Vec<T>;
  static constexpr int lanes = kLanes<T>;
};
template <>
struct PackOf<int32_t> {
  using type = uint32_t;
  static constexpr int lanes = 1;
};
template <>
struct PackOf<int64_t> {
  using type = uint64_t;
  static constexpr int lanes = 1;
};
template <>
struct PackOf<uint8_t> {
  using type = uint8_t;
  static constexpr int lanes = 1;
};
template <typename T>
using Pack = typename PackOf<T>::type;
template <typename T>
constexpr int kPack = PackOf<T>::lanes;

// Reads and writes n numbers of a pack, kPack<T> or fewer.
template <typename T>
FASTNN_INLINE Pack<T> read(const T* p, [[maybe_unused]] int64_t n) {
  if constexpr (kPack<T> == 1) {
    return static_cast<Pack<T>>(*p);
  } else {
    return n < kPack<T> ? load_first(p, static_cast<int>(n)) : load(p);
  }
}
template <typename T>
FASTNN_INLINE void write(T* p, Pack<T> v, [[maybe_unused]] int64_t n) {
  if constexpr (kPack<T> == 1) {
    *p = static_cast<T>(v);
  } else if (n < kPack<T>) {
    store_first(p, v, static_cast<int>(n));
  } else {
    store(p, v);
  }
}
template <typename T>
FASTNN_INLINE Pack<T> fill(T number) {
  if constexpr (kPack<T> == 1) {
    return static_cast<Pack<T>>(number);
  } else {
    return broadcast(number);
  }
}

// vec.h's, for integers.
template <typename T>
FASTNN_INLINE Pack<T> max(Pack<T> a, Pack<T> b)
  requires(kPack<T> == 1)
{
  return static_cast<T>(a) > static_cast<T>(b) ? a : b;
}
template <typename T>
FASTNN_INLINE Pack<T> min(Pack<T> a, Pack<T> b)
  requires(kPack<T> == 1)
{
  return static_cast<T>(a) < static_cast<T>(b) ? a : b;
}
template <typename T>
FASTNN_INLINE Pack<T> abs(Pack<T> x)
  requires(kPack<T> == 1)
{
  return static_cast<T>(x) < 0 ? -x : x;
}

// body(i, n) for every pack of `count` numbers: those from i to i + n. Inlined, so that a whole pack needs no test.
template <typename T, typename Body>
FASTNN_INLINE void for_each_pack(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + kPack<T> <= count; i += kPack<T>) body(i, kPack<T>);
  if (kPack<T> > 1 && i < count) body(i, count - i);
}

// A row of an operand: numbers in sequence, or one number for all. Which of both is known when compiling for integers, whose loops
// the compiler turns into vectors. For floats one loop serves both: the number stands in a pack that every step reads again, which
// costs no time and a third of the compilation.
template <typename T, bool stretched>
struct RowOperand {
  const T* p;
  int64_t step;
  T number[kPack<T>];
  FASTNN_INLINE RowOperand(const T* row, int64_t step) : p(row), step(step) {
    if constexpr (kPack<T> == 1) {
      number[0] = *row;
    } else if (step == 0) {
      store(number, fill(*row));
      p = number;
    }
  }
  RowOperand(const RowOperand&) = delete;
  FASTNN_INLINE Pack<T> at(int64_t i, int64_t n) const {
    if constexpr (kPack<T> > 1) return read(p + i * step, n);
    return stretched ? fill(number[0]) : read(p + i, n);
  }
};

// Part of a task: `rows` rows of n numbers, at these offsets in the result and the operands. From row to row the result
// advances by Broadcast::length, an operand by its row_stride.
struct Rows {
  int64_t rows, n, result, operand[3];
};

template <int operands, typename Body>
FASTNN_INLINE void for_each_rows(const Broadcast& over, int64_t task, Body body) {
  const int64_t start = task % over.pieces * over.piece;
  const int64_t n = over.length - start < over.piece ? over.length - start : over.piece;
  int64_t row = task / over.pieces * over.rows_per_task;
  const int64_t end = over.rows - row < over.rows_per_task ? over.rows : row + over.rows_per_task;
  while (row < end) {
    int64_t outer = row / over.block;
    const int64_t first = row - outer * over.block;
    Rows rows;
    rows.rows = end - row < over.block - first ? end - row : over.block - first;
    rows.n = n;
    rows.result = row * over.length + start;
    FASTNN_UNROLL
    for (int k = 0; k < operands; ++k) rows.operand[k] = first * over.row_stride[k] + start * over.step[k];
    for (int axis = over.axes - 1; axis >= 0; --axis) {
      const int64_t index = outer % over.extent[axis];
      outer /= over.extent[axis];
      FASTNN_UNROLL
      for (int k = 0; k < operands; ++k) rows.operand[k] += index * over.stride[k][axis];
    }
    body(rows);
    row += rows.rows;
  }
}

}  // namespace fastnn::FASTNN_ISA
