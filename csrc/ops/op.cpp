// The parts of ops/op.h that are code: attributes, operand checks, the table by name, the choice of a variant.
#include "ops/op.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <ostream>

namespace fastnn {

std::ostream& operator<<(std::ostream& out, const TensorType& type) {
  return out << dtype_name(type.dtype) << ' ' << type.shape;
}

void expect_size(std::string_view where, std::string_view what, const TensorType& type) {
  int64_t bytes = static_cast<int64_t>(item_size(type.dtype));
  for (const Extent& extent : type.shape) {
    if (extent.factor() != 0 && (__builtin_mul_overflow(bytes, extent.factor(), &bytes) || bytes > kMaxBytes)) {
      throw ValueError(concat(where, ": ", what, " is ", type, "; expected at most ", kMaxBytes, " bytes; use smaller arrays"));
    }
  }
}

// ---- Attributes -----------------------------------------------------------------------------------------------------------

Attributes::Attributes(const Op& op) : op_(&op) {
  values_.reserve(op.attributes.size());
  for (const AttributeSpec& spec : op.attributes) values_.push_back(spec.value);
}

AttributeSpec::AttributeSpec(const AttributeSpec&) = default;
AttributeSpec::~AttributeSpec() = default;

size_t Attributes::index(std::string_view name) const {
  for (size_t i = 0; i < op_->attributes.size(); ++i) {
    if (op_->attributes[i].name == name) return i;
  }
  throw ValueError(concat(op_->name, ": attribute '", name, "' is not in its table; expected a declared name; fix the op"));
}

void Attributes::bind(const Bindings& bindings) {
  for (AttributeValue& value : values_) {
    if (Shape* shape = std::get_if<Shape>(&value)) *shape = fastnn::bind(*shape, bindings);
  }
}

// ---- Calls ----------------------------------------------------------------------------------------------------------------

bool is_optional(std::string_view operand) { return operand.ends_with('?'); }
bool is_variadic(std::string_view operand) { return operand.ends_with("..."); }

void Call::fail_value(const std::string& message) const { throw ValueError(concat(name(), ": ", message)); }
void Call::fail_type(const std::string& message) const { throw TypeError(concat(name(), ": ", message)); }

std::string Call::operand(size_t i) const {
  std::string_view text = op->inputs[std::min(i, op->inputs.size() - 1)];
  if (is_optional(text)) text.remove_suffix(1);
  if (is_variadic(text)) text.remove_suffix(3);
  return "`" + std::string(text) + "`";  // no stream: shape rules name their operands before they know of an error
}

void Call::expect_rank(size_t i, size_t rank) const {
  if (shape(i).size() == rank) return;
  fail_value(concat(operand(i), " has shape ", shape(i), "; expected ", rank, " axes; reshape it"));
}

void Call::expect_float(size_t i) const {
  if (is_float(dtype(i))) return;
  fail_type(concat(operand(i), " is ", dtype_name(dtype(i)), "; expected float32 or float64; cast it first"));
}

void Call::expect_same_dtype(size_t i, size_t j) const {
  if (dtype(i) == dtype(j)) return;
  fail_type(concat(operand(j), " is ", dtype_name(dtype(j)), " and ", operand(i), " is ", dtype_name(dtype(i)),
                   "; expected the same dtype; cast one of them"));
}

void Call::expect_shape(size_t i, const Shape& expected) const {
  if (shape(i) == expected) return;
  fail_value(concat(operand(i), " has shape ", shape(i), "; expected ", expected, "; reshape it or pass another array"));
}

void infer(Call& call) {
  const Op& op = *call.op;
  const bool variadic = !op.inputs.empty() && is_variadic(op.inputs.back());
  if (call.inputs.size() > op.inputs.size() && !variadic) {
    call.fail_value(concat(call.inputs.size(), " operands; expected at most ", op.inputs.size(), "; drop the others"));
  }
  for (size_t i = 0; i < op.inputs.size(); ++i) {
    if (!call.has(i) && !is_optional(op.inputs[i]) && !is_variadic(op.inputs[i])) {
      call.fail_value(concat("operand ", call.operand(i), " is missing; expected an array; pass it"));
    }
  }
  const auto expect_array = [&](std::string_view what, const TensorType& type) {
    if (type.shape.size() > kMaxAxes) {
      call.fail_value(concat(what, " has ", type.shape.size(), " axes; expected at most ", kMaxAxes, "; reshape the operands"));
    }
    expect_size(op.name, what, type);
  };
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (call.has(i)) expect_array("an operand", call.input(i));
  }
  call.outputs = op.infer(call);
  for (const TensorType& output : call.outputs) expect_array("a result", output);
}

