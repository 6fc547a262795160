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
FASTNN_INLINE Vec<T> sign(Vec<T> x) {  // 0 and NaN are their own signs
  return select<T>(x > zero<T>(), one<T>(), select<T>(x < zero<T>(), -one<T>(), x));
}

// dy where the mask lets it pass, else 0, or NaN where what was compared is one.
template <typename T>
FASTNN_INLINE Vec<T> gate(Mask<T> pass, Vec<T> dy, Vec<T> x) {
  return select<T>(pass, dy, select<T>(x == x, zero<T>(), x));
}
template <typename T>
FASTNN_INLINE Vec<T> gate(Mask<T> pass, Vec<T> dy, Vec<T> a, Vec<T> b) {
  return select<T>(pass, dy, select<T>(a == a, select<T>(b == b, zero<T>(), b), a));
}

// -- A row becomes a type with its formula. `low` and `high` are clip's limits.

#define FASTNN_UNARY_FORMULA(name, x, types, flops, formula, doc)                                             \
  struct name##_row {                                                                                         \
    template <typename T>                                                                                     \
    FASTNN_INLINE static Pack<T> of(Pack<T> x, [[maybe_unused]] Pack<T> low, [[maybe_unused]] Pack<T> high) { \
      return formula;                                                                                         \
    }                                                                                                         \
  };
#define FASTNN_BINARY_FORMULA(name, a, b, types, flops, formula, doc)                                                    \
  struct name##_row {                                                                                                    \
    template <typename T>                                                                                                \
    FASTNN_INLINE static Pack<T> of(Pack<T> a, Pack<T> b, [[maybe_unused]] Pack<T> low, [[maybe_unused]] Pack<T> high) { \
      return formula;                                                                                                    \
    }                                                                                                                    \
  };
#define FASTNN_TRIPLE_FORMULA(name, dy, a, b, types, flops, formula, doc) \
  struct name##_row {                                                     \
    template <typename T>                                                 \
    FASTNN_INLINE static Pack<T> of(Pack<T> dy, Pack<T> a, Pack<T> b) {   \
      return formula;                                                     \
    }                                                                     \
  };
FASTNN_UNARY_ROWS(FASTNN_UNARY_FORMULA)
FASTNN_BINARY_ROWS(FASTNN_BINARY_FORMULA)
FASTNN_PAIR_ROWS(FASTNN_BINARY_FORMULA)
FASTNN_TRIPLE_ROWS(FASTNN_TRIPLE_FORMULA)

// -- Kernels.

template <typename T, typename Row>
void unary(T* y, const T* x, const ElementwiseShape& shape, int64_t task) {
  const Pack<T> low = fill(static_cast<T>(shape.low)), high = fill(static_cast<T>(shape.high));
  for_each_rows<1>(shape.over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    for_each_pack<T>(rows.n, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
      write(y + rows.result + i, Row::template of<T>(read(x + rows.operand[0] + i, n), low, high), n);
    });
  });
}

template <typename T, typename Row, bool stretched_a, bool stretched_b>
FASTNN_INLINE void binary_rows(T* y, const T* a, const T* b, const ElementwiseShape& shape, const Rows& rows) {
  const Pack<T> low = fill(static_cast<T>(shape.low)), high = fill(static_cast<T>(shape.high));
  for (int64_t r = 0; r < rows.rows; ++r) {
    const RowOperand<T, stretched_a> row_a(a + rows.operand[0] + r * shape.over.row_stride[0]);
    const RowOperand<T, stretched_b> row_b(b + rows.operand[1] + r * shape.over.row_stride[1]);
    T* row_y = y + rows.result + r * shape.over.length;
    for_each_pack<T>(rows.n, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
      write(row_y + i, Row::template of<T>(row_a.at(i, n), row_b.at(i, n), low, high), n);
    });
  }
}

template <typename T, typename Row>
void binary(T* y, const T* a, const T* b, const ElementwiseShape& shape, int64_t task) {
  for_each_rows<2>(shape.over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    if (shape.over.step[0] == 0) {
      binary_rows<T, Row, true, false>(y, a, b, shape, rows);
    } else if (shape.over.step[1] == 0) {
      binary_rows<T, Row, false, true>(y, a, b, shape, rows);
    } else {
      binary_rows<T, Row, false, false>(y, a, b, shape, rows);
    }
  });
}

