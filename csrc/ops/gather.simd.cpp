#include "ops/gather.h"
#include "simd/convert.h"
#include "simd/copy.h"

namespace fastnn::FASTNN_ISA {

namespace {

// Calls row(b, index) for every row b of the task; an index that is out of range is reported, and the row calls it with -1.
template <typename Row>
FASTNN_INLINE void for_each_row(const int64_t* indices, const GatherShape& shape, Errors& errors, int64_t task, Row row) {
  const int64_t begin = task * shape.rows_per_task;
  const int64_t end = begin + shape.rows_per_task < shape.indices ? begin + shape.rows_per_task : shape.indices;
  bool reported = false;  // the first of a task is the one that counts
  for (int64_t b = begin; b < end; ++b) {
    const bool inside = indices[b] >= 0 && indices[b] < shape.rows;
    if (!inside && !reported) errors.report(b, indices[b]);
    reported |= !inside;
    row(b, inside ? indices[b] : -1);
  }
}

void copy_rows(char* y, const char* x, const int64_t* indices, const GatherShape& shape, Errors& errors, int64_t task) {
  const auto bytes = static_cast<size_t>(shape.row_bytes);
  for_each_row(indices, shape, errors, task, [&](int64_t b, int64_t index) __attribute__((always_inline)) {
    char* to = y + b * shape.row_bytes;
    if (index < 0) {
      __builtin_memset(to, 0, bytes);
    } else {
      __builtin_memcpy(to, x + index * shape.row_bytes, bytes);
    }
  });
}

// `to_bool` writes x != 0. Bools are read as the 0 or 1 they are stored as. The compiler vectorises the conversions.
template <typename To, typename From, bool to_bool>
void cast_rows(To* y, const From* x, const int64_t* indices, const GatherShape& shape, Errors& errors, int64_t task) {
  const int64_t row = shape.row;
  for_each_row(indices, shape, errors, task, [&](int64_t b, int64_t index) __attribute__((always_inline)) {
    To* __restrict__ to = y + b * row;
    const From* __restrict__ from = x + index * row;
    if (index < 0) {
      __builtin_memset(to, 0, static_cast<size_t>(row) * sizeof(To));
    } else if constexpr (to_bool) {
      for (int64_t i = 0; i < row; ++i) to[i] = from[i] != 0;
    } else {
      for (int64_t i = 0; i < row; ++i) to[i] = convert<To>(from[i]);
    }
  });
}

// `bytes` of each row, where the compiler is to know them: single numbers are not worth a look at their size.
template <int64_t bytes, typename Index>
FASTNN_INLINE void take_rows(char* y, const char* x, const Index* indices, const TakeShape& shape, Errors& errors,
                             int64_t task) {
  const int64_t size = bytes > 0 ? bytes : shape.inner_bytes;
  const int64_t begin = task * shape.per_task, total = shape.outer * shape.indices;
  const int64_t end = begin + shape.per_task < total ? begin + shape.per_task : total;
  int64_t i = begin % shape.indices;
  const char* from = x + begin / shape.indices * shape.rows * shape.inner_bytes;
  bool reported = false;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t index = indices[i];
    char* to = y + row * size;
    if (index >= 0 && index < shape.rows) {
      copy_bytes(to, from + index * size, size);
    } else {
      if (!reported) errors.report(i, index);
      reported = true;
      __builtin_memset(to, 0, static_cast<size_t>(size));
    }
    if (++i == shape.indices) {
      i = 0;
      from += shape.rows * size;
    }
  }
}

template <typename Index>
void take(char* y, const char* x, const Index* indices, const TakeShape& shape, Errors& errors, int64_t task) {
  if (shape.inner_bytes == 4) {
    take_rows<4>(y, x, indices, shape, errors, task);
  } else if (shape.inner_bytes == 8) {
    take_rows<8>(y, x, indices, shape, errors, task);
  } else {
    take_rows<0>(y, x, indices, shape, errors, task);
  }
}

void set_zero(char* dx, const TakeShape& shape, int64_t task) {
  const int64_t begin = task * kZeroBytes, total = shape.outer * shape.rows * shape.inner_bytes;
  __builtin_memset(dx + begin, 0, static_cast<size_t>(total - begin < kZeroBytes ? total - begin : kZeroBytes));
}

// y[..., i, ...] = x[..., indices[i], ...]: what went out in several places comes back as a sum.
template <typename Real, typename Index>
void add_taken(Real* dx, const Real* dy, const Index* indices, const TakeShape& shape, Errors& errors, int64_t task) {
  const int64_t o = task / shape.blocks, column = task % shape.blocks * kColumnBlock;
  const int64_t n = shape.inner - column < kColumnBlock ? shape.inner - column : kColumnBlock;
  Real* to = dx + o * shape.rows * shape.inner + column;
  const Real* from = dy + o * shape.indices * shape.inner + column;
  bool reported = false;
  for (int64_t i = 0; i < shape.indices; ++i) {
    const int64_t index = indices[i];
    if (index < 0 || index >= shape.rows) {
      if (!reported) errors.report(i, index);
      reported = true;
      continue;
    }
    Real* row = to + index * shape.inner;
    const Real* term = from + i * shape.inner;
    for_each_vector<Real>(n, [&](int64_t k, auto lanes) __attribute__((always_inline)) {
      lanes.store(row + k, lanes.load(row + k) + lanes.load(term + k));
    });
  }
}

template <typename T, typename Index>
void one_hot(T* y, const Index* indices, const TakeShape& shape, Errors& errors, int64_t task) {
  const int64_t begin = task * shape.per_task;
  const int64_t end = begin + shape.per_task < shape.outer ? begin + shape.per_task : shape.outer;
  T one;
  __builtin_memcpy(&one, &shape.one, sizeof(T));
  const int64_t block = shape.rows * shape.inner;
  __builtin_memset(y + begin * block, 0, static_cast<size_t>((end - begin) * block) * sizeof(T));
  bool reported = false;
  for (int64_t o = begin; o < end; ++o) {
    for (int64_t i = 0; i < shape.inner; ++i) {
      const int64_t index = indices[o * shape.inner + i];
      const bool inside = index >= 0 && index < shape.rows;
      if (inside) y[o * block + index * shape.inner + i] = one;
      if (!inside && !reported) errors.report(o * shape.inner + i, index);
      reported |= !inside;
    }
  }
}

template <typename To, typename From, bool to_bool = false>
constexpr KernelFn cast = kernel<cast_rows<To, From, to_bool>>;

}  // namespace

