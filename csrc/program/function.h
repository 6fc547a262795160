// A traced graph with the programs planned from it: what Python's `fastnn.function`, `fit`, `predict` and a C++ host call.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "program/program.h"

namespace fastnn {

class Function {
 public:
  explicit Function(Graph graph) : graph_(std::move(graph)) {}

  const Graph& graph() const { return graph_; }

  // The program for inputs of these types: planned at the first call, then kept (the 16 most recently used). Throws where an
  // input does not fit what was traced, naming it.
  std::shared_ptr<const Program> program(const std::vector<TensorType>& inputs);

  void run(const Program& program, std::span<const void* const> inputs, std::span<void* const> outputs, bool commit,
           std::vector<StepTime>* times = nullptr);

 private:
  Bindings unify(const std::vector<TensorType>& inputs) const;

  struct Plan {
    Bindings bindings;
    uint64_t epoch;
    std::shared_ptr<const Program> program;
  };
  static constexpr size_t kPlans = 16;

  Graph graph_;
  std::mutex mutex_;       // guards the two below
  std::list<Plan> plans_;  // most recently used first
  std::vector<std::unique_ptr<Context>> idle_;
};

// Counts changes to whatever plans depend on besides shapes (ISA, forced variants, disabled passes): older plans are dropped.
uint64_t planning_epoch();
void bump_planning_epoch();

}  // namespace fastnn