template <typename T, typename Row, bool stretched_a, bool stretched_b>
FASTNN_INLINE void triple_rows(T* y, const T* dy, const T* a, const T* b, const Broadcast& over, const Rows& rows) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    const RowOperand<T, false> row_dy(dy + rows.operand[0] + r * over.row_stride[0]);
    const RowOperand<T, stretched_a> row_a(a + rows.operand[1] + r * over.row_stride[1]);
    const RowOperand<T, stretched_b> row_b(b + rows.operand[2] + r * over.row_stride[2]);
    T* row_y = y + rows.result + r * over.length;
    for_each_pack<T>(rows.n, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
      write(row_y + i, Row::template of<T>(row_dy.at(i, n), row_a.at(i, n), row_b.at(i, n)), n);
    });
  }
}

template <typename T, typename Row>
void triple(T* y, const T* dy, const T* a, const T* b, const ElementwiseShape& shape, int64_t task) {
  for_each_rows<3>(shape.over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    if (shape.over.step[1] == 0) {
      triple_rows<T, Row, true, false>(y, dy, a, b, shape.over, rows);
    } else if (shape.over.step[2] == 0) {
      triple_rows<T, Row, false, true>(y, dy, a, b, shape.over, rows);
    } else {
      triple_rows<T, Row, false, false>(y, dy, a, b, shape.over, rows);
    }
  });
}

template <typename T>
void equal(uint8_t* y, const T* a, const T* b, const ElementwiseShape& shape, int64_t task) {
  const Broadcast& over = shape.over;
  for_each_rows<2>(over, task, [&](const Rows& rows) __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows.rows; ++r) {
      uint8_t* row_y = y + rows.result + r * over.length;
      const T* row_a = a + rows.operand[0] + r * over.row_stride[0];
      const T* row_b = b + rows.operand[1] + r * over.row_stride[1];
      if (over.step[0] == 0 || over.step[1] == 0) {
        const T* row = over.step[0] == 0 ? row_b : row_a;
        const T number = over.step[0] == 0 ? *row_a : *row_b;
        for (int64_t i = 0; i < rows.n; ++i) row_y[i] = row[i] == number;
      } else {
        for (int64_t i = 0; i < rows.n; ++i) row_y[i] = row_a[i] == row_b[i];
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
constexpr void add_binary(KernelFn (&at)[4]) {
  at[0] = kernel<binary<float, Row>>;
  at[1] = kernel<binary<double, Row>>;
  if constexpr (types == numbers) {
    at[2] = kernel<binary<int32_t, Row>>;
    at[3] = kernel<binary<int64_t, Row>>;
  }
}
template <typename Row, Types types>
constexpr void add_triple(KernelFn (&at)[4]) {
  static_assert(types == floats);
  at[0] = kernel<triple<float, Row>>;
  at[1] = kernel<triple<double, Row>>;
}

#define FASTNN_ADD_UNARY(name, x, types, ...) add_unary<name##_row, types>(table.unary[int(Unary::name)]);
#define FASTNN_ADD_BINARY(name, a, b, types, ...) add_binary<name##_row, types>(table.binary[int(Binary::name)]);
#define FASTNN_ADD_TRIPLE(name, dy, a, b, types, ...) add_triple<name##_row, types>(table.triple[int(Triple::name)]);

constexpr ElementwiseKernels make_kernels() {
  ElementwiseKernels table{};
  FASTNN_UNARY_ROWS(FASTNN_ADD_UNARY)
  FASTNN_BINARY_ROWS(FASTNN_ADD_BINARY)
  FASTNN_PAIR_ROWS(FASTNN_ADD_BINARY)
  FASTNN_TRIPLE_ROWS(FASTNN_ADD_TRIPLE)
  table.equal[int(DType::float32)] = kernel<equal<float>>;
  table.equal[int(DType::float64)] = kernel<equal<double>>;
  table.equal[int(DType::int32)] = kernel<equal<int32_t>>;
  table.equal[int(DType::int64)] = kernel<equal<int64_t>>;
  table.equal[int(DType::uint8)] = table.equal[int(DType::boolean)] = kernel<equal<uint8_t>>;
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
