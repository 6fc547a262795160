// The Python module `_core`: arrays in, arrays out. Only the files of this folder see Python.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "base/random.h"
#include "ops/dropout.h"
#include "program/function.h"
#include "program/graph_json.h"
#include "program/passes.h"
#include "python/binding.h"
#include "simd/peak.h"

namespace py = pybind11;

namespace fastnn {

// ---- Values between the two languages -------------------------------------------------------------------------------------

py::dtype to_numpy(DType dtype) { return py::dtype(std::string(dtype_name(dtype))); }

DType dtype_of(const py::array& array, const std::string& where) {
  const py::dtype dtype = array.dtype();
  if (dtype.byteorder() == '>' || dtype.kind() == 'O') {
    throw TypeError(concat(where, ": dtype ", std::string(py::str(static_cast<py::object>(dtype))),
                           "; expected a native numeric array; convert it with .astype"));
  }
  // NumPy composes a dtype's name anew each time, which takes microseconds: of those that exist here, kind and size are enough.
  const auto item = dtype.itemsize();
  switch (dtype.kind()) {
    case 'f':
      if (item == 4) return DType::float32;
      if (item == 8) return DType::float64;
      break;
    case 'i':
      if (item == 4) return DType::int32;
      if (item == 8) return DType::int64;
      break;
    case 'u':
      if (item == 1) return DType::uint8;
      break;
    case 'b':
      return DType::boolean;
    default:
      break;
  }
  return dtype_from_name(std::string(py::str(static_cast<py::object>(dtype.attr("name")))));  // an error that names it
}

Dims dims_of(const py::array& array) { return Dims(array.shape(), array.shape() + array.ndim()); }

py::array contiguous(const py::array& array) {
  constexpr int kWanted = int{py::array::c_style} | int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};
  if ((array.flags() & kWanted) == kWanted) return array;
  py::array copy = py::array::ensure(array, kWanted);
  if (!copy) throw std::bad_alloc();
  return copy;
}

namespace {

TensorType type_of(const py::array& array, const std::string& where) {
  return {dtype_of(array, where), to_shape(dims_of(array))};
}

py::array empty(const TensorType& type) {
  Dims dims = to_dims(type.shape, "array");
  return py::array(to_numpy(type.dtype), std::vector<py::ssize_t>(dims.begin(), dims.end()));
}

Extent to_extent(py::handle value) {
  if (py::isinstance<Extent>(value)) return value.cast<Extent>();
  return Extent(py::int_(py::reinterpret_borrow<py::object>(value).attr("__index__")()).cast<int64_t>());
}

Shape to_shape_from_python(py::handle value) {
  Shape shape;
  for (py::handle extent : value) shape.push_back(to_extent(extent));
  return shape;
}

py::object from_extent(const Extent& extent) {
  if (extent.is_int()) return py::int_(extent.factor());
  return py::cast(extent);
}

py::tuple from_shape(const Shape& shape) {
  py::tuple tuple(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) tuple[i] = from_extent(shape[i]);
  return tuple;
}

py::object from_attribute(const AttributeValue& value) {
  return std::visit(
      [](const auto& v) -> py::object {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, Shape>)
          return from_shape(v);
        else if constexpr (std::is_same_v<T, Axes>)
          return v ? py::object(py::tuple(py::cast(*v))) : py::none();
        else if constexpr (std::is_same_v<T, Dims> || std::is_same_v<T, std::vector<double>>)
          return py::tuple(py::cast(v));
        else
          return py::cast(v);
      },
      value);
}

Dims to_dims_from_python(py::handle value) {
  Dims dims;
  for (py::handle item : value) {
    dims.push_back(py::int_(py::reinterpret_borrow<py::object>(item).attr("__index__")()).cast<int64_t>());
  }
  return dims;
}

