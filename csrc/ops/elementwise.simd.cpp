#include "ops/elementwise_rows.h"
#include "simd/convert.h"
#include "simd/math.h"

namespace fastnn::FASTNN_ISA {

namespace {

// -- What formulas use besides vec.h and math.h.

template <typename T>
FASTNN_INLINE Vec<T> one() {
  return broadcast(T(1));
}

template <typename T>
FASTNN_INLINE Vec<T> half() {
  return broadcast(T(0.5));
}
template <typename T>
FASTNN_INLINE Vec<T> six() {
  return broadcast(T(6));
}

template <typename T>
FASTNN_INLINE Vec<T> sign(Vec<T> x) {  // 0 and NaN are their own signs
  return select<T>(x > zero<T>(), one<T>(), select<T>(x < zero<T>(), -one<T>(), x));
}

// Where sigmoid and its like are 0 in float and double: an activation x f(x) clamps x there, so that -infinity gives its limit.
template <typename T>
FASTNN_INLINE Vec<T> above_far(Vec<T> x) {
  return within(x, T(-1000), T(__builtin_inf()));
}
template <typename T>
FASTNN_INLINE Vec<T> within_far(Vec<T> x) {
  return within(x, T(-1000), T(1000));
}

// A function and its derivative. Who reads one of them alone computes no more than it takes.
template <typename T>
struct Sloping {
  Vec<T> y, slope;
};

// y = x s, s = sigmoid(x), has the derivative s + x s (1 - s).
template <typename T>
FASTNN_INLINE Sloping<T> silu(Vec<T> x) {
  const Vec<T> near = within_far<T>(x), s = sigmoid<T>(near);
  return {above_far<T>(x) * s, fma(near * s, one<T>() - s, s)};
}

// t = tanh(log(1 + e^x)) as a quotient, with n = e^-|x|:  x < 0: n (n + 2) / d, d = n (n + 2) + 2, and 1 - t = 2 / d;
// x >= 0: (1 + 2 n) / d, d = 1 + 2 n + 2 n^2, and 1 - t = 2 n^2 / d. Nothing overflows and nothing cancels.
template <typename T>
struct MishParts {
  Vec<T> n, t, rest;  // rest = 1 - t
  FASTNN_INLINE explicit MishParts(Vec<T> x) : n(exp(-abs<T>(x))) {
    const Vec<T> two = one<T>() + one<T>();
    const Mask<T> negative = x < zero<T>();
    const Vec<T> above = select<T>(negative, n * (n + two), fma(two, n, one<T>()));
    const Vec<T> beside = two * select<T>(negative, one<T>(), n * n), below = above + beside;
    t = above / below;
    rest = beside / below;
  }
};
// y = x t has the derivative t + x (1 - t^2) sigmoid(x), and 1 - t^2 = (1 - t) (1 + t).
template <typename T>
FASTNN_INLINE Sloping<T> mish(Vec<T> x) {
  const Vec<T> near = within_far<T>(x);
  const MishParts<T> parts(near);
  const Vec<T> sigmoid = select<T>(near < zero<T>(), parts.n, one<T>()) / (one<T>() + parts.n);
  return {above_far<T>(x) * parts.t, fma(near * parts.rest * (one<T>() + parts.t), sigmoid, parts.t)};
}

// (1 + tanh(u)) / 2 = sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
template <typename T>
FASTNN_INLINE Vec<T> gelu_sigmoid(Vec<T> x) {
  const Vec<T> cubic = fma(broadcast(T(0.044715)) * x * x, x, x);
  return sigmoid<T>(broadcast(T(1.5957691216057308)) * cubic);
}
// y = x P(x) has the derivative P(x) + x P'(x); y = x s, s = sigmoid(2 u), has s + x s (1 - s) 2 u'.
template <typename T>
FASTNN_INLINE Sloping<T> gelu(Vec<T> x, Vec<T> approximate) {
  const Vec<T> factor = above_far<T>(x), near = within_far<T>(x);
  if (approximate[0] == 0) {
    const Vec<T> below = normal_cdf(near);
    return {factor * below, fma(near, normal_density<T>(near), below)};
  }
  const Vec<T> s = gelu_sigmoid<T>(near);
  const Vec<T> slope = fma(broadcast(T(1.5957691216057308 * 3 * 0.044715)) * near, near, broadcast(T(1.5957691216057308)));
  return {factor * s, fma(near * s * (one<T>() - s), slope, s)};
}

template <typename T>
FASTNN_INLINE Vec<T> hard_sigmoid(Vec<T> x) {
  return min<T>(max<T>(fma(x, broadcast(T(1) / T(6)), half<T>()), zero<T>()), one<T>());
}
// y = x (x + 3) / 6 between -3 and 3, x beyond; below -3 it is 0, which is the caller's.
template <typename T>
FASTNN_INLINE Vec<T> hard_silu_slope(Vec<T> x) {
  return select<T>(x >= half<T>() * six<T>(), one<T>(), fma(x, broadcast(T(1) / T(3)), half<T>()));
}

// -- A row becomes a type with its formula. `p` and `q` are the op's attributes.

#define FASTNN_UNARY_FORMULA(name, x, types, flops, formula, doc)                                        \
  struct name##_row {                                                                                    \
    template <typename T>                                                                                \
    FASTNN_INLINE static Pack<T> of(Pack<T> x, [[maybe_unused]] Pack<T> p, [[maybe_unused]] Pack<T> q) { \
      return formula;                                                                                    \
    }                                                                                                    \
  };
#define FASTNN_SLOPED_FORMULA(name, x, types, flops, formula, doc)            \
  struct name##_row {                                                         \
    template <typename T>                                                     \
    FASTNN_INLINE static Sloping<T> of(Vec<T> x, [[maybe_unused]] Vec<T> p) { \
      return formula;                                                         \
    }                                                                         \
  };
