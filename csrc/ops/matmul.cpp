#include "ops/matmul.h"

#include <algorithm>

namespace fastnn {

GemmBatch GemmBatch::equal(int64_t count) {
  GemmBatch batch;
  batch.axes = 1, batch.extent[0] = count, batch.a[0] = batch.b[0] = 1;
  batch.count = batch.b_matrices = count;
  return batch;
}

GemmBatch GemmBatch::broadcast(const Dims& a, const Dims& b, const Dims& c) {
  GemmBatch batch;
  batch.count = fastnn::count(c), batch.b_matrices = fastnn::count(b);
  int64_t a_stride = 1, b_stride = 1;
  std::vector<int64_t> axes;  // extent, stride of a, stride of b: the last axis first
  for (size_t i = 1; i <= c.size(); ++i) {
    const int64_t extent = c[c.size() - i];
    const int64_t a_extent = i <= a.size() ? a[a.size() - i] : 1, b_extent = i <= b.size() ? b[b.size() - i] : 1;
    const int64_t a_step = a_extent == 1 ? 0 : a_stride, b_step = b_extent == 1 ? 0 : b_stride;
    a_stride *= a_extent, b_stride *= b_extent;
    if (extent == 1) continue;
    const size_t n = axes.size();
    if (n > 0 && a_step == axes[n - 2] * axes[n - 3] && b_step == axes[n - 1] * axes[n - 3]) {
      axes[n - 3] *= extent;
    } else {
      axes.insert(axes.end(), {extent, a_step, b_step});
    }
  }
  for (size_t n = axes.size(); n > 0; n -= 3, ++batch.axes) {
    batch.extent[batch.axes] = axes[n - 3], batch.a[batch.axes] = axes[n - 2], batch.b[batch.axes] = axes[n - 1];
  }
  return batch;
}

KernelPlan plan_gemm(Isa isa, DType dtype, GemmBatch batch, int64_t M, int64_t N, int64_t K, GemmOptions options) {
  if (batch.count > 1 && batch.axes == 1 && batch.a[0] == 1 && batch.b[0] == 0 && !options.transpose_a) {
    M *= batch.count;  // rows of one product
    batch = GemmBatch::equal(1);
  }
  GemmShape shape;
  shape.batch = batch, shape.M = M, shape.N = N, shape.K = K;
  for (int i = 0; i < batch.axes; ++i) {
    shape.batch.a[i] *= M * K;
    shape.batch.b[i] *= K * N;
  }
  shape.a_row = options.transpose_a ? 1 : K;
  shape.a_k = options.transpose_a ? M : 1;
  shape.b_k = N;
  // About 64 rows by 64 columns keep one panel of B in the second-level cache and make tasks of some 20 microseconds at
  // K = 512; small products are cut finer so that there is work for several threads, unless there are many of them.
  const bool many = batch.count >= 8;
  shape.row_block = many ? 70 : std::clamp<int64_t>((M + 3) / 4, 14, 56);
  shape.column_block = M * N <= 64 * 64 && !many ? 32 : 64;
  // As long a sum as this, of so many pages: worth a copy of what is multiplied, and blocks as large as caches allow.
  const bool chunks = options.transpose_a && !options.transpose_b && batch.count == 1 && K >= 4 * kChunk && M >= 16 &&
                      N * static_cast<int64_t>(item_size(dtype)) >= 1024;
  if (chunks) {
    shape.row_block = M >= 128 ? 128 : 64;
    shape.column_block = N >= 1024 ? 128 : 64;
  }
  shape.row_tasks = (M + shape.row_block - 1) / shape.row_block;
  if (many && M > 0) shape.row_block = (M + shape.row_tasks - 1) / shape.row_tasks;  // 72 rows are 36 and 36
  shape.column_tasks = (N + shape.column_block - 1) / shape.column_block;
  shape.matrices = 1;
  if (shape.row_tasks * shape.column_tasks == 1) {  // at least 0.5 Mflop a task, but 16 tasks
    shape.matrices = std::clamp<int64_t>(262144 / std::max<int64_t>(1, M * N * K), 1, std::max<int64_t>(1, batch.count / 16));
  }
  const int64_t tasks = (batch.count + shape.matrices - 1) / shape.matrices * shape.row_tasks * shape.column_tasks;

  const bool is_double = dtype == DType::float64;
  const GemmKernels& kernels = gemm_kernels(isa);
  KernelPlan plan;
  if (options.transpose_b && tasks > 0) {
    plan.workspaces = {static_cast<size_t>(batch.b_matrices * K * N) * item_size(dtype)};
    const int64_t panels = batch.b_matrices * ((N + kTransposeColumns - 1) / kTransposeColumns);
    plan.steps.push_back(kernel_step(kernels.copy_transposed[is_double], K == 0 ? 0 : panels, shape));
    plan.steps.push_back(kernel_step(kernels.multiply_copied[is_double], tasks, shape));
  } else if (chunks) {
    const int64_t copied = kChunk * (shape.row_block + shape.column_block);
    plan.steps.push_back(
        kernel_step(kernels.multiply_chunks[is_double], tasks, shape, static_cast<size_t>(copied) * item_size(dtype)));
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
  if (a.columns != b.rows) {
    call.fail_value(concat("`a` has shape ", call.shape(0), " and `b` ", call.shape(1),
                           call.attributes.flag("transpose_a") ? " (a transposed)" : "",
                           call.attributes.flag("transpose_b") ? " (b transposed)" : "",
                           "; expected the columns of a to be the rows of b; reshape or transpose one of them"));
  }
  Shape shape = broadcast("matmul: leading axes", a.leading, b.leading);
  shape.push_back(a.rows);
  shape.push_back(b.columns);
  return {{call.dtype(0), shape}};
}

struct Sizes {
  Dims a, b, c;  // the leading axes
  int64_t M, N, K;
};
Sizes sizes_of(const Call& call) {
  const MatrixAxes a = matrix_axes(call, 0, call.attributes.flag("transpose_a"));
  const MatrixAxes b = matrix_axes(call, 1, call.attributes.flag("transpose_b"));
  const Shape& c = call.outputs[0].shape;
  return {to_dims(a.leading, "matmul"),
          to_dims(b.leading, "matmul"),
          to_dims(Shape(c.begin(), c.end() - 2), "matmul"),
          a.rows.factor(),
          b.columns.factor(),
          a.columns.factor()};
}

KernelPlan plan_matmul(const Call& call, Isa isa) {
  const Sizes sizes = sizes_of(call);
  return plan_gemm(isa, call.dtype(0), GemmBatch::broadcast(sizes.a, sizes.b, sizes.c), sizes.M, sizes.N, sizes.K,
                   {call.attributes.flag("transpose_a"), call.attributes.flag("transpose_b")});
}

Cost cost_matmul(const Call& call) {
  const auto [a, b, c, M, N, K] = sizes_of(call);
  const auto A = static_cast<double>(count(a)), B = static_cast<double>(count(b)), C = static_cast<double>(count(c));
  const auto rows = static_cast<double>(M), columns = static_cast<double>(N), inner = static_cast<double>(K);
  return {2 * C * rows * columns * inner,
          (A * rows * inner + B * inner * columns + C * rows * columns) * static_cast<double>(item_size(call.dtype(0)))};
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
