#include "ops/cross_entropy.h"

namespace fastnn {

namespace {

constexpr double kExtraFlops = 4;  // beyond softmax's, per element

bool is_backward(const Call& call) { return call.op->inputs[0] == "dloss"; }
bool is_sparse(const Call& call) { return call.op->inputs.back() == "labels"; }
size_t rows_operand(const Call& call) { return is_backward(call) ? 1 : 0; }  // logits or probabilities
size_t truth_operand(const Call& call) { return rows_operand(call) + 1; }    // labels or targets

double smoothing_of(const Call& call) { return call.op->attributes.empty() ? 0 : call.attributes.real("label_smoothing"); }

// Checks all operands; the type of the losses.
TensorType expect_operands(const Call& call) {
  const size_t rows = rows_operand(call), truth = truth_operand(call);
  call.expect_float(rows);
  if (call.shape(rows).empty()) {
    call.fail_value(concat(call.operand(rows), " is a single number; expected at least 1 axis, (..., classes); reshape it"));
  }
  const TensorType loss{call.dtype(rows), Shape(call.shape(rows).begin(), call.shape(rows).end() - 1)};
  if (is_sparse(call)) {
    const DType labels = call.dtype(truth);
    if (labels != DType::int32 && labels != DType::int64 && labels != DType::uint8) {
      call.fail_type(concat("`labels` is ", dtype_name(labels), "; expected int32, int64 or uint8; cast it first"));
    }
    if (call.shape(truth) != loss.shape) {
      call.fail_value(concat("`labels` has shape ", call.shape(truth), "; expected ", loss.shape, ", one label per row of ",
                             call.operand(rows), "; reshape it, or pass one-hot targets to the op without sparse_"));
    }
  } else {
    call.expect_same_dtype(rows, truth);
    call.expect_shape(truth, call.shape(rows));
  }
  if (const double smoothing = smoothing_of(call); !(smoothing >= 0 && smoothing <= 1)) {
    call.fail_value(concat("label_smoothing=", smoothing, "; expected 0 to 1; pass for example 0.1"));
  }
  if (is_backward(call)) {
    call.expect_same_dtype(rows, 0);
    call.expect_shape(0, loss.shape);
  }
  return loss;
}

std::vector<TensorType> infer_from_logits(const Call& call) { return {expect_operands(call), call.input(0)}; }
std::vector<TensorType> infer_from_probabilities(const Call& call) { return {expect_operands(call)}; }
std::vector<TensorType> infer_backward(const Call& call) {
  expect_operands(call);
  return {call.input(1)};
}

template <KernelFn (CrossEntropyKernels::*kernels)[2]>
KernelPlan plan(const Call& call, Isa isa) {
  const SoftmaxShape rows = softmax_shape(call, rows_operand(call));
  const KernelFn run = (cross_entropy_kernels(isa).*kernels)[call.dtype(rows_operand(call)) == DType::float64];
  return {
      {kernel_step(run, softmax_tasks(rows), CrossEntropyShape{rows, call.dtype(truth_operand(call)), smoothing_of(call)})}};
}

Cost cost_cross_entropy(const Call& call) {
  const SoftmaxShape shape = softmax_shape(call, rows_operand(call));
  const double rows = static_cast<double>(shape.rows), elements = rows * static_cast<double>(shape.N);
  const auto item = static_cast<double>(item_size(call.dtype(rows_operand(call))));
  const double results = is_backward(call) || call.outputs.size() > 1 ? elements : 0;
  const double truth =
      is_sparse(call) ? rows * static_cast<double>(item_size(call.dtype(truth_operand(call)))) : elements * item;
  return {kExtraFlops * elements + (call.outputs.size() > 1 ? 4 * elements : 0), (elements + results + rows) * item + truth};
}

std::string explain_label(const Call& call, int64_t position, int64_t label) {
  return concat(call.name(), ": label ", label, " at position ", position, "; expected 0 <= label < ",
                call.shape(rows_operand(call)).back(), "; check the labels or the number of units of the last layer");
}

}  // namespace

std::span<const Op> cross_entropy_ops() {
  using Kernels = CrossEntropyKernels;
  static const std::vector<AttributeSpec> smoothing = {{"label_smoothing", 0.0}};
  static const std::vector<Op> ops = {
      {.name = "sparse_softmax_cross_entropy",
       .doc = "loss = log of the sum of exp(z), less z[label], per row z of logits; probabilities = softmax(z)",
       .inputs = {"logits", "labels"},
       .outputs = {"loss", "probabilities"},
       .attributes = smoothing,
       .infer = infer_from_logits,
       .variants = {{"rows", nullptr, plan<&Kernels::sparse_softmax>}},
       .cost = cost_cross_entropy,
       .explain = explain_label},
      {.name = "sparse_softmax_cross_entropy_backward",
       .doc = "dlogits = dloss (p - one-hot of the label), the gradient of sparse_softmax_cross_entropy",
       .inputs = {"dloss", "probabilities", "labels"},
       .outputs = {"dlogits"},
       .attributes = smoothing,
       .infer = infer_backward,
       .variants = {{"rows", nullptr, plan<&Kernels::sparse_softmax_backward>}},
       .cost = cost_cross_entropy,
       .in_place = {{0, 1}},
       .explain = explain_label},
      {.name = "softmax_cross_entropy",
       .doc = "loss = -sum of t log softmax(z), per row z of logits; probabilities = softmax(z)",
       .inputs = {"logits", "targets"},
       .outputs = {"loss", "probabilities"},
       .attributes = smoothing,
       .infer = infer_from_logits,
       .variants = {{"rows", nullptr, plan<&Kernels::softmax>}},
       .cost = cost_cross_entropy},
      {.name = "softmax_cross_entropy_backward",
       .doc = "dlogits = dloss (p sum t - t), the gradient of softmax_cross_entropy",
       .inputs = {"dloss", "probabilities", "targets"},
       .outputs = {"dlogits"},
       .attributes = smoothing,
       .infer = infer_backward,
       .variants = {{"rows", nullptr, plan<&Kernels::softmax_backward>}},
       .cost = cost_cross_entropy,
       .in_place = {{0, 1}}},
      {.name = "sparse_cross_entropy",
       .doc = "loss = -log p[label], p kept within 1e-7 of 0 and 1, per row p of probabilities",
       .inputs = {"probabilities", "labels"},
       .outputs = {"loss"},
       .infer = infer_from_probabilities,
       .variants = {{"rows", nullptr, plan<&Kernels::sparse>}},
       .cost = cost_cross_entropy,
       .explain = explain_label},
      {.name = "sparse_cross_entropy_backward",
       .doc = "dprobabilities = -dloss / p at the label, else 0, the gradient of sparse_cross_entropy",
       .inputs = {"dloss", "probabilities", "labels"},
       .outputs = {"dprobabilities"},
       .infer = infer_backward,
       .variants = {{"rows", nullptr, plan<&Kernels::sparse_backward>}},
       .cost = cost_cross_entropy,
       .explain = explain_label},
      {.name = "cross_entropy",
       .doc = "loss = -sum of t log(p / sum p), kept within 1e-7 of 0 and 1, per row p of probabilities",
       .inputs = {"probabilities", "targets"},
       .outputs = {"loss"},
       .infer = infer_from_probabilities,
       .variants = {{"rows", nullptr, plan<&Kernels::dense>}},
       .cost = cost_cross_entropy},
      {.name = "cross_entropy_backward",
       .doc = "the gradient of cross_entropy with respect to the probabilities",
       .inputs = {"dloss", "probabilities", "targets"},
       .outputs = {"dprobabilities"},
       .infer = infer_backward,
       .variants = {{"rows", nullptr, plan<&Kernels::dense_backward>}},
       .cost = cost_cross_entropy},
  };
  return ops;
}

}  // namespace fastnn
