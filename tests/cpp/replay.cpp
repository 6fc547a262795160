// replay FILE: cases that tests/record_cases.py wrote, on every ISA there is.
//
// Of every case: every variant that applies, for every float dtype, with one thread and with several. Results are within the
// recorded bounds, depend neither on the number of threads nor on what the memory held before, and fill their arrays to the last
// byte and no further; operands stay as they were. Then the models, through the public interface, on the ISA that the process
// picked. Prints how many passed and names what failed, with exit status 1; an op without a case is a failure too.
#include <fastnn/fastnn.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <set>

#include "base/parallel.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "program/graph_json.h"
#include "program/program.h"

namespace fastnn {

namespace {

constexpr int kThreads = 3;
constexpr size_t kMaxJson = size_t{64} << 20;

int64_t count_of(const Dims& dims) {
  int64_t count = 1;
  for (const int64_t length : dims) count *= length;
  return count;
}

Dims dims_of(const TensorType& type) {
  Dims dims;
  for (const Extent& extent : type.shape) dims.push_back(extent.to_int("replay", "a length"));
  return dims;
}

// f(T()) for the type of the elements.
template <typename F>
auto with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32:
      return f(float());
    case DType::float64:
      return f(double());
    case DType::int32:
      return f(int32_t());
    case DType::int64:
      return f(int64_t());
    default:
      return f(uint8_t());
  }
}