// A Python value as the type the op's table declares.
AttributeValue to_attribute(const Op& op, const AttributeSpec& spec, py::handle value) {
  try {
    return std::visit(
        [&](const auto& like) -> AttributeValue {
          using T = std::decay_t<decltype(like)>;
          if constexpr (std::is_same_v<T, Shape>) {
            return to_shape_from_python(value);
          } else if constexpr (std::is_same_v<T, bool>) {
            if (!py::isinstance<py::bool_>(value)) throw py::cast_error();
            return value.cast<bool>();
          } else if constexpr (std::is_same_v<T, int64_t>) {
            return py::int_(py::reinterpret_borrow<py::object>(value).attr("__index__")()).cast<int64_t>();
          } else if constexpr (std::is_same_v<T, Dims>) {
            return to_dims_from_python(value);
          } else if constexpr (std::is_same_v<T, Axes>) {
            return value.is_none() ? Axes() : Axes(to_dims_from_python(value));
          } else {
            return value.cast<T>();
          }
        },
        spec.value);
  } catch (const py::error_already_set&) {
  } catch (const py::cast_error&) {
  }
  const bool is_axes = std::holds_alternative<Axes>(spec.value);
  throw TypeError(concat(op.name, ": ", spec.name, "=", std::string(py::repr(value)), "; expected a value like ",
                         is_axes ? "(0, 1) or None" : std::string(py::repr(from_attribute(spec.value))),
                         "; pass one of that type"));
}

Attributes to_attributes(const Op& op, const py::dict& values) {
  Attributes attributes(op);
  size_t used = 0;
  for (size_t i = 0; i < op.attributes.size(); ++i) {
    const AttributeSpec& spec = op.attributes[i];
    const py::str name{std::string(spec.name)};
    if (values.contains(name)) {
      attributes.set(i, to_attribute(op, spec, values[name]));
      ++used;
    } else if (spec.required) {
      throw TypeError(concat(op.name, ": attribute '", spec.name, "' is missing; expected a value; pass it by name"));
    }
  }
  if (used != values.size()) {
    for (auto [name, value] : values) {
      const auto text = name.cast<std::string>();
      if (std::ranges::none_of(op.attributes, [&](const AttributeSpec& spec) { return spec.name == text; })) {
        throw TypeError(concat(op.name, ": unknown attribute '", text, "'; expected those of its table; check the spelling"));
      }
    }
  }
  return attributes;
}

py::dict from_attributes(const Op& op, const Attributes& attributes) {
  py::dict values;
  for (size_t i = 0; i < op.attributes.size(); ++i) {
    values[py::str(std::string(op.attributes[i].name))] = from_attribute(attributes.values()[i]);
  }
  return values;
}

py::list from_nodes(const std::vector<Node>& nodes) {
  py::list list;
  for (const Node& node : nodes) {
    std::vector<std::optional<ValueId>> inputs;
    for (ValueId v : node.inputs) inputs.push_back(v == kNoValue ? std::nullopt : std::optional(v));
    list.append(py::make_tuple(std::string(node.op->name), inputs, node.outputs, from_attributes(*node.op, node.attributes),
                               node.source.layer, node.source.line));
  }
  return list;
}

// ---- Running --------------------------------------------------------------------------------------------------------------

// Memory that Python may own and read, with or without the GIL.
struct Bound {
  std::vector<py::array> arrays;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
};

void bind_outputs(Bound& bound, const std::vector<TensorType>& types, const py::object& out, py::list& results) {
  if (!out.is_none() && py::len(out) != types.size()) {
    throw ValueError(concat("out: ", py::len(out), " arrays; expected ", types.size(), "; pass one per output"));
  }
  for (size_t i = 0; i < types.size(); ++i) {
    if (!out.is_none() && !py::isinstance<py::array>(out[py::int_(i)])) {
      throw TypeError("out: not an array; expected one array per output, apart from the inputs; let the function allocate it");
    }
    py::array array = out.is_none() ? empty(types[i]) : out[py::int_(i)].cast<py::array>();
    if (!out.is_none()) {
      const TensorType came = type_of(array, "out");
      if (came != types[i] || !(array.flags() & py::array::c_style) || !array.writeable()) {
        throw ValueError(
            concat("out: ", came, "; expected a writeable C-contiguous array of ", types[i], "; let the function allocate it"));
      }
    }
    bound.outputs.push_back(array.mutable_data());
    results.append(array);
    bound.arrays.push_back(std::move(array));
  }
}

// One op on arrays, without a graph.
py::list execute(const std::string& name, const py::list& inputs, const py::dict& attributes, const py::object& out) {
  const Op& op = find_op(name);
  Graph graph;
  Bound bound;
  std::vector<ValueId> operands;
  std::vector<TensorType> types;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].is_none()) {
      operands.push_back(kNoValue);
      continue;
    }
    const py::array array = contiguous(inputs[i].cast<py::array>());
    const std::string operand(op.inputs.empty() ? "" : op.inputs[std::min(i, op.inputs.size() - 1)]);
    types.push_back(type_of(array, concat(name, ": `", operand, "`")));
    operands.push_back(graph.add_input(operand, types.back()));
    bound.inputs.push_back(array.data());
    bound.arrays.push_back(array);
  }
  graph.set_outputs(graph.add_node(op, std::move(operands), to_attributes(op, attributes), {}));
  const Program program = plan(std::move(graph), current_isa());
  py::list results;
  bind_outputs(bound, program.outputs, out, results);
  {
    py::gil_scoped_release release;
    Context context;
    run(program, context, bound.inputs, bound.outputs, false);
  }
  return results;
}

