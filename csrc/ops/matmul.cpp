#include "ops/matmul.h"

#include <algorithm>

namespace fastnn {

KernelPlan plan_gemm(Isa isa, DType dtype, int64_t batch, int64_t M, int64_t N, int64_t K, GemmOptions options) {
  GemmShape shape;
  shape.batch = batch, shape.M = M, shape.N = N, shape.K = K;
  shape.a_row = options.transpose_a ? 1 : K;
  shape.a_k = options.transpose_a ? M : 1;
  shape.b_k = N;
  shape.a_batch = M * K, shape.b_batch = K * N, shape.c_batch = M * N;
  // About 64 rows by 64 columns keep one panel of B in the second-level cache and make tasks of some 20 microseconds at
  // K = 512; small products are cut finer so that there is work for several threads.
  shape.row_block = std::clamp<int64_t>((M + 3) / 4, 14, 56);
  shape.column_block = 64;
  if (M * N <= 64 * 64) shape.column_block = 32;
  shape.row_tasks = (M + shape.row_block - 1) / shape.row_block;
  shape.column_tasks = (N + shape.column_block - 1) / shape.column_block;
  const int64_t tasks = batch * shape.row_tasks * shape.column_tasks;

  const bool is_double = dtype == DType::float64;
  const GemmKernels& kernels = gemm_kernels(isa);
  KernelPlan plan;
  if (options.transpose_b && tasks > 0) {
    plan.workspaces = {static_cast<size_t>(batch * K * N) * item_size(dtype)};
    plan.steps.push_back(kernel_step(kernels.copy_transposed[is_double], K == 0 ? 0 : batch * ((N + 63) / 64), shape));
    plan.steps.push_back(kernel_step(kernels.multiply_copied[is_double], tasks, shape));
  } else {
    const KernelFn multiply = options.bias ? kernels.multiply_bias[is_double] : kernels.multiply[is_double];
    plan.steps.push_back(kernel_step(multiply, tasks, shape));
  }
  return plan;
}

namespace {

struct MatrixAxes {
  Shape leading;
  Extent rows, columns;
};

MatrixAxes matrix_axes(const Call& call, size_t operand, bool transposed) {
  const Shape& shape = call.shape(operand);
  if (shape.size() < 2) {
    call.fail_value(
        concat(call.operand(operand), " has shape ", shape, "; expected at least 2 axes, (..., rows, columns); reshape it"));
  }
  MatrixAxes axes{Shape(shape.begin(), shape.end() - 2), shape[shape.size() - 2], shape.back()};
  if (transposed) std::swap(axes.rows, axes.columns);
  return axes;
}

std::vector<TensorType> infer_matmul(const Call& call) {
  call.expect_float(0);
  call.expect_same_dtype(0, 1);
  const MatrixAxes a = matrix_axes(call, 0, call.attributes.flag("transpose_a"));
  const MatrixAxes b = matrix_axes(call, 1, call.attributes.flag("transpose_b"));
  if (a.leading != b.leading || a.columns != b.rows) {
    call.fail_value(concat("`a` has shape ", call.shape(0), " and `b` ", call.shape(1),
                           call.attributes.flag("transpose_a") ? " (a transposed)" : "",
                           call.attributes.flag("transpose_b") ? " (b transposed)" : "",
                           "; expected equal leading axes and inner axes that match; reshape or transpose one of them"));
  }
  Shape shape = a.leading;
  shape.push_back(a.rows);
  shape.push_back(b.columns);
  return {{call.dtype(0), shape}};
}

struct Sizes {
  int64_t batch, M, N, K;
};
Sizes sizes_of(const Call& call) {
  const MatrixAxes a = matrix_axes(call, 0, call.attributes.flag("transpose_a"));
  const Shape& c = call.outputs[0].shape;
  return {count(a.leading).factor(), c[c.size() - 2].factor(), c.back().factor(), a.columns.factor()};
}

KernelPlan plan_matmul(const Call& call, Isa isa) {
  const auto [batch, M, N, K] = sizes_of(call);
  return plan_gemm(isa, call.dtype(0), batch, M, N, K,
                   {call.attributes.flag("transpose_a"), call.attributes.flag("transpose_b")});
}

Cost cost_matmul(const Call& call) {
  const auto [batch, M, N, K] = sizes_of(call);
  return {2.0 * batch * M * N * K, static_cast<double>(batch * (M * K + K * N + M * N)) * item_size(call.dtype(0))};
}

}  // namespace

std::span<const Op> matmul_ops() {
  static const std::vector<Op> ops = {
      {.name = "matmul",
       .doc = "c = a b over the last two axes, either operand transposed on request",
       .inputs = {"a", "b"},
       .outputs = {"c"},
       .attributes = {{"transpose_a", false}, {"transpose_b", false}},
       .infer = infer_matmul,
       .variants = {{"gemm", nullptr, plan_matmul}},
       .cost = cost_matmul},
  };
  return ops;
}

}  // namespace fastnn
