// The C++ interface, fastnn/model.h, over Function.
#include "fastnn/model.h"

#include <algorithm>
#include <array>

#include "fastnn/runtime.h"
#include "program/function.h"
#include "program/model_file.h"
#include "program/passes.h"

namespace fastnn {

namespace {

constexpr size_t kFew = 16;  // arrays of a run whose addresses need no allocation

TensorInfo info_of(std::string name, const TensorType& type) {
  TensorInfo info{std::move(name), type.dtype, {}};
  for (const Extent& extent : type.shape) info.shape.push_back(extent.is_int() ? extent.factor() : -1);
  return info;
}

std::string layer_of(const Graph& graph, ValueId value) {
  const Graph::Value& origin = graph.value(value);
  return origin.origin == Graph::Origin::node ? graph.nodes()[static_cast<size_t>(origin.index)].source.layer : "";
}

struct Memory {
  const std::byte* begin;
  const std::byte* end;
};
template <typename Array>
Memory memory_of(const Array& array) {
  const auto* first = static_cast<const std::byte*>(array.data);
  return {first, first + array.size * item_size(array.dtype)};
}
bool overlap(const Memory& a, const Memory& b) { return std::less()(a.begin, b.end) && std::less()(b.begin, a.end); }

template <typename Arrays>
void expect_count(const char* kind, const Arrays& arrays, const std::vector<TensorInfo>& infos) {
  if (arrays.size() == infos.size()) return;
  throw ValueError(concat("run: ", arrays.size(), " ", kind, "s; expected ", infos.size(), "; pass one array for each"));
}

template <typename Array>
void expect_fits(const char* kind, size_t i, const Array& array, const TensorInfo& info) {
  const size_t expected = info.size();
  if (array.dtype == info.dtype && array.size == expected && (array.data != nullptr || expected == 0)) return;
  const std::string where = concat("run: ", kind, " ", i, info.name.empty() ? "" : " '" + info.name + "'", ": ");
  const std::string needed =
      concat("; expected ", expected, " of ", dtype_name(info.dtype), ", the shape ", to_shape(info.shape));
  if (array.dtype != info.dtype) {
    throw TypeError(concat(where, array.size, " elements of ", dtype_name(array.dtype), needed, "; convert the array"));
  }
  throw ValueError(concat(where, array.data == nullptr ? "null, " : "", array.size, " elements of ", dtype_name(array.dtype),
                          needed, "; pass an array of that size, or plan for other lengths"));
}

}  // namespace

size_t TensorInfo::size() const {
  if (std::ranges::any_of(shape, [](int64_t length) { return length < 0; })) {
    throw ValueError(concat("size: '", name, "' has the shape ", to_shape(shape), "; expected no free length, -1; ask a plan"));
  }
  return static_cast<size_t>(count(shape));
}

std::string version() { return FASTNN_VERSION; }

// ---- Model ----------------------------------------------------------------------------------------------------------------

struct Model::Impl {
  Impl(const std::string& where, Graph graph) : function(std::move(graph)) {
    const Graph& g = function.graph();
    if (g.outputs().empty() || !g.bindings().empty()) {
      throw ValueError(concat(where, ": a prediction ", g.outputs().empty() ? "without outputs" : "that assigns variables",
                              "; expected one that computes something and changes nothing; save the model again"));
    }
    for (const Graph::Input& input : g.inputs()) {
      inputs.push_back(info_of(input.name, g.type(input.value)));
      for (const Extent& extent : g.type(input.value).shape) {
        for (const std::string& name : extent.symbols()) {
          if (std::ranges::find(lengths, name) == lengths.end()) lengths.push_back(name);
        }
      }
    }
    for (ValueId output : g.outputs()) outputs.push_back(info_of(layer_of(g, output), g.type(output)));
  }

  std::string lengths_in_words() const {
    std::string words;
    for (const std::string& name : lengths) words += (words.empty() ? "" : ", ") + name;
    return words.empty() ? "none" : words;
  }

