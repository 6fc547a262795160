#include "program/passes.h"

namespace fastnn {

// The loss of a model that ends in softmax: log(softmax(z)) loses every probability below the smallest float, and its gradient
// divides by a probability that may be zero. On logits both are exact, and the backward pass is one subtraction.
void softmax_cross_entropy(Graph& graph) {
  for (Node& node : graph.nodes()) {
    const bool sparse = node.op->name == "sparse_cross_entropy";
    if (!sparse && node.op->name != "cross_entropy") continue;
    const Graph::Value& probabilities = graph.value(node.inputs[0]);
    if (probabilities.origin != Graph::Origin::node) continue;
    const Node& producer = graph.nodes()[probabilities.index];
    if (producer.op->name != "softmax") continue;
    const Op& op = find_op(sparse ? "sparse_softmax_cross_entropy" : "softmax_cross_entropy");
    graph.replace_node(node, op, {producer.inputs[0], node.inputs[1]}, Attributes(op));
  }
}

}  // namespace fastnn
