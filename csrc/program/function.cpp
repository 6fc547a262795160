#include "program/function.h"

#include <atomic>

#include "base/parallel.h"

namespace fastnn {

namespace {
std::atomic<uint64_t> epoch{0};
}

uint64_t planning_epoch() { return epoch; }
void bump_planning_epoch() { ++epoch; }

Bindings Function::unify(const std::vector<TensorType>& inputs) const {
  const auto& declared = graph_.inputs();
  if (inputs.size() != declared.size()) {
    throw ValueError(concat("run: ", inputs.size(), " inputs; expected ", declared.size(), "; pass one array per input"));
  }
  Bindings bindings;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& expected = graph_.type(declared[i].value);
    const std::string where = "input '" + declared[i].name + "'";
    if (inputs[i].dtype != expected.dtype) {
      throw TypeError(concat(where, ": ", dtype_name(inputs[i].dtype), "; expected ", dtype_name(expected.dtype),
                             "; convert it with .astype"));
    }
    bool fits = inputs[i].shape.size() == expected.shape.size();
    for (size_t axis = 0; fits && axis < expected.shape.size(); ++axis) {
      const Extent& extent = expected.shape[axis];
      const int64_t length = inputs[i].shape[axis].factor();
      if (extent.is_int()) {
        fits = extent.factor() == length;
      } else {  // inputs are declared with single symbols, so that a length determines them
        auto [found, is_new] = bindings.emplace(extent.symbols()[0], length);
        if (!is_new && found->second != length) {
          throw ValueError(concat(where, ": ", extent, " is ", length, " here and ", found->second,
                                  " in another input; expected the same; pass arrays of equal length"));
        }
      }
    }
    if (!fits) {
      throw ValueError(concat(where, ": shape ", inputs[i].shape, "; expected ", expected.shape, "; reshape the array"));
    }
  }
  return bindings;
}

std::shared_ptr<const Program> Function::program(const std::vector<TensorType>& inputs) {
  Bindings bindings = unify(inputs);
  const NoFork no_fork;
  std::lock_guard lock(mutex_);
  const uint64_t now = planning_epoch();
  plans_.remove_if([&](const Plan& plan) { return plan.epoch != now; });
  for (auto plan = plans_.begin(); plan != plans_.end(); ++plan) {
    if (plan->bindings == bindings) {
      plans_.splice(plans_.begin(), plans_, plan);
      return plan->program;
    }
  }
  auto program = std::make_shared<const Program>(plan(graph_.bind(bindings), current_isa()));
  plans_.push_front({std::move(bindings), now, program});
  if (plans_.size() > kPlans) plans_.pop_back();
  return program;
}

void Function::run(const Program& program, std::span<const void* const> inputs, std::span<void* const> outputs, bool commit,
                   std::vector<StepTime>* times) {
  const NoFork no_fork;
  std::unique_ptr<Context> context;
  {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      context = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (context == nullptr) context = std::make_unique<Context>();
  auto give_back = [&](Context* used) {
    std::lock_guard lock(mutex_);
    idle_.emplace_back(used);
  };
  const std::unique_ptr<Context, decltype(give_back)> returned(context.release(), give_back);
  fastnn::run(program, *returned, inputs, outputs, commit, times);
}

}  // namespace fastnn
