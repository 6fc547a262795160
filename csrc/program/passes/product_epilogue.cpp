#include <algorithm>
#include <span>

#include "program/passes.h"

namespace fastnn {

namespace {

constexpr std::string_view kForward[] = {"dense", "conv2d"};
constexpr std::string_view kBackward[] = {"dense_backward_input", "conv2d_backward_input", "conv2d_block_backward_input"};
bool makes(std::span<const std::string_view> ops, const Node& node) {
  return std::ranges::find(ops, node.op->name) != ops.end();
}

// Which of the node's operands, of those that it treats alike, a product makes for it alone: the last such; -1 if none.
int product_of(const Graph& graph, const std::vector<int>& readers, const Node& node, bool forward, bool backward,
               int operands) {
  int found = -1;
  for (int i = 0; i < operands; ++i) {
    const ValueId operand = node.inputs[static_cast<size_t>(i)];
    const Graph::Value& value = graph.value(operand);
    if (value.origin != Graph::Origin::node || readers[operand] != 1) continue;
    const Node& maker = graph.nodes()[value.index];
    if (!(forward && makes(kForward, maker)) && !(backward && makes(kBackward, maker))) continue;
    if (!maker.attributes.text("epilogue").empty() || value.type != graph.type(node.outputs[0])) continue;
    if (found < 0 || value.index > graph.value(node.inputs[static_cast<size_t>(found)]).index) found = i;
  }
  return found;
}

}  // namespace

// What is done to each number of a product is done to rows that have just been computed, and are in a cache still.
void product_epilogue(Graph& graph) {
  const std::vector<int> readers = count_readers(graph);
  for (Node& node : graph.nodes()) {
    const std::string_view name = node.op->name;
    const bool add = name == "add", multiply = name == "multiply", relu = name == "relu";
    if (!add && !multiply && !relu && name != "relu_backward") continue;
    const int at = product_of(graph, readers, node, add || relu, !relu, add || multiply ? 2 : 1);
    if (at < 0) continue;
    const Node& product = graph.nodes()[graph.value(node.inputs[static_cast<size_t>(at)]).index];
    const Op& op = *product.op;
    std::vector<ValueId> inputs = product.inputs;
    if (!relu) {
      const ValueId other = node.inputs[static_cast<size_t>(1 - at)];
      if (graph.type(other) != graph.type(node.outputs[0])) continue;  // stretched
      inputs.resize(op.inputs.size() - 1, kNoValue);
      inputs.push_back(other);
    }
    Attributes attributes = product.attributes;
    attributes.set("epilogue", std::string(name));
    graph.replace_node(node, op, std::move(inputs), std::move(attributes));
  }
}

}  // namespace fastnn
