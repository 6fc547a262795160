#include "ops/attention.h"

#include <algorithm>
#include <cmath>

namespace fastnn {

namespace {

// ---- Shape rules ----------------------------------------------------------------------------------------------------------

// Where the operands that both ops have begin: query, key, value; and the optional ones behind them and what backward adds.
struct Places {
  size_t query, mask;
  size_t key() const { return query + 1; }
  size_t value() const { return query + 2; }
  size_t bias() const { return mask + 1; }
  size_t lengths() const { return mask + 2; }
  size_t positions() const { return mask + 3; }
  size_t random_state() const { return mask + 4; }
};
constexpr Places kForward{0, 3}, kBackward{1, 6};

void expect_array(const Call& call, size_t i, std::string_view axes) {
  call.expect_float(i);
  if (call.shape(i).size() == 4) return;
  call.fail_value(concat(call.operand(i), " has shape ", call.shape(i), "; expected 4 axes, ", axes, "; reshape it"));
}

// The length of an axis that counts heads or numbers of one, at least 1.
int64_t fixed(const Call& call, size_t i, size_t axis, const std::string& what) {
  const int64_t length = call.shape(i)[axis].to_int(std::string(call.name()), what + " of " + call.operand(i));
  if (length < 1) {
    call.fail_value(concat(call.operand(i), " has shape ", call.shape(i), "; expected at least 1 as ", what,
                           "; pass an array that has some"));
  }
  return length;
}

void expect_integers(const Call& call, size_t i, const Extent& batch) {
  if (!call.has(i)) return;
  if (call.dtype(i) != DType::int32 && call.dtype(i) != DType::int64) {
    call.fail_type(concat(call.operand(i), " is ", dtype_name(call.dtype(i)), "; expected int32 or int64; cast it first"));
  }
  call.expect_shape(i, {batch});
}

void expect_stretches(const Call& call, size_t i, const Shape& weights) {
  if (!call.has(i)) return;
  if (broadcast(concat(call.name(), ": ", call.operand(i)), call.shape(i), weights) == weights) return;
  call.fail_value(concat(call.operand(i), " has shape ", call.shape(i), "; expected one that stretches to ", weights,
                         ", (batch, heads, queries, keys); reshape it"));
}

Shape weights_of(const Call& call, const Places& at) {
  const Shape& query = call.shape(at.query);
  return {query[0], query[2], query[1], call.shape(at.key())[1]};
}

void expect_operands(const Call& call, const Places& at) {
  const size_t query = at.query, key = at.key(), value = at.value();
  expect_array(call, query, "(batch, queries, heads, size)");
  expect_array(call, key, "(batch, keys, key heads, size)");
  expect_array(call, value, "(batch, keys, key heads, value size)");
  call.expect_same_dtype(query, key);
  call.expect_same_dtype(query, value);
  const Shape &q = call.shape(query), &k = call.shape(key), &v = call.shape(value);
  fixed(call, query, 3, "the size of a head");
  fixed(call, value, 3, "the size of a head");
  const int64_t heads = fixed(call, query, 2, "the number of heads"), groups = fixed(call, key, 2, "the number of heads");
  if (q[0] != k[0] || q[3] != k[3]) {
    call.fail_value(concat("`query` has shape ", q, " and `key` ", k,
                           "; expected one batch and one size of a head, their first and last axes; reshape one of them"));
  }
  if (k[0] != v[0] || k[1] != v[1] || k[2] != v[2]) {
    call.fail_value(concat("`key` has shape ", k, " and `value` ", v,
                           "; expected the same axes but for the last, the size of a head; reshape one of them"));
  }
  if (heads % groups != 0) {
    call.fail_value(concat("`query` has ", heads, " heads and `key` ", groups,
                           "; expected a multiple, so that as many queries read each key; choose other numbers of heads"));
  }
  const Shape weights = weights_of(call, at);
  if (call.has(at.mask) && call.dtype(at.mask) != DType::boolean) {
    call.fail_type(concat("`mask` is ", dtype_name(call.dtype(at.mask)),
                          "; expected bool, true where a query sees a key; cast it, or pass numbers to be added as `bias`"));
  }
  expect_stretches(call, at.mask, weights);
  if (call.has(at.bias())) call.expect_same_dtype(query, at.bias());
  expect_stretches(call, at.bias(), weights);
  expect_integers(call, at.lengths(), q[0]);
  expect_integers(call, at.positions(), q[0]);
  if (call.has(at.positions()) && !call.attributes.flag("causal")) {
    call.fail_value(
        "`positions` without causal=True; expected one with the other, because only a causal query has a place among the keys; "
        "leave `positions` out");
  }
  if (const double scale = call.attributes.real("scale"); !std::isfinite(scale)) {
    call.fail_value(concat("scale=", scale, "; expected a finite number; leave it out for 1 / sqrt(size)"));
  }
  const double rate = call.attributes.real("rate");
  if (!(rate >= 0 && rate < 1)) {
    call.fail_value(concat("rate=", rate, "; expected 0 <= rate < 1, the part that is dropped; pass for example rate=0.1"));
  }
  if (const int64_t stream = call.attributes.integer("stream"); stream < 0) {
    call.fail_value(concat("stream=", stream, "; expected 0 or more; pass the ordinal of this op among the random ones"));
  }
  const size_t state = at.random_state();
  if (rate > 0 && !call.has(state)) {
    call.fail_value(concat("rate=", rate, " without `random_state`; expected [seed, step] to draw from; pass it"));
  }
  if (!call.has(state)) return;
  if (call.dtype(state) != DType::int64) {
    call.fail_type(
        concat("`random_state` is ", dtype_name(call.dtype(state)), "; expected int64, [seed, step]; cast it first"));
  }
  call.expect_shape(state, {2});
}

TensorType result_type(const Call& call, const Places& at) {
  const Shape& query = call.shape(at.query);
  return {call.dtype(at.query), {query[0], query[1], query[2], call.shape(at.value())[3]}};
}
TensorType lse_type(const Call& call, const Places& at) {
  const Shape& query = call.shape(at.query);
  return {call.dtype(at.query), {query[0], query[2], query[1]}};
}

std::vector<TensorType> infer_forward(const Call& call) {
  expect_operands(call, kForward);
  return {result_type(call, kForward), lse_type(call, kForward)};
}

void expect_saved(const Call& call) {
  call.expect_float(0);
  expect_operands(call, kBackward);
  call.expect_same_dtype(kBackward.query, 0);
  for (size_t i : {size_t{4}, size_t{5}}) call.expect_same_dtype(kBackward.query, i);
  const TensorType y = result_type(call, kBackward);
  call.expect_shape(0, y.shape);
  call.expect_shape(4, y.shape);
  call.expect_shape(5, lse_type(call, kBackward).shape);
}

std::vector<TensorType> infer_backward(const Call& call) {
  expect_saved(call);
  return {call.input(kBackward.query), call.input(kBackward.key()), call.input(kBackward.value())};
}

std::vector<TensorType> infer_backward_bias(const Call& call) {
  expect_saved(call);
  return {{call.dtype(0), weights_of(call, kBackward)}};
}

// ---- Plans ----------------------------------------------------------------------------------------------------------------

AttentionSteps steps_of(const Call& call, size_t i) {
  AttentionSteps steps{};
  if (!call.has(i)) return steps;
  const Dims dims = to_dims(call.shape(i), std::string(call.name()));
  int64_t* const axes[] = {&steps.key, &steps.query, &steps.head, &steps.sample};  // the last axis first
  int64_t step = 1;
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    const int64_t length = dims[dims.size() - 1 - axis];
    *axes[axis] = length == 1 ? 0 : step;
    step *= length;
  }
  return steps;
}

AttentionShape shape_of(const Call& call, const Places& at) {
  const std::string where(call.name());
  const Dims query = to_dims(call.shape(at.query), where), key = to_dims(call.shape(at.key()), where);
  AttentionShape shape{};
  shape.B = query[0], shape.T = query[1], shape.NH = query[2], shape.HS = query[3];
  shape.S = key[1], shape.KV = key[2];
  shape.VS = to_dims(call.shape(at.value()), where)[3];
  shape.mask = steps_of(call, at.mask);
  shape.bias = steps_of(call, at.bias());
  shape.causal = call.attributes.flag("causal");
  shape.wide_lengths = call.has(at.lengths()) && call.dtype(at.lengths()) == DType::int64;
  shape.wide_positions = call.has(at.positions()) && call.dtype(at.positions()) == DType::int64;
  const double scale = call.attributes.real("scale");
  shape.scale = scale == 0 ? 1 / std::sqrt(static_cast<double>(shape.HS)) : scale;
  shape.rate = call.attributes.real("rate");
  shape.kept = 1 / (1 - shape.rate);
  shape.threshold = static_cast<uint32_t>(std::ceil(shape.rate * 0x1p24));  // u >= rate, as integers
  shape.stream = static_cast<uint64_t>(call.attributes.integer("stream"));
  shape.blocks = (shape.T + kAttentionBlock - 1) / kAttentionBlock;
  // As many as leave the second-level cache half free, where that leaves tasks enough.
  shape.group = std::clamp<int64_t>(512 / (shape.HS + shape.VS), 1, std::clamp<int64_t>(shape.blocks, 1, kAttentionGroup));
  shape.splits = 1;
  return shape;
}

// For so many blocks of 64 x 64 scores, of 64 numbers, of 64 rows of HS and of VS.
size_t scratch_bytes(const Call& call, const Places& at, const AttentionShape& shape, int64_t squares, int64_t columns,
                     int64_t of_size, int64_t of_value_size) {
  const bool masked = call.has(at.mask) || call.has(at.bias());
  squares += (masked || shape.rate > 0 ? 1 : 0) + (masked ? 1 : 0) + (shape.rate > 0 ? 1 : 0);
  const int64_t numbers =
      kAttentionBlock * (squares * kAttentionBlock + columns + of_size * shape.HS + of_value_size * shape.VS);
  return static_cast<size_t>(numbers) * item_size(call.dtype(at.query));
}

KernelPlan plan_forward(const Call& call, Isa isa) {
  AttentionShape shape = shape_of(call, kForward);
  shape.group = std::min(shape.group, std::max<int64_t>(1, shape.B * shape.NH * shape.blocks / 16));
  const int64_t tasks = shape.B * shape.NH * ((shape.blocks + shape.group - 1) / shape.group), rows = shape.group + 1;
  const KernelFn forward = attention_kernels(isa).forward[call.dtype(0) == DType::float64];
  return {{kernel_step(forward, tasks, shape, scratch_bytes(call, kForward, shape, 1, 2 * shape.group + 1, rows, rows))}};
}

KernelPlan plan_backward(const Call& call, Isa isa) {
  AttentionShape shape = shape_of(call, kBackward);
  const int64_t heads = shape.B * shape.KV;
  if (heads > 0 && heads < 8) {
    shape.splits = std::clamp<int64_t>(8 / heads, 1, std::max<int64_t>(1, (shape.S + kAttentionBlock - 1) / kAttentionBlock));
  }
  const bool is_double = call.dtype(0) == DType::float64;
  const AttentionKernels& kernels = attention_kernels(isa);
  KernelStep step =
      kernel_step(kernels.backward[is_double], heads * shape.splits, shape,
                  scratch_bytes(call, kBackward, shape, 2, 2 * shape.group, 3 * shape.group + 2, 2 * shape.group + 2));
  KernelPlan plan;
  if (shape.splits > 1) {
    const size_t parts = 3 + call.op->inputs.size();
    for (size_t i = 0; i < parts; ++i) step.operands.push_back(i == 0 ? parts : i);
    const int64_t elements = shape.B * shape.T * shape.NH * shape.HS;
    plan.workspaces = {static_cast<size_t>(shape.splits * elements) * item_size(call.dtype(0))};
    KernelStep add = kernel_step(kernels.add_parts[is_double], (elements + kAttentionChunk - 1) / kAttentionChunk, shape);
    add.operands = {0, parts};
    plan.steps = {std::move(step), std::move(add)};
  } else {
    plan.steps = {std::move(step)};
  }
  return plan;
}

KernelPlan plan_backward_bias(const Call& call, Isa isa) {
  const AttentionShape shape = shape_of(call, kBackward);
  const KernelFn kernel = attention_kernels(isa).backward_bias[call.dtype(0) == DType::float64];
  return {{kernel_step(kernel, shape.B * shape.NH * shape.blocks, shape, scratch_bytes(call, kBackward, shape, 2, 2, 5, 4))}};
}

// ---- Costs and errors -----------------------------------------------------------------------------------------------------

Cost cost(const Call& call, const Places& at, double by_size, double by_value_size) {
  const AttentionShape shape = shape_of(call, at);
  const auto T = static_cast<double>(shape.T), S = static_cast<double>(shape.S);
  double pairs = T * S;
  if (shape.causal && !call.has(at.positions())) {
    pairs = shape.T <= shape.S ? T * (S - (T - 1) / 2) : S * (S + 1) / 2;  // of a query and a key that it sees
  }
  Cost cost;
  cost.flops = 2 * static_cast<double>(shape.B * shape.NH) * pairs *
               (by_size * static_cast<double>(shape.HS) + by_value_size * static_cast<double>(shape.VS));
  const auto add = [&](const TensorType& type) {
    cost.bytes += static_cast<double>(count(to_dims(type.shape, "attention"))) * static_cast<double>(item_size(type.dtype));
  };
  for (const auto& input : call.inputs) {
    if (input) add(*input);
  }
  for (const TensorType& output : call.outputs) add(output);
  return cost;
}
Cost cost_forward(const Call& call) { return cost(call, kForward, 1, 1); }
Cost cost_backward(const Call& call) { return cost(call, kBackward, 3, 2); }
Cost cost_backward_bias(const Call& call) { return cost(call, kBackward, 1, 1); }

std::string explain(const Call& call, int64_t place, int64_t value) {
  const Extent &T = call.shape(0)[1], &S = call.shape(1)[1];
  if (place % 2 == 0) {
    return concat("attention: length ", value, " of sample ", place / 2, "; expected 0 to ", S,
                  ", the number of keys; correct `lengths`");
  }
  return concat(
      "attention: position ", value, " of sample ", place / 2, " for ", T, " queries and ", S,
      " keys; expected at least 0, and that the last query stands among the keys; pass more keys or correct `positions`");
}

}  // namespace

