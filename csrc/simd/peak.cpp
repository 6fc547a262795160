#include "simd/peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "base/parallel.h"

namespace fastnn {

namespace {

// How often per second every thread of a team does `body(task, repeats)` once, if repeats are long: fastest of several runs.
template <typename Body>
double repeats_per_second(int threads, Body body) {
  struct Work {
    Body& body;
    int64_t repeats;
  } work{body, 1};
  const auto seconds = [&](int tasks) {
    Team team(tasks);
    const auto start = std::chrono::steady_clock::now();
    const Team::Part part{tasks,
                          [](void* context, int, int64_t task) {
                            auto& work = *static_cast<Work*>(context);
                            work.body(task, work.repeats);
                          },
                          &work};
    team.run({&part, 1});
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  constexpr double kSeconds = 3e-3;  // long beside starting a team, short beside an interruption
  constexpr int kRuns = 20;
  while (seconds(1) < kSeconds) work.repeats *= 2;
  double best = seconds(threads);
  for (int i = 1; i < kRuns; ++i) best = std::min(best, seconds(threads));
  return static_cast<double>(work.repeats) / best;
}

}  // namespace

double measure_peak_flops(Isa isa, int threads) {
  const PeakKernels& kernels = peak_kernels(isa);
  std::atomic<float> result = 0;  // read by nobody, but the compiler cannot know
  const double rate = repeats_per_second(threads, [&](int64_t, int64_t repeats) {
    // Converges to addend / (1 - factor) = 1: neither overflows nor reaches denormals.
    result = kernels.multiply_add(100 * repeats, 0.75f, 0.25f);
  });
  return rate * 100 * static_cast<double>(kernels.flops) * threads;
}

double measure_peak_bytes(Isa isa, int threads, int64_t size) {
  constexpr int64_t kFloatsPerKilobyte = 256;
  const int64_t count = std::max<int64_t>(size / 2 / threads / 1024, 1) * kFloatsPerKilobyte;
  std::vector<std::vector<float>> from(static_cast<size_t>(threads)), to(static_cast<size_t>(threads));
  for (auto* arrays : {&from, &to}) {
    for (auto& array : *arrays) array.assign(static_cast<size_t>(count), 1.0f);
  }
  const PeakKernels& kernels = peak_kernels(isa);
  const double rate = repeats_per_second(threads, [&](int64_t task, int64_t repeats) {
    for (int64_t i = 0; i < repeats; ++i) kernels.copy(to[task].data(), from[task].data(), count);
  });
  return rate * 2 * static_cast<double>(sizeof(float)) * static_cast<double>(count) * threads;
}

}  // namespace fastnn
