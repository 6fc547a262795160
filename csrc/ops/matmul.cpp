#include "ops/matmul.h"

#include <algorithm>

#include "base/divide.h"

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

namespace {

// Beside a product in the second-level cache packing would cost more than it saves, and a copy of A is worth its while where
// some panels of columns read it. Turning rows costs more than copying columns; a transposed A of few rows has many k. Where distant
// rows are read as fast, a copy that other threads wait for has to be a little larger to pay: of 256 cubed it does not.
bool pays_to_pack(int64_t M, int64_t N, int64_t K, int64_t item, const GemmOptions& options) {
  return M >= (options.transpose_a ? 24 : 56) && N >= (options.transpose_a ? 64 : 128) && K >= 32 &&
         M * K + K * N + M * N >= (reads_distant_rows() && !options.transpose_a ? 800 : 700) * 1024 / item;
}

// A handful of rows does not pay for a copy of B. Nor do some hundreds where B, which is fetched beside the products of the panel before,
// does not come from memory and rows of A are not in each other's way: and then no thread reads what another has just packed.
bool pays_to_fetch(int64_t M, int64_t N, int64_t K, int64_t item) {
  if (M <= 4) return true;
  return reads_distant_rows() && M <= 384 && N * K * item <= 4096 * 1024 && (M <= 64 || K * item % 4096 != 0);
}

bool is_plain(const GemmOptions& options) { return options.bias == kNoOperand && options.epilogue == Epilogue::none; }

// A row is looked through once for each few columns, and what it meets is copied once for all rows.
bool pays_to_look_for_zeros(int64_t M, int64_t N, int64_t K, const GemmOptions& options) {
  return !options.transpose_a && M >= 16 && N >= 4 * kSkippingColumns && K >= kMarks;
}
size_t skipping_scratch(int64_t rows, int64_t K, int64_t item) {
  return static_cast<size_t>((kMarks + kSkippingRows) * kSkippingColumns * item + rows * divide_up(K, kMarks) * 8);
}

KernelPlan two_steps(KernelStep pack, KernelStep multiply, size_t workspace_bytes) {
  KernelPlan plan;
  plan.workspaces = {workspace_bytes};
  plan.steps = {std::move(pack), std::move(multiply)};
  return plan;
}

// As many columns as take half of a second-level cache of 512 KB.
int64_t cached_columns(int64_t panel, int64_t piece, DType dtype) {
  const int64_t panel_bytes = panel * at_least_one(piece) * static_cast<int64_t>(item_size(dtype));
  return panel * at_least_one(256 * 1024 / panel_bytes);
}

KernelPlan plan_packed_gemm(Isa isa, DType dtype, int64_t M, int64_t N, int64_t K, const GemmOptions& options) {
  const GemmKernels& kernels = gemm_kernels(isa);
  const bool is_double = dtype == DType::float64;
  GemmOptions packed = options;
  packed.skips_zeros = pays_to_look_for_zeros(M, N, K, options);
  auto [shape, pack, workspace_bytes] = pack_gemm(isa, dtype, M, N, K, packed);
  shape.skips_zeros = packed.skips_zeros;
  const int64_t tiles = divide_up(M, shape.height);
  shape.column_block = cached_columns(kernels.tile_columns[is_double], shape.piece, dtype);
  const int64_t column_tasks = divide_up(N, shape.column_block);
  shape.tile_block = divide_up(tiles, std::min(tiles, std::max(divide_up(M, 168), divide_up(16, column_tasks))));
  shape.row_tasks = divide_up(tiles, shape.tile_block);
  shape.epilogue = options.epilogue;
  const bool plain = is_plain(options);
  const auto& kernel = plain ? kernels.multiply_packed : kernels.multiply_packed_bias;
  const int64_t scratch_rows = shape.tile_block * shape.height;
  KernelStep multiply = kernel_step(kernel[is_double], shape.row_tasks * column_tasks, shape,
                                    shape.skips_zeros ? skipping_scratch(scratch_rows, K, item_size(dtype)) : 0);
  pack.operands = {options.workspace, shape.a_tasks > 0 ? 1 : kNoOperand, 2};
  multiply.operands = {0, options.workspace, 1};
  if (!plain) multiply.operands.insert(multiply.operands.end(), {options.bias, options.other});
  return two_steps(std::move(pack), std::move(multiply), workspace_bytes);
}

// A gradient of weights, A^T B: both operands are as large as a batch. Of the wider one a task packs panels as it comes to them and
// finds them in its caches; the other is packed before, or read where it lies. If the wider one is A, what is computed is B^T A.
KernelPlan plan_gradient_gemm(Isa isa, DType dtype, int64_t M, int64_t N, int64_t K, size_t workspace) {
  const GemmKernels& kernels = gemm_kernels(isa);
  const bool is_double = dtype == DType::float64, turned = M >= 2 * N;
  const size_t narrow = turned ? 2 : 1, wide = turned ? 1 : 2;
  if (turned) std::swap(M, N);
  auto [shape, pack, workspace_bytes] = pack_gemm(isa, dtype, M, N, K, {.transpose_a = true}, false);
  const bool packs_a = M * static_cast<int64_t>(item_size(dtype)) > (reads_distant_rows() ? 1024 : 128);
  if (!packs_a) shape.a_tasks = 0;
  const int64_t panel = kernels.tile_columns[is_double], panels = divide_up(N, panel), tiles = divide_up(M, shape.height);
  shape.turned = turned;
  shape.column_block = panels >= 16 ? 2 * panel : panel;
  shape.tile_block = divide_up(tiles, std::clamp<int64_t>(M / 128, 1, divide_up(8, panels)));
  shape.row_tasks = divide_up(tiles, shape.tile_block);
  const int64_t scratch = (shape.piece + (turned ? shape.tile_block * shape.height : 0)) * panel;
  KernelStep multiply = kernel_step(kernels.pack_b_multiply[is_double], shape.row_tasks * divide_up(N, shape.column_block),
                                    shape, static_cast<size_t>(scratch) * item_size(dtype));
  pack.operands = {workspace, narrow, wide};
  multiply.operands = {0, packs_a ? workspace : narrow, wide};
  if (!packs_a) return {{std::move(multiply)}};
  return two_steps(std::move(pack), std::move(multiply), workspace_bytes);
}

KernelStep multiply_step(const GemmKernels& kernels, bool is_double, int64_t tasks, GemmShape shape, size_t scratch,
                         const GemmOptions& options) {
  shape.epilogue = options.epilogue;
  const bool plain = is_plain(options);
  const auto& multiply = scratch > 0 ? (plain ? kernels.multiply_with_scratch : kernels.multiply_with_scratch_bias)
                                     : (plain ? kernels.multiply : kernels.multiply_bias);
  KernelStep step = kernel_step(multiply[is_double], tasks, shape, scratch);
  step.operands = {0, 1, 2};
  if (!plain) step.operands.insert(step.operands.end(), {options.bias, options.other});
  return step;
}

// With few rows packing a transposed B takes as long as half of the product. As B^T A^T it is read where it lies, if A^T fills panels
// well and rows of B do not fight for a line of the cache.
bool pays_to_turn(int64_t M, int64_t N, int64_t K, int64_t item, int64_t panel, const GemmOptions& options) {
  return options.transpose_b && !options.transpose_a && options.bias == kNoOperand && M <= 64 &&
         4 * M >= 3 * divide_up(M, panel) * panel && N >= 64 && K >= 32 && K * item % 4096 != 0;
}
// A is packed before, or by each task for itself where all of the product takes little more than two threads' waiting for each other.
KernelPlan plan_turned_gemm(Isa isa, DType dtype, int64_t M, int64_t N, int64_t K, const GemmOptions& options) {
  const GemmKernels& kernels = gemm_kernels(isa);
  const int64_t item = static_cast<int64_t>(item_size(dtype));
  const bool is_double = dtype == DType::float64, packs_first = M * N * K >= 4 * 1024 * 1024;
  const bool skips_zeros = pays_to_look_for_zeros(M, N, K, options);
  const int tile_rows = skips_zeros && kernels.tile_rows >= 8 ? 8 : kernels.tile_rows;  // of which 8 are 64
  auto [shape, pack, workspace_bytes] = pack_gemm(isa, dtype, N, M, K, {.transpose_b = true, .tile_rows = tile_rows});
  const int64_t tiles = divide_up(N, shape.height), panel = kernels.tile_columns[is_double];
  shape.turned = true;
  shape.skips_zeros = skips_zeros;
  shape.epilogue = options.epilogue;
  shape.column_block = M;
  shape.tile_block = skips_zeros   ? divide_up(kSkippingColumns, shape.height)
                     : packs_first ? divide_up(tiles, 32)
                                   : std::max<int64_t>(4, divide_up(tiles, 8));
  shape.row_tasks = divide_up(tiles, shape.tile_block);
  const int64_t scratch = (shape.tile_block * shape.height + (packs_first ? 0 : K)) * panel;
  size_t scratch_bytes = static_cast<size_t>(scratch) * item_size(dtype);
  if (skips_zeros) scratch_bytes = std::max(scratch_bytes, skipping_scratch(M, K, item));
  KernelStep multiply = kernel_step(kernels.multiply_turned[is_double], shape.row_tasks, shape, scratch_bytes);
  pack.operands = {options.workspace, kNoOperand, 1};
  multiply.operands = {0, packs_first ? options.workspace : kNoOperand, 2, 1, options.other};
  if (!packs_first) return {{std::move(multiply)}};
  return two_steps(std::move(pack), std::move(multiply), workspace_bytes);
}

}  // namespace

