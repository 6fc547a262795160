#include "program/passes.h"

#include <algorithm>
#include <mutex>

namespace fastnn {

namespace {
std::mutex disabled_mutex;
std::set<std::string> disabled;
}  // namespace

const std::vector<Pass>& passes() {
  static const std::vector<Pass> list = {
      {"softmax_cross_entropy", true, softmax_cross_entropy},
      {"conv2d_block", true, conv2d_block},
      {"activation_slope", false, activation_slope},
      {"product_epilogue", false, product_epilogue},
      {"norm_gradient_sum", false, norm_gradient_sum},
      {"product_update", false, product_update},
      {"dead_nodes", false, dead_nodes},
  };
  return list;
}

void disable_passes(const std::set<std::string>& names) {
  for (const std::string& name : names) {
    if (std::none_of(passes().begin(), passes().end(), [&](const Pass& pass) { return pass.name == name; })) {
      std::string known;
      for (const Pass& pass : passes()) known += (known.empty() ? "" : ", ") + std::string(pass.name);
      throw ValueError(concat("passes: '", name, "' does not exist; expected one of ", known, "; check the spelling"));
    }
  }
  std::lock_guard lock(disabled_mutex);
  disabled = names;
}

std::vector<int> count_readers(const Graph& graph) {
  std::vector<int> readers(graph.values().size(), 0);
  for (const Node& node : graph.nodes()) {
    for (ValueId input : node.inputs) {
      if (input != kNoValue) ++readers[input];
    }
  }
  for (ValueId output : graph.outputs()) ++readers[output];
  for (const Graph::Binding& binding : graph.bindings()) ++readers[binding.value];
  return readers;
}

void run_passes(Graph& graph, bool fusion) {
  std::set<std::string> off;
  {
    std::lock_guard lock(disabled_mutex);
    off = disabled;
  }
  for (const Pass& pass : passes()) {
    if (pass.fusion == fusion && !off.contains(std::string(pass.name))) pass.run(graph);
  }
}

}  // namespace fastnn
