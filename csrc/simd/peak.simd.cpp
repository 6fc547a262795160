#include "simd/peak.h"

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

namespace {

// A multiply-add takes 4 cycles and a core starts two of them in each: 8 chains are busy all the time, and 12 still fit into
// the 16 registers of AVX2. Some cores with NEON start four.
constexpr int kChains = kVectorRegisters == 32 && kVectorBytes == 16 ? 20 : 12;

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

void copy(float* to, const float* from, int64_t count) {
  for (int64_t i = 0; i < count; i += 4 * kLanes<float>) {
    FASTNN_UNROLL
    for (int v = 0; v < 4; ++v) store(to + i + v * kLanes<float>, load(from + i + v * kLanes<float>));
  }
}

}  // namespace

const PeakKernels peak_kernels = {multiply_add, 2 * kChains * kLanes<float>, copy};

}  // namespace fastnn::FASTNN_ISA