  Function function;
  std::vector<TensorInfo> inputs, outputs;
  std::vector<std::string> lengths;
};

namespace {

Graph prediction(ModelFile file) {
  Graph graph = file.graph("predict");
  run_passes(graph, /*fusion=*/true);
  return graph;
}

}  // namespace

Model::Model(const std::string& path) : impl_(std::make_shared<Impl>(path, prediction(ModelFile::read(path)))) {}

Model Model::from_memory(std::span<const std::byte> bytes, const std::string& where) {
  return Model(std::make_shared<Impl>(where, prediction(ModelFile(Safetensors::parse(bytes, where)))));
}

const std::vector<TensorInfo>& Model::inputs() const { return impl_->inputs; }
const std::vector<TensorInfo>& Model::outputs() const { return impl_->outputs; }
const std::vector<std::string>& Model::lengths() const { return impl_->lengths; }

// ---- Plan -----------------------------------------------------------------------------------------------------------------

struct Plan::Impl {
  std::shared_ptr<Model::Impl> model;
  std::shared_ptr<const Program> program;
  std::vector<TensorInfo> inputs, outputs;
};

Plan Model::plan(const std::map<std::string, int64_t>& lengths) const {
  for (const auto& [name, length] : lengths) {
    const bool known = std::ranges::find(impl_->lengths, name) != impl_->lengths.end();
    if (known && length >= 0) continue;
    throw ValueError(concat("plan: ", name, "=", length, "; expected ",
                            known ? "0 or more" : "the free lengths of the model, " + impl_->lengths_in_words(),
                            "; pass one for each of them"));
  }
  if (lengths.size() != impl_->lengths.size()) {
    throw ValueError(concat("plan: ", lengths.size(), " lengths; expected the free ones of the model, ",
                            impl_->lengths_in_words(), "; pass one for each of them"));
  }
  const Graph& graph = impl_->function.graph();
  std::vector<TensorType> types;
  for (const Graph::Input& input : graph.inputs()) {
    const TensorType& type = graph.type(input.value);
    types.push_back({type.dtype, bind(type.shape, lengths)});
  }
  auto plan = std::make_shared<Plan::Impl>();
  plan->model = impl_;
  plan->program = impl_->function.program(types);
  for (size_t i = 0; i < types.size(); ++i) plan->inputs.push_back(info_of(impl_->inputs[i].name, types[i]));
  for (size_t i = 0; i < impl_->outputs.size(); ++i) {
    plan->outputs.push_back(info_of(impl_->outputs[i].name, plan->program->outputs[i]));
  }
  return Plan(std::move(plan));
}

Plan Model::plan(int64_t length) const {
  if (impl_->lengths.size() == 1) return plan({{impl_->lengths[0], length}});
  throw ValueError(concat("plan: one length, ", length, ", for a model whose free lengths are ", impl_->lengths_in_words(),
                          "; expected a model with one; pass them by name"));
}

Plan Model::plan() const { return plan(std::map<std::string, int64_t>()); }

const std::vector<TensorInfo>& Plan::inputs() const { return impl_->inputs; }
const std::vector<TensorInfo>& Plan::outputs() const { return impl_->outputs; }

void Plan::run(std::span<const Input> inputs, std::span<const Output> outputs) const {
  expect_count("input", inputs, impl_->inputs);
  expect_count("output", outputs, impl_->outputs);
  for (size_t i = 0; i < inputs.size(); ++i) expect_fits("input", i, inputs[i], impl_->inputs[i]);
  for (size_t i = 0; i < outputs.size(); ++i) {
    expect_fits("output", i, outputs[i], impl_->outputs[i]);
    const auto shares = [&](const auto& other) { return overlap(memory_of(outputs[i]), memory_of(other)); };
    if (std::ranges::any_of(inputs, shares) || std::ranges::any_of(outputs.first(i), shares)) {
      throw ValueError(concat("run: output ", i, " overlaps another array; expected memory of its own; pass another one"));
    }
  }
  std::array<void*, 2 * kFew> few;
  std::vector<void*> many(inputs.size() > kFew || outputs.size() > kFew ? inputs.size() + outputs.size() : 0);
  void** const from = many.empty() ? few.data() : many.data();
  void** const to = from + inputs.size();
  // An array without elements may have no address; kernels add offsets to theirs.
  static std::byte nothing;
  const auto address = [](const void* data) { return data != nullptr ? const_cast<void*>(data) : &nothing; };
  std::ranges::transform(inputs, from, address, &Input::data);
  std::ranges::transform(outputs, to, address, &Output::data);
  impl_->model->function.run(*impl_->program, std::span<const void* const>(from, inputs.size()), {to, outputs.size()}, false);
}

}  // namespace fastnn
