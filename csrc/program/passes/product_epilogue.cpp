#include "program/passes.h"

namespace fastnn {

namespace {

// The operand of `node` that a product makes for it alone, the last such, or none.
const Node* product_of(const Graph& graph, const std::vector<int>& readers, const Node& node, std::string_view op,
                       size_t operands, size_t& at) {
  const Node* found = nullptr;
  for (size_t i = 0; i < operands; ++i) {
    const Graph::Value& value = graph.value(node.inputs[i]);
    if (value.origin != Graph::Origin::node || readers[node.inputs[i]] != 1) continue;
    const Node& maker = graph.nodes()[value.index];
    const bool fits =
        (op.empty() ? maker.op->name == "dense" || maker.op->name == "dense_backward_input" : maker.op->name == op) &&
        maker.attributes.text("epilogue").empty() && graph.type(node.inputs[i]).shape == graph.type(node.outputs[0]).shape;
    if (fits && (found == nullptr || &maker > found)) found = &maker, at = i;
  }
  return found;
}

}  // namespace

// What is done to each number of a product is done to rows that have just been computed, and are in a cache still.
void product_epilogue(Graph& graph) {
  const std::vector<int> readers = count_readers(graph);
  for (Node& node : graph.nodes()) {
    const std::string_view name = node.op->name;
    const bool add = name == "add", relu = name == "relu", multiply = name == "multiply", gate = name == "relu_backward";
    if (!add && !relu && !multiply && !gate) continue;
    size_t at = 0;
    const Node* const product = product_of(graph, readers, node,
                                           add    ? ""
                                           : relu ? "dense"
                                                  : "dense_backward_input",
                                           add || multiply ? 2 : 1, at);
    if (product == nullptr) continue;
    const Op& op = *product->op;
    std::vector<ValueId> inputs = product->inputs;
    if (!relu) {
      const ValueId other = node.inputs[1 - at];
      if (other == kNoValue || graph.type(other) != graph.type(node.outputs[0])) continue;
      inputs.resize(op.inputs.size() - 1, kNoValue);
      inputs.push_back(other);
    }
    Attributes attributes = product->attributes;
    attributes.set("epilogue", std::string(name));
    graph.replace_node(node, op, std::move(inputs), std::move(attributes));
  }
}

}  // namespace fastnn
