#include "program/graph_json.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace fastnn {

namespace {

constexpr size_t kMaxValues = 65'536;      // the planner compares buffers with each other
constexpr size_t kMaxLengths = 1'000'000;  // axes and symbols of all values together
constexpr size_t kMaxRank = 32;            // of an array in NumPy, and of a tensor in a file

// ---- Extents --------------------------------------------------------------------------------------------------------------

// What a product of symbols can be taken apart into again.
bool is_symbol(std::string_view name) {
  const auto is_digit = [](unsigned char c) { return c >= '0' && c <= '9'; };
  const auto is_letter = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
  };
  return !name.empty() && name.size() <= 64 && !is_digit(static_cast<unsigned char>(name[0])) &&
         std::ranges::all_of(name, [&](unsigned char c) { return is_letter(c) || is_digit(c); });
}

Json to_json(const Extent& extent) {
  if (extent.is_int()) return extent.factor();
  for (const std::string& name : extent.symbols()) {
    if (is_symbol(name)) continue;
    throw ValueError(
        concat("graph: the symbolic length ", in_quotes(name),
               "; expected a name of letters, digits and _, at most 64; rename the axis before the graph is written"));
  }
  return extent.to_string();
}

Extent extent_from_json(const JsonRef& json) {
  const std::string* text = json.value().if_string();
  if (text == nullptr) return json.integer();
  const auto refuse = [&]() {
    json.fail(in_quotes(*text), "an integer, a name like \"batch\" or a product like \"2*batch*time\"");
  };
  std::string_view rest = *text;
  int64_t factor = 1;
  if (!rest.empty() && rest[0] >= '1' && rest[0] <= '9') {
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), factor);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    if (error != std::errc() || !rest.starts_with('*')) refuse();
    rest.remove_prefix(1);
  }
  Extent extent(factor);
  for (bool more = true; more;) {
    const size_t length = std::min(rest.find('*'), rest.size());
    more = length < rest.size();
    if (!is_symbol(rest.substr(0, length)) || extent.symbols().size() == kMaxSymbols) refuse();
    extent = extent * Extent::symbol(std::string(rest.substr(0, length)));
    rest.remove_prefix(length + more);
  }
  return extent;
}

Json to_json(const Shape& shape) {
  Json list = Json::array();
  for (const Extent& extent : shape) list.append(to_json(extent));
  return list;
}

Shape shape_from_json(const JsonRef& json) {
  const size_t rank = json.size();
  if (rank > kMaxRank) json.fail(concat(rank, " axes"), concat("at most ", kMaxRank));
  Shape shape;
  for (size_t axis = 0; axis < rank; ++axis) shape.push_back(extent_from_json(json[axis]));
  return shape;
}

// ---- Attributes -----------------------------------------------------------------------------------------------------------

template <typename T>
Json list_to_json(const std::vector<T>& items) {
  Json list = Json::array();
  for (const T& item : items) list.append(item);
  return list;
}

Json to_json(const AttributeValue& value) {
  return std::visit(
      [](const auto& v) -> Json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, Shape>) {
          return to_json(v);
        } else if constexpr (std::is_same_v<T, Axes>) {
          return v ? list_to_json(*v) : Json();
        } else if constexpr (std::is_same_v<T, Dims> || std::is_same_v<T, std::vector<double>>) {
          return list_to_json(v);
        } else {
          return v;
        }
      },
      value);
}

Dims integers_from_json(const JsonRef& json) {
  Dims items;
  for (size_t i = 0, n = json.size(); i < n; ++i) items.push_back(json[i].integer());
  return items;
}

std::vector<double> numbers_from_json(const JsonRef& json) {
  std::vector<double> items;
  for (size_t i = 0, n = json.size(); i < n; ++i) items.push_back(json[i].number());
  return items;
}

// A value of the type that `like` has.
AttributeValue attribute_from_json(const JsonRef& json, const AttributeValue& like) {
  return std::visit(
      [&](const auto& v) -> AttributeValue {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, bool>) {
          return json.boolean();
        } else if constexpr (std::is_same_v<T, int64_t>) {
          return json.integer();
        } else if constexpr (std::is_same_v<T, double>) {
          return json.number();
        } else if constexpr (std::is_same_v<T, std::string>) {
          return json.string();
        } else if constexpr (std::is_same_v<T, Dims>) {
          return integers_from_json(json);
        } else if constexpr (std::is_same_v<T, std::vector<double>>) {
          return numbers_from_json(json);
        } else if constexpr (std::is_same_v<T, Shape>) {
          return shape_from_json(json);
        } else {
          return json.is_null() ? Axes() : Axes(integers_from_json(json));
        }
      },
      like);
}