py::dict describe(const Program& program);

// Runs it; with `profile` the result is (outputs, what `describe` says, with the times at which each step began and ended).
py::object run_function(Function& function, const py::list& inputs, bool commit, bool profile) {
  Bound bound;
  std::vector<TensorType> types;
  const auto& declared = function.graph().inputs();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string where = i < declared.size() ? "input '" + declared[i].name + "'" : "run";
    const py::array array = contiguous(inputs[i].cast<py::array>());
    types.push_back(type_of(array, where));
    bound.inputs.push_back(array.data());
    bound.arrays.push_back(array);
  }
  const auto program = function.program(types);
  py::list results;
  bind_outputs(bound, program->outputs, py::none(), results);
  std::vector<StepTime> times;
  {
    py::gil_scoped_release release;
    function.run(*program, bound.inputs, bound.outputs, commit, profile ? &times : nullptr);
  }
  if (!profile) return results;
  py::dict described = describe(*program);
  const py::list steps = described["steps"];
  for (size_t i = 0; i < times.size(); ++i) {
    steps[i]["begin"] = times[i].begin;
    steps[i]["end"] = times[i].end;
  }
  return py::make_tuple(results, described);
}

// Runs it for `rows` samples at a time, which are rows of all inputs, and of the results: those of a batch are written where they belong.
py::list run_batches(Function& function, const py::list& inputs, int64_t rows, bool commit) {
  Bound bound;
  std::vector<TensorType> types;
  for (const auto& input : inputs) {
    bound.arrays.push_back(contiguous(input.cast<py::array>()));
    types.push_back(type_of(bound.arrays.back(), "input"));
    if (types.back().shape.empty() || types.back().shape[0] != types[0].shape[0]) {
      throw ValueError(concat("run_batches: an input of shape ", types.back().shape,
                              "; expected arrays with as many rows as the first; pass arrays of equal length"));
    }
    bound.inputs.push_back(bound.arrays.back().data());
  }
  const int64_t samples = types.empty() ? 0 : types[0].shape[0].factor();
  if (samples < 1 || rows < 1) {
    throw ValueError(concat("run_batches: ", samples, " samples, ", rows, " at a time; expected at least one; pass more"));
  }
  const auto program_for = [&](int64_t count) {
    std::vector<TensorType> part = types;
    for (TensorType& type : part) type.shape[0] = count;
    return function.program(part);
  };
  const int64_t batches = samples / rows, rest = samples % rows;
  const auto program = program_for(std::min(rows, samples)), last = rest > 0 ? program_for(rest) : program;
  std::vector<TensorType> results_of_all = program->outputs;
  for (size_t i = 0; i < results_of_all.size(); ++i) {
    Shape& shape = results_of_all[i].shape;
    if (shape.empty())
      throw ValueError("run_batches: a result that is one number; expected a row for each sample; run it at once");
    shape[0] = batches * shape[0].factor() + (rest > 0 ? last->outputs[i].shape[0].factor() : 0);
  }
  py::list results;
  bind_outputs(bound, results_of_all, py::none(), results);
  std::vector<size_t> input_bytes, output_bytes;  // of a batch
  for (size_t i = 0; i < inputs.size(); ++i) {
    input_bytes.push_back(static_cast<size_t>(bound.arrays[i].nbytes()) / static_cast<size_t>(samples) *
                          static_cast<size_t>(rows));
  }
  for (const TensorType& type : program->outputs) {
    output_bytes.push_back(static_cast<size_t>(count(to_dims(type.shape, "run_batches"))) * item_size(type.dtype));
  }

  {
    using Clock = std::chrono::steady_clock;
    const py::gil_scoped_release release;
    auto looked = Clock::now();
    for (int64_t batch = 0; batch * rows < samples; ++batch) {
      function.run(batch < batches ? *program : *last, bound.inputs, bound.outputs, commit);
      for (size_t i = 0; i < input_bytes.size(); ++i) {
        bound.inputs[i] = static_cast<const std::byte*>(bound.inputs[i]) + input_bytes[i];
      }
      for (size_t i = 0; i < output_bytes.size(); ++i) {
        bound.outputs[i] = static_cast<std::byte*>(bound.outputs[i]) + output_bytes[i];
      }
      if (const auto now = Clock::now(); now - looked > std::chrono::milliseconds(50)) {
        looked = now;
        const py::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();  // somebody pressed Ctrl-C
      }
    }
  }
  return results;
}