#define FASTNN_BINARY_FORMULA(name, a, b, types, flops, formula, doc)                                               \
  struct name##_row {                                                                                               \
    template <typename T>                                                                                           \
    FASTNN_INLINE static Pack<T> of(Pack<T> a, Pack<T> b, [[maybe_unused]] Pack<T> p, [[maybe_unused]] Pack<T> q) { \
      return formula;                                                                                               \
    }                                                                                                               \
  };
#define FASTNN_TRIPLE_FORMULA(name, dy, a, b, types, flops, formula, doc)                \
  struct name##_row {                                                                    \
    template <typename T>                                                                \
    FASTNN_INLINE static Pack<T> of(Pack<T> dy, Pack<T> a, [[maybe_unused]] Pack<T> b) { \
      return formula;                                                                    \
    }                                                                                    \
  };
FASTNN_UNARY_ROWS(FASTNN_UNARY_FORMULA)
FASTNN_SLOPED_ROWS(FASTNN_SLOPED_FORMULA)
FASTNN_BINARY_ROWS(FASTNN_BINARY_FORMULA)
FASTNN_PAIR_ROWS(FASTNN_BINARY_FORMULA)
FASTNN_TRIPLE_ROWS(FASTNN_TRIPLE_FORMULA)
#define FASTNN_COMPARISON_FORMULA(name, formula, doc) \
  struct name##_row {                                 \
    template <typename T>                             \
    FASTNN_INLINE static uint8_t of(T a, T b) {       \
      return formula;                                 \
    }                                                 \
  };
FASTNN_COMPARISON_ROWS(FASTNN_COMPARISON_FORMULA)
FASTNN_LOGICAL_ROWS(FASTNN_COMPARISON_FORMULA)

// -- Kernels.

template <typename T, typename Row>
void unary(T* y, const T* x, const ElementwiseShape& shape, int64_t task) {
  const Pack<T> p = fill(static_cast<T>(shape.p)), q = fill(static_cast<T>(shape.q));
  for_each_rows<1>(shape.over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    for_each_pack<T>(rows.n, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
      write(y + rows.result + i, Row::template of<T>(read(x + rows.operand[0] + i, n), p, q), n);
    });
  });
}

