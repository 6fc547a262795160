#include "ops/top_k.h"

#include <algorithm>

#include "ops/elementwise.h"

namespace fastnn {

namespace {

void expect_rows(const Call& call, size_t x) {
  if (call.shape(x).empty()) {
    call.fail_value(concat(call.operand(x), " is a single number; expected at least 1 axis, (..., classes); reshape it"));
  }
}

std::vector<TensorType> infer_top_k(const Call& call) {
  expect_types(call, numbers);
  expect_rows(call, 0);
  const int64_t k = call.attributes.integer("k");
  Shape shape = call.shape(0);
  if (k < 1 || (shape.back().is_int() && k > shape.back().factor())) {
    call.fail_value(concat("k=", k, " for `x` of shape ", shape, "; expected 1 to ", shape.back(), "; pass another k"));
  }
  shape.back() = k;
  return {{call.dtype(0), shape}, {DType::int64, shape}};
}

std::vector<TensorType> infer_top_k_backward(const Call& call) {
  expect_types(call, floats);
  if (call.dtype(1) != DType::int64) {
    call.fail_type(concat("`indices` is ", dtype_name(call.dtype(1)), "; expected int64; pass those of top_k"));
  }
  call.expect_same_dtype(0, 2);
  expect_rows(call, 2);
  call.expect_shape(1, call.shape(0));
  Shape shape = call.shape(2);
  if (!call.shape(0).empty()) shape.back() = call.shape(0).back();
  call.expect_shape(0, shape);
  return {call.input(2)};
}

TopKShape rows_of(const Call& call, size_t x) {
  const Dims dims = to_dims(call.shape(x), std::string(call.name()));
  TopKShape shape{count(Dims(dims.begin(), dims.end() - 1)), dims.back(), 0, 1};
  shape.rows_per_task = std::max<int64_t>(1, kTaskElements / std::max<int64_t>(1, shape.N));
  return shape;
}

int64_t tasks_of(const TopKShape& shape) {
  if (shape.N == 0 && shape.k == 0) return 0;
  return (shape.rows + shape.rows_per_task - 1) / shape.rows_per_task;
}

KernelPlan plan_top_k(const Call& call, Isa isa) {
  TopKShape shape = rows_of(call, 0);
  shape.k = call.attributes.integer("k");
  return {{kernel_step(top_k_kernels(isa).forward[static_cast<size_t>(call.dtype(0))], tasks_of(shape), shape)}};
}

KernelPlan plan_top_k_backward(const Call& call, Isa isa) {
  TopKShape shape = rows_of(call, 2);
  shape.k = to_dims(call.shape(0), std::string(call.name())).back();
  return {{kernel_step(top_k_kernels(isa).backward[static_cast<size_t>(call.dtype(0))], tasks_of(shape), shape)}};
}

Cost cost_top_k(const Call& call) {
  auto bytes = [&](const TensorType& type) {
    return static_cast<double>(count(to_dims(type.shape, "cost")) * static_cast<int64_t>(item_size(type.dtype)));
  };
  const bool backward = call.inputs.size() > 1;
  Cost cost{static_cast<double>(count(to_dims(call.shape(backward ? 2 : 0), "cost"))), bytes(call.input(0))};
  if (backward) cost.bytes += bytes(call.input(1));
  for (const TensorType& output : call.outputs) cost.bytes += bytes(output);
  return cost;
}

std::string explain_index(const Call& call, int64_t position, int64_t index) {
  return concat("top_k_backward: index ", index, " at position ", position, "; expected 0 <= index < ", call.shape(2).back(),
                "; pass the indices that top_k returned");
}

}  // namespace

std::span<const Op> top_k_ops() {
  static const std::vector<Op> ops = {
      {.name = "top_k",
       .doc = "values = the k largest numbers along the last axis, the largest first; indices = where they stand",
       .inputs = {"x"},
       .outputs = {"values", "indices"},
       .attributes = {{"k", int64_t{1}, true}},
       .infer = infer_top_k,
       .variants = {{"heap", nullptr, plan_top_k}},
       .cost = cost_top_k},
      {.name = "top_k_backward",
       .doc = "dx = dvalues at the indices, else 0",
       .inputs = {"dvalues", "indices", "x"},
       .outputs = {"dx"},
       .infer = infer_top_k_backward,
       .variants = {{"plain", nullptr, plan_top_k_backward}},
       .cost = cost_top_k,
       .shape_only = {2},
       .explain = explain_index},
  };
  return ops;
}

}  // namespace fastnn
