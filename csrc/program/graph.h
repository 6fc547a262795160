// A graph: what was traced. Nodes in the order they were recorded, which is a topological order.
//
// Python's tracer appends nodes and reads types; passes rewrite; `plan` turns the graph into a Program. Values are numbered
// densely, and a value keeps its number for life, so that the tracer's handles survive the passes.
#pragma once

#include <string>
#include <vector>

#include "ops/op.h"
#include "program/variable.h"

namespace fastnn {

using ValueId = int32_t;
constexpr ValueId kNoValue = -1;  // an optional operand left out

// Where a node comes from, for errors, profile and summary.
struct Source {
  std::string layer;  // "sequential/conv2d_1"
  std::string line;   // "model.py:12"
};

struct Node {
  const Op* op = nullptr;
  Attributes attributes;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  Source source;
};

class Graph {
 public:
  enum class Origin : uint8_t { input, constant, variable, node };

  struct Value {
    TensorType type;
    Origin origin;
    int32_t index;   // of the input, constant, variable or node
    int32_t output;  // which output of the node
  };
  struct Input {
    std::string name;
    ValueId value;
  };
  struct Constant {
    std::shared_ptr<std::byte[]> memory;
    ValueId value;
  };
  struct VariableRead {
    VariablePtr variable;
    ValueId value;
  };
  struct Binding {
    int32_t variable;  // index into variables()
    ValueId value;     // what commit writes
  };

  ValueId add_input(std::string name, TensorType type);
  ValueId add_constant(DType dtype, const Dims& dims, const void* data);
  ValueId add_variable(const VariablePtr& variable);  // the same value each time for the same variable
  const std::vector<ValueId>& add_node(const Op& op, std::vector<ValueId> inputs, Attributes attributes, Source source);

  // Turns a recorded node into another op on other (earlier) operands. Its results keep their numbers and types; results the
  // new op has beyond them get new numbers. The node as it was is kept in replaced().
  void replace_node(Node& node, const Op& op, std::vector<ValueId> inputs, Attributes attributes);

  // The value commit writes into the variable; the last one stands.
  void bind_variable(const VariablePtr& variable, ValueId value);
  void set_outputs(std::vector<ValueId> outputs) { outputs_ = std::move(outputs); }

  const TensorType& type(ValueId value) const { return values_[value].type; }
  const Value& value(ValueId value) const { return values_[value]; }
  const std::vector<Value>& values() const { return values_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  std::vector<Node>& nodes() { return nodes_; }
  const std::vector<Input>& inputs() const { return inputs_; }
  const std::vector<Constant>& constants() const { return constants_; }
  const std::vector<VariableRead>& variables() const { return variables_; }
  const std::vector<Binding>& bindings() const { return bindings_; }
  const std::vector<ValueId>& outputs() const { return outputs_; }
  const std::vector<Node>& replaced() const { return replaced_; }

  Call call_of(const Node& node) const;  // with its result types filled in
  // The graph with every symbol replaced; all shape rules have run again.
  Graph bind(const Bindings& bindings) const;

 private:
  ValueId add_value(TensorType type, Origin origin, size_t index, size_t output = 0);

  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<Input> inputs_;
  std::vector<Constant> constants_;
  std::vector<VariableRead> variables_;
  std::vector<Binding> bindings_;
  std::vector<ValueId> outputs_;
  std::vector<Node> replaced_;
};

}  // namespace fastnn