template <typename T, typename Row>
void sloped(T* y, T* slope, const T* x, const ElementwiseShape& shape, int64_t task) {
  const Vec<T> p = broadcast(static_cast<T>(shape.p));
  for_each_rows<1>(shape.over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    T *const to = y + rows.result, *const slope_to = slope == nullptr ? nullptr : slope + rows.result;
    const T* const from = x + rows.operand[0];
    if (slope == nullptr) {
      for_each_vector<T>(rows.n, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
        lanes.store(to + i, Row::template of<T>(lanes.load(from + i), p).y);
      });
    } else {
      for_each_vector<T>(rows.n, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
        const Sloping<T> both = Row::template of<T>(lanes.load(from + i), p);
        lanes.store(to + i, both.y);
        lanes.store(slope_to + i, both.slope);
      });
    }
  });
}

template <typename T, typename Row, bool stretched_a, bool stretched_b>
FASTNN_INLINE void binary_rows(T* y, const T* a, const T* b, const ElementwiseShape& shape, const Rows& rows) {
  const Pack<T> p = fill(static_cast<T>(shape.p)), q = fill(static_cast<T>(shape.q));
  for (int64_t r = 0; r < rows.rows; ++r) {
    const RowOperand<T, stretched_a> row_a(a + rows.operand[0] + r * shape.over.row_stride[0], shape.over.step[0]);
    const RowOperand<T, stretched_b> row_b(b + rows.operand[1] + r * shape.over.row_stride[1], shape.over.step[1]);
    T* row_y = y + rows.result + r * shape.over.length;
    for_each_pack<T>(rows.n, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
      write(row_y + i, Row::template of<T>(row_a.at(i, n), row_b.at(i, n), p, q), n);
    });
  }
}

template <typename T, typename Row>
void pair(T* y, const T* a, const T* b, const ElementwiseShape& shape, int64_t task) {
  for_each_rows<2>(shape.over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    binary_rows<T, Row, false, false>(y, a, b, shape, rows);
  });
}

template <typename T, typename Row>
void binary(T* y, const T* a, const T* b, const ElementwiseShape& shape, int64_t task) {
  for_each_rows<2>(shape.over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    if (kPack<T> == 1 && shape.over.step[0] == 0) {
      binary_rows<T, Row, kPack<T> == 1, false>(y, a, b, shape, rows);
    } else if (kPack<T> == 1 && shape.over.step[1] == 0) {
      binary_rows<T, Row, false, kPack<T> == 1>(y, a, b, shape, rows);
    } else {
      binary_rows<T, Row, false, false>(y, a, b, shape, rows);
    }
  });
}

template <typename T, typename Row>
void triple(T* y, const T* dy, const T* a, const T* b, const ElementwiseShape& shape, int64_t task) {
  const Broadcast& over = shape.over;
  for_each_rows<3>(over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows.rows; ++r) {
      const T* row_dy = dy + rows.operand[0] + r * over.row_stride[0];
      const RowOperand<T, false> row_a(a + rows.operand[1] + r * over.row_stride[1], over.step[1]);
      const RowOperand<T, false> row_b(b + rows.operand[2] + r * over.row_stride[2], over.step[2]);
      T* row_y = y + rows.result + r * over.length;
      for_each_pack<T>(rows.n, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
        write(row_y + i, Row::template of<T>(read(row_dy + i, n), row_a.at(i, n), row_b.at(i, n)), n);
      });
    }
  });
}

// `first` is the operand that a is: an op whose formula is another's with the operands exchanged is that other one.
template <typename T, typename Row>
[[gnu::noinline]] void compare(uint8_t* y, const T* a, const T* b, const ElementwiseShape& shape, int64_t task, int first) {
  const Broadcast& over = shape.over;
  const int second = 1 - first;
  for_each_rows<2>(over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows.rows; ++r) {
      uint8_t* row_y = y + rows.result + r * over.length;
      const T* row_a = a + rows.operand[first] + r * over.row_stride[first];
      const T* row_b = b + rows.operand[second] + r * over.row_stride[second];
      // One loop each, which the compiler turns into vectors.
      if (over.step[first] == 0) {
        const T number = *row_a;
        for (int64_t i = 0; i < rows.n; ++i) row_y[i] = Row::of(number, row_b[i]);
      } else if (over.step[second] == 0) {
        const T number = *row_b;
        for (int64_t i = 0; i < rows.n; ++i) row_y[i] = Row::of(row_a[i], number);
      } else {
        for (int64_t i = 0; i < rows.n; ++i) row_y[i] = Row::of(row_a[i], row_b[i]);
      }
    }
  });
}
template <typename T, typename Row, bool exchanged>
void comparison(uint8_t* y, const T* a, const T* b, const ElementwiseShape& shape, int64_t task) {
  exchanged ? compare<T, Row>(y, b, a, shape, task, 1) : compare<T, Row>(y, a, b, shape, task, 0);
}

