#include "simd/peak.h"

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

namespace {

// A multiply-add takes 4 cycles and a core starts two of them in each: 8 chains are busy all the time, and 12 still fit into the
// 16 registers of AVX2.
constexpr int kChains = 12;

float multiply_add(int64_t repeats, float factor, float addend) {
  Vec<float> chain[kChains];
  FASTNN_UNROLL
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
  const Vec<float> by = broadcast(factor), plus = broadcast(addend);
  for (int64_t r = 0; r < repeats; ++r) {
    FASTNN_UNROLL
    for (int i = 0; i < kChains; ++i) chain[i] = fma(chain[i], by, plus);
  }
  Vec<float> sum = zero<float>();
  FASTNN_UNROLL
  for (int i = 0; i < kChains; ++i) sum += chain[i];
  return sum_lanes<float>(sum);
}

}  // namespace

const PeakKernels peak_kernels = {multiply_add, 2 * kChains * kLanes<float>};

}  // namespace fastnn::FASTNN_ISA
