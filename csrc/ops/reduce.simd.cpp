#include "ops/reduce.h"

#include "ops/elementwise_rows.h"

namespace fastnn::FASTNN_ISA {

namespace {

// Rows of a column that take turns: as many chains of additions as the latency of an addition asks for, and with
// kColumnPacks packs a row within the registers.
constexpr int kColumnRows = kVectorRegisters == 32 ? 4 : 2;
constexpr int kColumnPacks = 4;

// What is folded: how two numbers become one, and the number that changes nothing.
template <typename T>
struct Sum {
  FASTNN_INLINE static Pack<T> nothing() { return Pack<T>{}; }
  FASTNN_INLINE static Pack<T> of(Pack<T> a, Pack<T> b) { return a + b; }
};
template <typename T>
struct Product {
  FASTNN_INLINE static Pack<T> nothing() { return fill(T(1)); }
  FASTNN_INLINE static Pack<T> of(Pack<T> a, Pack<T> b) { return a * b; }
};
template <typename T>
constexpr T kLowest = sizeof(T) == 4 ? T(INT32_MIN) : T(INT64_MIN);
template <>
constexpr float kLowest<float> = -__builtin_inff();
template <>
constexpr double kLowest<double> = -__builtin_inf();
template <typename T>
struct Max {
  FASTNN_INLINE static Pack<T> nothing() { return fill(kLowest<T>); }
  FASTNN_INLINE static Pack<T> of(Pack<T> a, Pack<T> b) { return max<T>(a, b); }
};
template <typename T>
struct Min {
  FASTNN_INLINE static Pack<T> nothing() {
    if constexpr (kPack<T> == 1) {
      return ~fill(kLowest<T>);
    } else {
      return -fill(kLowest<T>);
    }
  }
  FASTNN_INLINE static Pack<T> of(Pack<T> a, Pack<T> b) { return min<T>(a, b); }
};
template <typename T>  // a bool is the byte 0 or 1
struct Any {
  FASTNN_INLINE static Pack<T> nothing() { return 0; }
  FASTNN_INLINE static Pack<T> of(Pack<T> a, Pack<T> b) { return a | b; }
};
template <typename T>
struct All {
  FASTNN_INLINE static Pack<T> nothing() { return 1; }
  FASTNN_INLINE static Pack<T> of(Pack<T> a, Pack<T> b) { return a & b; }
};

template <typename T, typename Folded>
FASTNN_INLINE T fold_pack(Pack<T> v) {
  if constexpr (kPack<T> == 1) {
    return static_cast<T>(v);
  } else {
    return reduce_lanes<T>(v, [](Pack<T> a, Pack<T> b) __attribute__((always_inline)) { return Folded::of(a, b); })[0];
  }
}

// The first n numbers of a pack, the rest being those that change nothing.
template <typename T, typename Folded>
FASTNN_INLINE Pack<T> read_rest(const T* p, int64_t n) {
  if constexpr (kPack<T> == 1) {
    return read(p, 1);
  } else {
    return n < kPack<T> ? FirstLanes{static_cast<int>(n)}.load(p, Folded::nothing()[0]) : load(p);
  }
}

template <typename T, typename Folded>
FASTNN_INLINE T fold_row(const T* x, int64_t n) {
  constexpr int turns = 4;
  Pack<T> total[turns];
  FASTNN_UNROLL
  for (int k = 0; k < turns; ++k) total[k] = Folded::nothing();
  int64_t i = 0;
  for (; i + turns * kPack<T> <= n; i += turns * kPack<T>) {
    FASTNN_UNROLL
    for (int k = 0; k < turns; ++k) total[k] = Folded::of(total[k], read(x + i + k * kPack<T>, kPack<T>));
  }
  FASTNN_UNROLL
  for (int k = 0; k < turns; ++k) {
    const int64_t left = n - i - k * kPack<T>;
    if (left > 0) total[k] = Folded::of(total[k], read_rest<T, Folded>(x + i + k * kPack<T>, left));
  }
  return fold_pack<T, Folded>(Folded::of(Folded::of(total[0], total[1]), Folded::of(total[2], total[3])));
}

// inner == 1.
template <typename T, typename Folded>
void fold_rows(Buffers buffers, const FoldShape& shape, int64_t task) {
  const T* x = static_cast<const T*>(buffers.at[shape.from_buffer]) + shape.from;
  T* y = static_cast<T*>(buffers.at[shape.to_buffer]) + shape.to;
  const int64_t units = shape.outer * shape.chunks, first = task * shape.units_per_task;
  const int64_t end = units - first < shape.units_per_task ? units : first + shape.units_per_task;
  for (int64_t unit = first; unit < end; ++unit) {
    const int64_t start = unit % shape.chunks * shape.chunk;
    const int64_t n = shape.reduced - start < shape.chunk ? shape.reduced - start : shape.chunk;
    const T total = fold_row<T, Folded>(x + unit / shape.chunks * shape.reduced + start, n);
    y[unit] = shape.divisor == 1 ? total : static_cast<T>(total / static_cast<T>(shape.divisor));
  }
}

// `packs` packs of columns; the last has `tail` of them.
template <typename T, typename Folded, int packs>
FASTNN_INLINE void fold_column_packs(T* y, const T* x, int64_t rows, int64_t stride, int64_t tail, T divisor) {
  Pack<T> total[kColumnRows][packs];
  FASTNN_UNROLL
  for (int turn = 0; turn < kColumnRows; ++turn) {
    FASTNN_UNROLL
    for (int v = 0; v < packs; ++v) total[turn][v] = Folded::nothing();
  }
  auto add = [&](int turn, const T* row) __attribute__((always_inline)) {
    FASTNN_UNROLL
    for (int v = 0; v < packs; ++v) {
      total[turn][v] = Folded::of(total[turn][v], read(row + v * kPack<T>, v < packs - 1 ? kPack<T> : tail));
    }
  };
  int64_t r = 0;
  for (; r + kColumnRows <= rows; r += kColumnRows) {
    FASTNN_UNROLL
    for (int turn = 0; turn < kColumnRows; ++turn) add(turn, x + (r + turn) * stride);
  }
  FASTNN_UNROLL
  for (int turn = 0; turn < kColumnRows - 1; ++turn) {
    if (r + turn < rows) add(turn, x + (r + turn) * stride);
  }
  FASTNN_UNROLL
  for (int v = 0; v < packs; ++v) {
    Pack<T> result = Folded::of(total[0][v], total[1][v]);
    if constexpr (kColumnRows == 4) result = Folded::of(result, Folded::of(total[2][v], total[3][v]));
    if (divisor != T(1)) result = result / fill(divisor);
    write(y + v * kPack<T>, result, v < packs - 1 ? kPack<T> : tail);
  }
}

// inner > 1: vectors lie along the columns.
template <typename T, typename Folded>
void fold_columns(Buffers buffers, const FoldShape& shape, int64_t task) {
  const T* x = static_cast<const T*>(buffers.at[shape.from_buffer]) + shape.from;
  T* y = static_cast<T*>(buffers.at[shape.to_buffer]) + shape.to;
  const auto divisor = static_cast<T>(shape.divisor);
  const int64_t units = shape.outer * shape.chunks, first = task / shape.column_blocks * shape.units_per_task;
  const int64_t end = units - first < shape.units_per_task ? units : first + shape.units_per_task;
  const int64_t column = task % shape.column_blocks * shape.column_block;
  const int64_t column_end = shape.inner - column < shape.column_block ? shape.inner : column + shape.column_block;
  constexpr int64_t lanes = kPack<T>;
  for (int64_t unit = first; unit < end; ++unit) {
    const int64_t start = unit % shape.chunks * shape.chunk;
    const int64_t rows = shape.reduced - start < shape.chunk ? shape.reduced - start : shape.chunk;
    const T* from = x + (unit / shape.chunks * shape.reduced + start) * shape.inner;
    T* to = y + unit * shape.inner;
    int64_t j = column;
    for (; j + kColumnPacks * lanes <= column_end; j += kColumnPacks * lanes) {
      fold_column_packs<T, Folded, kColumnPacks>(to + j, from + j, rows, shape.inner, lanes, divisor);
    }
    const int64_t left = column_end - j, tail = (left - 1) % lanes + 1;
    static_assert(kColumnPacks == 4, "one case for each number of packs that may be left");
    switch ((left + lanes - 1) / lanes) {
      case 4:
        fold_column_packs<T, Folded, 4>(to + j, from + j, rows, shape.inner, tail, divisor);
        break;
      case 3:
        fold_column_packs<T, Folded, 3>(to + j, from + j, rows, shape.inner, tail, divisor);
        break;
      case 2:
        fold_column_packs<T, Folded, 2>(to + j, from + j, rows, shape.inner, tail, divisor);
        break;
      case 1:
        fold_column_packs<T, Folded, 1>(to + j, from + j, rows, shape.inner, tail, divisor);
        break;
      default:
        break;
    }
  }
}

template <typename T, bool stretched>
FASTNN_INLINE void spread_rows(T* y, const T* x, const SpreadShape& shape, const Rows& rows) {
  const Pack<T> divisor = fill(static_cast<T>(shape.divisor));
  const bool divides = shape.divisor != 1;
  for (int64_t r = 0; r < rows.rows; ++r) {
    const RowOperand<T, stretched> row_x(x + rows.operand[0] + r * shape.over.row_stride[0], shape.over.step[0]);
    T* row_y = y + rows.result + r * shape.over.length;
    for_each_pack<T>(rows.n, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
      const Pack<T> value = row_x.at(i, n);
      write(row_y + i, divides ? value / divisor : value, n);
    });
  }
}

template <typename T>
void spread(T* y, const T* x, const SpreadShape& shape, int64_t task) {
  for_each_rows<1>(shape.over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    if (kPack<T> == 1 && shape.over.step[0] == 0) {
      spread_rows<T, kPack<T> == 1>(y, x, shape, rows);
    } else {
      spread_rows<T, false>(y, x, shape, rows);
    }
  });
}

