#include "ops/dense.h"

#include <algorithm>
#include <cmath>

namespace fastnn {

namespace {

int64_t rows_of(const Call& call, size_t operand) {
  const Dims dims = to_dims(call.shape(operand), "dense");
  return count(Dims(dims.begin(), dims.end() - 1));
}
int64_t last_of(const Call& call, size_t operand) { return call.shape(operand).back().factor(); }

void expect_matrix_rows(const Call& call, size_t operand) {
  if (!call.shape(operand).empty()) return;
  call.fail_value(concat(call.operand(operand), " is a single number; expected at least 1 axis, (..., features); reshape it"));
}

std::vector<TensorType> infer_dense(const Call& call) {
  call.expect_float(0);
  call.expect_same_dtype(0, 1);
  call.expect_rank(1, 2);
  expect_matrix_rows(call, 0);
  if (call.shape(0).back() != call.shape(1)[0]) {
    call.fail_value(concat("`x` has shape ", call.shape(0), " and `w` ", call.shape(1),
                           "; expected the last axis of x to be the "
                           "first of w; reshape x or make w for ",
                           call.shape(0).back(), " features"));
  }
  if (call.has(2)) {
    call.expect_same_dtype(0, 2);
    call.expect_shape(2, {call.shape(1)[1]});
  }
  TensorType y = call.input(0);
  y.shape.back() = call.shape(1)[1];
  expect_epilogue(call, {Epilogue::relu, Epilogue::add}, y.shape);
  return {y};
}

std::vector<TensorType> infer_dense_backward_input(const Call& call) {
  call.expect_float(0);
  call.expect_same_dtype(0, 1);
  call.expect_rank(1, 2);
  expect_matrix_rows(call, 0);
  if (call.shape(0).back() != call.shape(1)[1]) {
    call.fail_value(concat("`dy` has shape ", call.shape(0), " and `w` ", call.shape(1),
                           "; expected their last axes to be equal; pass the gradient of this layer's output"));
  }
  TensorType dx = call.input(0);
  dx.shape.back() = call.shape(1)[0];
  expect_epilogue(call, {Epilogue::add, Epilogue::multiply, Epilogue::relu_backward}, dx.shape);
  return {dx};
}

std::vector<TensorType> infer_dense_backward_kernel(const Call& call) {
  call.expect_float(0);
  call.expect_same_dtype(0, 1);
  expect_matrix_rows(call, 0);
  expect_matrix_rows(call, 1);
  const Shape &x = call.shape(0), &dy = call.shape(1);
  if (x.size() != dy.size() || !std::equal(x.begin(), x.end() - 1, dy.begin())) {
    call.fail_value(concat("`x` has shape ", x, " and `dy` ", dy,
                           "; expected equal leading axes; pass the gradient of this layer's output"));
  }
  return {{call.dtype(0), {x.back(), dy.back()}}};
}

KernelPlan plan_dense(const Call& call, Isa isa) {
  return plan_gemm(isa, call.dtype(0), 1, rows_of(call, 0), last_of(call, 1), last_of(call, 0),
                   {.bias = call.has(2) ? 3 : kNoOperand,
                    .epilogue = epilogue_of(call),
                    .other = call.has(3) ? 4 : kNoOperand,
                    .workspace = 5});
}
KernelPlan plan_dense_backward_input(const Call& call, Isa isa) {
  return plan_gemm(isa, call.dtype(0), 1, rows_of(call, 0), call.shape(1)[0].factor(), last_of(call, 0),
                   {.transpose_b = true, .epilogue = epilogue_of(call), .other = call.has(2) ? 3 : kNoOperand, .workspace = 4});
}
KernelPlan plan_dense_backward_kernel(const Call& call, Isa isa) {
  return plan_gemm(isa, call.dtype(0), 1, last_of(call, 0), last_of(call, 1), rows_of(call, 0), {.transpose_a = true});
}

// All three multiply (rows, C), (C, U) and (rows, U) against each other.
Cost cost_dense(const Call& call) {
  double elements = 0, volume = 1;
  for (const Shape* shape : {&call.shape(0), &call.shape(1), &call.outputs[0].shape}) {
    const auto n = static_cast<double>(count(to_dims(*shape, "dense")));
    elements += n;
    volume *= n;
  }
  return {2 * std::sqrt(volume), elements * static_cast<double>(item_size(call.dtype(0)))};
}

}  // namespace

std::span<const Op> dense_ops() {
  static const std::vector<Op> ops = {
      {.name = "dense",
       .doc = "y = x w + bias, over the last axis of x, then what the op named epilogue makes of it and other",
       .inputs = {"x", "w", "bias?", "other?"},
       .outputs = {"y"},
       .attributes = {{"epilogue", std::string()}},
       .infer = infer_dense,
       .variants = {{"gemm", nullptr, plan_dense}},
       .cost = cost_dense},
      {.name = "dense_backward_input",
       .doc = "dx = dy w^T, the gradient of dense with respect to x, then what the op named epilogue makes of it and other",
       .inputs = {"dy", "w", "other?"},
       .outputs = {"dx"},
       .attributes = {{"epilogue", std::string()}},
       .infer = infer_dense_backward_input,
       .variants = {{"gemm", nullptr, plan_dense_backward_input}},
       .cost = cost_dense},
      {.name = "dense_backward_kernel",
       .doc = "dw = x^T dy summed over all leading axes, the gradient of dense with respect to w",
       .inputs = {"x", "dy"},
       .outputs = {"dw"},
       .attributes = {},
       .infer = infer_dense_backward_kernel,
       .variants = {{"gemm", nullptr, plan_dense_backward_kernel}},
       .cost = cost_dense},
  };
  return ops;
}

}  // namespace fastnn
