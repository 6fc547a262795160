#include "ops/norm.h"

#include <algorithm>

#include "base/divide.h"

namespace fastnn {

namespace {

// ---- Shape rules ----------------------------------------------------------------------------------------------------------

void expect_epsilon(const Call& call) {
  if (const double epsilon = call.attributes.real("epsilon"); !(epsilon > 0 && epsilon < 1e30)) {
    call.fail_value(concat("epsilon=", epsilon, "; expected a number above 0; pass for example 1e-3"));
  }
}

// A float operand of at least `rank` axes; `axes` names them.
void expect_channels(const Call& call, size_t i, size_t rank, std::string_view axes) {
  call.expect_float(i);
  if (call.shape(i).size() >= rank) return;
  call.fail_value(concat(call.operand(i), " has shape ", call.shape(i), "; expected ", axes, ", at least ", rank,
                         rank == 1 ? " axis" : " axes", "; reshape it"));
}

void expect_operand(const Call& call, size_t x, size_t i, const Shape& shape) {
  if (!call.has(i)) return;
  call.expect_same_dtype(x, i);
  call.expect_shape(i, shape);
}

Shape leading(const Shape& shape) { return Shape(shape.begin(), shape.end() - 1); }

// Where a forward op's operands stand: x first, then gamma, then beta.
std::vector<TensorType> infer_row_norm(const Call& call, bool centered) {
  expect_channels(call, 0, 1, "(..., channels)");
  expect_epsilon(call);
  const Shape& x = call.shape(0);
  expect_operand(call, 0, 1, {x.back()});
  if (centered) expect_operand(call, 0, 2, {x.back()});
  const TensorType statistic{call.dtype(0), leading(x)};
  return centered ? std::vector{call.input(0), statistic, statistic} : std::vector{call.input(0), statistic};
}
std::vector<TensorType> infer_layer_norm(const Call& call) { return infer_row_norm(call, true); }
std::vector<TensorType> infer_rms_norm(const Call& call) { return infer_row_norm(call, false); }

int64_t groups_of(const Call& call, size_t x) {
  const int64_t groups = call.attributes.integer("groups");
  const int64_t channels = call.shape(x).back().to_int(std::string(call.name()), "the last axis of " + call.operand(x));
  if (groups < 1 || groups > std::max<int64_t>(channels, 1) || channels % groups != 0) {
    call.fail_value(concat("groups=", groups, " for ", call.operand(x), " of shape ", call.shape(x),
                           "; expected a positive number that divides the last axis; choose another one"));
  }
  return groups;
}

std::vector<TensorType> infer_group_norm(const Call& call) {
  expect_channels(call, 0, 2, "(batch, ..., channels)");
  expect_epsilon(call);
  const Shape& x = call.shape(0);
  const TensorType statistic{call.dtype(0), {x[0], groups_of(call, 0)}};
  for (size_t i : {1, 2}) expect_operand(call, 0, i, {x.back()});
  return {call.input(0), statistic, statistic};
}

std::vector<TensorType> infer_batch_norm(const Call& call) {
  expect_channels(call, 0, 2, "(batch, ..., channels)");
  expect_epsilon(call);
  const Shape channels{call.shape(0).back()};
  for (size_t i : {1, 2}) expect_operand(call, 0, i, channels);
  const TensorType statistic{call.dtype(0), channels};
  return {call.input(0), statistic, statistic};
}

std::vector<TensorType> infer_batch_norm_inference(const Call& call) {
  expect_channels(call, 0, 2, "(batch, ..., channels)");
  expect_epsilon(call);
  for (size_t i : {1, 2, 3, 4}) expect_operand(call, 0, i, {call.shape(0).back()});
  return {call.input(0)};
}

// dy, x, gamma, then the statistics, all of one shape, and perhaps one more array of x's.
std::vector<TensorType> infer_backward(const Call& call, const Shape& statistic, bool beta) {
  expect_epsilon(call);
  call.expect_same_dtype(0, 1);
  call.expect_shape(0, call.shape(1));
  const Shape channels{call.shape(1).back()};
  expect_operand(call, 0, 2, channels);
  for (size_t i = 3; i < call.op->inputs.size(); ++i) {
    expect_operand(call, 0, i, call.op->inputs[i] == "other?" ? call.shape(1) : statistic);
  }
  const TensorType gradient{call.dtype(0), channels};
  return beta ? std::vector{call.input(0), gradient, gradient} : std::vector{call.input(0), gradient};
}
std::vector<TensorType> infer_layer_norm_backward(const Call& call) {
  expect_channels(call, 0, 1, "(..., channels)");
  expect_channels(call, 1, 1, "(..., channels)");
  return infer_backward(call, leading(call.shape(1)), true);
}
std::vector<TensorType> infer_rms_norm_backward(const Call& call) {
  expect_channels(call, 0, 1, "(..., channels)");
  expect_channels(call, 1, 1, "(..., channels)");
  return infer_backward(call, leading(call.shape(1)), false);
}
std::vector<TensorType> infer_group_norm_backward(const Call& call) {
  expect_channels(call, 0, 2, "(batch, ..., channels)");
  expect_channels(call, 1, 2, "(batch, ..., channels)");
  return infer_backward(call, {call.shape(1)[0], groups_of(call, 1)}, true);
}
std::vector<TensorType> infer_batch_norm_backward(const Call& call) {
  expect_channels(call, 0, 2, "(batch, ..., channels)");
  expect_channels(call, 1, 2, "(batch, ..., channels)");
  return infer_backward(call, {call.shape(1).back()}, true);
}

// ---- Plans of rows --------------------------------------------------------------------------------------------------------

constexpr int64_t kTaskElements = 16384;
constexpr int64_t kParts = 64;  // of the gradients of gamma and beta, at most

RowNormShape row_shape(const Call& call, size_t x) {
  const Dims dims = to_dims(call.shape(x), std::string(call.name()));
  RowNormShape shape{};
  shape.N = dims.back();
  shape.rows = count(Dims(dims.begin(), dims.end() - 1));
  shape.rows_per_task = std::max<int64_t>(1, kTaskElements / std::max<int64_t>(1, shape.N));
  shape.epsilon = call.attributes.real("epsilon");
  return shape;
}

bool is_double(const Call& call) { return call.dtype(0) == DType::float64; }

KernelPlan plan_rows(const Call& call, const KernelFn (&kernels)[2]) {
  const RowNormShape shape = row_shape(call, 0);
  return {{kernel_step(kernels[is_double(call)], divide_up(shape.rows, shape.rows_per_task), shape)}};
}
KernelPlan plan_layer_norm(const Call& call, Isa isa) { return plan_rows(call, norm_kernels(isa).layer_norm); }
KernelPlan plan_rms_norm(const Call& call, Isa isa) { return plan_rows(call, norm_kernels(isa).rms_norm); }

KernelPlan plan_rows_backward(const Call& call, const KernelFn (&backward)[2], const KernelFn (&add)[2], size_t results) {
  RowNormShape shape = row_shape(call, 1);
  shape.rows_per_task = std::max(shape.rows_per_task, divide_up(shape.rows, kParts));
  shape.parts = divide_up(shape.rows, shape.rows_per_task);
  const size_t parts = results + call.op->inputs.size();  // the workspace behind results and operands
  KernelPlan plan;
  plan.workspaces = {static_cast<size_t>(shape.parts * 2 * shape.N) * item_size(call.dtype(0))};
  plan.steps.push_back(kernel_step(backward[is_double(call)], shape.parts, shape));
  plan.steps.push_back(kernel_step(add[is_double(call)], divide_up(shape.N, kNormColumns), shape));
  plan.steps.back().operands = results == 3 ? std::vector<size_t>{1, 2, parts} : std::vector<size_t>{1, parts};
  return plan;
}
KernelPlan plan_layer_norm_backward(const Call& call, Isa isa) {
  return plan_rows_backward(call, norm_kernels(isa).layer_norm_backward, norm_kernels(isa).add_rows, 3);
}
KernelPlan plan_rms_norm_backward(const Call& call, Isa isa) {
  return plan_rows_backward(call, norm_kernels(isa).rms_norm_backward, norm_kernels(isa).add_rms_rows, 2);
}

// ---- Plans of columns -----------------------------------------------------------------------------------------------------

// batch_norm is a group_norm of one sample with as many groups as channels.
ColumnNormShape column_shape(const Call& call, size_t x, bool batch) {
  const Dims dims = to_dims(call.shape(x), std::string(call.name()));
  ColumnNormShape shape{};
  shape.samples = batch ? 1 : dims[0];
  shape.rows = count(Dims(dims.begin() + (batch ? 0 : 1), dims.end() - 1));
  shape.channels = dims.back();
  shape.groups = batch ? shape.channels : call.attributes.integer("groups");
  const int64_t row = std::max<int64_t>(1, shape.channels);
  // Within a second-level cache, because it is read twice, and short enough for a plain sum.
  shape.chunk = std::clamp<int64_t>(2 * kTaskElements / row, 16, 512);
  shape.chunks = divide_up(shape.rows, shape.chunk);
  shape.parts = shape.samples * shape.chunks;
  shape.rows_per_task = std::max<int64_t>(8, kTaskElements / row);
  shape.row_tasks = shape.channels > 0 ? divide_up(shape.rows, shape.rows_per_task) : 0;
  shape.epsilon = call.attributes.real("epsilon");
  return shape;
}

KernelStep step(const Call& call, const KernelFn (&kernels)[2], int64_t tasks, const ColumnNormShape& shape,
                std::vector<size_t> operands, int64_t scratch_per_channel = 0) {
  const size_t scratch = static_cast<size_t>(scratch_per_channel * shape.channels) * item_size(call.dtype(0));
  KernelStep result = kernel_step(kernels[is_double(call)], tasks, shape, scratch);
  result.operands = std::move(operands);
  return result;
}

size_t parts_bytes(const Call& call, const ColumnNormShape& shape) {
  return static_cast<size_t>(shape.parts * 2 * shape.channels) * item_size(call.dtype(0));
}

// Buffers: y, mean, variance, x, gamma, beta, parts.
KernelPlan plan_columns(const Call& call, Isa isa, bool batch) {
  const ColumnNormShape shape = column_shape(call, 0, batch);
  const NormKernels& kernels = norm_kernels(isa);
  KernelPlan plan;
  plan.workspaces = {parts_bytes(call, shape)};
  plan.steps.push_back(step(call, kernels.statistics, shape.parts, shape, {6, 3}));
  const int64_t joins = batch ? divide_up(shape.channels, kNormColumns) : shape.samples;
  plan.steps.push_back(step(call, batch ? kernels.join_channels : kernels.join_groups, joins, shape, {1, 2, 6}));
  plan.steps.push_back(step(call, kernels.normalize, shape.samples * shape.row_tasks, shape, {0, 3, 4, 5, 1, 2}, 2));
  return plan;
}
KernelPlan plan_group_norm(const Call& call, Isa isa) { return plan_columns(call, isa, false); }
KernelPlan plan_batch_norm(const Call& call, Isa isa) { return plan_columns(call, isa, true); }

// Buffers: y, x, mean, variance, gamma, beta.
KernelPlan plan_batch_norm_inference(const Call& call, Isa isa) {
  const ColumnNormShape shape = column_shape(call, 0, true);
  return {{step(call, norm_kernels(isa).normalize, shape.row_tasks, shape, {0, 1, 4, 5, 2, 3}, 2)}};
}

// Buffers: dx, dgamma, dbeta, dy, x, gamma, mean, variance, parts; of group_norm also the sums of each group.
KernelPlan plan_columns_backward(const Call& call, Isa isa, bool batch) {
  const ColumnNormShape shape = column_shape(call, 1, batch);
  const NormKernels& kernels = norm_kernels(isa);
  KernelPlan plan;
  plan.workspaces = {parts_bytes(call, shape)};
  plan.steps.push_back(step(call, kernels.sums, shape.parts, shape, {8, 3, 4, 6, 7}, 2));
  plan.steps.push_back(step(call, kernels.add_columns, divide_up(shape.channels, kNormColumns), shape, {1, 2, 8}));
  const int64_t tasks = shape.samples * shape.row_tasks;
  if (batch) {
    plan.steps.push_back(step(call, kernels.batch_backward, tasks, shape, {0, 1, 2, 3, 4, 5, 6, 7}, 4));
  } else {
    plan.workspaces.push_back(static_cast<size_t>(shape.samples * 2 * shape.groups) * item_size(call.dtype(0)));
    plan.steps.push_back(step(call, kernels.add_groups, shape.samples, shape, {9, 5, 8}));
    plan.steps.push_back(step(call, kernels.group_backward, tasks, shape, {0, 9, 3, 4, 5, 6, 7}, 4));
  }
  return plan;
}
KernelPlan plan_group_norm_backward(const Call& call, Isa isa) { return plan_columns_backward(call, isa, false); }
KernelPlan plan_batch_norm_backward(const Call& call, Isa isa) { return plan_columns_backward(call, isa, true); }

// ---- Costs ----------------------------------------------------------------------------------------------------------------

Cost cost(const Call& call, double flops) {
  const auto elements = static_cast<double>(count(to_dims(call.outputs[0].shape, "cost")));
  const double arrays = call.op->inputs[0] == "dy" ? 3 : 2;
  return {flops * elements, arrays * elements * static_cast<double>(item_size(call.dtype(0)))};
}
Cost cost_forward(const Call& call) { return cost(call, 8); }
Cost cost_inference(const Call& call) { return cost(call, 3); }
Cost cost_backward(const Call& call) { return cost(call, 12); }

}  // namespace

std::span<const Op> norm_ops() {
  const AttributeSpec epsilon{"epsilon", 1e-3}, rms_epsilon{"epsilon", 1e-6};
  const AttributeSpec groups{"groups", int64_t{32}};
  static const std::vector<Op> ops = {
      {.name = "layer_norm",
       .doc = "y = (x - mean) / sqrt(variance + epsilon) gamma + beta, over the last axis",
       .inputs = {"x", "gamma?", "beta?"},
       .outputs = {"y", "mean", "variance"},
       .attributes = {epsilon},
       .infer = infer_layer_norm,
       .variants = {{"rows", nullptr, plan_layer_norm}},
       .cost = cost_forward,
       .in_place = {{0, 0}}},
      {.name = "layer_norm_backward",
       .doc = "dx + other, dgamma and dbeta: the gradients of layer_norm, to one of which something is added",
       .inputs = {"dy", "x", "gamma?", "mean", "variance", "other?"},
       .outputs = {"dx", "dgamma", "dbeta"},
       .attributes = {epsilon},
       .infer = infer_layer_norm_backward,
       .variants = {{"rows", nullptr, plan_layer_norm_backward}},
       .cost = cost_backward,
       .in_place = {{0, 0}, {0, 1}, {0, 5}}},
      {.name = "rms_norm",
       .doc = "y = x / sqrt(mean of x^2 + epsilon) gamma, over the last axis",
       .inputs = {"x", "gamma?"},
       .outputs = {"y", "mean_square"},
       .attributes = {rms_epsilon},
       .infer = infer_rms_norm,
       .variants = {{"rows", nullptr, plan_rms_norm}},
       .cost = cost_forward,
       .in_place = {{0, 0}}},
      {.name = "rms_norm_backward",
       .doc = "dx + other and dgamma: the gradients of rms_norm, to one of which something is added",
       .inputs = {"dy", "x", "gamma?", "mean_square", "other?"},
       .outputs = {"dx", "dgamma"},
       .attributes = {rms_epsilon},
       .infer = infer_rms_norm_backward,
       .variants = {{"rows", nullptr, plan_rms_norm_backward}},
       .cost = cost_backward,
       .in_place = {{0, 0}, {0, 1}, {0, 4}}},
      {.name = "group_norm",
       .doc = "y = (x - mean) / sqrt(variance + epsilon) gamma + beta, over each sample's groups of channels",
       .inputs = {"x", "gamma?", "beta?"},
       .outputs = {"y", "mean", "variance"},
       .attributes = {groups, epsilon},
       .infer = infer_group_norm,
       .variants = {{"columns", nullptr, plan_group_norm}},
       .cost = cost_forward,
       .in_place = {{0, 0}}},
      {.name = "group_norm_backward",
       .doc = "dx, dgamma and dbeta, the gradients of group_norm",
       .inputs = {"dy", "x", "gamma?", "mean", "variance"},
       .outputs = {"dx", "dgamma", "dbeta"},
       .attributes = {groups, epsilon},
       .infer = infer_group_norm_backward,
       .variants = {{"columns", nullptr, plan_group_norm_backward}},
       .cost = cost_backward,
       .in_place = {{0, 0}, {0, 1}}},
      {.name = "batch_norm",
       .doc = "y = (x - mean) / sqrt(variance + epsilon) gamma + beta, the statistics being each channel's in this batch",
       .inputs = {"x", "gamma?", "beta?"},
       .outputs = {"y", "mean", "variance"},
       .attributes = {epsilon},
       .infer = infer_batch_norm,
       .variants = {{"columns", nullptr, plan_batch_norm}},
       .cost = cost_forward,
       .in_place = {{0, 0}}},
      {.name = "batch_norm_backward",
       .doc = "dx, dgamma and dbeta, the gradients of batch_norm's y",
       .inputs = {"dy", "x", "gamma?", "mean", "variance"},
       .outputs = {"dx", "dgamma", "dbeta"},
       .attributes = {epsilon},
       .infer = infer_batch_norm_backward,
       .variants = {{"columns", nullptr, plan_batch_norm_backward}},
       .cost = cost_backward,
       .in_place = {{0, 0}, {0, 1}}},
      {.name = "batch_norm_inference",
       .doc = "y = (x - mean) / sqrt(variance + epsilon) gamma + beta, with statistics that are given",
       .inputs = {"x", "mean", "variance", "gamma?", "beta?"},
       .outputs = {"y"},
       .attributes = {epsilon},
       .infer = infer_batch_norm_inference,
       .variants = {{"columns", nullptr, plan_batch_norm_inference}},
       .cost = cost_inference,
       .in_place = {{0, 0}}},
  };
  return ops;
}

}  // namespace fastnn