// First how large the largest (or smallest) is, then the lowest place where it stands. A NaN makes the largest one, and is
// found as what does not equal itself. Lanes past the row repeat its first number, at a higher place.
template <typename Real, typename Extremum>
FASTNN_INLINE int64_t place_in_row(const Real* x, int64_t n) {
  using Place = typename MaskLane<Real>::type;
  Vec<Real> best = broadcast(x[0]);
  for_each_vector<Real>(
      n, [&](int64_t i, auto lanes) __attribute__((always_inline)) { best = Extremum::of(best, lanes.load(x + i, x[0])); });
  best = reduce_lanes<Real>(best, [](Vec<Real> a, Vec<Real> b) __attribute__((always_inline)) { return Extremum::of(a, b); });
  const Vec<Place> numbers = lane_numbers<Place>(), nowhere = zero<Place>() + static_cast<Place>(n);
  Vec<Place> lowest = nowhere;
  for_each_vector<Real>(n, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
    const Vec<Real> v = lanes.load(x + i, x[0]);
    const Vec<Place> place = select<Place>((v == best) | (v != v), numbers + static_cast<Place>(i), nowhere);
    lowest = select<Place>(place < lowest, place, lowest);
  });
  return reduce_lanes<Place>(
      lowest, [](Vec<Place> a, Vec<Place> b) __attribute__((always_inline)) { return select<Place>(a < b, a, b); })[0];
}

