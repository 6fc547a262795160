// Epilogues of what kernels have just computed. For `*.simd.cpp` only.
#pragma once

#include "ops/epilogue.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// What becomes of some numbers; `other` reads those of the other array.
template <typename Real, typename Read>
FASTNN_INLINE Vec<Real> finished(Epilogue epilogue, Vec<Real> x, Read other) {
  switch (epilogue) {
    case Epilogue::none:
      break;
    case Epilogue::relu:
      return max<Real>(x, zero<Real>());
    case Epilogue::add:
      return x + other();
    case Epilogue::multiply:
      return x * other();
    case Epilogue::relu_backward: {
      const Vec<Real> y = other();
      return gate<Real>(y > zero<Real>(), x, y);
    }
  }
  return x;
}

// The same of rows and columns in memory, `row` apart; `other` lies as they do.
template <typename Real>
FASTNN_INLINE void finish(Epilogue epilogue, Real* y, const Real* other, int64_t rows, int64_t columns, int64_t row) {
  const auto each = [&](auto constant) __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows; ++r, y += row, other += other == nullptr ? 0 : row) {
      for_each_vector<Real>(columns, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
        const auto read = [&]() __attribute__((always_inline)) { return lanes.load(other + i); };
        lanes.store(y + i, finished<Real>(constant(), lanes.load(y + i), read));
      });
    }
  };
  switch (epilogue) {
    case Epilogue::none:
      return;
    case Epilogue::relu:
      return each(std::integral_constant<Epilogue, Epilogue::relu>());
    case Epilogue::add:
      return each(std::integral_constant<Epilogue, Epilogue::add>());
    case Epilogue::multiply:
      return each(std::integral_constant<Epilogue, Epilogue::multiply>());
    case Epilogue::relu_backward:
      return each(std::integral_constant<Epilogue, Epilogue::relu_backward>());
  }
}

}  // namespace fastnn::FASTNN_ISA
