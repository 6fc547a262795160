// What an op is: names, a shape rule, kernels, a cost. Everything else reads this table: the Python binding, `fastnn.kernels`,
// the planner, the profiler, the benches. No signature, default or cost formula stands twice.
//
// Each `ops/<stem>.cpp` defines `std::span<const Op> <stem>_ops()`; the build writes `op_families()`, which calls them all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/errors.h"
#include "base/extent.h"
#include "fastnn/dtype.h"
#include "ops/kernel.h"
#include "simd/cpu.h"

namespace fastnn {

struct TensorType {
  DType dtype = DType::float32;
  Shape shape;
  friend bool operator==(const TensorType&, const TensorType&) = default;
};
std::ostream& operator<<(std::ostream& out, const TensorType& type);  // float32 (batch, 10)

// No array may have more, even with its axes of length 0 left out: then no plan's arithmetic on sizes overflows.
constexpr int64_t kMaxBytes = int64_t{1} << 44;  // 16 TiB
void expect_size(std::string_view where, std::string_view what, const TensorType& type);
constexpr size_t kMaxAxes = 32;  // what every NumPy can hold; `infer` lets neither operands nor results have more

// ---- Attributes -----------------------------------------------------------------------------------------------------------

using Axes = std::optional<Dims>;  // of an operand; none given (Python's None) means all, none named ({}) means none
using AttributeValue = std::variant<bool, int64_t, double, std::string, Dims, std::vector<double>, Shape, Axes>;

struct AttributeSpec {
  std::string_view name;
  AttributeValue value;   // the default, and by its alternative the type
  bool required = false;  // then `value` only gives the type

  AttributeSpec(std::string_view attribute, AttributeValue type, bool is_required = false)
      : name(attribute), value(std::move(type)), required(is_required) {}
  AttributeSpec(const AttributeSpec&);  // in op.cpp: inlined, GCC 12 warns of alternatives that the value does not hold
  ~AttributeSpec();
};

struct Op;

// Values in the order of the op's specs.
class Attributes {
 public:
  Attributes() = default;
  explicit Attributes(const Op& op);  // all defaults
  template <typename T>
  const T& get(std::string_view name) const {
    return std::get<T>(values_[index(name)]);
  }
  bool flag(std::string_view name) const { return get<bool>(name); }
  int64_t integer(std::string_view name) const { return get<int64_t>(name); }
  double real(std::string_view name) const { return get<double>(name); }
  const std::string& text(std::string_view name) const { return get<std::string>(name); }
  const Dims& dims(std::string_view name) const { return get<Dims>(name); }
  const Shape& shape(std::string_view name) const { return get<Shape>(name); }
  const Axes& axes(std::string_view name) const { return get<Axes>(name); }

  void set(size_t index, AttributeValue value) { values_[index] = std::move(value); }
  void set(std::string_view name, AttributeValue value) { values_[index(name)] = std::move(value); }
  const std::vector<AttributeValue>& values() const { return values_; }
  void bind(const Bindings& bindings);
  friend bool operator==(const Attributes& a, const Attributes& b) { return a.op_ == b.op_ && a.values_ == b.values_; }

 private:
  size_t index(std::string_view name) const;
  const Op* op_ = nullptr;
  std::vector<AttributeValue> values_;
};

// ---- A call of an op ------------------------------------------------------------------------------------------------------

// What shape rules, kernel choice and costs see: the op, the types of its operands (none where an optional one is left
// out), its attributes, and, once inferred, its results.
struct Call {
  const Op* op = nullptr;
  std::vector<std::optional<TensorType>> inputs;
  Attributes attributes;
  std::vector<TensorType> outputs;

  bool has(size_t i) const { return i < inputs.size() && inputs[i].has_value(); }
  const TensorType& input(size_t i) const { return *inputs[i]; }
  const Shape& shape(size_t i) const { return inputs[i]->shape; }
  DType dtype(size_t i) const { return inputs[i]->dtype; }
  std::string_view name() const;

