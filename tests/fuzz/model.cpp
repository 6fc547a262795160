// Any bytes as a model file, and as the JSON of a graph beside tensors that are there: the loader accepts or throws ValueError.
// What it accepts is the same after writing and reading, can be fused and bound to small lengths, and runs where it is small.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

#include "base/errors.h"
#include "base/parallel.h"
#include "program/function.h"
#include "program/model_file.h"
#include "program/passes.h"

using namespace fastnn;

namespace {

// Planning and running take what the shapes ask for. Here it may be this much.
constexpr size_t kMaxRunBytes = 1 << 20;
constexpr double kMaxRunFlops = 1e6;

void require(bool holds) {
  if (!holds) std::abort();
}

// Under names of their own, so that the second reading finds every tensor once more.
std::vector<std::byte> written_again(const Graph& graph) {
  std::vector<std::string> variables, constants;
  std::vector<TensorView> views;
  for (const auto& read : graph.variables()) {
    variables.push_back("v" + std::to_string(variables.size()));
    views.push_back({variables.back(), read.variable->dtype(), read.variable->dims(), read.variable->data()});
  }
  for (const auto& constant : graph.constants()) {
    const TensorType& type = graph.type(constant.value);
    constants.push_back("c" + std::to_string(constants.size()));
    views.push_back({constants.back(), type.dtype, to_dims(type.shape, "fuzz"), constant.memory.get()});
  }
  Json graphs = Json::object();
  graphs.set("predict", graph_to_json(graph, variables, constants));
  return safetensors_bytes(views, {{"fastnn.format", "1"}, {"fastnn.graphs", dump_json(graphs, "fuzz")}});
}

void check_same(const Graph& graph, const Graph& again) {
  require(graph.values().size() == again.values().size() && graph.nodes().size() == again.nodes().size());
  for (size_t i = 0; i < graph.values().size(); ++i) require(graph.values()[i].type == again.values()[i].type);
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node &a = graph.nodes()[i], &b = again.nodes()[i];
    require(a.op == b.op && a.inputs == b.inputs && a.source.layer == b.source.layer);
  }
  require(graph.outputs() == again.outputs() && graph.bindings().size() == again.bindings().size());
}

size_t bytes_of(const TensorType& type) { return static_cast<size_t>(count(type.shape).factor()) * item_size(type.dtype); }

// Memory that lies between guards of the sanitizer.
std::vector<std::vector<std::byte>> arrays(const std::vector<TensorType>& types, int fill) {
  std::vector<std::vector<std::byte>> memory;
  for (const TensorType& type : types) {
    memory.emplace_back(bytes_of(type), std::byte{static_cast<unsigned char>(type.dtype == DType::boolean ? 1 : fill)});
    memory.back().reserve(1);  // an address even without elements
  }
  return memory;
}

void run_with(const Graph& graph, int64_t length, int fill) {
  Function function(graph);
  std::vector<TensorType> types;
  for (const Graph::Input& input : graph.inputs()) {
    TensorType type = graph.type(input.value);
    Bindings bindings;
    for (const Extent& extent : type.shape) {
      for (const std::string& name : extent.symbols()) bindings[name] = length;
    }
    type.shape = fastnn::bind(type.shape, bindings);
    types.push_back(std::move(type));
  }
  const auto program = function.program(types);
  size_t bytes = program->arena_bytes + program->scratch_bytes;
  double flops = 0;
  for (const PlannedCall& call : program->calls) {
    flops += call.cost.flops;
    // A kernel may walk over rows and windows that have no elements: each counts.
    for (const TensorType& type : call.call.outputs) {
      double cells = 1;
      for (const Extent& extent : type.shape) cells *= static_cast<double>(std::max<int64_t>(extent.factor(), 1));
      flops += cells;
    }
  }
  for (const auto* list : {&program->inputs, &program->outputs}) {
    for (const TensorType& type : *list) bytes += bytes_of(type);
  }
  if (bytes > kMaxRunBytes || !(flops <= kMaxRunFlops)) return;
  auto inputs = arrays(program->inputs, fill), outputs = arrays(program->outputs, 0xFF);
  std::vector<const void*> from;
  std::vector<void*> to;
  for (auto& memory : inputs) from.push_back(memory.data());
  for (auto& memory : outputs) to.push_back(memory.data());
  try {
    function.run(*program, from, to, true);
  } catch (const ValueError&) {  // a label that is none, a number that is not finite
  }
}

// What was read can be written and read: noexcept ends the program where it cannot.
void check_round_trip(const Graph& graph) noexcept {
  const std::vector<std::byte> bytes = written_again(graph);
  const Graph again = ModelFile(Safetensors::parse(bytes, "fuzz")).graph("predict");
  check_same(graph, again);
  require(written_again(again) == bytes);  // attributes too, of which NaN is not equal to itself
}

void check_graph(Graph graph) {
  check_round_trip(graph);
  run_passes(graph, /*fusion=*/true);
  for (const auto& [length, fill] : {std::pair{2, 0x01}, {3, 0xFF}, {0, 0x3F}}) {
    try {
      run_with(graph, length, fill);
    } catch (const ValueError&) {
    } catch (const TypeError&) {
    }
  }
}

// A file that has a tensor of every dtype, and some whose shapes layers like.
const Safetensors& tensors() {
  static const std::vector<float> zeros(4096, 0.5f);
  static const Safetensors file = [] {
    static std::vector<std::byte> bytes = [] {
      std::vector<TensorView> views;
      const std::vector<std::pair<const char*, Dims>> floats = {{"w", {3, 4}}, {"b", {4}},         {"k", {3, 3, 1, 2}},
                                                                {"f", {2}},    {"s", {}},          {"e", {0, 4}},
                                                                {"m", {16}},   {"i", {2, 6, 6, 1}}};
      for (const auto& [name, dims] : floats) views.push_back({name, DType::float32, dims, zeros.data()});
      views.push_back({"d", DType::float64, {3, 4}, zeros.data()});
      views.push_back({"n", DType::int64, {2}, zeros.data()});
      views.push_back({"t", DType::int64, {}, zeros.data()});
      views.push_back({"j", DType::int32, {2}, zeros.data()});
      views.push_back({"u", DType::uint8, {2, 2, 2, 2}, zeros.data()});
      static const bool flags[3] = {true, false, true};
      views.push_back({"o", DType::boolean, {3}, flags});
      views.push_back({"z", DType::float32, {int64_t{1} << 50, 0}, zeros.data()});
      return safetensors_bytes(views, {});
    }();
    return Safetensors::parse(bytes, "fuzz");
  }();
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  [[maybe_unused]] static const bool calm = (set_num_threads(1), true);
  try {
    ModelFile file(Safetensors::parse(std::as_bytes(std::span(data, size)), "fuzz"));
    for (const std::string& name : file.names()) check_graph(file.graph(name));
    return 0;
  } catch (const ValueError&) {
  }
  try {
    const JsonText json({reinterpret_cast<const char*>(data), size}, "fuzz", {.bytes = 1 << 20});
    FileVariables variables;
    check_graph(graph_from_json(json.root(), tensors(), variables));
  } catch (const ValueError&) {
  }
  return 0;
}
