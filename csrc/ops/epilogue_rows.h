// Epilogues of what kernels have just computed. For `*.simd.cpp` only.
#pragma once

#include "ops/epilogue.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// What becomes of some rows and columns of a result, from element `at` on and `row` apart. `other`, which relu has none of, lies as they
// do.
template <typename Real>
__attribute__((noinline)) void finish(Epilogue epilogue, Real* y, const Real* other, int64_t at, int64_t rows, int64_t columns,
                                      int64_t row) {
  const auto each = [&](auto function) __attribute__((always_inline)) {
    for (int64_t r = 0; r < rows; ++r, at += row) {
      for_each_vector<Real>(columns, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
        const auto of_other = [&]() __attribute__((always_inline)) { return lanes.load(other + at + i); };
        lanes.store(y + at + i, function(lanes.load(y + at + i), of_other));
      });
    }
  };
  switch (epilogue) {
    case Epilogue::none:
      return;
    case Epilogue::relu:
      return each([](Vec<Real> x, auto&&) { return max<Real>(x, zero<Real>()); });
    case Epilogue::add:
      return each([](Vec<Real> x, auto&& d) { return x + d(); });
    case Epilogue::multiply:
      return each([](Vec<Real> x, auto&& d) { return x * d(); });
    case Epilogue::relu_backward:
      return each([](Vec<Real> x, auto&& d) {
        const Vec<Real> y = d();
        return gate<Real>(y > zero<Real>(), x, y);
      });
  }
}

}  // namespace fastnn::FASTNN_ISA
