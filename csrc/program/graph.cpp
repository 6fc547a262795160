#include "program/graph.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"

namespace fastnn {

Variable::Variable(std::string name, DType dtype, Dims dims)
    : name_(std::move(name)),
      dtype_(dtype),
      dims_(std::move(dims)),
      bytes_(static_cast<size_t>(count(dims_)) * item_size(dtype)),
      memory_(allocate_together(bytes_)) {
  std::memset(memory_.get(), 0, bytes_);
}

void Variable::read(void* to) {
  const NoFork no_fork;
  std::shared_lock lock(mutex);
  std::memcpy(to, memory_.get(), bytes_);
}

void Variable::write(const void* from) {
  const NoFork no_fork;
  std::unique_lock lock(mutex);
  if (bytes_ > 0) std::memcpy(memory_.get(), from, bytes_);  // without elements `from` may be null
  bump_version();
}

namespace {

// In the order of addresses, as runs take the locks, so that neither waits for the other for ever.
std::vector<Variable*> distinct(std::span<const VariablePtr> variables) {
  std::vector<Variable*> list;
  for (const VariablePtr& variable : variables) list.push_back(variable.get());
  std::ranges::sort(list, std::less());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

}  // namespace

void read_variables(std::span<const VariablePtr> variables, std::span<void* const> to) {
  const NoFork no_fork;
  std::vector<std::shared_lock<FairSharedMutex>> locks;
  for (Variable* variable : distinct(variables)) locks.emplace_back(variable->mutex);
  for (size_t i = 0; i < variables.size(); ++i) std::memcpy(to[i], variables[i]->data(), variables[i]->bytes());
}

void write_variables(std::span<const VariablePtr> variables, std::span<const void* const> from) {
  const NoFork no_fork;
  std::vector<std::unique_lock<FairSharedMutex>> locks;
  for (Variable* variable : distinct(variables)) locks.emplace_back(variable->mutex);
  for (size_t i = 0; i < variables.size(); ++i) {
    std::memcpy(variables[i]->data(), from[i], variables[i]->bytes());
    variables[i]->bump_version();
  }
}

ValueId Graph::add_value(TensorType type, Origin origin, size_t index, size_t output) {
  values_.push_back({std::move(type), origin, static_cast<int32_t>(index), static_cast<int32_t>(output)});
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Graph::add_input(std::string name, TensorType type) {
  for (const Extent& extent : type.shape) {
    if (extent.is_int() ? extent.factor() >= 0 : extent.factor() == 1 && extent.symbols().size() == 1) continue;
    throw ValueError(concat("input '", name, "': shape ", type.shape,
                            "; expected lengths >= 0 or single symbols, which a call ", "determines; name the whole length"));
  }
  expect_size("input", "'" + name + "'", type);
  const ValueId value = add_value(std::move(type), Origin::input, inputs_.size());
  inputs_.push_back({std::move(name), value});
  return value;
}

ValueId Graph::add_constant(DType dtype, const Dims& dims, const void* data) {
  const size_t bytes = static_cast<size_t>(count(dims)) * item_size(dtype);
  std::shared_ptr<std::byte[]> memory(allocate_aligned(bytes).release(), AlignedDelete());
  if (bytes > 0) std::memcpy(memory.get(), data, bytes);
  const ValueId value = add_value({dtype, to_shape(dims)}, Origin::constant, constants_.size());
  constants_.push_back({std::move(memory), value});
  return value;
}

ValueId Graph::add_variable(const VariablePtr& variable) {
  for (const VariableRead& read : variables_) {
    if (read.variable == variable) return read.value;
  }
  const ValueId value = add_value({variable->dtype(), to_shape(variable->dims())}, Origin::variable, variables_.size());
  variables_.push_back({variable, value});
  return value;
}

const std::vector<ValueId>& Graph::add_node(const Op& op, std::vector<ValueId> inputs, Attributes attributes, Source source) {
  Node node{&op, std::move(attributes), std::move(inputs), {}, std::move(source)};
  Call call = call_of(node);
  infer(call);
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    node.outputs.push_back(add_value(std::move(call.outputs[i]), Origin::node, nodes_.size(), i));
  }
  nodes_.push_back(std::move(node));
  return nodes_.back().outputs;
}

void Graph::replace_node(Node& node, const Op& op, std::vector<ValueId> inputs, Attributes attributes) {
  replaced_.push_back(node);
  node.op = &op;
  node.inputs = std::move(inputs);
  node.attributes = std::move(attributes);
  Call call = call_of(node);
  infer(call);
  const size_t index = static_cast<size_t>(&node - nodes_.data());
  for (size_t i = node.outputs.size(); i < call.outputs.size(); ++i) {
    node.outputs.push_back(add_value(std::move(call.outputs[i]), Origin::node, index, i));
  }
}

void Graph::bind_variable(const VariablePtr& variable, ValueId value) {
  const TensorType expected{variable->dtype(), to_shape(variable->dims())};
  if (type(value) != expected) {
    throw ValueError(concat("assign: variable '", variable->name(), "' is ", expected, ", the value is ", type(value),
                            "; expected the same shape and dtype; reshape or cast the value"));
  }
  const int32_t index = values_[add_variable(variable)].index;
  std::erase_if(bindings_, [&](const Binding& binding) { return binding.variable == index; });
  bindings_.push_back({index, value});
}

Call Graph::call_of(const Node& node) const {
  Call call;
  call.op = node.op;
  call.attributes = node.attributes;
  call.inputs.reserve(node.inputs.size());
  call.outputs.reserve(node.outputs.size());
  for (ValueId input : node.inputs) {
    call.inputs.push_back(input == kNoValue ? std::nullopt : std::optional(type(input)));
  }
  for (ValueId output : node.outputs) call.outputs.push_back(type(output));
  return call;
}

Graph Graph::bind(const Bindings& bindings) const {
  Graph bound = *this;
  for (const Input& input : bound.inputs_) {
    Shape& shape = bound.values_[input.value].type.shape;
    shape = fastnn::bind(shape, bindings);
  }
  for (Node& node : bound.nodes_) {
    // A view's shape as traced, in which -1 is resolved: at batch 0 there would be nothing to resolve it from.
    if (node.op->view) node.attributes.set("shape", type(node.outputs[0]).shape);
    node.attributes.bind(bindings);
    Call call = bound.call_of(node);
    infer(call);
    for (size_t i = 0; i < node.outputs.size(); ++i) bound.values_[node.outputs[i]].type = call.outputs[i];
  }
  return bound;
}

}  // namespace fastnn
