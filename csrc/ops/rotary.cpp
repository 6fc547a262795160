#include "ops/rotary.h"

#include <algorithm>
#include <cmath>

namespace fastnn {

namespace {

std::vector<TensorType> infer_rotary(const Call& call) {
  call.expect_float(0);
  const Shape& x = call.shape(0);
  if (x.size() != 4) {
    call.fail_value(concat("`x` has shape ", x, "; expected 4 axes, (batch, time, heads, size); reshape it"));
  }
  if (const int64_t size = x[3].to_int("rotary", "the size of a head of `x`"); size % 2 != 0) {
    call.fail_value(concat("`x` has shape ", x, "; expected an even last axis, which is turned in pairs; choose another size"));
  }
  if (const double base = call.attributes.real("base"); !(base > 0 && std::isfinite(base))) {
    call.fail_value(concat("base=", base, "; expected a finite number above 0; pass for example 10000.0"));
  }
  if (call.has(1)) {
    if (call.dtype(1) != DType::int32 && call.dtype(1) != DType::int64) {
      call.fail_type(concat("`positions` is ", dtype_name(call.dtype(1)), "; expected int32 or int64; cast it first"));
    }
    call.expect_shape(1, {x[0]});
  }
  return {call.input(0)};
}

KernelPlan plan_rotary(const Call& call, Isa isa) {
  const Dims x = to_dims(call.shape(0), "rotary");
  RotaryShape shape{};
  shape.B = x[0], shape.T = x[1], shape.NH = x[2], shape.HS = x[3];
  shape.rows_per_task = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, shape.NH * shape.HS));
  shape.base = call.attributes.real("base");
  shape.reverse = call.attributes.flag("reverse");
  shape.interleaved = call.attributes.flag("interleaved");
  shape.wide_positions = call.has(1) && call.dtype(1) == DType::int64;
  const int64_t tasks = (shape.B * shape.T + shape.rows_per_task - 1) / shape.rows_per_task;
  const size_t scratch = static_cast<size_t>(3 * shape.HS) * sizeof(double);
  return {{kernel_step(rotary_kernels(isa).rotary[call.dtype(0) == DType::float64], tasks, shape, scratch)}};
}

Cost cost_rotary(const Call& call) {
  const auto elements = static_cast<double>(count(to_dims(call.shape(0), "rotary")));
  return {3 * elements, 2 * elements * static_cast<double>(item_size(call.dtype(0)))};
}

}  // namespace

std::span<const Op> rotary_ops() {
  static const std::vector<Op> ops = {
      {.name = "rotary",
       .doc = "y = pairs of x's last axis turned by angles that grow with the place along the second",
       .inputs = {"x", "positions?"},
       .outputs = {"y"},
       .attributes = {{"base", 10000.0}, {"interleaved", false}, {"reverse", false}},
       .infer = infer_rotary,
       .variants = {{"rows", nullptr, plan_rotary}},
       .cost = cost_rotary,
       .in_place = {{0, 0}}},
  };
  return ops;
}

}  // namespace fastnn
