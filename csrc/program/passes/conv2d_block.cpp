#include <algorithm>

#include "program/passes.h"

namespace fastnn {

// conv2d, perhaps relu, and a max-pool whose windows touch become one op. relu keeps the order of its arguments, so it may as
// well come after the maximum. What stands between is read by nobody else, or it would be computed twice.
void conv2d_block(Graph& graph) {
  const std::vector<int> readers = count_readers(graph);
  // The node of this op that makes `value` for one reader only, or none.
  auto made_for_one = [&](ValueId value, std::string_view op) -> const Node* {
    if (graph.value(value).origin != Graph::Origin::node || readers[value] != 1) return nullptr;
    const Node& node = graph.nodes()[graph.value(value).index];
    return node.op->name == op ? &node : nullptr;
  };
  for (Node& pool : graph.nodes()) {
    if (pool.op->name != "max_pool2d") continue;
    if (pool.attributes.text("padding") != "valid" || pool.attributes.dims("pool_size") != pool.attributes.dims("strides")) {
      continue;
    }
    const Node* relu = made_for_one(pool.inputs[0], "relu");
    const Node* conv = made_for_one(relu != nullptr ? relu->inputs[0] : pool.inputs[0], "conv2d");
    if (conv == nullptr || conv->attributes.text("padding") == "causal") continue;
    if (!conv->attributes.text("epilogue").empty() || conv->attributes.integer("groups") != 1 ||
        conv->attributes.dims("dilation_rate") != Dims{1, 1})
      continue;
    Attributes attributes(find_op("conv2d_block"));
    attributes.set("strides", conv->attributes.dims("strides"));
    attributes.set("padding", conv->attributes.text("padding"));
    attributes.set("pool_size", pool.attributes.dims("pool_size"));
    attributes.set("activation", std::string(relu != nullptr ? "relu" : "none"));
    pool.source = conv->source;
    std::vector<ValueId> inputs = conv->inputs;
    inputs.resize(std::min(inputs.size(), find_op("conv2d_block").inputs.size()));  // without the epilogue's
    graph.replace_node(pool, find_op("conv2d_block"), std::move(inputs), std::move(attributes));
  }
}

}  // namespace fastnn