// Bits are moved, whatever they stand for: T is an unsigned integer of the operands' size.
template <typename T>
void where(T* y, const uint8_t* condition, const T* a, const T* b, const ElementwiseShape& shape, int64_t task) {
  const Broadcast& over = shape.over;
  for_each_rows<3>(over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows.rows; ++r) {
      T* row_y = y + rows.result + r * over.length;
      const uint8_t* row_c = condition + rows.operand[0] + r * over.row_stride[0];
      const T* row_a = a + rows.operand[1] + r * over.row_stride[1];
      const T* row_b = b + rows.operand[2] + r * over.row_stride[2];
      const bool steps_a = over.step[1] != 0, steps_b = over.step[2] != 0;
      if (over.step[0] == 0) {  // the row is that of one operand, or its number
        const T* row = *row_c ? row_a : row_b;
        const bool steps = *row_c ? steps_a : steps_b;
        for (int64_t i = 0; i < rows.n; ++i) row_y[i] = row[steps ? i : 0];
      } else if (steps_a && steps_b) {
        for (int64_t i = 0; i < rows.n; ++i) row_y[i] = row_c[i] ? row_a[i] : row_b[i];
      } else if (steps_a) {
        const T number = *row_b;
        for (int64_t i = 0; i < rows.n; ++i) row_y[i] = row_c[i] ? row_a[i] : number;
      } else if (steps_b) {
        const T number = *row_a;
        for (int64_t i = 0; i < rows.n; ++i) row_y[i] = row_c[i] ? number : row_b[i];
      } else {
        const T yes = *row_a, no = *row_b;
        for (int64_t i = 0; i < rows.n; ++i) row_y[i] = row_c[i] ? yes : no;
      }
    }
  });
}

template <typename To, typename From>
void cast(To* y, const From* x, const ElementwiseShape& shape, int64_t task) {
  for_each_rows<1>(shape.over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    for (int64_t i = rows.result; i < rows.result + rows.n; ++i) y[i] = convert<To>(x[i]);
  });
}

template <typename From>
void cast_to_bool(uint8_t* y, const From* x, const ElementwiseShape& shape, int64_t task) {
  for_each_rows<1>(shape.over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    for (int64_t i = rows.result; i < rows.result + rows.n; ++i) y[i] = x[i] != From(0);
  });
}

// -- The table.

// A bool is read as the byte it is, 0 or 1.
template <typename From>
constexpr void add_casts(KernelFn (&to)[6]) {
  to[int(DType::float32)] = kernel<cast<float, From>>;
  to[int(DType::float64)] = kernel<cast<double, From>>;
  to[int(DType::int32)] = kernel<cast<int32_t, From>>;
  to[int(DType::int64)] = kernel<cast<int64_t, From>>;
  to[int(DType::uint8)] = kernel<cast<uint8_t, From>>;
  to[int(DType::boolean)] = kernel<cast_to_bool<From>>;
}

template <typename Row, Types types>
constexpr void add_unary(KernelFn (&at)[4]) {
  at[0] = kernel<unary<float, Row>>;
  at[1] = kernel<unary<double, Row>>;
  if constexpr (types == numbers) {
    at[2] = kernel<unary<int32_t, Row>>;
    at[3] = kernel<unary<int64_t, Row>>;
  }
}
template <typename Row, Types types>
constexpr void add_sloped(KernelFn (&at)[4]) {
  static_assert(types == floats);
  at[0] = kernel<sloped<float, Row>>;
  at[1] = kernel<sloped<double, Row>>;
}
template <typename Row, Types types>
constexpr void add_binary(KernelFn (&at)[4]) {
  at[0] = kernel<binary<float, Row>>;
  at[1] = kernel<binary<double, Row>>;
  if constexpr (types == numbers) {
    at[2] = kernel<binary<int32_t, Row>>;
    at[3] = kernel<binary<int64_t, Row>>;
  }
}
template <typename Row, Types types>
constexpr void add_pair(KernelFn (&at)[4]) {
  static_assert(types == floats);
  at[0] = kernel<pair<float, Row>>;
  at[1] = kernel<pair<double, Row>>;
}
template <typename Row, Types types>
constexpr void add_triple(KernelFn (&at)[4]) {
  static_assert(types == floats);
  at[0] = kernel<triple<float, Row>>;
  at[1] = kernel<triple<double, Row>>;
}

