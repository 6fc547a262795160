#include "simd/peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "base/parallel.h"

namespace fastnn {

namespace {

struct Work {
  const PeakKernels& kernels;
  int64_t repeats;
  std::atomic<float> result{0};  // read by nobody, but the compiler cannot know
};

double seconds_of(Work& work, int threads) {
  const auto start = std::chrono::steady_clock::now();
  run_team(
      threads,
      [](void* context, Team&, int) {
        auto& work = *static_cast<Work*>(context);
        // Converges to addend / (1 - factor) = 1: neither overflows nor reaches denormals.
        work.result = work.kernels.multiply_add(work.repeats, 0.75f, 0.25f);
      },
      &work);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double measure_peak_flops(Isa isa, int threads) {
  constexpr double kSeconds = 5e-3;  // long beside starting a team, short beside an interruption
  constexpr int kRuns = 20;
  Work work{peak_kernels(isa), 1000};
  while (seconds_of(work, 1) < kSeconds) work.repeats *= 2;
  double best = seconds_of(work, threads);
  for (int i = 1; i < kRuns; ++i) best = std::min(best, seconds_of(work, threads));
  return static_cast<double>(threads) * static_cast<double>(work.repeats * work.kernels.flops) / best;
}

}  // namespace fastnn
