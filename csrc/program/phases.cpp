#include "program/phases.h"

#include <algorithm>

namespace fastnn {

std::vector<int> Phases::place(std::span<const Use> steps) {
  if (steps.empty()) return {};
  std::vector<int> phases;  // the earliest of each step, then, from the last one on, the latest that holds nobody up
  for (const Use& step : steps) {
    int earliest = phases.empty() ? open_ : phases.back() + 1;
    if (step.alone) earliest = std::max(earliest, count_);
    for (int32_t value : step.reads) earliest = std::max(earliest, written_[value] + 1);
    phases.push_back(earliest);
  }
  last_ = phases.back() = std::max(phases.back(), last_);
  for (size_t i = steps.size() - 1; i > 0; --i) phases[i - 1] = phases[i] - 1;
  for (size_t i = 0; i < steps.size(); ++i) {
    for (int32_t value : steps[i].writes) written_[value] = phases[i];
    if (steps[i].alone) open_ = phases[i] + 1;
  }
  count_ = std::max(count_, last_ + 1);
  return phases;
}

}  // namespace fastnn