// ---- The table ------------------------------------------------------------------------------------------------------------

namespace {

const std::map<std::string_view, const Op*>& table() {
  static const auto by_name = [] {
    std::map<std::string_view, const Op*> map;
    for (std::span<const Op> family : op_families()) {
      for (const Op& op : family) map.emplace(op.name, &op);
    }
    return map;
  }();
  return by_name;
}

// Levenshtein distance, for "did you mean".
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row.back();
}

std::mutex forced_mutex;
std::map<std::string, std::string, std::less<>> forced_variants;

}  // namespace

const Op& find_op(std::string_view name) {
  if (auto found = table().find(name); found != table().end()) return *found->second;
  constexpr size_t kLongest = 64;  // a file may hold megabytes here, and the distance takes the product of the lengths
  const std::string_view shown = name.substr(0, kLongest);
  std::string_view nearest = table().begin()->first;
  for (const auto& [known, op] : table()) {
    if (edit_distance(shown, known) < edit_distance(shown, nearest)) nearest = known;
  }
  throw ValueError(concat("op: '", shown, shown.size() < name.size() ? "..." : "",
                          "' does not exist; expected a name of the op table; did you mean '", nearest, "'?"));
}

const std::vector<const Op*>& all_ops() {
  static const auto ops = [] {
    std::vector<const Op*> list;
    for (const auto& [name, op] : table()) list.push_back(op);
    return list;
  }();
  return ops;
}

const Variant& choose_variant(const Call& call, Isa isa) {
  std::string forced;
  {
    std::lock_guard lock(forced_mutex);
    if (auto found = forced_variants.find(call.name()); found != forced_variants.end()) forced = found->second;
  }
  for (const Variant& variant : call.op->variants) {
    if (!forced.empty() && variant.name != forced) continue;
    if (variant.applies == nullptr || variant.applies(call, isa)) return variant;
  }
  throw ValueError(concat(call.name(), ": no kernel variant ", forced.empty() ? "" : "'" + forced + "' ",
                          "applies to these operands; expected shapes it supports; lift use_variant"));
}

void use_variant(std::string_view op_name, std::string_view variant) {
  const Op& op = find_op(op_name);
  std::lock_guard lock(forced_mutex);
  if (variant.empty()) {
    forced_variants.erase(std::string(op_name));
    return;
  }
  if (std::none_of(op.variants.begin(), op.variants.end(), [&](const Variant& v) { return v.name == variant; })) {
    throw ValueError(
        concat(op_name, ": variant '", variant, "' does not exist; expected one of its table; see fastnn.kernels"));
  }
  forced_variants[std::string(op_name)] = variant;
}

Cost cost_of(const Call& call) {
  if (call.op->cost != nullptr) return call.op->cost(call);
  Cost cost;
  auto add = [&](const TensorType& type) {
    double bytes = static_cast<double>(item_size(type.dtype));
    for (const Extent& extent : type.shape) bytes *= static_cast<double>(extent.factor());
    cost.bytes += bytes;
  };
  for (const auto& input : call.inputs) {
    if (input) add(*input);
  }
  for (const TensorType& output : call.outputs) add(output);
  cost.flops = cost.bytes / 8;
  return cost;
}

std::vector<InPlace> in_place_of(const Call& call) {
  return call.op->in_place_of != nullptr ? call.op->in_place_of(call) : call.op->in_place;
}

}  // namespace fastnn