// ---- Random numbers for the host ------------------------------------------------------------------------------------------

// Element i is word i % 4 of counter i / 4 as a float, and words 2 (i % 2) and 2 (i % 2) + 1 of counter i / 2 as a double.
py::array random_uniform(uint64_t seed, uint64_t stream, uint64_t step, const std::vector<py::ssize_t>& dims,
                         const std::string& dtype) {
  if (dtype == "float32") {
    py::array_t<float> array(dims);
    draw_uniform(array.mutable_data(), array.size(), seed, stream, step);
    return array;
  }
  if (dtype != "float64") {
    throw TypeError(concat("random_uniform: dtype '", dtype, "'; expected float32 or float64; cast the result"));
  }
  py::array_t<double> array(dims);
  double* data = array.mutable_data();
  const uint64_t key = philox_key(seed, stream);
  for (int64_t i = 0; i < array.size(); i += 2) {
    const Philox words = philox(key, static_cast<uint64_t>(i / 2), step);
    data[i] = uniform_double(words.value[0], words.value[1]);
    if (i + 1 < array.size()) data[i + 1] = uniform_double(words.value[2], words.value[3]);
  }
  return array;
}

// Fisher and Yates' shuffle of 0..n-1, from the last place to the first.
py::array random_permutation(uint64_t seed, uint64_t stream, uint64_t step, int64_t n) {
  py::array_t<int64_t> array(n);
  int64_t* order = array.mutable_data();
  const uint64_t key = philox_key(seed, stream);
  for (int64_t i = 0; i < n; ++i) order[i] = i;
  for (int64_t i = n - 1; i > 0; --i) {
    const Philox words = philox(key, static_cast<uint64_t>(i), step);
    const uint64_t draw = (static_cast<uint64_t>(words.value[1]) << 32) | words.value[0];
    // The high word of a 128-bit product: uniform on 0..i up to 2^-64 i.
    const auto j = static_cast<int64_t>(static_cast<unsigned __int128>(draw) * static_cast<uint64_t>(i + 1) >> 64);
    std::swap(order[i], order[j]);
  }
  return array;
}

// ---- Programs for people and tests ----------------------------------------------------------------------------------------

py::dict describe(const Program& program) {
  py::list steps;
  for (const auto* list : {&program.compute, &program.commit}) {
    for (const Step& step : *list) {
      const PlannedCall& call = program.calls[step.call];
      py::dict entry;
      entry["call"] = step.call;  // steps of one call share its flops and bytes
      entry["op"] = std::string(call.call.name());
      entry["variant"] = std::string(call.variant);
      entry["layer"] = call.source.layer;
      entry["line"] = call.source.line;
      entry["tasks"] = step.kernel.tasks;
      entry["phase"] = step.phase;  // steps of a phase run side by side
      entry["commit"] = list == &program.commit;
      entry["flops"] = call.cost.flops;
      entry["bytes"] = call.cost.bytes;
      steps.append(entry);
    }
  }
  py::dict result;
  result["isa"] = std::string(isa_name(program.isa));
  result["steps"] = steps;
  result["arena_bytes"] = program.arena_bytes;
  result["prepared_bytes"] = program.prepared_bytes;
  result["intermediate_bytes"] = program.intermediate_bytes;
  result["estimated_seconds"] = program.estimated_seconds;
  return result;
}

py::dict describe_op(const Op& op) {
  py::dict result;
  auto names = [](const std::vector<std::string_view>& list) {
    py::list items;
    for (std::string_view name : list) items.append(std::string(name));
    return items;
  };
  result["name"] = std::string(op.name);
  result["doc"] = std::string(op.doc);
  result["inputs"] = names(op.inputs);
  result["outputs"] = names(op.outputs);
  result["random"] = op.random;
  py::dict attributes;
  py::list required;
  for (const AttributeSpec& spec : op.attributes) {
    const py::str name{std::string(spec.name)};
    attributes[name] = spec.required ? py::object(py::none()) : from_attribute(spec.value);
    if (spec.required) required.append(name);
  }
  result["attributes"] = attributes;
  result["required"] = required;
  py::list variants;
  for (const Variant& variant : op.variants) variants.append(std::string(variant.name));
  result["variants"] = variants;
  return result;
}