std::span<const Op> attention_ops() {
  static const std::vector<AttributeSpec> attributes = {
      {"causal", false}, {"scale", 0.0}, {"rate", 0.0}, {"stream", int64_t{0}}};
  static const std::vector<Op> ops = {
      {.name = "attention",
       .doc = "y = softmax(scale query key^T + bias) value for each head, and the logarithm of the softmax's sums",
       .inputs = {"query", "key", "value", "mask?", "bias?", "lengths?", "positions?", "random_state?"},
       .outputs = {"y", "lse"},
       .attributes = attributes,
       .infer = infer_forward,
       .variants = {{"blocks", nullptr, plan_forward}},
       .cost = cost_forward,
       .explain = explain,
       .random = true},
      {.name = "attention_backward",
       .doc = "the gradients of attention by query, key and value",
       .inputs = {"dy", "query", "key", "value", "y", "lse", "mask?", "bias?", "lengths?", "positions?", "random_state?"},
       .outputs = {"dquery", "dkey", "dvalue"},
       .attributes = attributes,
       .infer = infer_backward,
       .variants = {{"blocks", nullptr, plan_backward}},
       .cost = cost_backward,
       .random = true},
      {.name = "attention_backward_bias",
       .doc = "the gradient of attention by the scores, (batch, heads, queries, keys)",
       .inputs = {"dy", "query", "key", "value", "y", "lse", "mask?", "bias?", "lengths?", "positions?", "random_state?"},
       .outputs = {"dbias"},
       .attributes = attributes,
       .infer = infer_backward_bias,
       .variants = {{"blocks", nullptr, plan_backward_bias}},
       .cost = cost_backward_bias,
       .random = true},
  };
  return ops;
}

}  // namespace fastnn
