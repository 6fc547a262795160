#include "ops/gather.h"

#include <algorithm>

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
  };
  return ops;
}

}  // namespace fastnn