void define_extent(py::module_& m) {
  py::class_<Extent>(m, "Extent", "The length of an axis that is not known while tracing: an integer times named symbols.")
      .def(py::init([](const std::string& symbol) { return Extent::symbol(symbol); }), py::arg("symbol"))
      .def("__mul__", [](const Extent& a, py::handle b) { return from_extent(a * to_extent(b)); })
      .def("__rmul__", [](const Extent& a, py::handle b) { return from_extent(a * to_extent(b)); })
      .def("__eq__", [](const Extent& a, py::handle b) { return py::isinstance<Extent>(b) && a == b.cast<Extent>(); })
      .def("__hash__", [](const Extent& a) { return py::hash(py::str(a.to_string())); })
      .def("__repr__", &Extent::to_string)
      .def("__index__",
           [](const Extent& a) -> py::object {
             a.to_int("shape", "this axis");
             return py::none();
           })
      .def("__int__", [](const Extent& a) -> py::object {
        a.to_int("shape", "this axis");
        return py::none();
      });
}

void write_variables_from_python(const std::vector<VariablePtr>& variables, const std::vector<py::array>& values) {
  if (variables.size() != values.size()) {
    throw ValueError(
        concat("write_variables: ", values.size(), " arrays for ", variables.size(), " variables; expected one each"));
  }
  std::vector<py::array> arrays;
  std::vector<const void*> from;
  for (size_t i = 0; i < variables.size(); ++i) {
    const Variable& v = *variables[i];
    arrays.push_back(contiguous(values[i]));
    const TensorType came = type_of(arrays[i], v.name()), expected{v.dtype(), to_shape(v.dims())};
    if (came != expected) {
      throw ValueError(concat("variable '", v.name(), "': ", came, "; expected ", expected,
                              "; reshape the array or convert it with .astype"));
    }
    from.push_back(arrays[i].data());
  }
  py::gil_scoped_release release;
  write_variables(variables, from);
}

void define_variable(py::module_& m) {
  py::class_<Variable, VariablePtr>(m, "Variable", "Memory that outlives runs; fastnn.Variable is the public face.")
      .def(py::init([](const std::string& name, const py::array& value) {
             const py::array source = contiguous(value);
             auto variable = std::make_shared<Variable>(name, dtype_of(source, name), dims_of(source));
             variable->write(source.data());
             return variable;
           }),
           py::arg("name"), py::arg("value"))
      .def_property("name", &Variable::name, &Variable::set_name)
      .def_property_readonly("shape", [](const Variable& v) { return from_shape(to_shape(v.dims())); })
      .def_property_readonly("dtype", [](const Variable& v) { return std::string(dtype_name(v.dtype())); })
      .def_property_readonly("version", &Variable::version)
      .def("read",
           [](const VariablePtr& v) {
             py::array array = empty({v->dtype(), to_shape(v->dims())});
             void* data = array.mutable_data();
             py::gil_scoped_release release;
             v->read(data);
             return array;
           })
      .def(
          "write", [](const VariablePtr& v, const py::array& value) { write_variables_from_python({v}, {value}); },
          py::arg("value"));

  m.def(
      "read_variables",
      [](const std::vector<VariablePtr>& variables) {
        py::list results;
        std::vector<void*> to;
        for (const VariablePtr& v : variables) {
          py::array array = empty({v->dtype(), to_shape(v->dims())});
          to.push_back(array.mutable_data());
          results.append(std::move(array));
        }
        py::gil_scoped_release release;
        read_variables(variables, to);
        return results;
      },
      py::arg("variables"), "Copies of the values, all as of one moment.");
  m.def("write_variables", &write_variables_from_python, py::arg("variables"), py::arg("values"),
        "New values for all of them at once, or for none.");
}

ValueId checked(const Graph& graph, ValueId value) {
  if (value >= 0 && value < static_cast<ValueId>(graph.values().size())) return value;
  throw ValueError(concat("graph: value ", value, "; expected 0 <= value < ", graph.values().size(), "; use its own values"));
}

