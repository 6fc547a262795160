#include "ops/conv2d_block.h"

#include <limits>

#include "base/divide.h"
#include "ops/winograd.h"

namespace fastnn {

namespace {

// ---- Shape rules ----------------------------------------------------------------------------------------------------------

constexpr int64_t kMaxPositions = 256;  // argmax is one byte

// The pool's windows over the convolution's outputs.
ImageWindow pool_over(const Call& call, const ImageWindow& conv) {
  const auto [PH, PW] = positive_pair(call, "pool_size");
  if (PH > kMaxPositions || PW > kMaxPositions / PH) {
    call.fail_value(concat("pool_size=", to_shape(call.attributes.dims("pool_size")), "; expected at most ", kMaxPositions,
                           " positions in a window; pool in two steps"));
  }
  if (PH > conv.height.output || PW > conv.width.output) {
    call.fail_value(concat("pool_size=", to_shape(call.attributes.dims("pool_size")), " over ",
                           Shape{conv.height.output, conv.width.output},
                           " outputs of the convolution; expected a window no larger than those; pass a smaller pool_size"));
  }
  return {{conv.height.output, PH, PH, conv.height.output / PH, 0}, {conv.width.output, PW, PW, conv.width.output / PW, 0}};
}

void expect_gradient(const Call& call, size_t g, size_t argmax, const ImageWindow& pool) {
  const auto [height, width] = image_size_of(call, g);
  if (height != pool.height.output || width != pool.width.output) {
    call.fail_value(concat(call.operand(g), " has shape ", call.shape(g), "; expected height and width ",
                           Shape{pool.height.output, pool.width.output},
                           ", those of y for this image, kernel, strides, padding ",
                           "and pool_size; pass the gradient of this call's y"));
  }
  if (call.dtype(argmax) != DType::uint8) {
    call.fail_type(
        concat("`argmax` is ", dtype_name(call.dtype(argmax)), "; expected uint8; pass the second result of conv2d_block"));
  }
  call.expect_shape(argmax, call.shape(g));
}

bool is_relu(const Call& call) {
  const std::string& activation = call.attributes.text("activation");
  if (activation != "none" && activation != "relu") {
    call.fail_value(concat("activation='", activation, "'; expected 'none' or 'relu'; apply others to y"));
  }
  return activation == "relu";
}

// The windows of each op: the convolution's and the pool's.
struct Geometry {
  ImageWindow conv, pool;
};
Geometry geometry(const Call& call, std::pair<int64_t, int64_t> image, std::pair<int64_t, int64_t> kernel) {
  const ImageWindow conv = image_window(call, image, kernel);
  return {conv, pool_over(call, conv)};
}
Geometry forward_geometry(const Call& call) { return geometry(call, image_size_of(call, 0), kernel_size_of(call, 1)); }
Geometry input_geometry(const Call& call) { return geometry(call, positive_pair(call, "image_size"), kernel_size_of(call, 2)); }
Geometry kernel_geometry(const Call& call) {
  return geometry(call, image_size_of(call, 0), positive_pair(call, "kernel_size"));
}

std::vector<TensorType> infer_block(const Call& call) {
  expect_convolution(call, 1);
  is_relu(call);
  const ImageWindow pool = forward_geometry(call).pool;
  const Shape y{call.shape(0)[0], pool.height.output, pool.width.output, call.shape(1)[3]};
  return {{call.dtype(0), y}, {DType::uint8, y}};
}

std::vector<TensorType> infer_backward_input(const Call& call) {
  call.expect_float(0);
  call.expect_same_dtype(0, 2);
  call.expect_rank(0, 4);
  call.expect_rank(2, 4);
  const Shape &g = call.shape(0), &w = call.shape(2);
  if (g[3] != w[3]) {
    call.fail_value(concat("`g` has shape ", g, " and `w` ", w,
                           "; expected their last axes to be equal, the number of filters; pass the gradient of this "
                           "layer's output"));
  }
  const Geometry at = input_geometry(call);
  expect_gradient(call, 0, 1, at.pool);
  const TensorType dx{call.dtype(0), {g[0], at.conv.height.image, at.conv.width.image, w[2]}};
  expect_epilogue(call, {Epilogue::add, Epilogue::multiply, Epilogue::relu_backward}, dx.shape);
  return {dx};
}

std::vector<TensorType> infer_backward_kernel(const Call& call) {
  call.expect_float(0);
  call.expect_same_dtype(0, 1);
  call.expect_rank(0, 4);
  call.expect_rank(1, 4);
  const Shape &x = call.shape(0), &g = call.shape(1);
  if (x[0] != g[0]) {
    call.fail_value(concat("`x` has shape ", x, " and `g` ", g,
                           "; expected equal first axes, the batch; pass the gradient of this layer's output"));
  }
  const Geometry at = kernel_geometry(call);
  expect_gradient(call, 1, 2, at.pool);
  return {{call.dtype(0), {at.conv.height.window, at.conv.width.window, x[3], g[3]}}};
}

// ---- Plans ----------------------------------------------------------------------------------------------------------------

Conv2dBlockShape block_shape(const Shape& images, const Geometry& at, const Extent& C, const Extent& F) {
  Conv2dBlockShape shape{};
  shape.conv = shape_of(images, at.conv, C, F);
  shape.rows = at.pool.height, shape.columns = at.pool.width;
  return shape;
}

KernelPlan plan_block(const Call& call, Isa isa) {
  const Geometry at = forward_geometry(call);
  Conv2dBlockShape shape = block_shape(call.shape(0), at, call.shape(1)[2], call.shape(1)[3]);
  shape.relu = is_relu(call);
  const int64_t item = static_cast<int64_t>(item_size(call.dtype(0))), F = shape.conv.F;
  const int64_t tasks = cut_images(shape.conv, at.pool.height.output, F, shape.conv.C);
  // A strip of 32 KiB stays in cache until it is pooled; 64 filters of it make whole tiles.
  constexpr int64_t kStripBytes = 32 * 1024;
  shape.strip_filters = at_least_one(std::min<int64_t>(shape.conv.column_block, 64));
  const int64_t row = at.pool.height.window * at.pool.width.output * at.pool.width.window * shape.strip_filters;
  shape.strip_rows = std::clamp<int64_t>(kStripBytes / (row * item), 1, at.pool.height.output);
  shape.strip_samples = at_least_one(kStripBytes / (row * item * shape.strip_rows));
  const int64_t strip = row * shape.strip_rows * shape.strip_samples * item;
  return {{kernel_step(conv2d_block_kernels(isa).forward[item == 8], tasks, shape, static_cast<size_t>(strip))}};
}

// Do the windows that count all lie inside the image, and is each output a sum of few products?
bool is_short(const Geometry& at, int64_t C) {
  const auto inside = [](const Window& conv, const Window& pool) {
    return conv.before == 0 && (pool.output * pool.window - 1) * conv.stride + conv.window <= conv.image;
  };
  const int64_t KH = at.conv.height.window, KW = at.conv.width.window;
  return KH <= kShortRows && KW <= kShortSum && C >= 1 && C <= kShortSum && KH * KW * C <= kShortSum &&
         inside(at.conv.height, at.pool.height) && inside(at.conv.width, at.pool.width);
}
bool block_is_short(const Call& call, Isa) { return is_short(forward_geometry(call), call.shape(1)[2].factor()); }
bool kernel_is_short(const Call& call, Isa) { return is_short(kernel_geometry(call), call.shape(0)[3].factor()); }

KernelPlan plan_short(const Call& call, Isa isa) {
  const Geometry at = forward_geometry(call);
  Conv2dBlockShape shape = block_shape(call.shape(0), at, call.shape(1)[2], call.shape(1)[3]);
  shape.relu = is_relu(call);
  const double flops = 2.0 * static_cast<double>(count(call.shape(1)).factor() * shape.conv.B * at.pool.height.output) *
                       static_cast<double>(at.pool.width.output * at.pool.height.window * at.pool.width.window);
  shape.conv.sample_tasks = std::min(equal_shares(flops / 1e6), shape.conv.B * at.pool.height.output);
  return {{kernel_step(short_block_kernels(isa).forward[call.dtype(0) == DType::float64], shape.conv.sample_tasks, shape)}};
}

KernelPlan plan_short_kernel(const Call& call, Isa isa) {
  const Geometry at = kernel_geometry(call);
  Conv2dBlockShape shape = block_shape(call.shape(0), at, call.shape(0)[3], call.shape(1)[3]);
  const bool is_double = call.dtype(0) == DType::float64;
  const int64_t F = shape.conv.F, size = at.conv.height.window * at.conv.width.window * shape.conv.C * F;
  shape.filter_tasks = at_least_one(parts(F, 64));
  shape.sample_groups = std::clamp<int64_t>(shape.conv.B / 4, 1, at_least_one(16 / shape.filter_tasks));
  const ShortBlockKernels& kernels = short_block_kernels(isa);
  KernelPlan plan;
  plan.workspaces = {static_cast<size_t>(shape.sample_groups * size) * item_size(call.dtype(0))};
  plan.steps.push_back(kernel_step(kernels.backward_kernel[is_double], shape.sample_groups * shape.filter_tasks, shape));
  plan.steps.push_back(kernel_step(kernels.add_groups[is_double], parts(size, kAddedNumbers), shape));
  return plan;
}

bool block_is_winograd(const Call& call, Isa) {
  const Geometry at = forward_geometry(call);
  return at.pool.height.window == 2 && at.pool.width.window == 2 &&
         winograd_pays(2, at.conv, 2 * at.pool.height.output, 2 * at.pool.width.output, call.shape(1)[2].factor(),
                       call.shape(1)[3].factor());
}

KernelPlan plan_block_winograd(const Call& call, Isa isa) {
  const Geometry at = forward_geometry(call);
  const Shape& w = call.shape(1);
  WinogradShape shape =
      winograd_shape(call.shape(0)[0], at.conv, 2 * at.pool.height.output, 2 * at.pool.width.output, w[2], w[3]);
  shape.epilogue = is_relu(call) ? Epilogue::relu : Epilogue::none;
  const bool is_double = call.dtype(0) == DType::float64;
  const WinogradKernels& kernels = winograd_kernels(isa);
  return plan_winograd(2, shape, kernels.transform[0][is_double], kernels.pool[is_double], item_size(call.dtype(0)),
                       {{0, 1}, 2, 3, {4}, 5});
}

// Gradients of the winners only, against unpooling the gradient and the gradients of conv2d. Counted in vector operations per
// window and filter: of each, rows of KW*C numbers in whole vectors and some for the bits (measured on 3 x 3 kernels, Zen 4).
bool sparse_pays(const Call& call, const Geometry& at, int64_t C, int64_t F, Isa isa) {
  const int64_t lanes = conv2d_block_kernels(isa).lanes[call.dtype(0) == DType::float64];
  const int64_t KH = at.conv.height.window, row = at.conv.width.window * C;
  const int64_t sparse = lanes * (KH * parts(row, lanes) + 4);
  const int64_t dense = at.pool.height.window * at.pool.width.window * KH * row;
  // Places in an image, or in the weights, are numbers of the lanes' width.
  const int64_t image = at.conv.height.image * at.conv.width.image * C, weights = F * (row + lanes);
  // Without filters, of which a kernel of any height has no elements, nothing would be walked over at length.
  return F > 0 && sparse < dense && std::max(image, weights) < std::numeric_limits<int32_t>::max();
}
bool input_is_sparse(const Call& call, Isa isa) {
  return sparse_pays(call, input_geometry(call), call.shape(2)[2].factor(), call.shape(2)[3].factor(), isa);
}
bool kernel_is_sparse(const Call& call, Isa isa) {
  return sparse_pays(call, kernel_geometry(call), call.shape(0)[3].factor(), call.shape(1)[3].factor(), isa);
}

KernelPlan plan_sparse_input(const Call& call, Isa isa) {
  const Geometry at = input_geometry(call);
  Conv2dBlockShape shape = block_shape(call.shape(0), at, call.shape(2)[2], call.shape(2)[3]);
  shape.conv.epilogue = epilogue_of(call);
  const bool is_double = call.dtype(0) == DType::float64;
  const Conv2dBlockKernels& kernels = conv2d_block_kernels(isa);
  const int64_t item = static_cast<int64_t>(item_size(call.dtype(0))), lanes = kernels.lanes[is_double], F = shape.conv.F;
  const int64_t row = at.conv.width.window * shape.conv.C;
  // The weights of a part are read for every window and stay in the first-level cache; four to six sums hide the latency of
  // their additions.
  const int64_t vectors = parts(row, lanes), fit = 24 * 1024 / at_least_one(F * lanes * item);
  shape.part_count = at_least_one(parts(vectors, std::clamp<int64_t>(fit, 4, 12)));
  shape.part_width = parts(vectors, shape.part_count) * lanes;
  shape.part_count = at_least_one(parts(row, shape.part_width));
  const int64_t windows = at.pool.width.output, area = at.pool.height.window * at.pool.width.window;
  shape.band_rows = std::clamp<int64_t>(16 * 1024 / at_least_one(windows * F * 2 * item), 1, at.pool.height.output);
  const double flops = 2.0 * static_cast<double>(shape.conv.B * at.pool.height.output * windows) *
                       static_cast<double>(at.conv.height.window * row * F);
  // Of as many samples each, or else some tasks of two stand among many of one.
  const auto worth = static_cast<int64_t>(std::clamp(flops / 1e6, 4.0, 1e9));
  shape.conv.sample_tasks = parts(shape.conv.B, at_least_one(shape.conv.B / worth));
  const InputScratch scratch = input_scratch(F, shape.band_rows * windows * area, item);
  KernelPlan plan;
  const int64_t weights = at.conv.height.window * shape.part_count;
  plan.workspaces = {static_cast<size_t>(weights * shape.part_width * F * item)};
  plan.steps.push_back(kernel_step(kernels.transpose_kernel[is_double], shape.conv.B > 0 ? weights : 0, shape));
  plan.steps.back().operands = {5, 3};
  plan.steps.push_back(
      kernel_step(kernels.backward_input[is_double], shape.conv.sample_tasks, shape, static_cast<size_t>(scratch.bytes)));
  return plan;
}

KernelPlan plan_sparse_kernel(const Call& call, Isa isa) {
  const Geometry at = kernel_geometry(call);
  Conv2dBlockShape shape = block_shape(call.shape(0), at, call.shape(0)[3], call.shape(1)[3]);
  const bool is_double = call.dtype(0) == DType::float64;
  const int64_t item = static_cast<int64_t>(item_size(call.dtype(0))), F = shape.conv.F;
  const int64_t size = at.conv.height.window * at.conv.width.window * shape.conv.C;
  // A task walks over all its samples: with few filters it would wait for them, from memory, again and again. With groups of
  // samples there are enough tasks all the same.
  shape.filter_tasks = at_least_one(parts(F, 64));
  shape.sample_groups = std::clamp<int64_t>(shape.conv.B / 8, 1, at_least_one(8 / shape.filter_tasks));
  // A band of the image stays in the first-level cache while the filters take turns.
  const int64_t row_bytes = at.conv.width.image * shape.conv.C * item;
  const int64_t step = at.pool.height.window * at.conv.height.stride;
  const int64_t fit = (24 * 1024 / at_least_one(row_bytes) - at.conv.height.window) / step;
  shape.band_rows = std::clamp<int64_t>(fit, 1, at.pool.height.output);
  const int64_t filters = parts(F, shape.filter_tasks);
  const Conv2dBlockKernels& kernels = conv2d_block_kernels(isa);
  const KernelScratch scratch = kernel_scratch(shape.band_rows * at.pool.width.output, filters, kernels.lanes[is_double], item);
  KernelPlan plan;
  plan.workspaces = {static_cast<size_t>(shape.sample_groups * F * size * item)};
  plan.steps.push_back(kernel_step(kernels.backward_kernel[is_double], shape.sample_groups * shape.filter_tasks, shape,
                                   static_cast<size_t>(scratch.bytes)));
  plan.steps.push_back(kernel_step(kernels.add_groups[is_double], parts(F, kAddedFilters) * parts(size, kAddedRows), shape));
  return plan;
}

// ---- The other way: unpool the gradient, then the gradient of conv2d --------------------------------------------------------

Call call_of(std::string_view name, std::vector<std::optional<TensorType>> inputs, const Call& from,
             std::initializer_list<std::string_view> attributes) {
  Call call;
  call.op = &find_op(name);
  call.inputs = std::move(inputs);
  call.attributes = Attributes(*call.op);
  for (std::string_view attribute : attributes) call.attributes.set(attribute, from.attributes.dims(attribute));
  return call;
}

// Appends the steps of another op on the buffers `operands` of this one, by the way that every call can take: Winograd's rounds
// by the size of what lies around a number, and here most of it is 0.
void append(KernelPlan& plan, Call call, Isa isa, std::vector<size_t> operands, size_t first_workspace) {
  infer(call);
  KernelPlan other = call.op->variants.back().plan(call, isa);
  for (size_t bytes : other.workspaces) {
    operands.push_back(first_workspace + plan.workspaces.size());
    plan.workspaces.push_back(bytes);
  }
  for (KernelStep& step : other.steps) {
    std::vector<size_t> named = step.operands.empty() ? operands : step.operands;
    if (!step.operands.empty()) {
      for (size_t& number : named) number = operands[number];
    }
    step.operands = std::move(named);
    plan.steps.push_back(std::move(step));
  }
}

// `g` and `argmax` are operands of the call, `workspace` is its first workspace among the buffers: there the gradient goes.
KernelPlan plan_unpooling(const Call& call, Isa isa, const Geometry& at, size_t g, size_t argmax, size_t workspace,
                          TensorType& unpooled) {
  const Shape& shape = call.shape(g);
  unpooled = {call.dtype(g), {shape[0], at.conv.height.output, at.conv.width.output, shape[3]}};
  KernelPlan plan;
  plan.workspaces.push_back(static_cast<size_t>(count(unpooled.shape).factor()) * item_size(unpooled.dtype));
  Call pool = call_of("max_pool2d_backward", {call.input(g), call.input(argmax)}, call, {"pool_size"});
  pool.attributes.set("strides", call.attributes.dims("pool_size"));
  pool.attributes.set("image_size", Dims{at.conv.height.output, at.conv.width.output});
  append(plan, std::move(pool), isa, {workspace, 1 + g, 1 + argmax}, workspace);
  return plan;
}

KernelPlan plan_unpooled_input(const Call& call, Isa isa) {
  TensorType dy;
  KernelPlan plan = plan_unpooling(call, isa, input_geometry(call), 0, 1, 5, dy);
  std::vector<std::optional<TensorType>> inputs = {dy, call.input(2), std::nullopt};
  if (call.has(3)) inputs.back() = call.input(3);
  Call conv = call_of("conv2d_backward_input", std::move(inputs), call, {"image_size", "strides"});
  conv.attributes.set("padding", call.attributes.text("padding"));
  conv.attributes.set("epilogue", call.attributes.text("epilogue"));
  append(plan, std::move(conv), isa, {0, 5, 3, 4}, 5);
  return plan;
}

KernelPlan plan_unpooled_kernel(const Call& call, Isa isa) {
  TensorType dy;
  KernelPlan plan = plan_unpooling(call, isa, kernel_geometry(call), 1, 2, 4, dy);
  Call conv = call_of("conv2d_backward_kernel", {call.input(0), dy}, call, {"kernel_size", "strides"});
  conv.attributes.set("padding", call.attributes.text("padding"));
  append(plan, std::move(conv), isa, {0, 1, 4}, 4);
  return plan;
}

// ---- Costs ----------------------------------------------------------------------------------------------------------------

double elements(const Shape& shape) { return static_cast<double>(count(shape).factor()); }

double bytes_of(const Call& call) {
  double bytes = 0;
  for (const auto& input : call.inputs) {
    if (input) bytes += elements(input->shape) * static_cast<double>(item_size(input->dtype));
  }
  for (const TensorType& output : call.outputs) bytes += elements(output.shape) * static_cast<double>(item_size(output.dtype));
  return bytes;
}

Cost cost_of_block(const Call& call) {
  const Dims& pool = call.attributes.dims("pool_size");
  const double outputs = elements(call.outputs[0].shape) * static_cast<double>(pool[0] * pool[1]);
  return {2 * outputs * static_cast<double>(count(call.shape(1), 0, 3).factor()), bytes_of(call)};
}
Cost cost_of_backward_input(const Call& call) {
  return {2 * elements(call.shape(0)) * static_cast<double>(count(call.shape(2), 0, 3).factor()), bytes_of(call)};
}
Cost cost_of_backward_kernel(const Call& call) {
  return {2 * elements(call.shape(1)) * static_cast<double>(count(call.outputs[0].shape, 0, 3).factor()), bytes_of(call)};
}

}  // namespace

std::span<const Op> conv2d_block_ops() {
  const AttributeSpec strides{"strides", Dims{1, 1}}, padding{"padding", std::string("valid")};
  const AttributeSpec pool_size{"pool_size", Dims{2, 2}};
  static const std::vector<Op> ops = {
      {.name = "conv2d_block",
       .doc = "y = activation(max over windows of conv2d(x, w, bias)), argmax = the maximum's position in its window",
       .inputs = {"x", "w", "bias?"},
       .outputs = {"y", "argmax"},
       .attributes = {strides, padding, {"activation", std::string("none")}, pool_size},
       .infer = infer_block,
       .variants = {{"short", block_is_short, plan_short},
                    {"winograd", block_is_winograd, plan_block_winograd},
                    {"strips", nullptr, plan_block}},
       .cost = cost_of_block},
      {.name = "conv2d_block_backward_input",
       .doc = "dx, the gradient of conv2d_block with respect to x, then what the op named epilogue makes of it and other; "
              "g is the gradient before the activation",
       .inputs = {"g", "argmax", "w", "other?"},
       .outputs = {"dx"},
       .attributes = {{"image_size", Dims{1, 1}, true}, strides, padding, pool_size, {"epilogue", std::string()}},
       .infer = infer_backward_input,
       .variants = {{"sparse", input_is_sparse, plan_sparse_input}, {"unpooled", nullptr, plan_unpooled_input}},
       .cost = cost_of_backward_input},
      {.name = "conv2d_block_backward_kernel",
       .doc = "dw, the gradient of conv2d_block with respect to w; g is the gradient before the activation",
       .inputs = {"x", "g", "argmax"},
       .outputs = {"dw"},
       .attributes = {{"kernel_size", Dims{1, 1}, true}, strides, padding, pool_size},
       .infer = infer_backward_kernel,
       .variants = {{"short", kernel_is_short, plan_short_kernel},
                    {"sparse", kernel_is_sparse, plan_sparse_kernel},
                    {"unpooled", nullptr, plan_unpooled_kernel}},
       .cost = cost_of_backward_kernel},
  };
  return ops;
}

}  // namespace fastnn
