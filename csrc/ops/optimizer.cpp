#include "ops/optimizer.h"

#include <algorithm>

#include "base/divide.h"

namespace fastnn {

namespace {

// How a call's operands and results lie: `head` of each before the parameters.
struct Layout {
  size_t inputs, outputs;
  size_t parameters;  // n
  size_t parameter(size_t k) const { return inputs + k; }
  size_t gradient(size_t k) const { return inputs + parameters + k; }
  size_t pair(size_t i) const { return inputs + 2 * (parameters + i); }  // x of product i; dy follows it
};

bool has_momentum(const Call& call) { return call.attributes.real("momentum") != 0; }

Layout layout_of(const Call& call, size_t inputs, size_t outputs) {
  const size_t tail = call.inputs.size() > inputs ? call.inputs.size() - inputs : 0;
  const size_t products = call.attributes.dims("products").size();
  return {inputs, outputs, tail / 2 > products ? tail / 2 - products : 0};
}
Layout sgd_layout(const Call& call) { return layout_of(call, 2, has_momentum(call)); }
Layout adam_layout(const Call& call) { return layout_of(call, 5, call.attributes.flag("amsgrad") ? 3 : 2); }
Layout rmsprop_layout(const Call& call) {
  return layout_of(call, 4, size_t{1} + call.attributes.flag("centered") + has_momentum(call));
}
Layout one_state_layout(const Call& call) { return layout_of(call, 2, 1); }  // adagrad, lion

void expect_scalar(const Call& call, size_t i) {
  if (call.shape(i).empty()) return;
  call.fail_value(concat(call.operand(i), " has shape ", call.shape(i), "; expected a single number, (); reshape it"));
}

void expect_state(const Call& call, size_t i, DType dtype, int64_t total) {
  if (call.dtype(i) != dtype) {
    call.fail_type(concat(call.operand(i), " is ", dtype_name(call.dtype(i)), "; expected ", dtype_name(dtype),
                          " as the parameters; cast it first"));
  }
  if (call.shape(i) != Shape{total}) {
    call.fail_value(concat(call.operand(i), " has shape ", call.shape(i), "; expected (", total,
                           ",), one element per element of all parameters; make it anew for these parameters"));
  }
}

// Checks that the pairs x, dy make gradients of the parameters that `products` names.
void expect_products(const Call& call, const Layout& at) {
  const Dims& products = call.attributes.dims("products");
  for (size_t i = 0; i < products.size(); ++i) {
    const auto k = static_cast<size_t>(products[i]);
    if (products[i] < 0 || k >= at.parameters || (i > 0 && products[i] <= products[i - 1])) {
      call.fail_value(concat("products=", products, "; expected some of the parameters 0 to ", at.parameters - 1,
                             ", in order; pass each once"));
    }
    for (const size_t operand : {at.pair(i), at.pair(i) + 1}) {
      if (!call.has(operand)) {
        call.fail_value(concat("an operand of the product for parameter ", k, " is missing; expected x and dy; pass both"));
      }
      call.expect_same_dtype(at.parameter(k), operand);
    }
    const Shape &p = call.shape(at.parameter(k)), &x = call.shape(at.pair(i)), &dy = call.shape(at.pair(i) + 1);
    if (p.size() != 2 || x.empty() || x.size() != dy.size() || !std::equal(x.begin(), x.end() - 1, dy.begin()) ||
        Shape{x.back(), dy.back()} != p) {
      call.fail_value(
          concat("the product for parameter ", k, " is of ", x, " and ", dy, " and the parameter has shape ", p,
                 "; expected (..., C), (..., U) and (C, U); pass what its layer got and the gradient of its output"));
    }
  }
}

// Checks learning rate, parameters and gradients; the number of elements of all parameters.
int64_t expect_parameters(const Call& call, const Layout& at) {
  const size_t n = at.parameters, tail = call.inputs.size() > at.inputs ? call.inputs.size() - at.inputs : 0;
  if (n == 0 || tail % 2 != 0) {
    call.fail_value(concat(tail, " arrays after the first ", at.inputs,
                           " operands; expected n parameters and then their n "
                           "gradients, and for each product a pair; pass one gradient per parameter"));
  }
  const Dims& products = call.attributes.dims("products");
  for (size_t k = 0; k < n; ++k) {
    const bool product = std::ranges::count(products, static_cast<int64_t>(k)) > 0;
    if (call.has(at.parameter(k)) && call.has(at.gradient(k)) != product) continue;
    if (call.has(at.gradient(k)) && product) {
      call.fail_value(concat("the gradient of parameter ", k, " was given and is a product; expected one of them; leave out ",
                             k, " of products"));
    }
    call.fail_value(concat(call.has(at.parameter(k)) ? "the gradient of parameter " : "parameter ", k,
                           " is missing; expected an array; leave out parameters that are not trained"));
  }
  call.expect_float(at.parameter(0));
  const DType dtype = call.dtype(at.parameter(0));
  expect_products(call, at);
  expect_scalar(call, 0);
  if (call.dtype(0) != dtype) {
    call.fail_type(concat("`learning_rate` is ", dtype_name(call.dtype(0)), " and parameter 0 is ", dtype_name(dtype),
                          "; expected the same dtype; cast the learning rate"));
  }
  int64_t total = 0;
  for (size_t k = 0; k < n; ++k) {
    const TensorType& p = call.input(at.parameter(k));
    if (p.dtype != dtype) {
      call.fail_type(concat("parameter ", k, " is ", dtype_name(p.dtype), " and parameter 0 is ", dtype_name(dtype),
                            "; expected one dtype; update the others in a call of their own"));
    }
    total += count(to_dims(p.shape, std::string(call.name())));
    if (!call.has(at.gradient(k))) continue;
    const TensorType& g = call.input(at.gradient(k));
    if (g.dtype != dtype) {
      call.fail_type(concat("the gradient of parameter ", k, " is ", dtype_name(g.dtype), "; expected ", dtype_name(dtype),
                            " as the parameter; cast it first"));
    }
    if (g.shape != p.shape) {
      call.fail_value(concat("the gradient of parameter ", k, " has shape ", g.shape, "; expected ", p.shape,
                             " as the parameter; pass gradients in the order of the parameters"));
    }
  }
  const auto& decay = call.attributes.get<std::vector<double>>("weight_decay");
  if (!decay.empty() && decay.size() != n) {
    call.fail_value(concat("weight_decay has ", decay.size(), " numbers for ", n,
                           " parameters; expected one each, or none at all; pass 0 for parameters that do not decay"));
  }
  for (const double value : decay) {
    if (value >= 0 && value < 1e30) continue;
    call.fail_value(concat("weight_decay=", value, "; expected 0 or more; pass for example 0.004"));
  }
  return total;
}

// Part `i` of the state is there exactly when its option is.
void expect_optional_state(const Call& call, size_t i, std::string_view option, bool on, int64_t total) {
  if (call.has(i) != on) {
    call.fail_value(concat(call.operand(i), on ? " is missing with " : " was given without ", option,
                           "; expected one exactly when that is on; ", on ? "pass" : "drop", " it"));
  }
  if (on) expect_state(call, i, call.dtype(0), total);
}

void expect_epsilon(const Call& call) {
  if (const double epsilon = call.attributes.real("epsilon"); !(epsilon >= 0)) {
    call.fail_value(concat("epsilon=", epsilon, "; expected 0 or more; pass a small number such as 1e-7"));
  }
}

void expect_fraction(const Call& call, std::string_view name) {
  const double value = call.attributes.real(name);
  if (value >= 0 && value < 1) return;
  call.fail_value(concat(name, "=", value, "; expected 0 <= ", name, " < 1; pass for example 0.9"));
}

// The parts of the state that are there, from operand `state` on, and the parameters.
std::vector<TensorType> updated(const Call& call, const Layout& at, size_t state) {
  std::vector<TensorType> types;
  for (size_t i = state; i < at.inputs; ++i) {
    if (call.has(i)) types.push_back(call.input(i));
  }
  for (size_t k = 0; k < at.parameters; ++k) types.push_back(call.input(at.parameter(k)));
  return types;
}

std::vector<InPlace> replaced(const Call& call, const Layout& at, size_t state) {
  std::vector<InPlace> pairs;
  for (size_t i = state; i < at.inputs; ++i) {
    if (call.has(i)) pairs.push_back({pairs.size(), i});
  }
  for (size_t k = 0; k < at.parameters; ++k) pairs.push_back({at.outputs + k, at.parameter(k)});
  return pairs;
}

int64_t elements(const Call& call, size_t operand) { return count(to_dims(call.shape(operand), std::string(call.name()))); }

UpdateShape shape_of(const Call& call, const Layout& at) {
  const size_t n = at.parameters;
  auto places = std::make_shared<int64_t[]>(n + (n + 1));
  int64_t* const offsets = places.get() + n;
  int64_t place = 0;
  for (size_t k = 0; k < n; ++k) {
    const int64_t size = elements(call, at.parameter(k));
    places[k] = place;
    place += size;
    offsets[k + 1] = offsets[k] + (call.has(at.gradient(k)) ? size : 0);
  }
  UpdateShape shape;
  shape.parameters = static_cast<int64_t>(n);
  shape.places = places.get();
  shape.offsets = offsets;
  shape.owner = std::move(places);
  const auto& weight_decay = call.attributes.get<std::vector<double>>("weight_decay");
  shape.decay = nullptr;
  if (!weight_decay.empty()) {
    auto decay = std::make_shared<double[]>(n);
    std::ranges::copy(weight_decay, decay.get());
    shape.decay = decay.get();
    shape.decay_owner = std::move(decay);
  }
  return shape;
}

// For each product its operands packed, then the rows of its parameter; then the elements of all other parameters.
KernelPlan plan_update(const Call& call, Isa isa, const Layout& at, const UpdateKernels& kernels, const UpdateShape& shape) {
  const DType dtype = call.dtype(at.parameter(0));
  const bool is_double = dtype == DType::float64;
  const size_t results = at.outputs + at.parameters, buffers = results + std::max(call.inputs.size(), call.op->inputs.size());
  KernelPlan plan;
  const Dims& products = call.attributes.dims("products");
  for (size_t i = 0; i < products.size(); ++i) {
    const Shape& parameter = call.shape(at.parameter(static_cast<size_t>(products[i])));
    const int64_t C = parameter[0].factor(), U = parameter[1].factor();
    if (C * U == 0) continue;
    const size_t workspace = buffers + plan.workspaces.size();
    PackedGemm packed = pack_gemm(isa, dtype, C, U, elements(call, at.pair(i)) / C,
                                  {.transpose_a = true, .tile_rows = kernels.tile_rows, .skips_zeros = true});
    packed.pack.operands = {workspace, results + at.pair(i), results + at.pair(i) + 1};
    plan.workspaces.push_back(packed.workspace_bytes);
    plan.steps.push_back(std::move(packed.pack));
    const int64_t tile_rows = packed.shape.height, tiles = divide_up(C, tile_rows);
    // The first and the last tile of a task stand beside nothing.
    const int64_t least = kernels.beside_products ? divide_up(tiles, 24) : 1;
    packed.shape.tile_block = std::clamp<int64_t>(kUpdateChunk / (tile_rows * U), least, divide_up(tiles, 16));
    const int64_t gradient = tile_rows * (kernels.beside_products ? 2 : divide_up(U, kPackedColumns)) * kPackedColumns;
    plan.steps.push_back(kernel_step(kernels.product[is_double], divide_up(tiles, packed.shape.tile_block),
                                     ProductUpdateShape{shape, packed.shape, products[i], static_cast<int64_t>(workspace)},
                                     static_cast<size_t>(gradient) * item_size(dtype)));
  }
  const int64_t total = shape.offsets[shape.parameters];
  plan.steps.push_back(kernel_step(kernels.flat[is_double], divide_up(total, kUpdateChunk), shape));
  return plan;
}

Cost cost_update(const Call& call, const Layout& at, double flops, double moved) {
  double total = 0, products = 0, saved = 0;
  for (size_t k = 0; k < at.parameters; ++k) total += static_cast<double>(elements(call, at.parameter(k)));
  const Dims& names = call.attributes.dims("products");
  for (size_t i = 0; i < names.size(); ++i) {
    const size_t parameter = at.parameter(static_cast<size_t>(names[i])), x = at.pair(i);
    const auto size = static_cast<double>(elements(call, parameter)),
               C = static_cast<double>(call.shape(parameter)[0].factor());
    const auto of_x = static_cast<double>(elements(call, x)), of_dy = static_cast<double>(elements(call, x + 1));
    if (C > 0) products += 2 * size * of_x / C;
    saved += size - of_x - of_dy;
  }
  return {flops * total + products, (moved * total - saved) * static_cast<double>(item_size(call.dtype(at.parameter(0))))};
}

// ---- sgd ------------------------------------------------------------------------------------------------------------------

std::vector<TensorType> infer_sgd_update(const Call& call) {
  const Layout at = sgd_layout(call);
  const int64_t total = expect_parameters(call, at);
  expect_fraction(call, "momentum");
  if (call.has(1) != has_momentum(call)) {
    call.fail_value(concat("momentum=", call.attributes.real("momentum"), call.has(1) ? " with" : " without",
                           " a `velocity`; expected one exactly when momentum is not 0; ", call.has(1) ? "drop" : "pass",
                           " it"));
  }
  if (call.has(1)) expect_state(call, 1, call.dtype(0), total);
  return updated(call, at, 1);
}

KernelPlan plan_sgd_update(const Call& call, Isa isa) {
  const Layout at = sgd_layout(call);
  UpdateShape shape = shape_of(call, at);
  shape.momentum = call.attributes.real("momentum");
  const OptimizerKernels& kernels = optimizer_kernels(isa);
  const UpdateKernels& run = !has_momentum(call)                ? kernels.sgd
                             : call.attributes.flag("nesterov") ? kernels.sgd_nesterov
                                                                : kernels.sgd_momentum;
  return plan_update(call, isa, at, run, shape);
}

Cost cost_sgd_update(const Call& call) {
  const bool momentum = has_momentum(call), nesterov = momentum && call.attributes.flag("nesterov");
  return cost_update(call, sgd_layout(call), nesterov ? 5 : momentum ? 4 : 2, momentum ? 5 : 3);
}

// ---- adam -----------------------------------------------------------------------------------------------------------------

std::vector<TensorType> infer_adam_update(const Call& call) {
  const Layout at = adam_layout(call);
  const int64_t total = expect_parameters(call, at);
  expect_scalar(call, 1);
  if (call.dtype(1) != DType::int64) {
    call.fail_type(
        concat("`step` is ", dtype_name(call.dtype(1)), "; expected int64, the number of this update; cast it first"));
  }
  expect_state(call, 2, call.dtype(0), total);
  expect_state(call, 3, call.dtype(0), total);
  expect_optional_state(call, 4, "amsgrad", call.attributes.flag("amsgrad"), total);
  expect_fraction(call, "beta_1");
  expect_fraction(call, "beta_2");
  expect_epsilon(call);
  return updated(call, at, 2);
}

KernelPlan plan_adam_update(const Call& call, Isa isa) {
  const Layout at = adam_layout(call);
  UpdateShape shape = shape_of(call, at);
  shape.beta_1 = call.attributes.real("beta_1");
  shape.beta_2 = call.attributes.real("beta_2");
  shape.epsilon = call.attributes.real("epsilon");
  const OptimizerKernels& kernels = optimizer_kernels(isa);
  return plan_update(call, isa, at, call.attributes.flag("amsgrad") ? kernels.adam_amsgrad : kernels.adam, shape);
}

Cost cost_adam_update(const Call& call) {
  const bool amsgrad = call.attributes.flag("amsgrad");
  return cost_update(call, adam_layout(call), amsgrad ? 13 : 12, amsgrad ? 9 : 7);
}

// ---- rmsprop, adagrad, lion -----------------------------------------------------------------------------------------------

std::vector<TensorType> infer_rmsprop_update(const Call& call) {
  const Layout at = rmsprop_layout(call);
  const int64_t total = expect_parameters(call, at);
  expect_state(call, 1, call.dtype(0), total);
  expect_optional_state(call, 2, "centered", call.attributes.flag("centered"), total);
  expect_optional_state(call, 3, "momentum", has_momentum(call), total);
  expect_fraction(call, "rho");
  expect_fraction(call, "momentum");
  expect_epsilon(call);
  return updated(call, at, 1);
}

KernelPlan plan_rmsprop_update(const Call& call, Isa isa) {
  const Layout at = rmsprop_layout(call);
  UpdateShape shape = shape_of(call, at);
  shape.rho = call.attributes.real("rho");
  shape.momentum = call.attributes.real("momentum");
  shape.epsilon = call.attributes.real("epsilon");
  const auto& kernels = optimizer_kernels(isa).rmsprop[call.attributes.flag("centered")][has_momentum(call)];
  return plan_update(call, isa, at, kernels, shape);
}

Cost cost_rmsprop_update(const Call& call) {
  const int options = call.attributes.flag("centered") + has_momentum(call);
  return cost_update(call, rmsprop_layout(call), 8 + 3 * options, 5 + 2 * options);
}

std::vector<TensorType> infer_adagrad_update(const Call& call) {
  const Layout at = one_state_layout(call);
  expect_state(call, 1, call.dtype(0), expect_parameters(call, at));
  expect_epsilon(call);
  return updated(call, at, 1);
}

KernelPlan plan_adagrad_update(const Call& call, Isa isa) {
  const Layout at = one_state_layout(call);
  UpdateShape shape = shape_of(call, at);
  shape.epsilon = call.attributes.real("epsilon");
  return plan_update(call, isa, at, optimizer_kernels(isa).adagrad, shape);
}

std::vector<TensorType> infer_lion_update(const Call& call) {
  const Layout at = one_state_layout(call);
  expect_state(call, 1, call.dtype(0), expect_parameters(call, at));
  expect_fraction(call, "beta_1");
  expect_fraction(call, "beta_2");
  return updated(call, at, 1);
}

KernelPlan plan_lion_update(const Call& call, Isa isa) {
  const Layout at = one_state_layout(call);
  UpdateShape shape = shape_of(call, at);
  shape.beta_1 = call.attributes.real("beta_1");
  shape.beta_2 = call.attributes.real("beta_2");
  return plan_update(call, isa, at, optimizer_kernels(isa).lion, shape);
}

}  // namespace

bool pays_to_update_with_product(int64_t rows, int64_t C, int64_t U) {
  return rows <= 128 && rows * std::max(C, U) <= 128 * 1024 && C * U >= 2 * kUpdateChunk && U <= kUpdateChunk;
}

std::span<const Op> optimizer_ops() {
  const AttributeSpec weight_decay{"weight_decay", std::vector<double>{}}, products{"products", Dims{}};
  static const std::vector<Op> ops = {
      {.name = "sgd_update",
       .doc = "gradient descent, with momentum where momentum is not 0: parameters, then their gradients",
       .inputs = {"learning_rate", "velocity?", "parameters..."},
       .outputs = {"velocity", "parameters..."},
       .attributes = {{"momentum", 0.0}, {"nesterov", false}, weight_decay, products},
       .infer = infer_sgd_update,
       .variants = {{"flat", nullptr, plan_sgd_update}},
       .cost = cost_sgd_update,
       .in_place_of = [](const Call& call) { return replaced(call, sgd_layout(call), 1); }},
      {.name = "adam_update",
       .doc = "Adam: parameters, then their gradients; m, v and with amsgrad v_max are flat over all parameters",
       .inputs = {"learning_rate", "step", "m", "v", "v_max?", "parameters..."},
       .outputs = {"m", "v", "v_max", "parameters..."},
       .attributes = {{"beta_1", 0.9}, {"beta_2", 0.999}, {"epsilon", 1e-7}, {"amsgrad", false}, weight_decay, products},
       .infer = infer_adam_update,
       .variants = {{"flat", nullptr, plan_adam_update}},
       .cost = cost_adam_update,
       .in_place_of = [](const Call& call) { return replaced(call, adam_layout(call), 2); }},
      {.name = "rmsprop_update",
       .doc = "RMSprop: parameters, then their gradients; v, m if centered, velocity with momentum are flat",
       .inputs = {"learning_rate", "v", "m?", "velocity?", "parameters..."},
       .outputs = {"v", "m", "velocity", "parameters..."},
       .attributes = {{"rho", 0.9}, {"momentum", 0.0}, {"epsilon", 1e-7}, {"centered", false}, weight_decay, products},
       .infer = infer_rmsprop_update,
       .variants = {{"flat", nullptr, plan_rmsprop_update}},
       .cost = cost_rmsprop_update,
       .in_place_of = [](const Call& call) { return replaced(call, rmsprop_layout(call), 1); }},
      {.name = "adagrad_update",
       .doc = "Adagrad: parameters, then their gradients; the accumulator is flat over all parameters",
       .inputs = {"learning_rate", "accumulator", "parameters..."},
       .outputs = {"accumulator", "parameters..."},
       .attributes = {{"epsilon", 1e-7}, weight_decay, products},
       .infer = infer_adagrad_update,
       .variants = {{"flat", nullptr, plan_adagrad_update}},
       .cost = [](const Call& call) { return cost_update(call, one_state_layout(call), 6, 5); },
       .in_place_of = [](const Call& call) { return replaced(call, one_state_layout(call), 1); }},
      {.name = "lion_update",
       .doc = "Lion: parameters, then their gradients; m is flat over all parameters",
       .inputs = {"learning_rate", "m", "parameters..."},
       .outputs = {"m", "parameters..."},
       .attributes = {{"beta_1", 0.9}, {"beta_2", 0.99}, weight_decay, products},
       .infer = infer_lion_update,
       .variants = {{"flat", nullptr, plan_lion_update}},
       .cost = [](const Call& call) { return cost_update(call, one_state_layout(call), 7, 5); },
       .in_place_of = [](const Call& call) { return replaced(call, one_state_layout(call), 1); }},
  };
  return ops;
}

}  // namespace fastnn
