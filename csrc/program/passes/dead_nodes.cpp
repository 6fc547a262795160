#include "program/passes.h"

namespace fastnn {

// Nodes are removed from the list; their values keep their numbers and are simply never produced.
void dead_nodes(Graph& graph) {
  std::vector<char> needed(graph.values().size(), 0);
  for (ValueId output : graph.outputs()) needed[output] = 1;
  for (const Graph::Binding& binding : graph.bindings()) needed[binding.value] = 1;

  std::vector<Node> kept;
  for (auto node = graph.nodes().rbegin(); node != graph.nodes().rend(); ++node) {
    bool used = false;
    for (ValueId output : node->outputs) used |= needed[output] != 0;
    if (!used) continue;
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      if (node->inputs[i] != kNoValue) needed[node->inputs[i]] = 1;
    }
    kept.push_back(std::move(*node));
  }
  graph.nodes().assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
}

}  // namespace fastnn
