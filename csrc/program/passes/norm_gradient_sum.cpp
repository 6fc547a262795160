#include "program/passes.h"

namespace fastnn {

// Around a normalisation leads a residual, whose gradient is added to that of the normalisation's input: by the op that computes the
// latter, if the former is there by then. The addition becomes a view.
void norm_gradient_sum(Graph& graph) {
  const std::vector<int> readers = count_readers(graph);
  for (Node& node : graph.nodes()) {
    if (node.op->name != "add") continue;
    for (size_t side : {0, 1}) {
      const ValueId gradient = node.inputs[side], other = node.inputs[1 - side];
      const Graph::Value &from = graph.value(gradient), &added = graph.value(other);
      if (from.origin != Graph::Origin::node || from.output != 0 || readers[gradient] != 1) continue;
      Node& norm = graph.nodes()[from.index];
      if (norm.op->name != "layer_norm_backward" && norm.op->name != "rms_norm_backward") continue;
      const bool earlier = added.origin != Graph::Origin::node || added.index < from.index;
      if (!earlier || from.type != added.type || norm.inputs.size() == norm.op->inputs.size()) continue;
      std::vector<ValueId> inputs = norm.inputs;
      inputs.push_back(other);
      const Op& reshape = find_op("reshape");
      Attributes same(reshape);
      same.set("shape", from.type.shape);
      graph.replace_node(norm, *norm.op, std::move(inputs), Attributes(norm.attributes));
      graph.replace_node(node, reshape, {gradient}, std::move(same));
      break;
    }
  }
}

}  // namespace fastnn
