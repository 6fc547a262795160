#include "ops/softmax.h"

#include <algorithm>

namespace fastnn {

SoftmaxShape softmax_shape(const Call& call, size_t operand) {
  const Dims dims = to_dims(call.shape(operand), std::string(call.name()));
  SoftmaxShape shape;
  shape.N = dims.back();
  shape.rows = count(Dims(dims.begin(), dims.end() - 1));
  // At most 512 rows, whose scalar work counts for more than their elements when N is small.
  shape.rows_per_task = std::clamp<int64_t>(8192 / std::max<int64_t>(1, shape.N), 1, 512);
  return shape;
}

int64_t softmax_tasks(const SoftmaxShape& shape) { return (shape.rows + shape.rows_per_task - 1) / shape.rows_per_task; }

namespace {

void expect_rows(const Call& call, size_t i) {
  call.expect_float(i);
  if (!call.shape(i).empty()) return;
  call.fail_value(concat(call.operand(i), " is a single number; expected at least 1 axis, (..., classes); reshape it"));
}

std::vector<TensorType> infer_softmax(const Call& call) {
  expect_rows(call, 0);
  return {call.input(0)};
}

std::vector<TensorType> infer_softmax_backward(const Call& call) {
  expect_rows(call, 0);
  call.expect_same_dtype(0, 1);
  call.expect_shape(1, call.shape(0));
  return {call.input(0)};
}

template <KernelFn (SoftmaxKernels::*kernels)[2]>
KernelPlan plan(const Call& call, Isa isa) {
  const SoftmaxShape shape = softmax_shape(call, 0);
  return {{kernel_step((softmax_kernels(isa).*kernels)[call.dtype(0) == DType::float64], softmax_tasks(shape), shape)}};
}

Cost cost_softmax(const Call& call) {
  const auto elements = static_cast<double>(count(to_dims(call.shape(0), "softmax")));
  const auto moved = static_cast<double>(call.inputs.size() + 1);
  return {4 * elements, moved * elements * static_cast<double>(item_size(call.dtype(0)))};
}

}  // namespace

std::span<const Op> softmax_ops() {
  static const std::vector<Op> ops = {
      {.name = "softmax",
       .doc = "y = exp(x) / sum of exp(x), over the last axis",
       .inputs = {"x"},
       .outputs = {"y"},
       .infer = infer_softmax,
       .variants = {{"rows", nullptr, plan<&SoftmaxKernels::softmax>}},
       .cost = cost_softmax},
      {.name = "softmax_backward",
       .doc = "dx = y (dy - sum of dy y), the gradient of softmax",
       .inputs = {"dy", "y"},
       .outputs = {"dx"},
       .infer = infer_softmax_backward,
       .variants = {{"rows", nullptr, plan<&SoftmaxKernels::softmax_backward>}},
       .cost = cost_softmax},
      {.name = "log_softmax",
       .doc = "y = x - log of the sum of exp(x), over the last axis",
       .inputs = {"x"},
       .outputs = {"y"},
       .infer = infer_softmax,
       .variants = {{"rows", nullptr, plan<&SoftmaxKernels::log_softmax>}},
       .cost = cost_softmax},
      {.name = "log_softmax_backward",
       .doc = "dx = dy - exp(y) times the sum of dy, the gradient of log_softmax",
       .inputs = {"dy", "y"},
       .outputs = {"dx"},
       .infer = infer_softmax_backward,
       .variants = {{"rows", nullptr, plan<&SoftmaxKernels::log_softmax_backward>}},
       .cost = cost_softmax},
  };
  return ops;
}

}  // namespace fastnn
