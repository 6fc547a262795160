#include "ops/finite.h"

namespace fastnn {

namespace {

std::vector<TensorType> infer_check_finite(const Call& call) {
  call.expect_float(0);
  return {call.input(0)};
}

KernelPlan plan_check_finite(const Call& call, Isa isa) {
  const FiniteShape shape{count(to_dims(call.shape(0), "check_finite"))};
  const KernelFn check = finite_kernels(isa).check[call.dtype(0) == DType::float64];
  return {{kernel_step(check, (shape.elements + kFiniteChunk - 1) / kFiniteChunk, shape)}};
}

std::string explain_check_finite(const Call& call, int64_t position, int64_t value) {
  const std::string which = call.shape(0).empty() ? "the value" : concat("element ", position);
  return concat("check_finite: ", which, " is not finite (",
                value == kIsNan        ? "nan"
                : value == kIsInfinite ? "inf"
                                       : "-inf",
                "); expected finite numbers; look for NaN or infinities in the data, or lower the learning rate");
}

}  // namespace

std::span<const Op> finite_ops() {
  static const std::vector<Op> ops = {
      {.name = "check_finite",
       .doc = "y = x; a NaN or an infinity in it is an error of the run",
       .inputs = {"x"},
       .outputs = {"y"},
       .infer = infer_check_finite,
       .variants = {{"direct", nullptr, plan_check_finite}},
       .in_place = {{0, 0}},
       .explain = explain_check_finite},
  };
  return ops;
}

}  // namespace fastnn
