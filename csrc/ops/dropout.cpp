#include "ops/dropout.h"

#include <cmath>

namespace fastnn {

namespace {

std::vector<TensorType> infer_uniform(const Call& call) {
  call.expect_float(0);
  call.expect_shape(1, {2});
  if (call.dtype(1) != DType::int64) {
    call.fail_type(concat("`random_state` is ", dtype_name(call.dtype(1)), "; expected int64, [seed, step]; cast it first"));
  }
  if (const int64_t stream = call.attributes.integer("stream"); stream < 0) {
    call.fail_value(concat("stream=", stream, "; expected 0 or more; pass the ordinal of this op among the random ones"));
  }
  return {call.input(0)};
}

std::vector<TensorType> infer_dropout(const Call& call) {
  const double rate = call.attributes.real("rate");
  if (!(rate >= 0 && rate < 1)) {
    call.fail_value(concat("rate=", rate, "; expected 0 <= rate < 1, the part that is dropped; pass for example rate=0.5"));
  }
  return infer_uniform(call);
}

DropoutShape shape_of(const Call& call) {
  DropoutShape shape{};
  shape.elements = count(to_dims(call.shape(0), std::string(call.name())));
  shape.stream = static_cast<uint64_t>(call.attributes.integer("stream"));
  return shape;
}

int64_t tasks_of(const DropoutShape& shape) { return (shape.elements + kDropoutChunk - 1) / kDropoutChunk; }

KernelPlan plan_dropout(const Call& call, Isa isa) {
  const double rate = call.attributes.real("rate");
  DropoutShape shape = shape_of(call);
  shape.threshold = static_cast<uint32_t>(std::ceil(rate * 0x1p24));  // u >= rate, as integers
  shape.scale = 1 / (1 - rate);
  const KernelFn dropout = dropout_kernels(isa).dropout[call.dtype(0) == DType::float64];
  return {{kernel_step(dropout, tasks_of(shape), shape)}};
}

KernelPlan plan_uniform(const Call& call, Isa isa) {
  const DropoutShape shape = shape_of(call);
  return {{kernel_step(dropout_kernels(isa).uniform[call.dtype(0) == DType::float64], tasks_of(shape), shape)}};
}

Cost cost_dropout(const Call& call) {
  const auto elements = static_cast<double>(count(to_dims(call.shape(0), "dropout")));
  return {elements, elements * 2 * static_cast<double>(item_size(call.dtype(0)))};
}

Cost cost_uniform(const Call& call) {
  const auto elements = static_cast<double>(count(to_dims(call.shape(0), "random_uniform")));
  return {elements, elements * static_cast<double>(item_size(call.dtype(0)))};
}

}  // namespace

void draw_uniform(float* y, int64_t elements, uint64_t seed, uint64_t stream, uint64_t step) {
  DropoutShape shape{};
  shape.elements = elements;
  shape.stream = stream;
  int64_t random_state[2] = {static_cast<int64_t>(seed), static_cast<int64_t>(step)};
  void* const buffers[] = {y, nullptr, random_state};
  const KernelFn uniform = dropout_kernels(current_isa()).uniform[0];
  for (int64_t task = 0; task < tasks_of(shape); ++task) uniform({buffers, &shape, nullptr, nullptr}, task);
}

std::span<const Op> dropout_ops() {
  static const std::vector<Op> ops = {
      {.name = "dropout",
       .doc = "y = x / (1 - rate) where a random number reaches rate, else 0",
       .inputs = {"x", "random_state"},
       .outputs = {"y"},
       .attributes = {{"rate", 0.5}, {"stream", int64_t{0}}},
       .infer = infer_dropout,
       .variants = {{"philox", nullptr, plan_dropout}},
       .cost = cost_dropout,
       .in_place = {{0, 0}},
       .random = true},
      {.name = "random_uniform",
       .doc = "y = random numbers of at least 0 and below 1, as many as x has elements",
       .inputs = {"x", "random_state"},
       .outputs = {"y"},
       .attributes = {{"stream", int64_t{0}}},
       .infer = infer_uniform,
       .variants = {{"philox", nullptr, plan_uniform}},
       .cost = cost_uniform,
       .shape_only = {0},
       .random = true},
  };
  return ops;
}

}  // namespace fastnn
