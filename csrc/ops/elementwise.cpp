#include "ops/elementwise.h"

#include <algorithm>
#include <utility>

namespace fastnn {

// ---- Broadcasting ---------------------------------------------------------------------------------------------------------

namespace {

// An axis of the result, with how far each operand moves along it.
struct Axis {
  int64_t extent, stride[3];
};

// The axes longer than 1, the last first, with those merged along which every operand moves as along one.
std::vector<Axis> merged_axes(const Dims& result, std::span<const Dims> operands) {
  std::vector<Axis> axes;
  int64_t elements[3] = {1, 1, 1};  // of each operand behind the axis
  for (size_t i = 0; i < result.size(); ++i) {
    Axis axis{result[result.size() - 1 - i], {}};
    for (size_t k = 0; k < operands.size(); ++k) {
      const Dims& dims = operands[k];
      const int64_t extent = i < dims.size() ? dims[dims.size() - 1 - i] : 1;
      axis.stride[k] = extent == 1 ? 0 : elements[k];
      elements[k] *= extent;
    }
    if (axis.extent == 1) continue;
    bool merges = !axes.empty();
    for (size_t k = 0; k < operands.size() && merges; ++k) {
      merges = axis.stride[k] == axes.back().stride[k] * axes.back().extent;
    }
    if (merges) {
      axes.back().extent *= axis.extent;
    } else {
      axes.push_back(axis);
    }
  }
  return axes;
}

}  // namespace

Broadcast plan_broadcast(const Dims& result, std::span<const Dims> operands) {
  const int64_t elements = count(result);
  Broadcast over;
  if (elements == 0) return over;
  const std::vector<Axis> axes = merged_axes(result, operands);
  if (axes.empty()) {
    std::fill_n(over.step, operands.size(), 1);
  } else {
    over.length = axes[0].extent;
    std::copy_n(axes[0].stride, 3, over.step);
  }
  if (axes.size() > 1) {
    over.block = axes[1].extent;
    std::copy_n(axes[1].stride, 3, over.row_stride);
  }
  for (size_t i = axes.size(); i-- > 2;) {
    over.extent[over.axes] = axes[i].extent;
    for (size_t k = 0; k < 3; ++k) over.stride[k][over.axes] = axes[i].stride[k];
    ++over.axes;
  }
  over.rows = elements / over.length;
  over.piece = std::min(over.length, kTaskElements);
  over.pieces = (over.length + over.piece - 1) / over.piece;
  over.rows_per_task = std::max<int64_t>(1, kTaskElements / over.length);
  over.tasks = (over.rows + over.rows_per_task - 1) / over.rows_per_task * over.pieces;
  return over;
}

// ---- Shape rules ----------------------------------------------------------------------------------------------------------

void expect_types(const Call& call, Types types) {
  if (types == floats) return call.expect_float(0);
  if (is_float(call.dtype(0)) || call.dtype(0) == DType::int32 || call.dtype(0) == DType::int64) return;
  call.fail_type(
      concat(call.operand(0), " is ", dtype_name(call.dtype(0)), "; expected float32, float64, int32 or int64; cast it first"));
}

namespace {

void expect_limits(const Call& call) {
  if (!call.name().starts_with("clip")) return;
  const double low = call.attributes.real("minimum"), high = call.attributes.real("maximum");
  if (low <= high) return;
  call.fail_value(concat("minimum=", low, " and maximum=", high, "; expected minimum <= maximum; exchange them"));
}

Shape broadcast_operands(const Call& call, size_t a, size_t b) {
  call.expect_same_dtype(a, b);
  return broadcast(std::string(call.name()), call.shape(a), call.shape(b));
}

template <Types types>
std::vector<TensorType> infer_unary(const Call& call) {
  expect_types(call, types);
  expect_limits(call);
  return {call.input(0)};
}

template <Types types>
std::vector<TensorType> infer_sloped(const Call& call) {
  expect_types(call, types);
  if (!call.attributes.flag("slope")) return {call.input(0)};
  return {call.input(0), call.input(0)};
}

template <Types types>
std::vector<TensorType> infer_binary(const Call& call) {
  expect_types(call, types);
  return {{call.dtype(0), broadcast_operands(call, 0, 1)}};
}

template <Types types>
std::vector<TensorType> infer_pair(const Call& call) {
  expect_types(call, types);
  call.expect_same_dtype(0, 1);
  call.expect_shape(1, call.shape(0));
  expect_limits(call);
  return {call.input(0)};
}

template <Types types>
std::vector<TensorType> infer_triple(const Call& call) {
  expect_types(call, types);
  call.expect_same_dtype(0, 1);
  call.expect_shape(0, broadcast_operands(call, 1, 2));
  return {call.input(0)};
}

void expect_bool(const Call& call, size_t i) {
  if (call.dtype(i) == DType::boolean) return;
  call.fail_type(concat(call.operand(i), " is ", dtype_name(call.dtype(i)), "; expected bool; compare it, or cast it to bool"));
}

template <bool logical>
std::vector<TensorType> infer_comparison(const Call& call) {
  if (logical) expect_bool(call, 0);
  return {{DType::boolean, broadcast_operands(call, 0, 1)}};
}

std::vector<TensorType> infer_where(const Call& call) {
  expect_bool(call, 0);
  const Shape shape = broadcast(std::string(call.name()), call.shape(0), broadcast_operands(call, 1, 2));
  return {{call.dtype(1), shape}};
}

std::vector<TensorType> infer_cast(const Call& call) {
  return {{dtype_from_name(call.attributes.text("dtype")), call.shape(0)}};
}

// ---- Plans ----------------------------------------------------------------------------------------------------------------

double as_number(const AttributeValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return *flag;
  const double* number = std::get_if<double>(&value);
  return number != nullptr ? *number : 0;  // cast's, a dtype, is in its kernel
}

KernelPlan plan_rows(const Call& call, KernelFn run) {
  const std::string where(call.name());
  const Dims result = to_dims(call.outputs[0].shape, where);
  std::vector<Dims> operands;
  for (size_t i = 0; i < call.inputs.size(); ++i) operands.push_back(to_dims(call.shape(i), where));
  if (operands.size() == 1) operands[0] = {count(operands[0])};  // one operand of any rank is one row
  ElementwiseShape shape{plan_broadcast(operands.size() == 1 ? operands[0] : result, operands)};
  const std::vector<AttributeValue>& attributes = call.attributes.values();
  if (attributes.size() > 0) shape.p = as_number(attributes[0]);
  if (attributes.size() > 1) shape.q = as_number(attributes[1]);
  return {{kernel_step(run, shape.over.tasks, shape)}};
}

size_t type_index(const Call& call) { return static_cast<size_t>(call.dtype(0)); }

template <Unary row>
KernelPlan plan_unary(const Call& call, Isa isa) {
  return plan_rows(call, elementwise_kernels(isa).unary[static_cast<size_t>(row)][type_index(call)]);
}
template <Sloped row>
KernelPlan plan_sloped(const Call& call, Isa isa) {
  KernelPlan plan = plan_rows(call, elementwise_kernels(isa).sloped[static_cast<size_t>(row)][type_index(call)]);
  const bool slope = call.outputs.size() > 1;
  plan.steps[0].operands = {0, slope ? 1 : kNoOperand, slope ? size_t{2} : size_t{1}};
  return plan;
}
template <Binary row>
KernelPlan plan_binary(const Call& call, Isa isa) {
  return plan_rows(call, elementwise_kernels(isa).binary[static_cast<size_t>(row)][type_index(call)]);
}
template <Triple row>
KernelPlan plan_triple(const Call& call, Isa isa) {
  return plan_rows(call, elementwise_kernels(isa).triple[static_cast<size_t>(row)][type_index(call)]);
}
template <Comparison row>
KernelPlan plan_comparison(const Call& call, Isa isa) {
  return plan_rows(call, elementwise_kernels(isa).comparison[static_cast<size_t>(row)][type_index(call)]);
}
KernelPlan plan_where(const Call& call, Isa isa) {
  return plan_rows(call, elementwise_kernels(isa).where[static_cast<size_t>(call.dtype(1))]);
}
KernelPlan plan_cast(const Call& call, Isa isa) {
  return plan_rows(call, elementwise_kernels(isa).cast[type_index(call)][static_cast<size_t>(call.outputs[0].dtype)]);
}

template <int flops>
Cost cost_rows(const Call& call) {
  auto elements = [&](const TensorType& type) { return static_cast<double>(count(to_dims(type.shape, "cost"))); };
  auto bytes = [&](const TensorType& type) { return elements(type) * static_cast<double>(item_size(type.dtype)); };
  Cost cost{flops * elements(call.outputs[0]), bytes(call.outputs[0])};
  for (const auto& input : call.inputs) cost.bytes += bytes(*input);
  return cost;
}

// Of a row and its *_backward; `p` and `q` of its formula.
std::vector<AttributeSpec> attributes_of(std::string_view name) {
  if (name.starts_with("clip")) return {{"minimum", 0.0, true}, {"maximum", 0.0, true}};
  if (name.starts_with("gelu")) return {{"approximate", false}};
  if (name.starts_with("elu")) return {{"alpha", 1.0}, {"scale", 1.0}};
  if (name.starts_with("leaky_relu")) return {{"negative_slope", 0.2}};
  return {};
}
std::vector<AttributeSpec> sloped_attributes_of(std::string_view name) {
  std::vector<AttributeSpec> attributes = attributes_of(name);
  attributes.push_back({"slope", false});  // is it wanted, as a second result?
  return attributes;
}

}  // namespace

// The result may take any operand of its own size (the planner compares bytes): one that is stretched is smaller.
std::span<const Op> elementwise_ops() {
#define FASTNN_UNARY_OP(row, x, types, flops, formula, words) \
  {.name = #row,                                              \
   .doc = words,                                              \
   .inputs = {#x},                                            \
   .outputs = {"y"},                                          \
   .attributes = attributes_of(#row),                         \
   .infer = infer_unary<types>,                               \
   .variants = {{"vector", nullptr, plan_unary<Unary::row>}}, \
   .cost = cost_rows<flops>,                                  \
   .in_place = {{0, 0}}},
#define FASTNN_SLOPED_OP(row, x, types, flops, formula, words)  \
  {.name = #row,                                                \
   .doc = words,                                                \
   .inputs = {#x},                                              \
   .outputs = {"y", "slope?"},                                  \
   .attributes = sloped_attributes_of(#row),                    \
   .infer = infer_sloped<types>,                                \
   .variants = {{"vector", nullptr, plan_sloped<Sloped::row>}}, \
   .cost = cost_rows<flops>,                                    \
   .in_place = {{0, 0}}},
#define FASTNN_BINARY_OP(row, a, b, types, flops, formula, words) \
  {.name = #row,                                                  \
   .doc = words,                                                  \
   .inputs = {#a, #b},                                            \
   .outputs = {"y"},                                              \
   .infer = infer_binary<types>,                                  \
   .variants = {{"vector", nullptr, plan_binary<Binary::row>}},   \
   .cost = cost_rows<flops>,                                      \
   .in_place = {{0, 0}, {0, 1}}},
#define FASTNN_PAIR_OP(row, a, b, types, flops, formula, words) \
  {.name = #row,                                                \
   .doc = words,                                                \
   .inputs = {#a, #b},                                          \
   .outputs = {#a[0] == 'd' ? "dx" : "loss"},                   \
   .attributes = attributes_of(#row),                           \
   .infer = infer_pair<types>,                                  \
   .variants = {{"vector", nullptr, plan_binary<Binary::row>}}, \
   .cost = cost_rows<flops>,                                    \
   .in_place = {{0, 0}, {0, 1}}},
#define FASTNN_TRIPLE_OP(row, dy, a, b, types, flops, formula, words) \
  {.name = #row,                                                      \
   .doc = words,                                                      \
   .inputs = {#dy, #a, #b},                                           \
   .outputs = {"dx"},                                                 \
   .infer = infer_triple<types>,                                      \
   .variants = {{"vector", nullptr, plan_triple<Triple::row>}},       \
   .cost = cost_rows<flops>,                                          \
   .in_place = {{0, 0}, {0, 1}, {0, 2}}},
#define FASTNN_COMPARISON_OP(row, formula, words, logical)             \
  {.name = #row,                                                       \
   .doc = words,                                                       \
   .inputs = {"a", "b"},                                               \
   .outputs = {"y"},                                                   \
   .infer = infer_comparison<logical>,                                 \
   .variants = {{"plain", nullptr, plan_comparison<Comparison::row>}}, \
   .cost = cost_rows<1>},
#define FASTNN_OF_NUMBERS_OP(...) FASTNN_COMPARISON_OP(__VA_ARGS__, false)
#define FASTNN_OF_BOOLS_OP(...) FASTNN_COMPARISON_OP(__VA_ARGS__, true)
  static const std::vector<Op> ops = {
      FASTNN_UNARY_ROWS(FASTNN_UNARY_OP) FASTNN_SLOPED_ROWS(FASTNN_SLOPED_OP) FASTNN_BINARY_ROWS(FASTNN_BINARY_OP)
          FASTNN_PAIR_ROWS(FASTNN_PAIR_OP) FASTNN_TRIPLE_ROWS(FASTNN_TRIPLE_OP) FASTNN_COMPARISON_ROWS(FASTNN_OF_NUMBERS_OP)
              FASTNN_EXCHANGED_ROWS(FASTNN_OF_NUMBERS_OP)
                  FASTNN_LOGICAL_ROWS(FASTNN_OF_BOOLS_OP){.name = "where",
                                                          .doc = "y = a where the condition holds, else b, broadcasting",
                                                          .inputs = {"condition", "a", "b"},
                                                          .outputs = {"y"},
                                                          .infer = infer_where,
                                                          .variants = {{"vector", nullptr, plan_where}},
                                                          .cost = cost_rows<1>,
                                                          .in_place = {{0, 1}, {0, 2}}},
      {.name = "cast",
       .doc = "y = x in another dtype",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = {{"dtype", std::string("float32"), true}},
       .infer = infer_cast,
       .variants = {{"plain", nullptr, plan_cast}},
       .cost = cost_rows<1>,
       .in_place = {{0, 0}}},
  };
  return ops;
}

}  // namespace fastnn