template <typename T>
T element(const std::byte* data, int64_t i) {
  T value;
  std::memcpy(&value, data + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

// ---- Arrays ---------------------------------------------------------------------------------------------------------------

// Memory off every vector's alignment, between bands of bytes that nobody may write. 0xFF and 0x7F fill floats with NaN and with
// 3e38 or NaN.
class Guarded {
 public:
  Guarded(size_t size, int fill) : fill_(static_cast<std::byte>(fill)), size_(size), bytes_(size + 2 * kBand, fill_) {}
  std::byte* data() { return bytes_.data() + kBand; }
  std::span<const std::byte> contents() const { return {bytes_.data() + kBand, size_}; }
  bool intact() const {
    for (size_t i = 0; i < kBand; ++i) {
      if (bytes_[i] != fill_ || bytes_[kBand + size_ + i] != fill_) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kBand = 72;
  std::byte fill_;
  size_t size_;
  std::vector<std::byte> bytes_;
};

// The tensor's numbers in another dtype: operands of a case that take the dtype under test.
Guarded operand(const Safetensors& file, const StoredTensor& tensor, DType dtype) {
  const int64_t count = count_of(tensor.dims);
  Guarded array(static_cast<size_t>(count) * item_size(dtype), 0xFF);
  if (file.dtype(tensor) == dtype) {
    if (count != 0) std::memcpy(array.data(), tensor.bytes.data(), tensor.bytes.size());
    return array;
  }
  if (file.dtype(tensor) != DType::float64 || dtype != DType::float32) throw TypeError("a tensor of another dtype");
  for (int64_t i = 0; i < count; ++i) {
    const auto number = static_cast<float>(element<double>(tensor.bytes.data(), i));
    std::memcpy(array.data() + 4 * i, &number, 4);
  }
  return array;
}

// ---- Comparing ------------------------------------------------------------------------------------------------------------

struct Expected {
  const StoredTensor* values;
  const StoredTensor* bounds = nullptr;  // each element's own, else `bound` is that of all
  double bound = 0;
};

// What is wrong with the results, or nothing: harness.assert_close.
template <typename Real>
std::string compare_floats(const std::byte* got, const Expected& expected, const std::string& nonfinite) {
  const int64_t count = count_of(expected.values->dims);
  for (int64_t i = 0; i < count; ++i) {
    const double value = element<Real>(got, i), limit = std::numeric_limits<Real>::max();
    double want = element<double>(expected.values->bytes.data(), i);
    const double bound = expected.bounds ? element<double>(expected.bounds->bytes.data(), i) : expected.bound;
    bool fits;
    double tolerance = 0;
    if (!nonfinite.empty() && std::abs(want) > limit) want = std::copysign(INFINITY, want);
    if (std::isfinite(want)) {
      // Results below the smallest normal number are flushed to zero.
      if (bound > 0) tolerance = bound * std::numeric_limits<Real>::epsilon() + std::numeric_limits<Real>::min();
      fits = std::abs(value - want) <= tolerance;
    } else if (nonfinite == "same") {
      fits = std::isnan(want) ? std::isnan(value) : value == want;
    } else {
      fits = nonfinite == "any" && !std::isfinite(value);
    }
    if (!fits) return concat("element ", i, " is ", value, "; expected ", want, " +- ", tolerance);
  }
  return "";
}

std::string compare(const std::byte* got, DType dtype, const Safetensors& file, const Expected& expected,
                    const std::string& nonfinite) {
  const DType stored = file.dtype(*expected.values);
  if (is_float(dtype) != is_float(stored)) return concat(dtype_name(dtype), "; expected ", dtype_name(stored));
  if (dtype == DType::float32) return compare_floats<float>(got, expected, nonfinite);
  if (dtype == DType::float64) return compare_floats<double>(got, expected, nonfinite);
  for (int64_t i = 0; i < count_of(expected.values->dims); ++i) {
    const auto integer = [&](DType type, const std::byte* data) {
      return with_type(type, [&](auto t) { return static_cast<int64_t>(element<decltype(t)>(data, i)); });
    };
    const int64_t value = integer(dtype, got), want = integer(stored, expected.values->bytes.data());
    if (value != want) return concat("element ", i, " is ", value, "; expected ", want);
  }
  return "";
}

// ---- Cases ----------------------------------------------------------------------------------------------------------------

struct Count {
  std::set<std::string> ops, variants;
  int64_t cases = 0, runs = 0;
};

int64_t failures = 0;

void fail(const std::string& where, const std::string& what) {
  if (++failures <= 100) std::printf("FAILED %s: %s\n", where.c_str(), what.c_str());
}

struct Case {
  std::string name, nonfinite;
  std::vector<JsonRef> graphs;
  std::vector<const StoredTensor*> operands;
  std::vector<Expected> results;
};

Case read_case(const Safetensors& file, const JsonRef& json) {
  Case c{json["name"].string(), json["nonfinite"].string(), {}, {}, {}};
  json["graphs"].for_each_item([&](const JsonRef& graph) { c.graphs.push_back(graph); });
  json["operands"].for_each_item([&](const JsonRef& name) { c.operands.push_back(&file.at(name.string())); });
  json["results"].for_each_item([&](const JsonRef& result) {
    Expected expected{&file.at(result["tensor"].string())};
    if (const auto bound = result.find("bound")) {
      if (bound->type() == Json::Type::string) {
        expected.bounds = &file.at(bound->string());
      } else {
        expected.bound = bound->number();
      }
    }
    c.results.push_back(expected);
  });
  return c;
}

// The results of one run, after whatever does not depend on what is right.
std::vector<Guarded> run_once(const Program& program, std::vector<Guarded>& operands, int threads, int fill) {
  std::vector<Guarded> outputs;
  for (const TensorType& type : program.outputs) {
    outputs.emplace_back(static_cast<size_t>(count_of(dims_of(type))) * item_size(type.dtype), fill);
  }
  std::vector<const void*> inputs;
  std::vector<void*> results;
  for (Guarded& array : operands) inputs.push_back(array.data());
  for (Guarded& array : outputs) results.push_back(array.data());
  std::vector<std::vector<std::byte>> before;
  for (const Guarded& array : operands) before.emplace_back(array.contents().begin(), array.contents().end());
  set_num_threads(threads);
  Context context;
  run(program, context, inputs, results, false);
  if (parallel_backend() != "serial" && last_run_threads() != threads)
    throw ValueError(concat("ran on another number of threads"));
  for (const Guarded& array : outputs) {
    if (!array.intact()) throw ValueError("wrote outside its array");
  }
  for (size_t i = 0; i < operands.size(); ++i) {
    if (!std::ranges::equal(operands[i].contents(), before[i])) throw ValueError(concat("changed operand ", i));
  }
  return outputs;
}

void check(const Safetensors& file, const Case& c, const Program& program, std::vector<Guarded>& operands) {
  std::vector<Guarded> one = run_once(program, operands, 1, 0xFF);
  if (one.size() != c.results.size()) throw ValueError(concat(one.size(), " results; expected ", c.results.size()));
  for (size_t i = 0; i < one.size(); ++i) {
    if (dims_of(program.outputs[i]) != c.results[i].values->dims) throw ValueError(concat("result ", i, " has another shape"));
    const std::string wrong = compare(one[i].data(), program.outputs[i].dtype, file, c.results[i], c.nonfinite);
    if (!wrong.empty()) throw ValueError(concat("result ", i, ": ", wrong));
  }
  const std::vector<Guarded> several = run_once(program, operands, kThreads, 0x7F);
  for (size_t i = 0; i < one.size(); ++i) {
    if (!std::ranges::equal(one[i].contents(), several[i].contents())) throw ValueError("other bits with several threads");
  }
}

void replay(const Safetensors& file, const Case& c, Isa isa, Count& count) {
  for (const JsonRef& json : c.graphs) {
    FileVariables none;
    const Graph graph = graph_from_json(json, file, none);
    const Call call = graph.call_of(graph.nodes().at(0));
    std::vector<Guarded> operands;
    for (const Graph::Input& input : graph.inputs()) {
      operands.push_back(operand(file, *c.operands.at(operands.size()), graph.type(input.value).dtype));
    }
    std::vector<std::string> variants;
    for (const Variant& variant : call.op->variants) {
      if (variant.applies == nullptr || variant.applies(call, isa)) variants.emplace_back(variant.name);
    }
    if (call.op->variants.empty()) variants.emplace_back("");  // a view
    if (variants.empty()) fail(c.name, "no variant applies");
    for (const std::string& variant : variants) {
      const std::string where = concat(c.name, " [", isa_name(isa), variant.empty() ? "" : ", ", variant, ", ",
                                       dtype_name(graph.type(graph.inputs()[0].value).dtype), "]");
      try {
        use_variant(call.op->name, variant);
        const Program program = plan(graph, isa);
        for (const PlannedCall& planned : program.calls) {
          if (!variant.empty() && planned.variant != variant) throw ValueError(concat("planned as ", planned.variant));
        }
        check(file, c, program, operands);
        count.variants.insert(concat(call.op->name, " ", variant));
        ++count.runs;
      } catch (const std::exception& error) {
        fail(where, error.what());
      }
      use_variant(call.op->name, "");
    }
    count.ops.insert(std::string(call.op->name));
  }
  ++count.cases;
}

// ---- Models ---------------------------------------------------------------------------------------------------------------

void replay_model(const Safetensors& file, const JsonRef& json) {
  const std::string name = json["name"].string();
  const Model model = Model::from_memory(file.at(json["file"].string()).bytes, name);
  std::map<std::string, int64_t> lengths;
  std::vector<Guarded> operands;
  std::vector<Input> inputs;
  std::vector<const StoredTensor*> tensors;
  json["operands"].for_each_item([&](const JsonRef& tensor) { tensors.push_back(&file.at(tensor.string())); });
  for (const std::string& length : model.lengths()) lengths[length] = tensors.at(0)->dims.at(0);  // the batch
  const Plan plan = model.plan(lengths);
  for (const StoredTensor* tensor : tensors) {
    const TensorInfo& info = plan.inputs().at(operands.size());
    operands.push_back(operand(file, *tensor, info.dtype));
    inputs.emplace_back(operands.back().data(), info.size(), info.dtype);
  }
  const StoredTensor& expected = file.at(json["result"].string());
  std::vector<float> y(plan.outputs().at(0).size());
  const Output output(y);
  plan.run(inputs, std::span(&output, 1));
  if (plan.outputs()[0].shape != expected.dims) throw ValueError("a result of another shape");
  double largest = 1, error = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const double want = element<float>(expected.bytes.data(), static_cast<int64_t>(i));
    largest = std::max(largest, std::abs(want));
    if (!(std::abs(y[i] - want) <= error)) error = std::abs(y[i] - want);  // NaN stays
  }
  if (!(error <= json["tolerance"].number() * largest)) throw ValueError(concat("off by ", error));
}

void replay_all(const Safetensors& file) {
  const JsonText text(file.metadata().at("cases"), "cases", {.bytes = kMaxJson});
  std::vector<Case> cases;
  text.root().for_each_item([&](const JsonRef& json) { cases.push_back(read_case(file, json)); });
  for (const Isa isa : available_isas()) {
    Count count;
    for (const Case& c : cases) replay(file, c, isa, count);
    std::printf("%-8s %zu ops, %zu variants, %lld cases, %lld runs right\n", std::string(isa_name(isa)).c_str(),
                count.ops.size(), count.variants.size(), static_cast<long long>(count.cases),
                static_cast<long long>(count.runs));
    for (const Op* op : all_ops()) {
      if (!count.ops.contains(std::string(op->name))) fail(std::string(op->name), "no case");
    }
  }
  set_num_threads(kThreads);
  const JsonText models(file.metadata().at("models"), "models", {.bytes = kMaxJson});
  int64_t right = 0;
  models.root().for_each_item([&](const JsonRef& json) {
    try {
      replay_model(file, json);
      ++right;
    } catch (const std::exception& error) {
      fail(concat(json["name"].string(), " [model]"), error.what());
    }
  });
  std::printf("%-8s %lld models right\n", std::string(isa_name(current_isa())).c_str(), static_cast<long long>(right));
}

}  // namespace
}  // namespace fastnn

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "replay: %d arguments; expected FILE; write one with tests/record_cases.py\n", argc - 1);
    return 2;
  }
  try {
    fastnn::set_more_threads_than_cpus(true);
    fastnn::set_serial_below(0);
    fastnn::replay_all(fastnn::Safetensors::read(argv[1]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "replay: %s\n", error.what());
    return 2;
  }
  if (fastnn::failures == 0) return 0;
  std::printf("%lld failed\n", static_cast<long long>(fastnn::failures));
  return 1;
}