PackedGemm pack_gemm(Isa isa, DType dtype, int64_t M, int64_t N, int64_t K, GemmOptions options, bool packs_b) {
  const GemmKernels& kernels = gemm_kernels(isa);
  const bool is_double = dtype == DType::float64;
  const int64_t item = static_cast<int64_t>(item_size(dtype));
  const int64_t panel = kernels.tile_columns[is_double];
  auto of_a_task = [](int64_t elements) { return std::max<int64_t>(1, 8192 / elements); };
  PackedGemmShape shape{};
  shape.M = M, shape.N = N, shape.K = K;
  shape.a_transposed = options.transpose_a, shape.b_transposed = options.transpose_b;
  shape.height = options.tile_rows > 0 ? options.tile_rows
                 : options.transpose_a ? kernels.side_by_side_rows
                                       : kernels.tile_rows;
  const bool far_rows = !options.transpose_a && K * item % 4096 == 0;
  shape.a_row = far_rows ? K + kGap : K;
  shape.a_block = of_a_task(options.transpose_a ? M : K);
  shape.a_tasks = options.transpose_a ? divide_up(K, shape.a_block) : far_rows ? divide_up(M, shape.a_block) : 0;
  shape.b_block = options.transpose_b ? panel * of_a_task(panel * K) : of_a_task(N);
  shape.b_parts = options.transpose_b ? divide_up(K, of_a_task(panel)) : 1;
  const int64_t b_tasks = packs_b ? divide_up(options.transpose_b ? N : K, shape.b_block) * shape.b_parts : 0;
  shape.b_begins = shape.a_tasks == 0 ? 0 : divide_up(options.transpose_a ? M * K : M * shape.a_row, kGap) * kGap;
  shape.piece = divide_up(K, at_least_one(divide_up(K, options.transpose_a ? 1024 : 512)));
  // Where zeros are skipped, columns are read that B does not have, behind its last.
  const int64_t columns = divide_up(N, panel) * panel + (options.skips_zeros ? kSkippingColumns : 0);
  shape.checks_begin = shape.b_begins + (packs_b ? columns * K : 0);
  shape.checks = options.skips_zeros ? b_tasks : 0;
  const int64_t elements = shape.checks_begin + shape.checks;
  return {shape, kernel_step(kernels.pack[is_double], shape.a_tasks + b_tasks, shape), static_cast<size_t>(elements * item)};
}