template <typename Row>
constexpr void add_logical(KernelFn (&at)[6]) {
  at[int(DType::boolean)] = kernel<comparison<uint8_t, Row, false>>;
}
template <typename Row, bool exchanged = false>
constexpr void add_comparison(KernelFn (&at)[6]) {
  at[int(DType::float32)] = kernel<comparison<float, Row, exchanged>>;
  at[int(DType::float64)] = kernel<comparison<double, Row, exchanged>>;
  at[int(DType::int32)] = kernel<comparison<int32_t, Row, exchanged>>;
  at[int(DType::int64)] = kernel<comparison<int64_t, Row, exchanged>>;
  at[int(DType::uint8)] = at[int(DType::boolean)] = kernel<comparison<uint8_t, Row, exchanged>>;
}

#define FASTNN_ADD_UNARY(name, x, types, ...) add_unary<name##_row, types>(table.unary[int(Unary::name)]);
#define FASTNN_ADD_SLOPED(name, x, types, ...) add_sloped<name##_row, types>(table.sloped[int(Sloped::name)]);
#define FASTNN_ADD_BINARY(name, a, b, types, ...) add_binary<name##_row, types>(table.binary[int(Binary::name)]);
#define FASTNN_ADD_PAIR(name, a, b, types, ...) add_pair<name##_row, types>(table.binary[int(Binary::name)]);
#define FASTNN_ADD_TRIPLE(name, dy, a, b, types, ...) add_triple<name##_row, types>(table.triple[int(Triple::name)]);
#define FASTNN_ADD_COMPARISON(name, ...) add_comparison<name##_row>(table.comparison[int(Comparison::name)]);
#define FASTNN_ADD_EXCHANGED(name, of, ...) add_comparison<of##_row, true>(table.comparison[int(Comparison::name)]);
#define FASTNN_ADD_LOGICAL(name, ...) add_logical<name##_row>(table.comparison[int(Comparison::name)]);

constexpr ElementwiseKernels make_kernels() {
  ElementwiseKernels table{};
  FASTNN_UNARY_ROWS(FASTNN_ADD_UNARY)
  FASTNN_SLOPED_ROWS(FASTNN_ADD_SLOPED)
  FASTNN_BINARY_ROWS(FASTNN_ADD_BINARY)
  FASTNN_PAIR_ROWS(FASTNN_ADD_PAIR)
  FASTNN_TRIPLE_ROWS(FASTNN_ADD_TRIPLE)
  FASTNN_COMPARISON_ROWS(FASTNN_ADD_COMPARISON)
  FASTNN_EXCHANGED_ROWS(FASTNN_ADD_EXCHANGED)
  FASTNN_LOGICAL_ROWS(FASTNN_ADD_LOGICAL)
  table.where[int(DType::float32)] = table.where[int(DType::int32)] = kernel<where<uint32_t>>;
  table.where[int(DType::float64)] = table.where[int(DType::int64)] = kernel<where<uint64_t>>;
  table.where[int(DType::uint8)] = table.where[int(DType::boolean)] = kernel<where<uint8_t>>;
  add_casts<float>(table.cast[int(DType::float32)]);
  add_casts<double>(table.cast[int(DType::float64)]);
  add_casts<int32_t>(table.cast[int(DType::int32)]);
  add_casts<int64_t>(table.cast[int(DType::int64)]);
  add_casts<uint8_t>(table.cast[int(DType::uint8)]);
  add_casts<uint8_t>(table.cast[int(DType::boolean)]);
  return table;
}

}  // namespace

const ElementwiseKernels elementwise_kernels = make_kernels();

}  // namespace fastnn::FASTNN_ISA