std::vector<VariablePtr> variables_of(const Graph& graph) {
  std::vector<VariablePtr> variables;
  for (const auto& read : graph.variables()) variables.push_back(read.variable);
  return variables;
}

void define_graph(py::module_& m) {
  py::class_<Graph>(m, "Graph", "What a trace records. Values are integers.")
      .def(py::init<>())
      .def(
          "input",
          [](Graph& g, const std::string& name, const std::string& dtype, py::handle shape) {
            return g.add_input(name, {dtype_from_name(dtype), to_shape_from_python(shape)});
          },
          py::arg("name"), py::arg("dtype"), py::arg("shape"))
      .def(
          "constant",
          [](Graph& g, const py::array& array) {
            const py::array source = contiguous(array);
            return g.add_constant(dtype_of(source, "constant"), dims_of(source), source.data());
          },
          py::arg("array"))
      .def(
          "variable", [](Graph& g, const VariablePtr& variable) { return g.add_variable(variable); },
          py::arg("variable").none(false))
      .def(
          "node",
          [](Graph& g, const std::string& op_name, const std::vector<std::optional<ValueId>>& inputs,
             const py::dict& attributes, const std::string& layer, const std::string& line) {
            const Op& op = find_op(op_name);
            std::vector<ValueId> operands;
            for (const auto& input : inputs) operands.push_back(input ? checked(g, *input) : kNoValue);
            return g.add_node(op, std::move(operands), to_attributes(op, attributes), {layer, line});
          },
          py::arg("op"), py::arg("inputs"), py::arg("attributes"), py::arg("layer"), py::arg("line"))
      .def(
          "bind_variable", [](Graph& g, const VariablePtr& variable, ValueId v) { g.bind_variable(variable, checked(g, v)); },
          py::arg("variable").none(false), py::arg("value"))
      .def(
          "set_outputs",
          [](Graph& g, const std::vector<ValueId>& values) {
            for (ValueId v : values) checked(g, v);
            g.set_outputs(values);
          },
          py::arg("values"))
      .def(
          "fuse", [](Graph& g) { run_passes(g, /*fusion=*/true); }, "Runs the passes that come before differentiation.")
      .def(
          "dtype", [](const Graph& g, ValueId v) { return std::string(dtype_name(g.type(checked(g, v)).dtype)); },
          py::arg("value"))
      .def(
          "shape", [](const Graph& g, ValueId v) { return from_shape(g.type(checked(g, v)).shape); }, py::arg("value"))
      .def(
          "nodes", [](const Graph& g) { return from_nodes(g.nodes()); },
          "Every node as (op, inputs, outputs, attributes, layer, line), in order.")
      .def(
          "replaced", [](const Graph& g) { return from_nodes(g.replaced()); },
          "The nodes that passes have turned into others, as they were.")
      .def("inputs",
           [](const Graph& g) {
             py::list list;
             for (const auto& input : g.inputs()) list.append(py::make_tuple(input.name, input.value));
             return list;
           })
      .def("variables", &variables_of, "Those that it reads or assigns, in order.")
      .def(
          "constants",
          [](const Graph& g) {
            std::vector<py::array> arrays;
            for (const auto& constant : g.constants()) {
              py::array array = empty(g.type(constant.value));
              std::memcpy(array.mutable_data(), constant.memory.get(), static_cast<size_t>(array.nbytes()));
              arrays.push_back(std::move(array));
            }
            return arrays;
          },
          "Their values, in order.")
      .def(
          "to_json",
          [](const Graph& g, const std::vector<std::string>& variables, const std::vector<std::string>& constants) {
            return dump_json(graph_to_json(g, variables, constants), "graph");
          },
          py::arg("variables"), py::arg("constants"),
          "The graph as a model file has it, with tensor names for its variables and constants.");

  py::class_<Function>(m, "Function", "A traced graph with the programs planned from it.")
      .def(py::init([](const Graph& graph) { return std::make_unique<Function>(graph); }), py::arg("graph"))
      .def("run", &run_function, py::arg("inputs"), py::arg("commit"), py::arg("profile") = false)
      .def("run_batches", &run_batches, py::arg("inputs"), py::arg("rows"), py::arg("commit"),
           "The results for all rows of the inputs, of which each run gets so many.")
      .def("variables", [](const Function& f) { return variables_of(f.graph()); })
      .def(
          "describe",
          [](Function& f, const std::vector<Dims>& shapes) {
            std::vector<TensorType> types;
            for (size_t i = 0; i < shapes.size() && i < f.graph().inputs().size(); ++i) {
              for (int64_t length : shapes[i]) {
                if (length < 0) {
                  throw ValueError(concat("describe: shape ", to_shape(shapes[i]), "; expected lengths >= 0; pass a shape"));
                }
              }
              types.push_back({f.graph().type(f.graph().inputs()[i].value).dtype, to_shape(shapes[i])});
            }
            return describe(*f.program(types));
          },
          py::arg("shapes"), "The program for inputs of these shapes: its steps and the memory it needs.");
}

}  // namespace
}  // namespace fastnn

