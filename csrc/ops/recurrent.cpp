#include "ops/recurrent.h"

#include <algorithm>

#include "base/divide.h"

namespace fastnn {

namespace {

// ---- Shape rules ----------------------------------------------------------------------------------------------------------

// What an op of a cell with G gates gets; `states` are h, and of lstm c.
struct Cell {
  int64_t gates, states, derivatives;
};
constexpr Cell kSimpleRnn{1, 1, 1}, kLstm{4, 2, 6}, kGru{3, 1, 5};

void expect_operand(const Call& call, size_t i, const Shape& shape) {
  if (!call.has(i)) return;
  call.expect_same_dtype(0, i);
  call.expect_shape(i, shape);
}

void expect_mask(const Call& call, size_t i, const Extent& B, const Extent& T) {
  if (!call.has(i)) return;
  if (call.dtype(i) != DType::boolean) {
    call.fail_type(concat(call.operand(i), " is ", dtype_name(call.dtype(i)),
                          "; expected bool, true where a step counts; compare it with something"));
  }
  call.expect_shape(i, {B, T});
}

// The shape of `derivatives`: those of all units for one factor after the other.
Shape derivatives_shape(const Cell& cell, const Extent& B, const Extent& T, const Extent& U) {
  return cell.derivatives == 1 ? Shape{B, T, U} : Shape{B, T, cell.derivatives, U};
}

// The batch of states: that of x. Where it is a symbol, a state may know its length: that of a model which keeps its states
// from call to call. It is a promise, which is checked when the symbol has a length.
Extent batch_of_states(const Call& call, size_t first, int64_t states, const Extent& B) {
  for (size_t i = first; i < first + static_cast<size_t>(states) && !B.is_int(); ++i) {
    if (call.has(i) && call.shape(i).size() == 2 && call.shape(i)[0].is_int()) return call.shape(i)[0];
  }
  return B;
}

// Operands: x, kernel, recurrent_kernel, bias, h0, of lstm c0, mask, recurrent_mask.
std::vector<TensorType> infer_forward(const Call& call, const Cell& cell, const Shape& bias) {
  call.expect_float(0);
  for (size_t i = 0; i < 3; ++i) {
    call.expect_same_dtype(0, i);
    call.expect_rank(i, i == 0 ? 3 : 2);
  }
  const Extent B = call.shape(0)[0], T = call.shape(0)[1], U = call.shape(2)[0];
  call.expect_shape(2, {U, cell.gates * U});
  call.expect_shape(1, {call.shape(0)[2], cell.gates * U});
  expect_operand(call, 3, bias);
  const auto mask = static_cast<size_t>(4 + cell.states);
  const Extent rows = batch_of_states(call, 4, cell.states, B);
  for (size_t i = 4; i < mask; ++i) expect_operand(call, i, {rows, U});
  expect_mask(call, mask, B, T);
  expect_operand(call, mask + 1, {B, U});

  const DType dtype = call.dtype(0);
  const TensorType sequence{dtype, {B, T, U}};
  std::vector<TensorType> results{sequence};
  for (int64_t i = 0; i < cell.states; ++i) results.push_back({dtype, {rows, U}});
  results.push_back(sequence);
  results.push_back({dtype, derivatives_shape(cell, B, T, U)});
  return results;
}

RecurrentActivation activation_of(const Call& call) {
  const std::string& name = call.attributes.text("activation");
  if (name == "tanh") return RecurrentActivation::tanh;
  if (name == "relu") return RecurrentActivation::relu;
  if (name == "linear") return RecurrentActivation::linear;
  call.fail_value(concat("activation='", name, "'; expected 'tanh', 'relu' or 'linear'; choose one of them"));
}

std::vector<TensorType> infer_simple_rnn(const Call& call) {
  activation_of(call);
  return infer_forward(call, kSimpleRnn, call.has(2) && !call.shape(2).empty() ? Shape{call.shape(2)[0]} : Shape{});
}
Shape gates_of(const Call& call, int64_t gates) {
  return call.has(2) && !call.shape(2).empty() ? Shape{gates * call.shape(2)[0]} : Shape{};
}
std::vector<TensorType> infer_lstm(const Call& call) { return infer_forward(call, kLstm, gates_of(call, 4)); }
std::vector<TensorType> infer_gru(const Call& call) {
  Shape bias = gates_of(call, 3);
  if (call.attributes.flag("reset_after")) bias.insert(bias.begin(), 2);
  std::vector<TensorType> results = infer_forward(call, kGru, bias);
  results.push_back(results[0]);
  return results;
}

// Operands: derivatives, recurrent_kernel, dy, dh, of lstm dc, mask, recurrent_mask.
std::vector<TensorType> infer_backward(const Call& call, const Cell& cell) {
  call.expect_float(0);
  call.expect_rank(0, cell.derivatives == 1 ? 3 : 4);
  call.expect_same_dtype(0, 1);
  call.expect_rank(1, 2);
  const Extent B = call.shape(0)[0], T = call.shape(0)[1], U = call.shape(1)[0];
  call.expect_shape(0, derivatives_shape(cell, B, T, U));
  call.expect_shape(1, {U, cell.gates * U});
  expect_operand(call, 2, {B, T, U});
  const auto mask = static_cast<size_t>(3 + cell.states);
  const Extent rows = batch_of_states(call, 3, cell.states, B);
  for (size_t i = 3; i < mask; ++i) expect_operand(call, i, {rows, U});
  expect_mask(call, mask, B, T);
  expect_operand(call, mask + 1, {B, U});

  const DType dtype = call.dtype(0);
  std::vector<TensorType> results{{dtype, {B, T, cell.gates * U}}};
  for (int64_t i = 0; i < cell.states; ++i) results.push_back({dtype, {rows, U}});
  return results;
}
std::vector<TensorType> infer_simple_rnn_backward(const Call& call) { return infer_backward(call, kSimpleRnn); }
std::vector<TensorType> infer_lstm_backward(const Call& call) { return infer_backward(call, kLstm); }
std::vector<TensorType> infer_gru_backward(const Call& call) {
  std::vector<TensorType> results = infer_backward(call, kGru);
  results.insert(results.begin() + 1, results[0]);
  return results;
}

// ---- Plans ----------------------------------------------------------------------------------------------------------------

// An odd number of cache lines: otherwise rows of 4 KiB would all lie in the same few places of the first-level cache.
int64_t odd_lines(int64_t elements, int64_t item) { return (divide_up(elements * item, 64) | 1) * 64 / item; }

constexpr int64_t kRows = 16;              // a task's at least, where there are more than two tasks
constexpr int64_t kBlocks = 8;             // of units, where tasks divide those
constexpr int64_t kManyBytes = 640 << 10;  // of weights, and
constexpr int64_t kFewRows = 16;           // for which tasks divide the units

// Do tasks divide the rows? Not where the weights are more than stay in a second-level cache from step to step, and the rows so
// few that reading them is what the steps wait for.
bool divides_rows(const Call& call, const Dims& sequence, int64_t weights) {
  const int64_t B = sequence[0], T = sequence[1];
  return B == 0 || B > kFewRows || T == 0 || weights * static_cast<int64_t>(item_size(call.dtype(0))) < kManyBytes;
}
bool divides_rows_forward(const Call& call, Isa) {
  const Dims x = to_dims(call.shape(0), "recurrent"), recurrent = to_dims(call.shape(2), "recurrent");
  return divides_rows(call, x, (x[2] + recurrent[0]) * recurrent[1]);
}
bool divides_rows_backward(const Call& call, Isa) {
  const Dims recurrent = to_dims(call.shape(1), "recurrent");
  return divides_rows(call, to_dims(call.shape(0), "recurrent"), recurrent[0] * recurrent[1]);
}
// A step of gru without reset_after is two products, one after the other: the second needs what the first makes of all units.
template <bool (*divides)(const Call&, Isa)>
bool divides_rows_of_gru(const Call& call, Isa isa) {
  return !call.attributes.flag("reset_after") || divides(call, isa);
}
bool divides_units_of_gru(const Call& call, Isa) { return call.attributes.flag("reset_after"); }

int64_t lanes_of(const Call& call, Isa isa) { return recurrent_kernels(isa).lanes[call.dtype(0) == DType::float64]; }

RecurrentShape shape_of(const Call& call, const Cell& cell, Isa isa, const Dims& steps, int64_t C, bool by_units) {
  const int64_t lanes = lanes_of(call, isa), item = static_cast<int64_t>(item_size(call.dtype(0)));
  RecurrentShape shape{};
  shape.B = steps[0], shape.T = steps[1], shape.C = C, shape.U = steps.back(), shape.gates = cell.gates;
  shape.units = divide_up(shape.U, lanes) * lanes;
  shape.by_units = by_units;
  if (by_units) {
    const int64_t whole = std::max(4 * lanes, 64 / item);  // tiles, and lines of a cache
    shape.block = std::max<int64_t>(divide_up(shape.U, kBlocks * whole), 1) * whole;
    shape.tasks = divide_up(shape.U, shape.block), shape.rows = shape.B;
  } else {
    shape.tasks = std::min<int64_t>(shape.B, 2);
    while (shape.tasks * 2 * kRows <= shape.B) shape.tasks *= 2;
    shape.block = shape.units, shape.rows = shape.tasks == 0 ? 0 : divide_up(shape.B, shape.tasks);
  }
  shape.a_row = odd_lines((shape.T == 0 ? 0 : C) + shape.units, item);
  shape.gate_row = odd_lines(cell.gates * shape.U, item);
  shape.reverse = call.attributes.flag("reverse");
  return shape;
}

using Kernels = const KernelFn (&)[2];

// In elements: the place where a round leaves something to the next, one of two where tasks divide the units; what else
// outlives a round; and what does not.
struct Memory {
  int64_t place, others, round;
};

// The weights packed in `packs` tasks, then all steps.
KernelPlan plan_steps(const Call& call, const RecurrentShape& shape, Kernels pack, int64_t packs, int64_t packed, Kernels run,
                      Memory memory, std::vector<size_t> weights) {
  if (shape.B == 0 || shape.U == 0) return {};
  const bool is_double = call.dtype(0) == DType::float64;
  const auto bytes = [&](int64_t elements) { return static_cast<size_t>(elements) * item_size(call.dtype(0)); };
  KernelPlan plan;
  plan.workspaces = {bytes(packed), shape.by_units ? bytes(2 * memory.place + memory.others) : 0};
  plan.steps.push_back(kernel_step(pack[is_double], shape.T == 0 ? 0 : packs, shape));
  plan.steps.back().operands = {call.op->outputs.size() + call.op->inputs.size()};
  for (size_t operand : weights) plan.steps.back().operands.push_back(call.op->outputs.size() + operand);
  plan.steps.back().prepares = true;
  plan.steps.push_back(kernel_step(run[is_double], shape.tasks, shape,
                                   bytes(memory.round + (shape.by_units ? 0 : memory.place + memory.others))));
  if (shape.by_units) plan.steps.back().rounds = shape.rounds;
  return plan;
}

RecurrentShape forward_shape(const Call& call, const Cell& cell, Isa isa, bool by_units) {
  const Dims x = to_dims(call.shape(0), std::string(call.name()));
  RecurrentShape shape = shape_of(call, cell, isa, {x[0], x[1], call.shape(2)[0].factor()}, x[2], by_units);
  shape.rounds = shape.T + 1;
  return shape;
}

template <bool by_units>
KernelPlan plan_simple_rnn(const Call& call, Isa isa) {
  RecurrentShape shape = forward_shape(call, kSimpleRnn, isa, by_units);
  shape.activation = activation_of(call);
  const RecurrentKernels& kernels = recurrent_kernels(isa);
  const int64_t width = 4 * lanes_of(call, isa), tiles = divide_up(shape.U, width);
  const Memory memory{shape.rows * shape.a_row, (shape.rows + 1) * shape.units, shape.rows * width};
  return plan_steps(call, shape, kernels.pack_simple_rnn, tiles, tiles * width * (shape.C + shape.U), kernels.simple_rnn,
                    memory, {1, 2});
}

template <bool by_units>
KernelPlan plan_lstm(const Call& call, Isa isa) {
  const RecurrentShape shape = forward_shape(call, kLstm, isa, by_units);
  const RecurrentKernels& kernels = recurrent_kernels(isa);
  const int64_t lanes = lanes_of(call, isa);
  const Memory memory{shape.rows * shape.a_row, (2 * shape.rows + 4) * shape.units, shape.rows * 4 * lanes};
  return plan_steps(call, shape, kernels.pack_lstm, shape.units / lanes, 4 * shape.units * (shape.C + shape.U), kernels.lstm,
                    memory, {1, 2});
}

template <bool by_units>
KernelPlan plan_gru(const Call& call, Isa isa) {
  RecurrentShape shape = forward_shape(call, kGru, isa, by_units);
  shape.reset_after = call.attributes.flag("reset_after");
  const RecurrentKernels& kernels = recurrent_kernels(isa);
  const int64_t lanes = lanes_of(call, isa);
  const int64_t of_reset = shape.reset_after ? 0 : shape.rows * (shape.a_row + shape.units);
  const Memory memory{shape.rows * shape.a_row, (shape.rows + 4) * shape.units + of_reset, shape.rows * 4 * lanes};
  return plan_steps(call, shape, kernels.pack_gru, shape.units / lanes, 3 * shape.units * (shape.C + shape.U), kernels.gru,
                    memory, {1, 2});
}

KernelPlan plan_backward(const Call& call, Isa isa, const Cell& cell, Kernels run, bool by_units, bool reset_after = false) {
  const Dims derivatives = to_dims(call.shape(0), std::string(call.name()));
  RecurrentShape shape = shape_of(call, cell, isa, derivatives, 0, by_units);
  shape.rounds = shape.T + 2;  // the last for the gradients of the initial states
  shape.reset_after = reset_after;
  const int64_t width = 4 * lanes_of(call, isa), tiles = divide_up(shape.U, width);
  // The last entry is the first step of a row, an integer.
  const Memory memory{shape.rows * shape.gate_row, shape.rows * ((1 + cell.states) * shape.units + 2), 0};
  return plan_steps(call, shape, recurrent_kernels(isa).pack_backward, tiles, tiles * width * cell.gates * shape.U, run, memory,
                    {1});
}
template <bool by_units>
KernelPlan plan_simple_rnn_backward(const Call& call, Isa isa) {
  return plan_backward(call, isa, kSimpleRnn, recurrent_kernels(isa).simple_rnn_backward, by_units);
}
template <bool by_units>
KernelPlan plan_lstm_backward(const Call& call, Isa isa) {
  return plan_backward(call, isa, kLstm, recurrent_kernels(isa).lstm_backward, by_units);
}
template <bool by_units>
KernelPlan plan_gru_backward(const Call& call, Isa isa) {
  return plan_backward(call, isa, kGru, recurrent_kernels(isa).gru_backward, by_units, call.attributes.flag("reset_after"));
}

// ---- Costs ----------------------------------------------------------------------------------------------------------------

double elements(const Shape& shape) { return static_cast<double>(count(to_dims(shape, "cost"))); }

Cost cost_of_steps(const Call& call, double products) {
  double bytes = 0;
  for (const auto& input : call.inputs) {
    if (input) bytes += elements(input->shape) * static_cast<double>(item_size(input->dtype));
  }
  for (const TensorType& output : call.outputs) bytes += elements(output.shape) * static_cast<double>(item_size(output.dtype));
  return {2 * products, bytes};
}
Cost cost_forward(const Call& call) {
  const double steps = elements(call.shape(0)) / std::max(1.0, elements({call.shape(0)[2]}));
  return cost_of_steps(call, steps * (elements(call.shape(1)) + elements(call.shape(2))));
}
Cost cost_backward(const Call& call) {
  const Shape steps{call.shape(0)[0], call.shape(0)[1]};
  return cost_of_steps(call, elements(steps) * elements(call.shape(1)));
}

}  // namespace

std::span<const Op> recurrent_ops() {
  const AttributeSpec reverse{"reverse", false}, reset_after{"reset_after", true};
  static const std::vector<Op> ops = {
      {.name = "simple_rnn",
       .doc = "y[t] = activation(x[t] kernel + y[t - 1] recurrent_kernel + bias), and the last y",
       .inputs = {"x", "kernel", "recurrent_kernel", "bias?", "h0?", "mask?", "recurrent_mask?"},
       .outputs = {"y?", "h", "previous?", "derivatives?"},
       .attributes = {{"activation", std::string("tanh")}, reverse},
       .infer = infer_simple_rnn,
       .variants = {{"rows", divides_rows_forward, plan_simple_rnn<false>}, {"units", nullptr, plan_simple_rnn<true>}},
       .cost = cost_forward},
      {.name = "lstm",
       .doc = "long short-term memory over the steps of x: the outputs, and the last output and cell state",
       .inputs = {"x", "kernel", "recurrent_kernel", "bias?", "h0?", "c0?", "mask?", "recurrent_mask?"},
       .outputs = {"y?", "h", "c", "previous?", "derivatives?"},
       .attributes = {reverse},
       .infer = infer_lstm,
       .variants = {{"rows", divides_rows_forward, plan_lstm<false>}, {"units", nullptr, plan_lstm<true>}},
       .cost = cost_forward},
      {.name = "gru",
       .doc = "gated recurrent units over the steps of x: the outputs, and the last one",
       .inputs = {"x", "kernel", "recurrent_kernel", "bias?", "h0?", "mask?", "recurrent_mask?"},
       .outputs = {"y?", "h", "previous?", "derivatives?", "reset?"},
       .attributes = {reset_after, reverse},
       .infer = infer_gru,
       .variants = {{"rows", divides_rows_of_gru<divides_rows_forward>, plan_gru<false>},
                    {"units", divides_units_of_gru, plan_gru<true>}},
       .cost = cost_forward},
      {.name = "simple_rnn_backward",
       .doc = "dz, the gradients of simple_rnn's sums, and that of its initial state",
       .inputs = {"derivatives", "recurrent_kernel", "dy?", "dh?", "mask?", "recurrent_mask?"},
       .outputs = {"dz", "dh0?"},
       .attributes = {reverse},
       .infer = infer_simple_rnn_backward,
       .variants = {{"rows", divides_rows_backward, plan_simple_rnn_backward<false>},
                    {"units", nullptr, plan_simple_rnn_backward<true>}},
       .cost = cost_backward},
      {.name = "lstm_backward",
       .doc = "dz, the gradients of lstm's sums i f c o, and those of its initial states",
       .inputs = {"derivatives", "recurrent_kernel", "dy?", "dh?", "dc?", "mask?", "recurrent_mask?"},
       .outputs = {"dz", "dh0?", "dc0?"},
       .attributes = {reverse},
       .infer = infer_lstm_backward,
       .variants = {{"rows", divides_rows_backward, plan_lstm_backward<false>}, {"units", nullptr, plan_lstm_backward<true>}},
       .cost = cost_backward},
      {.name = "gru_backward",
       .doc = "dz, the gradients of gru's sums z r h, drecurrent, of the sums with recurrent_kernel, and that of its initial "
              "state",
       .inputs = {"derivatives", "recurrent_kernel", "dy?", "dh?", "mask?", "recurrent_mask?"},
       .outputs = {"dz", "drecurrent?", "dh0?"},
       .attributes = {reset_after, reverse},
       .infer = infer_gru_backward,
       .variants = {{"rows", divides_rows_of_gru<divides_rows_backward>, plan_gru_backward<false>},
                    {"units", divides_units_of_gru, plan_gru_backward<true>}},
       .cost = cost_backward},
  };
  return ops;
}

}  // namespace fastnn
