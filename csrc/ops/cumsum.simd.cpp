#include "ops/cumsum.h"

#include "ops/elementwise_rows.h"

namespace fastnn::FASTNN_ISA {

namespace {

// Row i of y is row i - 1 of y, in the direction of summation, and a row of x: that of i, or exclusively that of i - 1.
template <typename T>
void cumsum(T* y, const T* x, const CumsumShape& shape, int64_t task) {
  const int64_t column = task % shape.blocks * shape.block, first = task / shape.blocks * shape.outer_per_task;
  const int64_t columns = shape.inner - column < shape.block ? shape.inner - column : shape.block;
  const int64_t end = shape.outer - first < shape.outer_per_task ? shape.outer : first + shape.outer_per_task;
  const int64_t step = shape.reverse ? -shape.inner : shape.inner;
  for (int64_t outer = first; outer < end; ++outer) {
    const int64_t start = (outer * shape.n + (shape.reverse ? shape.n - 1 : 0)) * shape.inner + column;
    T* to = y + start;
    const T* from = x + start;
    if (shape.inner == 1) {  // a chain of numbers, kept in a register
      Pack<T> sum{};
      T total = 0;
      for (int64_t i = 0; i < shape.n; ++i, to += step, from += step) {
        if (shape.exclusive) *to = total;
        if constexpr (kPack<T> == 1) {
          sum += static_cast<Pack<T>>(*from);  // wraps
          total = static_cast<T>(sum);
        } else {
          total += *from;
        }
        if (!shape.exclusive) *to = total;
      }
      continue;
    }
    for_each_pack<T>(columns, [&](int64_t j, int64_t n) __attribute__((always_inline)) {
      write(to + j, shape.exclusive ? Pack<T>{} : read(from + j, n), n);
    });
    for (int64_t i = 1; i < shape.n; ++i) {
      const T* row = shape.exclusive ? from : from + step;
      for_each_pack<T>(columns, [&](int64_t j, int64_t n) __attribute__((always_inline)) {
        write(to + step + j, read(to + j, n) + read(row + j, n), n);
      });
      to += step;
      from += step;
    }
  }
}

}  // namespace

const CumsumKernels cumsum_kernels = {
    {kernel<cumsum<float>>, kernel<cumsum<double>>, kernel<cumsum<int32_t>>, kernel<cumsum<int64_t>>},
};

}  // namespace fastnn::FASTNN_ISA
