// Files and their formats, for Python.
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>
#include <pybind11/typing.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "file/json.h"
#include "file/safetensors.h"
#include "program/function.h"
#include "program/model_file.h"
#include "program/passes.h"
#include "python/binding.h"

namespace py = pybind11;

namespace fastnn {

// ---- Errors ---------------------------------------------------------------------------------------------------------------

void set_error(PyObject* type, const char* message) {
  const auto text = py::reinterpret_steal<py::object>(
      PyUnicode_DecodeUTF8(message, static_cast<py::ssize_t>(std::strlen(message)), "surrogateescape"));
  if (text) PyErr_SetObject(type, text.ptr());
}

void set_os_error(const IoError& error) {
  const auto path = py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefault(error.path.c_str()));
  if (!path) return;
  // OSError itself becomes the subclass that belongs to errno.
  const auto instance = py::reinterpret_steal<py::object>(
      PyObject_CallFunction(PyExc_OSError, "isO", error.code, error.reason.c_str(), path.ptr()));
  if (instance) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(instance.ptr())), instance.ptr());
}

namespace {

// For long transfers, which run without the GIL: raises what a signal's handler raises.
void check_signals() {
  py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// ---- Safetensors ----------------------------------------------------------------------------------------------------------

// Stands in the place of an array that the library cannot hold.
struct UnsupportedTensor {
  std::string name, dtype, message;
  Dims dims;
};

py::object to_array(const Safetensors& file, const StoredTensor& tensor) {
  if (!tensor.dtype) {
    try {
      file.dtype(tensor);
    } catch (const TypeError& e) {
      return py::cast(UnsupportedTensor{tensor.name, std::string(tensor.format_dtype), e.what(), tensor.dims});
    }
  }
  py::array array(to_numpy(*tensor.dtype), std::vector<py::ssize_t>(tensor.dims.begin(), tensor.dims.end()));
  // memcpy may not be handed a null pointer, which is what an empty span may have.
  if (!tensor.bytes.empty()) std::memcpy(array.mutable_data(), tensor.bytes.data(), tensor.bytes.size());
  return array;
}

using Contents = std::pair<py::typing::Dict<py::str, py::object>, py::typing::Dict<py::str, py::str>>;

Contents to_python(const Safetensors& file) {
  Contents contents;
  for (const StoredTensor& tensor : file.tensors()) contents.first[py::str(tensor.name)] = to_array(file, tensor);
  for (const auto& [key, value] : file.metadata()) contents.second[py::str(key)] = py::str(value);
  return contents;
}

Contents read_safetensors_from_path(const std::filesystem::path& path) {
  const Safetensors file = [&] {
    py::gil_scoped_release release;
    return Safetensors::read(path.native(), check_signals);
  }();
  return to_python(file);
}

Contents parse_safetensors(const py::bytes& bytes) {
  const std::string_view text(bytes);
  const Safetensors file = [&] {
    py::gil_scoped_release release;
    return Safetensors::parse(std::as_bytes(std::span(text)), "safetensors");
  }();
  return to_python(file);
}

// Raises UnicodeEncodeError for half a surrogate pair.
std::string to_utf8(py::handle text) {
  py::ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (data == nullptr) throw py::error_already_set();
  return {data, static_cast<size_t>(size)};
}

// The arrays keep the memory alive that the views refer to.
struct BoundTensors {
  std::vector<TensorView> views;
  std::vector<py::array> arrays;
};

BoundTensors bind_tensors(const py::dict& tensors) {
  BoundTensors bound;
  for (auto [key, value] : tensors) {
    if (!py::isinstance<py::str>(key) || !py::isinstance<py::array>(value)) {
      throw TypeError(concat("safetensors: ", std::string(py::repr(key)), ": ", Py_TYPE(value.ptr())->tp_name,
                             "; expected a name and a NumPy array; convert the value with numpy.asarray"));
    }
    std::string name = to_utf8(key);
    py::array array = contiguous(value.cast<py::array>());
    try {
      const DType dtype = dtype_of(array, "array");
      bound.views.push_back({std::move(name), dtype, dims_of(array), array.data()});
    } catch (const TypeError& e) {
      throw TypeError(concat("safetensors: tensor ", in_quotes(name), ": ", e.what()));
    }
    bound.arrays.push_back(std::move(array));
  }
  return bound;
}

void write_safetensors_to_path(const std::filesystem::path& path, const py::dict& tensors, const Metadata& metadata) {
  const BoundTensors bound = bind_tensors(tensors);
  py::gil_scoped_release release;
  write_safetensors(path.native(), bound.views, metadata, check_signals);
}

py::bytes safetensors_to_bytes(const py::dict& tensors, const Metadata& metadata) {
  const BoundTensors bound = bind_tensors(tensors);
  const std::vector<std::byte> bytes = [&] {
    py::gil_scoped_release release;
    return safetensors_bytes(bound.views, metadata);
  }();
  return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// ---- Model files ----------------------------------------------------------------------------------------------------------

std::map<std::string, Graph> load_graphs(const std::filesystem::path& path) {
  py::gil_scoped_release release;
  ModelFile file = ModelFile::read(path.native(), check_signals);
  std::map<std::string, Graph> graphs;
  for (const std::string& name : file.names()) graphs.emplace(name, file.graph(name));
  return graphs;
}

std::unique_ptr<Function> load_function(const std::filesystem::path& path, const std::string& name) {
  py::gil_scoped_release release;
  Graph graph = ModelFile::read(path.native(), check_signals).graph(name);
  run_passes(graph, /*fusion=*/true);
  return std::make_unique<Function>(std::move(graph));
}

// ---- JSON -----------------------------------------------------------------------------------------------------------------

constexpr size_t kMostJsonBytes = size_t{64} << 20;

py::object read_value(JsonReader& reader) {  // as deep as the reader's limit
  switch (reader.type()) {
    case Json::Type::null:
      reader.null();
      return py::none();
    case Json::Type::boolean:
      return py::bool_(reader.boolean());
    case Json::Type::number:
      return std::visit([](auto value) -> py::object { return py::cast(value); }, reader.numeric());
    case Json::Type::string:
      return py::str(reader.string());
    case Json::Type::array: {
      py::list list;
      reader.begin_array();
      while (reader.next_item()) list.append(read_value(reader));
      return list;
    }
    case Json::Type::object:
      break;
  }
  py::dict dict;
  reader.begin_object();
  for (std::string key; reader.next_key(key);) {
    const py::str name(key);
    dict[name] = read_value(reader);
  }
  return dict;
}

py::object from_json(std::string_view text, const std::string& where, const JsonLimits& limits) {
  JsonReader reader(text, where, limits);
  py::object value = read_value(reader);
  reader.end();
  return value;
}

Json to_json(py::handle value) {
  if (value.is_none()) return {};
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>();
  if (py::isinstance<py::int_>(value)) return value.cast<int64_t>();
  if (py::isinstance<py::float_>(value)) return value.cast<double>();
  if (py::isinstance<py::str>(value) || py::isinstance<py::bytes>(value)) return value.cast<std::string>();
  if (py::isinstance<py::list>(value)) {
    Json array = Json::array();
    for (py::handle item : value) array.append(to_json(item));
    return array;
  }
  Json object = Json::object();
  for (auto [key, item] : value.cast<py::dict>()) object.set(key.cast<std::string>(), to_json(item));
  return object;
}

// What the accessor `kind` of JsonRef makes of the value behind `steps`.
py::object json_get(const py::bytes& text, const py::list& steps, const std::string& kind) {
  const JsonText json(text, "test", {.bytes = std::string_view(text).size()});
  JsonRef ref = json.root();
  for (py::handle step : steps) {
    if (py::isinstance<py::str>(step)) {
      ref = ref[step.cast<std::string>()];
      continue;
    }
    std::vector<JsonRef> items;
    ref.for_each_item([&](const JsonRef& item) { items.push_back(item); });
    ref = items.at(step.cast<size_t>());
  }
  if (kind == "boolean") return py::bool_(ref.boolean());
  if (kind == "integer") return py::int_(ref.integer());
  if (kind == "small") return py::int_(ref.integer(-5, 5));
  if (kind == "number") return py::float_(ref.number());
  if (kind == "string") return py::str(ref.string());
  if (kind == "size") return py::int_(ref.size());
  if (kind == "find") return py::bool_(ref.find("op").has_value());
  if (kind == "only") ref.expect_only({"op", "inputs"});
  return py::none();
}

}  // namespace

void define_files(py::module_& m) {
  py::class_<UnsupportedTensor>(m, "UnsupportedTensor", "A tensor in a file, of a dtype that fastnn lacks; raises when used.")
      .def_readonly("name", &UnsupportedTensor::name)
      .def_readonly("dtype", &UnsupportedTensor::dtype, "As the file calls it: 'BF16'.")
      .def_property_readonly("shape", [](const UnsupportedTensor& t) { return py::tuple(py::cast(t.dims)); })
      .def("__repr__", [](const UnsupportedTensor& t) { return concat("<unsupported ", t.dtype, " of shape ", t.dims, ">"); })
      .def(
          "__array__", [](const UnsupportedTensor& t, py::handle, py::handle) -> py::array { throw TypeError(t.message); },
          py::arg("dtype") = py::none(), py::arg("copy") = py::none());

  m.def("read_safetensors", &read_safetensors_from_path, py::arg("path"), "The tensors of a file, by name, and its metadata.");
  m.def("parse_safetensors", &parse_safetensors, py::arg("data"), "The same from the bytes of a file.");
  m.def("write_safetensors", &write_safetensors_to_path, py::arg("path"), py::arg("tensors"), py::arg("metadata") = Metadata(),
        "Replaces the file as a whole, or leaves it as it was.");
  m.def("safetensors_bytes", &safetensors_to_bytes, py::arg("tensors"), py::arg("metadata") = Metadata(),
        "What write_safetensors would write.");

  m.attr("format_version") = kFormatVersion;
  m.def("load_graphs", &load_graphs, py::arg("path"),
        "The graphs of a model file, by name, as they were written. Those that name the same tensor share a Variable.");
  m.def("load_function", &load_function, py::arg("path"), py::arg("graph") = "predict",
        "A graph of a model file, ready to run.");

  m.def(
      "parse_json",
      [](const std::string& text, const std::string& where) { return from_json(text, where, {.bytes = kMostJsonBytes}); },
      py::arg("text"), py::arg("where"),
      "The value of a text, which `where` names in errors; at most 64 MB and 64 levels deep.");
  m.def(
      "dump_json", [](py::handle value, const std::string& where) { return dump_json(to_json(value), where); },
      py::arg("value"), py::arg("where"), "None, bool, int, float, str, and lists and dicts of them, as a text.");

  // The same for tests, with limits and bytes that are no text.
  m.def(
      "_parse_json",
      [](const py::bytes& text, size_t max_bytes, int max_depth) {
        return from_json(text, "test", {.bytes = max_bytes, .depth = max_depth});
      },
      py::arg("text"), py::arg("max_bytes") = size_t{1} << 20, py::arg("max_depth") = kJsonDepth);
  m.def("_dump_json", [](py::handle value) { return py::bytes(dump_json(to_json(value), "test")); }, py::arg("value"));
  m.def("_json_get", &json_get, py::arg("text"), py::arg("steps"), py::arg("kind"));
}

}  // namespace fastnn
