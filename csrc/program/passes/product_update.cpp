#include <algorithm>

#include "ops/optimizer.h"
#include "program/passes.h"

namespace fastnn {

// A dense layer's kernel is all that its gradient is for. Where the gradient is small work but much memory, as with the few
// examples of a small batch, writing it and reading it again takes longer than the product: so the update multiplies itself.
void product_update(Graph& graph) {
  const std::vector<int> readers = count_readers(graph);
  for (Node& update : graph.nodes()) {
    const auto& attributes = update.op->attributes;
    if (std::ranges::none_of(attributes, [](const AttributeSpec& spec) { return spec.name == "products"; })) continue;
    const size_t head = update.op->inputs.size() - 1, parameters = (update.inputs.size() - head) / 2;
    std::vector<ValueId> inputs = update.inputs;
    Dims products = update.attributes.dims("products");
    if (!products.empty()) continue;
    for (size_t k = 0; k < parameters; ++k) {
      const ValueId gradient = inputs[head + parameters + k];
      if (graph.value(gradient).origin != Graph::Origin::node || readers[gradient] != 1) continue;
      const Node& maker = graph.nodes()[graph.value(gradient).index];
      if (maker.op->name != "dense_backward_kernel") continue;
      Dims x = to_dims(graph.type(maker.inputs[0]).shape, "product_update");
      const Dims dw = to_dims(graph.type(gradient).shape, "product_update");
      x.pop_back();
      if (!pays_to_update_with_product(count(x), dw[0], dw[1])) continue;
      inputs[head + parameters + k] = kNoValue;
      products.push_back(static_cast<int64_t>(k));
      inputs.insert(inputs.end(), {maker.inputs[0], maker.inputs[1]});
    }
    if (products.empty()) continue;
    Attributes changed = update.attributes;
    changed.set("products", std::move(products));
    graph.replace_node(update, *update.op, std::move(inputs), std::move(changed));
  }
}

}  // namespace fastnn