const GatherKernels gather_kernels = {
    kernel<copy_rows>,
    {
        // to float32, float64, int32, int64, uint8, bool; one line per dtype of x
        {nullptr, cast<double, float>, cast<int32_t, float>, cast<int64_t, float>, cast<uint8_t, float>,
         cast<uint8_t, float, true>},
        {cast<float, double>, nullptr, cast<int32_t, double>, cast<int64_t, double>, cast<uint8_t, double>,
         cast<uint8_t, double, true>},
        {cast<float, int32_t>, cast<double, int32_t>, nullptr, cast<int64_t, int32_t>, cast<uint8_t, int32_t>,
         cast<uint8_t, int32_t, true>},
        {cast<float, int64_t>, cast<double, int64_t>, cast<int32_t, int64_t>, nullptr, cast<uint8_t, int64_t>,
         cast<uint8_t, int64_t, true>},
        {cast<float, uint8_t>, cast<double, uint8_t>, cast<int32_t, uint8_t>, cast<int64_t, uint8_t>, nullptr,
         cast<uint8_t, uint8_t, true>},
        {cast<float, uint8_t>, cast<double, uint8_t>, cast<int32_t, uint8_t>, cast<int64_t, uint8_t>, cast<uint8_t, uint8_t>,
         nullptr},
    },
    {kernel<take<int32_t>>, kernel<take<int64_t>>},
    {{kernel<add_taken<float, int32_t>>, kernel<add_taken<double, int32_t>>},
     {kernel<add_taken<float, int64_t>>, kernel<add_taken<double, int64_t>>}},
    kernel<set_zero>,
    {{kernel<one_hot<uint8_t, int32_t>>, kernel<one_hot<uint32_t, int32_t>>, kernel<one_hot<uint64_t, int32_t>>},
     {kernel<one_hot<uint8_t, int64_t>>, kernel<one_hot<uint32_t, int64_t>>, kernel<one_hot<uint64_t, int64_t>>}},
};

}  // namespace fastnn::FASTNN_ISA