Attributes attributes_from_json(const JsonRef& json, const Op& op) {
  Attributes attributes(op);
  size_t used = 0;
  for (size_t i = 0; i < op.attributes.size(); ++i) {
    const AttributeSpec& spec = op.attributes[i];
    if (const auto value = json.find(spec.name)) {
      attributes.set(i, attribute_from_json(*value, spec.value));
      ++used;
    } else if (spec.required) {
      json.fail(concat("no attribute ", in_quotes(spec.name)), concat("one for the op ", op.name));
    }
  }
  const Json::Object* members = json.value().if_object();
  if (members == nullptr) json.fail("not an object", "the attributes of the op by name");
  if (used == members->size()) return attributes;
  const auto unknown = std::ranges::find_if(*members, [&](const Json::Member& member) {
    return std::ranges::find(op.attributes, member.key, &AttributeSpec::name) == op.attributes.end();
  });
  json.fail(concat("the attribute ", in_quotes(unknown->key)), concat("those of the op ", op.name));
}

// ---- Reading --------------------------------------------------------------------------------------------------------------

// What f returns; what it throws gets the place in the file before it.
template <typename F>
auto at(const JsonRef& json, F&& f) {
  try {
    return f();
  } catch (const ValueError& error) {
    throw ValueError(concat(json.place(), ": ", error.what()));
  } catch (const TypeError& error) {
    throw ValueError(concat(json.place(), ": ", error.what()));
  }
}

class GraphReader {
 public:
  GraphReader(const JsonRef& json, const Safetensors& file, FileVariables& variables)
      : json_(json), file_(file), variables_(variables) {}

  Graph read() {
    json_.expect_only({"inputs", "constants", "variables", "nodes", "bindings", "outputs"});
    const JsonRef inputs = json_["inputs"], constants = json_["constants"], variables = json_["variables"];
    const JsonRef nodes = json_["nodes"], bindings = json_["bindings"], outputs = json_["outputs"];
    for (size_t i = 0, n = inputs.size(); i < n; ++i) add_input(inputs[i]);
    for (size_t i = 0, n = constants.size(); i < n; ++i) add_constant(constants[i]);
    for (size_t i = 0, n = variables.size(); i < n; ++i) add_variable(variables[i]);
    for (size_t i = 0, n = nodes.size(); i < n; ++i) add_node(nodes[i]);
    for (size_t i = 0, n = bindings.size(); i < n; ++i) add_binding(bindings[i]);
    std::vector<ValueId> results;
    for (size_t i = 0, n = outputs.size(); i < n; ++i) results.push_back(value(outputs[i]));
    graph_.set_outputs(std::move(results));
    return std::move(graph_);
  }

 private:
  void add_input(const JsonRef& json) {
    json.expect_only({"name", "dtype", "shape"});
    const JsonRef dtype = json["dtype"];
    TensorType type{at(dtype, [&] { return dtype_from_name(dtype.string()); }), shape_from_json(json["shape"])};
    const std::string& name = json["name"].string();
    if (!inputs_.insert(name).second) json.fail("a second input " + in_quotes(name), "every name once");
    at(json, [&] { return graph_.add_input(name, std::move(type)); });
    account(json);
  }

  // The tensor that an entry names; within one graph each only once, so that a short graph cannot ask for much memory.
  const StoredTensor& tensor(const JsonRef& json) {
    json.expect_only({"tensor"});
    const std::string& name = json["tensor"].string();
    if (!tensors_.insert(name).second) json.fail("the tensor " + in_quotes(name) + " a second time", "every tensor once");
    const StoredTensor* found = file_.find(name);
    if (found == nullptr) json.fail("the tensor " + in_quotes(name), "one that the file has");
    at(json, [&] { return file_.dtype(*found); });
    return *found;
  }

  void add_constant(const JsonRef& json) {
    const StoredTensor& stored = tensor(json);
    graph_.add_constant(*stored.dtype, stored.dims, stored.bytes.data());
    account(json);
  }

  void add_variable(const JsonRef& json) {
    const StoredTensor& stored = tensor(json);
    VariablePtr& variable = variables_[stored.name];
    if (variable == nullptr) {
      variable = std::make_shared<Variable>(stored.name, *stored.dtype, stored.dims);
      variable->write(stored.bytes.data());
    }
    graph_.add_variable(variable);
    account(json);
  }

  void add_node(const JsonRef& json) {
    json.expect_only({"op", "inputs", "attributes", "layer"});
    const JsonRef name = json["op"], inputs = json["inputs"];
    const Op& op = *at(name, [&] { return &find_op(name.string()); });
    std::vector<ValueId> operands;
    for (size_t i = 0, n = inputs.size(); i < n; ++i) {
      const JsonRef input = inputs[i];
      operands.push_back(input.is_null() ? kNoValue : value(input));
    }
    Attributes attributes = attributes_from_json(json["attributes"], op);
    const std::string& layer = json["layer"].string();
    at(json, [&] { graph_.add_node(op, std::move(operands), std::move(attributes), {layer, ""}); });
    account(json);
  }

