#include <map>
#include <utility>

#include "program/passes.h"

namespace fastnn {

// An activation and its derivative are made of the same exponential. Where the backward pass would compute it again, of an operand
// that would have to be kept, the forward pass makes the slope, which is kept instead.
void activation_slope(Graph& graph) {
  static const std::map<std::string_view, std::string_view> forward_of = {
      {"gelu_backward", "gelu"}, {"silu_backward", "silu"}, {"mish_backward", "mish"}};
  std::map<std::pair<std::string_view, ValueId>, Node*> forward;  // by op and operand; of several the last
  for (Node& node : graph.nodes()) {
    const std::string_view name = node.op->name;
    if (name == "gelu" || name == "silu" || name == "mish") forward[{name, node.inputs[0]}] = &node;
    const auto of = forward_of.find(name);
    if (of == forward_of.end()) continue;
    const auto found = forward.find({of->second, node.inputs[1]});
    if (found == forward.end()) continue;
    Node& activation = *found->second;
    if (name == "gelu_backward" && activation.attributes.flag("approximate") != node.attributes.flag("approximate")) continue;
    if (!activation.attributes.flag("slope")) {
      Attributes attributes = activation.attributes;
      attributes.set("slope", true);
      graph.replace_node(activation, *activation.op, activation.inputs, std::move(attributes));
    }
    const Op& multiply = find_op("multiply");
    graph.replace_node(node, multiply, {node.inputs[0], activation.outputs[1]}, Attributes(multiply));
  }
}

}  // namespace fastnn
