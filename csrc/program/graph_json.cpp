#include "program/graph_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

namespace fastnn {

namespace {

constexpr size_t kMaxValues = 65'536;      // the planner compares buffers with each other
constexpr size_t kMaxLengths = 2'000'000;  // axes and symbols of all values and all operands together

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
  if (json.type() != Json::Type::string) return json.integer();
  const std::string text = json.string();
  const auto refuse = [&]() {
    json.fail(in_quotes(text), "an integer, a name like \"batch\" or a product like \"2*batch*time\"");
  };
  std::string_view rest = text;
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

// What f makes of each item, of which an array may have `most`.
template <typename T, typename F>
std::vector<T> list_from_json(const JsonRef& json, size_t most, std::string_view what, F&& f) {
  const size_t size = json.size();
  if (size > most) json.fail(concat(size, " ", what), concat("at most ", most));
  std::vector<T> items;
  items.reserve(size);
  json.for_each_item([&](const JsonRef& item) { items.push_back(f(item)); });
  return items;
}

// It may become part of an error.
std::string text_from_json(const JsonRef& json) {
  constexpr size_t kMost = 1000;
  std::string text = json.string();
  if (text.size() > kMost) json.fail(in_quotes(text), concat("at most ", kMost, " bytes"));
  return text;
}

Shape shape_from_json(const JsonRef& json, size_t most) { return list_from_json<Extent>(json, most, "axes", extent_from_json); }

// ---- Attributes -----------------------------------------------------------------------------------------------------------

// What JSON has no numbers for.
constexpr std::pair<std::string_view, double> kSpecial[] = {{"inf", std::numeric_limits<double>::infinity()},
                                                            {"-inf", -std::numeric_limits<double>::infinity()},
                                                            {"nan", std::numeric_limits<double>::quiet_NaN()}};

double real_from_json(const JsonRef& json) {
  if (json.type() != Json::Type::string) return json.number();
  const std::string text = json.string();
  for (const auto& [word, value] : kSpecial) {
    if (text == word) return value;
  }
  json.fail(in_quotes(text), "a number, \"inf\", \"-inf\" or \"nan\"");
}

Json real_to_json(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Json list_to_json(const Dims& items) {
  Json list = Json::array();
  for (const int64_t item : items) list.append(item);
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
        } else if constexpr (std::is_same_v<T, Dims>) {
          return list_to_json(v);
        } else if constexpr (std::is_same_v<T, double>) {
          return real_to_json(v);
        } else if constexpr (std::is_same_v<T, std::vector<double>>) {
          Json list = Json::array();
          for (const double item : v) list.append(real_to_json(item));
          return list;
        } else {
          return v;
        }
      },
      value);
}

Dims integers_from_json(const JsonRef& json) {
  return list_from_json<int64_t>(json, kMaxValues, "numbers", [](const JsonRef& item) { return item.integer(); });
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
          return real_from_json(json);
        } else if constexpr (std::is_same_v<T, std::string>) {
          return text_from_json(json);
        } else if constexpr (std::is_same_v<T, Dims>) {
          return integers_from_json(json);
        } else if constexpr (std::is_same_v<T, std::vector<double>>) {
          return list_from_json<double>(json, kMaxValues, "numbers", real_from_json);
        } else if constexpr (std::is_same_v<T, Shape>) {
          return shape_from_json(json, kMaxValues);  // not only shapes: split has one length for each part
        } else {
          return json.is_null() ? Axes() : Axes(integers_from_json(json));
        }
      },
      like);
}

Attributes attributes_from_json(const JsonRef& json, const Op& op) {
  if (json.type() != Json::Type::object) json.fail("not an object", "the attributes of the op by name");
  Attributes attributes(op);
  for (size_t i = 0; i < op.attributes.size(); ++i) {
    const AttributeSpec& spec = op.attributes[i];
    if (const auto value = json.find(spec.name)) {
      attributes.set(i, attribute_from_json(*value, spec.value));
    } else if (spec.required) {
      json.fail(concat("no attribute ", in_quotes(spec.name)), concat("one for the op ", op.name));
    }
  }
  json.for_each_member([&](const std::string& key, const JsonRef&) {
    if (std::ranges::find(op.attributes, key, &AttributeSpec::name) != op.attributes.end()) return;
    json.fail(concat("the attribute ", in_quotes(key)), concat("those of the op ", op.name));
  });
  return attributes;
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
    inputs.for_each_item([&](const JsonRef& entry) { add_input(entry); });
    constants.for_each_item([&](const JsonRef& entry) { add_constant(entry); });
    variables.for_each_item([&](const JsonRef& entry) { add_variable(entry); });
    nodes.for_each_item([&](const JsonRef& entry) { add_node(entry); });
    bindings.for_each_item([&](const JsonRef& entry) { add_binding(entry); });
    graph_.set_outputs(
        list_from_json<ValueId>(outputs, kMaxValues, "outputs", [&](const JsonRef& entry) { return value(entry); }));
    return std::move(graph_);
  }

 private:
  void add_input(const JsonRef& json) {
    json.expect_only({"name", "dtype", "shape"});
    const JsonRef dtype = json["dtype"];
    TensorType type{at(dtype, [&] { return dtype_from_name(dtype.string()); }), shape_from_json(json["shape"], kMaxAxes)};
    const std::string name = text_from_json(json["name"]);
    if (!inputs_.insert(name).second) json.fail("a second input " + in_quotes(name), "every name once");
    at(json, [&] { return graph_.add_input(name, std::move(type)); });
    account(json);
  }

  // The tensor that an entry names; within one graph each only once, so that a short graph cannot ask for much memory.
  const StoredTensor& tensor(const JsonRef& json) {
    json.expect_only({"tensor"});
    const std::string name = json["tensor"].string();
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
    inputs.for_each_item([&](const JsonRef& input) {
      operands.push_back(input.is_null() ? kNoValue : value(input));
      lengths_ += 1 + (input.is_null() ? 0 : lengths_of(graph_.type(operands.back())));
      expect_few_lengths(input);
    });
    Attributes attributes = attributes_from_json(json["attributes"], op);
    const std::string layer = text_from_json(json["layer"]);
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
    for (; counted_ < values.size(); ++counted_) lengths_ += lengths_of(values[counted_].type);
    if (counted_ > kMaxValues) json.fail("one more value", concat("at most ", kMaxValues, " in a graph"));
    expect_few_lengths(json);
  }

  static size_t lengths_of(const TensorType& type) {
    size_t lengths = 0;
    for (const Extent& extent : type.shape) lengths += 1 + extent.symbols().size();
    return lengths;
  }

  void expect_few_lengths(const JsonRef& json) const {
    if (lengths_ <= kMaxLengths) return;
    json.fail("more axes", concat("at most ", kMaxLengths, " of all values and operands together"));
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
