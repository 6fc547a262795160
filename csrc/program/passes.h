// Passes: Graph to Graph. Each lives in passes/<name>.cpp and can be switched off by name.
//
// Fusion passes run before differentiation and look at ops and attributes only, never at extents; the others run when a
// program is planned.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "program/graph.h"

namespace fastnn {

// softmax followed by cross-entropy on its probabilities becomes cross-entropy on the logits.
void softmax_cross_entropy(Graph& graph);
// conv2d, relu and max_pool2d become conv2d_block.
void conv2d_block(Graph& graph);
// gelu, silu and mish make their slope as well where their backward is computed, which becomes a product.
void activation_slope(Graph& graph);
// relu, an addition, a product or relu_backward of what dense, conv2d or their backward made is done by these.
void product_epilogue(Graph& graph);
// What is added to the gradient of a layer_norm's or rms_norm's operand is added by the op that computes it.
void norm_gradient_sum(Graph& graph);
// The gradient of a dense kernel is made in the optimizer's update, its only reader, and never written.
void product_update(Graph& graph);
// Removes nodes that neither an output nor a commit depends on.
void dead_nodes(Graph& graph);

// How often each value is read: by nodes, as a result, as a variable's next value.
std::vector<int> count_readers(const Graph& graph);

struct Pass {
  std::string_view name;
  bool fusion;  // runs before differentiation
  void (*run)(Graph&);
};
const std::vector<Pass>& passes();

// Switches passes off for graphs traced and planned from now on; ValueError on an unknown name.
void disable_passes(const std::set<std::string>& names);
void run_passes(Graph& graph, bool fusion);

}  // namespace fastnn