  // Throw in the house form, naming this op and its operand.
  [[noreturn]] void fail_value(const std::string& message) const;
  [[noreturn]] void fail_type(const std::string& message) const;
  void expect_rank(size_t i, size_t rank) const;
  void expect_float(size_t i) const;
  void expect_same_dtype(size_t i, size_t j) const;  // operand j must have operand i's dtype
  void expect_shape(size_t i, const Shape& shape) const;
  std::string operand(size_t i) const;  // "`x`"
};

// ---- Kernels --------------------------------------------------------------------------------------------------------------

// One kernel over `tasks` independent tasks. The number of tasks is a function of shapes, never of threads. Its buffers are
// the op's outputs, then its inputs (absent ones are null), then the plan's workspaces. Of several rounds each begins when all
// tasks of the one before it have ended, and task i of round n gets the number n * tasks + i; while no worker is late, the worker
// that gets it is the same in each round, and finds in its cache what it used before.
constexpr size_t kNoOperand = static_cast<size_t>(-1);  // a null pointer to the kernel

struct KernelStep {
  KernelFn run = nullptr;
  int64_t tasks = 0;
  std::shared_ptr<const void> params;  // the kernel's shape struct
  size_t scratch_bytes = 0;            // per worker
  std::vector<size_t> operands = {};   // which of the op's buffers it gets, in this order; none named: all of them
  // Writes a workspace, its first operand, and reads nothing but the others: what it makes of weights is kept until they change.
  bool prepares = false;
  int64_t rounds = 1;
};

template <typename Params>
KernelStep kernel_step(KernelFn run, int64_t tasks, Params params, size_t scratch_bytes = 0) {
  return {run, tasks, std::make_shared<const Params>(std::move(params)), scratch_bytes};
}

struct KernelPlan {
  std::vector<KernelStep> steps;        // none begins before the one before it has ended
  std::vector<size_t> workspaces = {};  // bytes of each; what one step of this op leaves to the next
};

struct Variant {
  std::string_view name;                        // the method: "direct", "winograd"
  bool (*applies)(const Call&, Isa) = nullptr;  // null: always
  KernelPlan (*plan)(const Call&, Isa) = nullptr;
};

struct Cost {
  double flops = 0;  // multiplications and additions of the textbook formula
  double bytes = 0;  // operands read once, results written once
};

struct InPlace {
  size_t output, input;  // the output may take the memory of this input when nobody reads the input afterwards
};

struct Op {
  std::string_view name;
  std::string_view doc;                  // one line
  std::vector<std::string_view> inputs;  // "bias?" is optional, "parameters..." repeats (see variadic below)
  std::vector<std::string_view> outputs;
  std::vector<AttributeSpec> attributes = {};
  std::vector<TensorType> (*infer)(const Call&) = nullptr;
  std::vector<Variant> variants;        // in order of preference
  Cost (*cost)(const Call&) = nullptr;  // null: bytes only
  std::vector<InPlace> in_place = {};
  bool view = false;                    // output 0 is input 0's memory under another shape
  std::vector<size_t> shape_only = {};  // operands whose values are never read
  // A family whose inputs and outputs repeat (an optimizer over n weights) says how many there are per call.
  std::vector<InPlace> (*in_place_of)(const Call&) = nullptr;
  // Turns an error a kernel reported into words: what came, what was expected, how to fix it.
  std::string (*explain)(const Call&, int64_t task, int64_t value) = nullptr;
  bool random = false;  // draws numbers: gets a stream number when traced
};

inline std::string_view Call::name() const { return op->name; }

bool is_optional(std::string_view operand);  // "bias?"
bool is_variadic(std::string_view operand);  // "weights..."

std::vector<std::span<const Op>> op_families();  // written by the build
const Op& find_op(std::string_view name);        // ValueError with the nearest names
const std::vector<const Op*>& all_ops();         // by name

// Checks the number and the sizes of operands, runs the shape rule, and fills call.outputs. A rule may get any attributes of the
// right types and any operands: it throws where it could not plan.
void infer(Call& call);
// The first variant that applies (or the one forced by `use_variant`), planned; throws where none does.
const Variant& choose_variant(const Call& call, Isa isa);
void use_variant(std::string_view op, std::string_view variant);  // "" lifts it; for tests

Cost cost_of(const Call& call);
std::vector<InPlace> in_place_of(const Call& call);

// Selects by element type: dispatch(dtype, [&]<typename Real>() { ... }).
template <typename F>
auto dispatch_float(DType dtype, F&& f) {
  if (dtype == DType::float64) return f.template operator()<double>();
  return f.template operator()<float>();
}

}  // namespace fastnn