template <typename T, bool largest>
void place(int64_t* y, const T* x, const PlaceShape& shape, int64_t task) {
  const int64_t results = shape.outer * shape.inner, first = task * shape.results_per_task;
  const int64_t end = results - first < shape.results_per_task ? results : first + shape.results_per_task;
  for (int64_t result = first; result < end; ++result) {
    if constexpr (kPack<T> > 1) {
      if (shape.inner == 1 && shape.n < (int64_t{1} << 31)) {  // places fit into lanes
        if constexpr (largest) {
          y[result] = place_in_row<T, Max<T>>(x + result * shape.n, shape.n);
        } else {
          y[result] = place_in_row<T, Min<T>>(x + result * shape.n, shape.n);
        }
        continue;
      }
    }
    const int64_t outer = result / shape.inner;
    const T* at = x + outer * shape.n * shape.inner + (result - outer * shape.inner);
    T best = at[0];
    int64_t winner = 0;
    for (int64_t i = 1; i < shape.n && best == best; ++i) {
      const T value = at[i * shape.inner];
      if (largest ? value <= best : value >= best) continue;  // false for a NaN, which wins
      best = value;
      winner = i;
    }
    y[result] = winner;
  }
}

#define FASTNN_OF_NUMBERS(function, ...)                                                       \
  {kernel<function<float, __VA_ARGS__<float>>>, kernel<function<double, __VA_ARGS__<double>>>, \
   kernel<function<int32_t, __VA_ARGS__<int32_t>>>, kernel<function<int64_t, __VA_ARGS__<int64_t>>>}
#define FASTNN_FOLDS(function)                                                                            \
  {                                                                                                       \
    FASTNN_OF_NUMBERS(function, Sum), FASTNN_OF_NUMBERS(function, Max), FASTNN_OF_NUMBERS(function, Min), \
        FASTNN_OF_NUMBERS(function, Product), {kernel<function<uint8_t, Any<uint8_t>>>}, {                \
      kernel<function<uint8_t, All<uint8_t>>>                                                             \
    }                                                                                                     \
  }
#define FASTNN_PLACES(largest)                                                                     \
  {kernel<place<float, largest>>, kernel<place<double, largest>>, kernel<place<int32_t, largest>>, \
   kernel<place<int64_t, largest>>}

}  // namespace

const ReduceKernels reduce_kernels = {
    FASTNN_FOLDS(fold_rows),
    FASTNN_FOLDS(fold_columns),
    {kernel<spread<float>>, kernel<spread<double>>, kernel<spread<int32_t>>, kernel<spread<int64_t>>},
    FASTNN_PLACES(true),
    FASTNN_PLACES(false),
};

}  // namespace fastnn::FASTNN_ISA
