#include "ops/gather.h"

#include <algorithm>
#include <cstring>

namespace fastnn {

namespace {

DType result_dtype(const Call& call) {
  const std::string& name = call.attributes.text("dtype");
  return name.empty() ? call.dtype(0) : dtype_from_name(name);
}

std::vector<TensorType> infer_gather_rows(const Call& call) {
  if (call.shape(0).empty()) call.fail_value("`x` is a single number; expected at least 1 axis, (rows, ...); reshape it");
  call.expect_rank(1, 1);
  if (call.dtype(1) != DType::int64) {
    call.fail_type(concat("`indices` is ", dtype_name(call.dtype(1)), "; expected int64; cast it first"));
  }
  TensorType y{result_dtype(call), call.shape(0)};
  y.shape[0] = call.shape(1)[0];
  return {y};
}

KernelPlan plan_gather_rows(const Call& call, Isa isa) {
  const Dims x = to_dims(call.shape(0), "gather_rows");
  const DType from = call.dtype(0), to = call.outputs[0].dtype;
  GatherShape shape;
  shape.rows = x[0];
  shape.indices = call.shape(1)[0].factor();
  shape.row = count(Dims(x.begin() + 1, x.end()));
  shape.row_bytes = shape.row * static_cast<int64_t>(item_size(from));
  shape.rows_per_task = std::max<int64_t>(1, 65536 / std::max<int64_t>(1, shape.row * static_cast<int64_t>(item_size(to))));
  const GatherKernels& kernels = gather_kernels(isa);
  const KernelFn run = from == to ? kernels.copy : kernels.cast[static_cast<int>(from)][static_cast<int>(to)];
  return {{kernel_step(run, (shape.indices + shape.rows_per_task - 1) / shape.rows_per_task, shape)}};
}

Cost cost_gather_rows(const Call& call) {
  const auto elements = static_cast<double>(count(to_dims(call.outputs[0].shape, "gather_rows")));
  return {0, elements * static_cast<double>(item_size(call.dtype(0)) + item_size(call.outputs[0].dtype)) +
                 8.0 * static_cast<double>(call.shape(1)[0].factor())};
}

std::string explain_gather_rows(const Call& call, int64_t position, int64_t index) {
  return concat("gather_rows: index ", index, " at position ", position, "; expected 0 <= index < ", call.shape(0)[0],
                "; pass the numbers of rows that `x`, of shape ", call.shape(0), ", has");
}

// ---- take and one_hot -----------------------------------------------------------------------------------------------------

void expect_indices(const Call& call, size_t operand) {
  if (call.dtype(operand) == DType::int32 || call.dtype(operand) == DType::int64) return;
  call.fail_type(
      concat(call.operand(operand), " is ", dtype_name(call.dtype(operand)), "; expected int32 or int64; cast it first"));
}

// The axis attribute as a place among `rank` axes of `shape`.
size_t axis_of(const Call& call, const std::string& operand, const Shape& shape, int64_t rank) {
  const int64_t axis = call.attributes.integer("axis");
  if (rank == 0) call.fail_value(concat(operand, " is a single number; expected at least 1 axis; reshape it"));
  if (axis >= -rank && axis < rank) return static_cast<size_t>(axis < 0 ? axis + rank : axis);
  call.fail_value(concat("axis=", axis, " for ", operand, " of shape ", shape, "; expected ", -rank, " to ", rank - 1,
                         "; choose another axis"));
}

size_t taken_axis(const Call& call, size_t x) {
  return axis_of(call, call.operand(x), call.shape(x), static_cast<int64_t>(call.shape(x).size()));
}

Shape taken_shape(const Call& call, size_t x, size_t indices) {
  const auto axis = static_cast<std::ptrdiff_t>(taken_axis(call, x));
  Shape shape = call.shape(x);
  shape.erase(shape.begin() + axis);
  shape.insert(shape.begin() + axis, call.shape(indices).begin(), call.shape(indices).end());
  return shape;
}

std::vector<TensorType> infer_take(const Call& call) {
  expect_indices(call, 1);
  return {{call.dtype(0), taken_shape(call, 0, 1)}};
}

std::vector<TensorType> infer_take_backward(const Call& call) {
  call.expect_float(0);
  expect_indices(call, 1);
  call.expect_same_dtype(0, 2);
  call.expect_shape(0, taken_shape(call, 2, 1));
  return {call.input(2)};
}

TakeShape take_shape(const Call& call, size_t x, size_t indices) {
  const Dims dims = to_dims(call.shape(x), std::string(call.name()));
  const auto axis = dims.begin() + static_cast<std::ptrdiff_t>(taken_axis(call, x));
  TakeShape shape{};
  shape.outer = count(Dims(dims.begin(), axis));
  shape.rows = *axis;
  shape.inner = count(Dims(axis + 1, dims.end()));
  shape.indices = count(to_dims(call.shape(indices), std::string(call.name())));
  shape.inner_bytes = shape.inner * static_cast<int64_t>(item_size(call.dtype(x)));
  shape.per_task = std::max<int64_t>(1, 65536 / std::max<int64_t>(16, shape.inner_bytes));
  shape.blocks = (shape.inner + kColumnBlock - 1) / kColumnBlock;
  return shape;
}

KernelPlan plan_take(const Call& call, Isa isa) {
  const TakeShape shape = take_shape(call, 0, 1);
  const int64_t rows = shape.inner == 0 ? 0 : shape.outer * shape.indices;
  const KernelFn take = gather_kernels(isa).take[call.dtype(1) == DType::int64];
  return {{kernel_step(take, (rows + shape.per_task - 1) / shape.per_task, shape)}};
}

KernelPlan plan_take_backward(const Call& call, Isa isa) {
  const TakeShape shape = take_shape(call, 2, 1);
  const GatherKernels& kernels = gather_kernels(isa);
  const KernelFn add = kernels.add_taken[call.dtype(1) == DType::int64][call.dtype(0) == DType::float64];
  const int64_t bytes = shape.outer * shape.rows * shape.inner_bytes;
  return {{kernel_step(kernels.set_zero, (bytes + kZeroBytes - 1) / kZeroBytes, shape),
           kernel_step(add, shape.indices > 0 ? shape.outer * shape.blocks : 0, shape)}};
}

Cost cost_take(const Call& call) {
  auto bytes = [](const TensorType& type) {
    return static_cast<double>(count(to_dims(type.shape, "cost"))) * static_cast<double>(item_size(type.dtype));
  };
  return {0, 2 * bytes(call.outputs[0]) + bytes(call.input(1))};
}

// dx is written once as 0, then read and written where dy goes.
Cost cost_take_backward(const Call& call) {
  const auto elements = static_cast<double>(count(to_dims(call.shape(0), "cost")));
  const auto written = static_cast<double>(count(to_dims(call.outputs[0].shape, "cost")));
  return {elements, (3 * elements + written) * static_cast<double>(item_size(call.dtype(0)))};
}

std::string explain_take(const Call& call, int64_t position, int64_t index) {
  const size_t x = call.inputs.size() > 2 ? 2 : 0, axis = taken_axis(call, x);
  return concat(call.name(), ": index ", index, " at position ", position, " of `indices`, of shape ", call.shape(1),
                "; expected 0 <= index < ", call.shape(x)[axis], ", the length of axis ", axis, " of `x`; correct the indices");
}

std::vector<TensorType> infer_one_hot(const Call& call) {
  expect_indices(call, 0);
  const int64_t classes = call.attributes.integer("num_classes");
  if (classes < 1) call.fail_value(concat("num_classes=", classes, "; expected 1 or more; pass the number of classes"));
  TensorType y{dtype_from_name(call.attributes.text("dtype")), call.shape(0)};
  const size_t axis = axis_of(call, "the result", call.shape(0), static_cast<int64_t>(y.shape.size()) + 1);
  y.shape.insert(y.shape.begin() + static_cast<std::ptrdiff_t>(axis), classes);
  return {y};
}

uint64_t bits_of_one(DType dtype) {
  uint64_t bits = 1;
  const float single = 1;
  const double twice = 1;
  if (dtype == DType::float32) std::memcpy(&bits, &single, sizeof single);
  if (dtype == DType::float64) std::memcpy(&bits, &twice, sizeof twice);
  return bits;
}

KernelPlan plan_one_hot(const Call& call, Isa isa) {
  const DType dtype = call.outputs[0].dtype;
  const Dims dims = to_dims(call.outputs[0].shape, "one_hot");
  const auto rank = static_cast<int64_t>(dims.size());
  const auto axis = dims.begin() + static_cast<std::ptrdiff_t>(axis_of(call, "the result", call.shape(0), rank));
  TakeShape shape{};
  shape.outer = count(Dims(dims.begin(), axis));
  shape.rows = *axis;
  shape.inner = count(Dims(axis + 1, dims.end()));
  shape.one = bits_of_one(dtype);
  const auto item = static_cast<int64_t>(item_size(dtype)), bytes = shape.rows * shape.inner * item;
  shape.per_task = std::max<int64_t>(1, 65536 / std::max<int64_t>(1, bytes));
  const KernelFn run = gather_kernels(isa).one_hot[call.dtype(0) == DType::int64][item == 1 ? 0 : item == 4 ? 1 : 2];
  return {{kernel_step(run, bytes == 0 ? 0 : (shape.outer + shape.per_task - 1) / shape.per_task, shape)}};
}

Cost cost_one_hot(const Call& call) {
  auto bytes = [](const TensorType& type) {
    return static_cast<double>(count(to_dims(type.shape, "cost"))) * static_cast<double>(item_size(type.dtype));
  };
  return {0, bytes(call.outputs[0]) + bytes(call.input(0))};
}

std::string explain_one_hot(const Call& call, int64_t position, int64_t index) {
  return concat("one_hot: index ", index, " at position ", position, " of `indices`, of shape ", call.shape(0),
                "; expected 0 <= index < ", call.attributes.integer("num_classes"),
                ", num_classes; correct the indices or pass more classes");
}

}  // namespace

std::span<const Op> gather_ops() {
  static const std::vector<Op> ops = {
      {.name = "gather_rows",
       .doc = "y[b] = x[indices[b]], cast to dtype",
       .inputs = {"x", "indices"},
       .outputs = {"y"},
       .attributes = {{"dtype", std::string()}},
       .infer = infer_gather_rows,
       .variants = {{"direct", nullptr, plan_gather_rows}},
       .cost = cost_gather_rows,
       .explain = explain_gather_rows},
      {.name = "take",
       .doc = "y[..., i, ...] = x[..., indices[i], ...] along an axis",
       .inputs = {"x", "indices"},
       .outputs = {"y"},
       .attributes = {{"axis", int64_t{0}, true}},
       .infer = infer_take,
       .variants = {{"direct", nullptr, plan_take}},
       .cost = cost_take,
       .explain = explain_take},
      {.name = "take_backward",
       .doc = "dx[..., indices[i], ...] += dy[..., i, ...] along an axis, and 0 elsewhere",
       .inputs = {"dy", "indices", "x"},
       .outputs = {"dx"},
       .attributes = {{"axis", int64_t{0}, true}},
       .infer = infer_take_backward,
       .variants = {{"columns", nullptr, plan_take_backward}},
       .cost = cost_take_backward,
       .shape_only = {2},
       .explain = explain_take},
      {.name = "one_hot",
       .doc = "y = 1 where an axis of num_classes has the number in indices, else 0",
       .inputs = {"indices"},
       .outputs = {"y"},
       .attributes = {{"num_classes", int64_t{0}, true}, {"axis", int64_t{-1}}, {"dtype", std::string("float32")}},
       .infer = infer_one_hot,
       .variants = {{"direct", nullptr, plan_one_hot}},
       .cost = cost_one_hot,
       .explain = explain_one_hot},
  };
  return ops;
}

}  // namespace fastnn