PYBIND11_MODULE(_core, m) {
  using namespace fastnn;
  m.doc() = "The C++ core of fastnn: arrays in, arrays out. Not a public interface.";
  m.attr("__version__") = FASTNN_VERSION;
  m.attr("compiler") = __VERSION__;

  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const TypeError& e) {
      set_error(PyExc_TypeError, e.what());
    } catch (const ValueError& e) {
      set_error(PyExc_ValueError, e.what());
    } catch (const IoError& e) {
      set_os_error(e);
    }
  });

  define_extent(m);
  define_variable(m);
  define_graph(m);
  define_files(m);

  m.def("execute", &execute, py::arg("op"), py::arg("inputs"), py::arg("attributes"), py::arg("out") = py::none(),
        "Runs one op on NumPy arrays.");
  m.def(
      "ops",
      [] {
        py::list list;
        for (const Op* op : all_ops()) list.append(describe_op(*op));
        return list;
      },
      "The op table.");
  m.def("random_uniform", &random_uniform, py::arg("seed"), py::arg("stream"), py::arg("step"), py::arg("shape"),
        py::arg("dtype"));
  m.def("random_permutation", &random_permutation, py::arg("seed"), py::arg("stream"), py::arg("step"), py::arg("n"));

  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("threads"));
  m.def("num_threads_reason", &num_threads_reason);
  m.def("parallel_backend", &parallel_backend);
  m.def("isa", [] { return std::string(isa_name(current_isa())); });
  m.def("available_isas", [] {
    std::vector<std::string> names;
    for (Isa isa : available_isas()) names.emplace_back(isa_name(isa));
    return names;
  });
  m.def("passes", [] {
    std::vector<std::string> names;
    for (const Pass& pass : passes()) names.emplace_back(pass.name);
    return names;
  });

  m.def(
      "_peak_flops", [](int threads) { return measure_peak_flops(current_isa(), threads); }, py::arg("threads"),
      py::call_guard<py::gil_scoped_release>(), "Measures what the machine can do: float32 operations per second.");
  m.def(
      "_peak_bytes", [](int threads, int64_t size) { return measure_peak_bytes(current_isa(), threads, size); },
      py::arg("threads"), py::arg("size"), py::call_guard<py::gil_scoped_release>(),
      "Bytes per second of copies that read and write `size` bytes.");

  // What tests force, and how they see that it happened.
  m.def(
      "_use_isa",
      [](const std::string& name) {
        use_isa(name);
        bump_planning_epoch();
      },
      py::arg("name"));
  m.def(
      "_use_variant",
      [](const std::string& op, const std::string& name) {
        use_variant(op, name);
        bump_planning_epoch();
      },
      py::arg("op"), py::arg("variant"));
  m.def(
      "_disable_passes",
      [](const std::set<std::string>& names) {
        disable_passes(names);
        bump_planning_epoch();
      },
      py::arg("names"));
  m.def("_reads_distant_rows", &reads_distant_rows);
  m.def(
      "_use_distant_rows",
      [](bool reads) {
        use_distant_rows(reads);
        bump_planning_epoch();
      },
      py::arg("reads"));
  m.def("_serial_below", &set_serial_below, py::arg("seconds"));
  m.def("_reverse_phases", &reverse_phases, py::arg("reversed"));
  m.def("_last_run_threads", &last_run_threads);
  m.def("_more_threads_than_cpus", &set_more_threads_than_cpus, py::arg("allowed"));
  m.def(
      "_philox",
      [](uint64_t key, uint64_t low, uint64_t high) {
        const Philox p = philox(key, low, high);
        return py::make_tuple(p.value[0], p.value[1], p.value[2], p.value[3]);
      },
      py::arg("key"), py::arg("counter_low"), py::arg("counter_high"));
}