KernelPlan plan_gemm(Isa isa, DType dtype, GemmBatch batch, int64_t M, int64_t N, int64_t K, GemmOptions options) {
  if (batch.count > 1 && batch.axes == 1 && batch.a[0] == 1 && batch.b[0] == 0 && !options.transpose_a) {
    M *= batch.count;  // rows of one product
    batch = GemmBatch::equal(1);
  }
  GemmShape shape{};
  shape.batch = batch, shape.M = M, shape.N = N, shape.K = K;
  for (int i = 0; i < batch.axes; ++i) {
    shape.batch.a[i] *= M * K;
    shape.batch.b[i] *= K * N;
  }
  shape.a_row = options.transpose_a ? 1 : K;
  shape.a_k = options.transpose_a ? M : 1;
  shape.b_transposed = options.transpose_b;
  const bool is_double = dtype == DType::float64;
  const int64_t item = static_cast<int64_t>(item_size(dtype));
  const bool far_b = !options.transpose_b && N * item >= 1024;  // no processor reads ahead from one row of B to the next
  const bool fetches = far_b && !options.transpose_a && pays_to_fetch(M, N, K, item);
  const GemmKernels& kernels = gemm_kernels(isa);
  const int64_t panel = kernels.tile_columns[is_double];
  const bool turns = batch.count == 1 && pays_to_turn(M, N, K, item, panel, options);
  const bool packs_both = batch.count == 1 && !fetches && pays_to_pack(M, N, K, item, options);
  if (turns && (!packs_both || M % panel == 0)) return plan_turned_gemm(isa, dtype, M, N, K, options);
  if (packs_both) {
    const bool is_gradient = options.transpose_a && !options.transpose_b && is_plain(options);
    return is_gradient ? plan_gradient_gemm(isa, dtype, M, N, K, options.workspace)
                       : plan_packed_gemm(isa, dtype, M, N, K, options);
  }
  // What lies in its own way: rows of A whose distance is a multiple of 2 KB, and a transposed A that is long.
  const bool far_a = M >= 14 && (options.transpose_a ? M * item % 2048 == 0 || K >= 512 : K * item % 2048 == 0);
  const bool packs = !fetches && (options.transpose_b || far_b || (options.transpose_a && far_a && K >= 256));
  // Blocks of C make tasks of some 20 microseconds. Small products are cut finer so that there is work for several threads,
  // unless there are many of them: columns first, because every block of rows packs the same panel of B again.
  const bool many = batch.count >= 8;
  shape.skips_zeros = batch.count == 1 && !options.transpose_b && (fetches || M <= 2 * kSkippingRows) &&
                      pays_to_look_for_zeros(M, N, K, options);
  shape.column_block = !many && !shape.skips_zeros && (M * N <= 64 * 64 || (M <= 56 && N < 16 * 64)) ? 32 : 64;
  shape.column_tasks = divide_up(N, shape.column_block);
  const int64_t most = packs ? 168 : 56,
                wanted = std::max<int64_t>(divide_up(M, most), divide_up(8, std::max<int64_t>(shape.column_tasks, 1)));
  shape.row_block = many ? 70 : std::max<int64_t>(divide_up(M, wanted), 14);
  shape.row_tasks = divide_up(M, shape.row_block);
  if (shape.skips_zeros) shape.row_tasks = divide_up(M, kSkippingRows);
  if (M > 0) shape.row_block = divide_up(M, shape.row_tasks);  // 72 rows are 36 and 36
  shape.matrices = 1;
  if (shape.row_tasks * shape.column_tasks == 1) {  // at least 0.5 Mflop a task, but 16 tasks
    shape.matrices = std::clamp<int64_t>(262144 / std::max<int64_t>(1, M * N * K), 1, std::max<int64_t>(1, batch.count / 16));
  }
  const int64_t tasks = divide_up(batch.count, shape.matrices) * shape.row_tasks * shape.column_tasks;
  size_t scratch = 0;
  if (packs || fetches) {
    // Of a transposed A, whose numbers for one row lie a row of A apart, no more than the first-level cache holds.
    const int64_t most_k = options.transpose_a ? 128 : 512;
    shape.piece = at_least_one(divide_up(K, at_least_one(divide_up(K, most_k))));  // pieces of about equal length
  }
  shape.packs = packs;
  if (packs) {
    shape.copies_a = far_a;
    const int64_t copy = shape.copies_a ? (shape.row_block + kGap) * (shape.piece + kGap) : 0;
    scratch = static_cast<size_t>((shape.piece * kPackedColumns + copy) * item);
  }
  if (shape.skips_zeros) scratch = std::max(scratch, skipping_scratch(shape.row_block, K, item));
  return {{multiply_step(kernels, is_double, tasks, shape, scratch, options)}};
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
