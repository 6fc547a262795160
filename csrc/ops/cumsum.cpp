#include "ops/cumsum.h"

#include <algorithm>

#include "ops/elementwise.h"

namespace fastnn {

namespace {

size_t axis_of(const Call& call) {
  const auto rank = static_cast<int64_t>(call.shape(0).size());
  const int64_t axis = call.attributes.integer("axis");
  if (axis >= -rank && axis < rank) return static_cast<size_t>(axis < 0 ? axis + rank : axis);
  if (rank == 0) call.fail_value("`x` is a single number; expected at least 1 axis; reshape it");
  call.fail_value(concat("axis=", axis, " for `x` of shape ", call.shape(0), "; expected ", -rank, " to ", rank - 1,
                         "; choose another axis"));
}

std::vector<TensorType> infer_cumsum(const Call& call) {
  expect_types(call, numbers);
  axis_of(call);
  return {call.input(0)};
}

KernelPlan plan_cumsum(const Call& call, Isa isa) {
  const Dims dims = to_dims(call.shape(0), std::string(call.name()));
  const auto axis = dims.begin() + static_cast<std::ptrdiff_t>(axis_of(call));
  CumsumShape shape{count(Dims(dims.begin(), axis)), *axis, count(Dims(axis + 1, dims.end())),
                    call.attributes.flag("exclusive"), call.attributes.flag("reverse")};
  if (count(dims) == 0) return {};
  // At least 128 columns, whole cache lines of each row.
  shape.block = std::min(shape.inner, std::max<int64_t>(128, kTaskElements / shape.n));
  shape.blocks = (shape.inner + shape.block - 1) / shape.block;
  shape.outer_per_task = std::max<int64_t>(1, kTaskElements / (shape.n * shape.block));
  const int64_t tasks = (shape.outer + shape.outer_per_task - 1) / shape.outer_per_task * shape.blocks;
  return {{kernel_step(cumsum_kernels(isa).forward[static_cast<size_t>(call.dtype(0))], tasks, shape)}};
}

Cost cost_cumsum(const Call& call) {
  const auto elements = static_cast<double>(count(to_dims(call.shape(0), "cost")));
  return {elements, 2 * elements * static_cast<double>(item_size(call.dtype(0)))};
}

}  // namespace

std::span<const Op> cumsum_ops() {
  static const std::vector<Op> ops = {
      {.name = "cumsum",
       .doc = "y = sum of x up to every place along axis",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = {{"axis", int64_t{-1}}, {"exclusive", false}, {"reverse", false}},
       .infer = infer_cumsum,
       .variants = {{"vector", nullptr, plan_cumsum}},
       .cost = cost_cumsum},
  };
  return ops;
}

}  // namespace fastnn