  void add_binding(const JsonRef& json) {
    json.expect_only({"variable", "value"});
    const auto last = static_cast<int64_t>(graph_.variables().size()) - 1;
    const int64_t index = json["variable"].integer(0, last);
    if (!bound_.insert(index).second) json.fail(concat("variable ", index, " a second time"), "every variable once");
    const ValueId bound = value(json["value"]);
    at(json, [&] { graph_.bind_variable(graph_.variables()[static_cast<size_t>(index)].variable, bound); });
  }

  ValueId value(const JsonRef& json) const {
    const auto defined = static_cast<int64_t>(graph_.values().size());
    const int64_t number = json.integer();
    if (number < 0 || number >= defined) {
      json.fail(concat("value ", number), concat("one of the ", defined, " defined before, counted from 0"));
    }
    return static_cast<ValueId>(number);
  }

  // Text is cheap: what is made of it has a limit, counted as it is made.
  void account(const JsonRef& json) {
    const auto& values = graph_.values();
    for (; counted_ < values.size(); ++counted_) {
      for (const Extent& extent : values[counted_].type.shape) lengths_ += 1 + extent.symbols().size();
    }
    if (counted_ > kMaxValues) json.fail("one more value", concat("at most ", kMaxValues, " in a graph"));
    if (lengths_ > kMaxLengths) json.fail("more axes", concat("at most ", kMaxLengths, " of all values together"));
  }

  const JsonRef& json_;
  const Safetensors& file_;
  FileVariables& variables_;
  Graph graph_;
  std::set<std::string, std::less<>> inputs_, tensors_;
  std::set<int64_t> bound_;
  size_t counted_ = 0, lengths_ = 0;
};

Json entry(std::string_view key, Json value) {
  Json object = Json::object();
  object.set(key, std::move(value));
  return object;
}

}  // namespace

Graph graph_from_json(const JsonRef& json, const Safetensors& file, FileVariables& variables) {
  return GraphReader(json, file, variables).read();
}

// ---- Writing --------------------------------------------------------------------------------------------------------------

Json graph_to_json(const Graph& graph, std::span<const std::string> variables, std::span<const std::string> constants) {
  if (variables.size() != graph.variables().size() || constants.size() != graph.constants().size()) {
    throw ValueError(concat("graph: names for ", variables.size(), " variables and ", constants.size(), " constants; expected ",
                            graph.variables().size(), " and ", graph.constants().size(), "; pass one name for each"));
  }
  std::set<std::string_view> names(variables.begin(), variables.end());
  names.insert(constants.begin(), constants.end());
  if (names.size() != variables.size() + constants.size()) {
    throw ValueError("graph: a tensor name for two variables or constants; expected every name once; rename one of them");
  }

  std::vector<int64_t> number(graph.values().size(), -1);  // what a value is called in the file
  int64_t next = 0;
  Json json = Json::object(), list = Json::array();
  for (const Graph::Input& input : graph.inputs()) {
    number[static_cast<size_t>(input.value)] = next++;
    const TensorType& type = graph.type(input.value);
    Json object = entry("name", input.name);
    object.set("dtype", dtype_name(type.dtype));
    object.set("shape", to_json(type.shape));
    list.append(std::move(object));
  }
  json.set("inputs", std::move(list));

  list = Json::array();
  for (size_t i = 0; i < constants.size(); ++i) {
    number[static_cast<size_t>(graph.constants()[i].value)] = next++;
    list.append(entry("tensor", constants[i]));
  }
  json.set("constants", std::move(list));

  list = Json::array();
  for (size_t i = 0; i < variables.size(); ++i) {
    number[static_cast<size_t>(graph.variables()[i].value)] = next++;
    list.append(entry("tensor", variables[i]));
  }
  json.set("variables", std::move(list));

  list = Json::array();
  for (const Node& node : graph.nodes()) {
    Json inputs = Json::array(), attributes = Json::object();
    for (ValueId input : node.inputs) {
      inputs.append(input == kNoValue ? Json() : Json(number[static_cast<size_t>(input)]));
    }
    for (size_t i = 0; i < node.op->attributes.size(); ++i) {
      attributes.set(node.op->attributes[i].name, to_json(node.attributes.values()[i]));
    }
    for (ValueId output : node.outputs) number[static_cast<size_t>(output)] = next++;
    Json object = entry("op", node.op->name);
    object.set("inputs", std::move(inputs));
    object.set("attributes", std::move(attributes));
    object.set("layer", node.source.layer);
    list.append(std::move(object));
  }
  json.set("nodes", std::move(list));

  list = Json::array();
  for (const Graph::Binding& binding : graph.bindings()) {
    Json object = entry("variable", int64_t{binding.variable});
    object.set("value", number[static_cast<size_t>(binding.value)]);
    list.append(std::move(object));
  }
  json.set("bindings", std::move(list));

  list = Json::array();
  for (ValueId output : graph.outputs()) list.append(number[static_cast<size_t>(output)]);
  json.set("outputs", std::move(list));
  return json;
}

}  // namespace fastnn
