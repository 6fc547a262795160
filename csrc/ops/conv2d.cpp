#include "ops/conv2d.h"

#include <cmath>

#include "ops/winograd.h"

namespace fastnn {

// ---- Shape rules ------------------------------------------------------------------------------------------

void expect_convolution(const Call& call, int64_t groups) {
  call.expect_float(0);
  call.expect_same_dtype(0, 1);
  call.expect_rank(0, 4);
  call.expect_rank(1, 4);
  const Shape &x = call.shape(0), &w = call.shape(1);
  if (x[3] != w[2] * groups) {
    call.fail_value(concat("`x` has shape ", x, " and `w` ", w, groups > 1 ? concat(" in groups=", groups) : std::string(),
                           "; expected the last axis of x to be the third of w, (KH, KW, C, F)",
                           groups > 1 ? ", times groups" : "", "; pass channels-last images or make w for ", x[3],
                           " channels"));
  }
  if (call.has(2)) {
    call.expect_same_dtype(0, 2);
    call.expect_shape(2, {w[3]});
  }
}

namespace {

// The number of groups, which divides the number of filters.
int64_t groups_of(const Call& call, const Extent& filters) {
  const int64_t groups = call.attributes.integer("groups");
  const int64_t F = filters.to_int(std::string(call.name()), "the number of filters");
  if (groups < 1 || groups > std::max<int64_t>(F, 1) || F % groups != 0) {
    call.fail_value(
        concat("groups=", groups, " for ", F, " filters; expected a positive number that divides them; choose another one"));
  }
  return groups;
}

ImageWindow convolution_window(const Call& call, std::pair<int64_t, int64_t> image, std::pair<int64_t, int64_t> window) {
  return image_window(call, image, window, positive_pair(call, "dilation_rate"));
}
ImageWindow forward_window(const Call& call) {
  return convolution_window(call, image_size_of(call, 0), kernel_size_of(call, 1));
}
ImageWindow input_window(const Call& call) {
  return convolution_window(call, positive_pair(call, "image_size"), kernel_size_of(call, 1));
}
ImageWindow kernel_window(const Call& call) {
  return convolution_window(call, image_size_of(call, 0), positive_pair(call, "kernel_size"));
}

std::vector<TensorType> infer_conv2d(const Call& call) {
  call.expect_rank(1, 4);
  expect_convolution(call, groups_of(call, call.shape(1)[3]));
  const ImageWindow window = forward_window(call);
  const TensorType y{call.dtype(0), {call.shape(0)[0], window.height.output, window.width.output, call.shape(1)[3]}};
  expect_epilogue(call, {Epilogue::relu, Epilogue::add}, y.shape);
  return {y};
}

std::vector<TensorType> infer_conv2d_backward_input(const Call& call) {
  call.expect_float(0);
  call.expect_same_dtype(0, 1);
  call.expect_rank(0, 4);
  call.expect_rank(1, 4);
  const Shape &dy = call.shape(0), &w = call.shape(1);
  if (dy[3] != w[3]) {
    call.fail_value(concat("`dy` has shape ", dy, " and `w` ", w,
                           "; expected their last axes to be equal, the number of filters; "
                           "pass the gradient of this layer's output"));
  }
  const int64_t groups = groups_of(call, w[3]);
  const ImageWindow window = input_window(call);
  expect_outputs(call, 0, window);
  const TensorType dx{call.dtype(0), {dy[0], window.height.image, window.width.image, w[2] * groups}};
  expect_epilogue(call, {Epilogue::add, Epilogue::multiply, Epilogue::relu_backward}, dx.shape);
  return {dx};
}

std::vector<TensorType> infer_conv2d_backward_kernel(const Call& call) {
  call.expect_float(0);
  call.expect_same_dtype(0, 1);
  call.expect_rank(0, 4);
  call.expect_rank(1, 4);
  const Shape &x = call.shape(0), &dy = call.shape(1);
  if (x[0] != dy[0]) {
    call.fail_value(concat("`x` has shape ", x, " and `dy` ", dy,
                           "; expected equal first axes, the batch; pass the gradient of this layer's output"));
  }
  bool divides = false;
  const Extent channels = Extent::divide(x[3], groups_of(call, dy[3]), divides);
  if (!divides) {
    call.fail_value(concat("groups=", call.attributes.integer("groups"), " for `x` of shape ", x,
                           "; expected a number that divides its channels, the last axis; choose another one"));
  }
  const ImageWindow window = kernel_window(call);
  expect_outputs(call, 1, window);
  return {{call.dtype(0), {window.height.window, window.width.window, channels, dy[3]}}};
}

}  // namespace

// ---- Plans ------------------------------------------------------------------------------------------------

Conv2dShape shape_of(const Shape& images, const ImageWindow& window, const Extent& C, const Extent& F) {
  Conv2dShape shape{};
  shape.B = images[0].factor(), shape.C = C.factor(), shape.F = F.factor(), shape.groups = 1;
  shape.height = window.height, shape.width = window.width;
  return shape;
}

namespace {

constexpr double kTaskFlops = 2e6;  // some 20 microseconds

double flops_of(const Conv2dShape& s) {
  return 2.0 * static_cast<double>(s.B * s.height.output * s.width.output) *
         static_cast<double>(s.height.window * s.width.window * s.C / s.groups * s.F);
}

}  // namespace

int64_t equal_shares(double tasks) {
  if (tasks < 4) return tasks >= 2 ? 4 : tasks >= 0.25 ? 2 : 1;
  return static_cast<int64_t>(std::min(tasks, 1e9)) / 4 * 4;
}

int64_t cut_images(Conv2dShape& shape, int64_t rows, int64_t columns, int64_t inner) {
  const double flops = flops_of(shape);
  // Rounded down: where the map is tiny, backward_input's tiles have a row per sample (5 x 5 maps in groups of 3 instead of 4: 76
  // against 109 GFLOP/s).
  const int64_t worth = equal_shares(flops / kTaskFlops);
  shape.sample_tasks = std::min(worth, shape.B);
  shape.row_blocks = 1;
  shape.column_block = columns;
  const int64_t cuts = std::min<int64_t>(worth, 16) / std::max<int64_t>(shape.sample_tasks, 1);
  if (cuts > 1) {
    // Each task reads its part of the image and of the kernel. Cut what is larger: a deep layer's kernel.
    const int64_t image = shape.height.image * shape.width.image * shape.C;
    const int64_t kernel = shape.height.window * shape.width.window * (inner / shape.groups) * columns;
    if (kernel > image && columns >= 64 && shape.groups == 1) {
      shape.column_block = parts(parts(columns, cuts), 32) * 32;
    } else {
      shape.row_blocks = std::min(cuts, rows);
    }
  }
  shape.column_tasks = parts(columns, shape.column_block);
  return shape.sample_tasks * shape.row_blocks * shape.column_tasks;
}

namespace {

KernelPlan plan_conv2d(const Call& call, Isa isa) {
  const Shape &x = call.shape(0), &w = call.shape(1);
  const ImageWindow window = forward_window(call);
  Conv2dShape shape = shape_of(x, window, x[3], w[3]);
  shape.groups = call.attributes.integer("groups");
  shape.epilogue = epilogue_of(call);
  const int64_t tasks = cut_images(shape, window.height.output, shape.F, shape.C);
  const bool is_double = call.dtype(0) == DType::float64;
  return {{kernel_step(conv2d_kernels(isa).forward[is_double], tasks, shape)}};
}

KernelPlan plan_conv2d_backward_input(const Call& call, Isa isa) {
  const Shape &dy = call.shape(0), &w = call.shape(1);
  const ImageWindow window = input_window(call);
  Conv2dShape shape = shape_of(dy, window, call.outputs[0].shape[3], w[3]);
  shape.groups = call.attributes.integer("groups");
  shape.epilogue = epilogue_of(call);
  const int64_t tasks = cut_images(shape, parts(window.height.image, window.height.stride), shape.C, shape.F);
  const bool is_double = call.dtype(0) == DType::float64;
  const Conv2dKernels& kernels = conv2d_kernels(isa);
  const int64_t taps = window.height.window * window.width.window;
  shape.turn_tasks = parts(shape.F, kTurnedFilters);
  KernelPlan plan;
  plan.workspaces = {static_cast<size_t>(count(call.shape(1)).factor()) * item_size(call.dtype(0))};
  plan.steps.push_back(kernel_step(kernels.turn_kernel[is_double], tasks > 0 ? taps * shape.turn_tasks : 0, shape));
  plan.steps.back().operands = {4, 2};
  plan.steps.push_back(kernel_step(kernels.backward_input[is_double], tasks, shape));
  return plan;
}

// ---- Winograd's way -------------------------------------------------------------------------------------------------------

template <int m>
bool is_winograd(const Call& call, Isa) {
  const ImageWindow window = forward_window(call);
  const int64_t rows = window.height.output, columns = window.width.output;
  const Shape& w = call.shape(1);
  return call.attributes.integer("groups") == 1 && w[3].is_int() &&
         winograd_pays(m, window, rows, columns, w[2].factor(), w[3].factor()) &&
         (m == 2 || three_is_better(rows, columns, w[2].factor(), w[3].factor()));
}
bool input_is_winograd(const Call& call, Isa) {
  const Shape& w = call.shape(1);
  return call.attributes.integer("groups") == 1 &&
         winograd_pays_for_gradients(input_window(call), w[2].factor(), w[3].factor());
}
bool kernel_is_winograd(const Call& call, Isa) {
  return call.attributes.integer("groups") == 1 &&
         winograd_pays_for_gradients(kernel_window(call), call.shape(0)[3].factor(), call.shape(1)[3].factor());
}

WinogradShape winograd_shape_of(const Extent& B, const ImageWindow& window, const Extent& C, const Extent& F) {
  return winograd_shape(B, window, window.height.output, window.width.output, C, F);
}

template <int m>
KernelPlan plan_conv2d_winograd(const Call& call, Isa isa) {
  const Shape& w = call.shape(1);
  const bool is_double = call.dtype(0) == DType::float64;
  const WinogradKernels& kernels = winograd_kernels(isa);
  WinogradShape shape = winograd_shape_of(call.shape(0)[0], forward_window(call), w[2], w[3]);
  shape.epilogue = epilogue_of(call);
  return plan_winograd(m, shape, kernels.transform[m - 2][is_double], kernels.convolve[m - 2][is_double],
                       item_size(call.dtype(0)), {{0}, 1, 2, {3, 4}, 5});
}
KernelPlan plan_conv2d_winograd_input(const Call& call, Isa isa) {
  const Shape& w = call.shape(1);
  WinogradShape shape = winograd_shape_of(call.shape(0)[0], input_window(call), w[2], w[3]);
  shape.epilogue = epilogue_of(call);
  return plan_winograd_input(shape, winograd_kernels(isa), call.dtype(0) == DType::float64);
}
KernelPlan plan_conv2d_winograd_kernel(const Call& call, Isa isa) {
  const Shape &x = call.shape(0), &dy = call.shape(1);
  return plan_winograd_kernel(winograd_shape_of(x[0], kernel_window(call), x[3], dy[3]), winograd_kernels(isa),
                              call.dtype(0) == DType::float64);
}

KernelPlan plan_conv2d_backward_kernel(const Call& call, Isa isa) {
  const Shape &x = call.shape(0), &dy = call.shape(1);
  const ImageWindow window = kernel_window(call);
  Conv2dShape shape = shape_of(x, window, x[3], dy[3]);
  shape.groups = call.attributes.integer("groups");
  const int64_t taps = window.height.window * window.width.window, channels = shape.C / shape.groups;
  const int64_t rows = taps * channels;
  // Without padding every tap sees every output, and a tile may hold rows of several taps. With padding the
  // taps of a tile must see the same outputs, so tiles stay within one tap; with few channels fuller tiles
  // are worth more than whole rectangles of outputs.
  const bool padded = taps > 1 && call.attributes.text("padding") != "valid";
  shape.unit_rows = padded && channels >= 8 ? channels : rows;
  const int64_t units = parts(rows, shape.unit_rows);
  // 24 rows are two tiles of 12 (AVX-512) or four of 6 (AVX2). A task has a multiple of them: enough for 10
  // microseconds, and so many that there are some 64 tasks at most.
  constexpr int64_t kRows = 24;
  const double flops = flops_of(shape) / static_cast<double>(shape.groups);
  const double row_flops = flops / static_cast<double>(std::max<int64_t>(rows, 1));
  const double enough = std::ceil(kTaskFlops / 2 / std::max(kRows * row_flops, 1.0));
  const int64_t multiple = std::max(static_cast<int64_t>(enough), parts(rows, kRows * 64));
  shape.unit_tasks = parts(shape.unit_rows, kRows * multiple);
  // A first layer has few rows: cut its columns.
  const auto worth = static_cast<int64_t>(std::min(flops / (kTaskFlops / 2), 8.0));
  const int64_t cuts = worth / std::max<int64_t>(units * shape.unit_tasks, 1);
  shape.column_block = cuts > 1 ? parts(parts(shape.F, cuts), 16) * 16 : shape.F;
  if (shape.groups > 1) shape.column_block = shape.F / shape.groups;
  shape.column_tasks = parts(shape.F, shape.column_block);
  // What a visit reads stays in half of a second-level cache of 1 MiB while the tiles of a task take turns.
  const int64_t budget = int64_t{512} * 1024 / static_cast<int64_t>(item_size(call.dtype(0)));
  const int64_t sample =
      window.height.image * window.width.image * shape.C + window.height.output * window.width.output * shape.F;
  if (sample == 0) shape.B = 0;  // nothing to visit, however many samples there are
  shape.visit_samples = std::max<int64_t>(budget / std::max<int64_t>(sample, 1), 1);
  shape.visit_rows = std::max<int64_t>(window.height.output, 1);
  if (sample > budget) shape.visit_rows = std::max<int64_t>(window.height.output * budget / sample, 1);
  const bool is_double = call.dtype(0) == DType::float64;
  return {{kernel_step(conv2d_kernels(isa).backward_kernel[is_double], units * shape.unit_tasks * shape.column_tasks, shape)}};
}

// All three multiply the same pairs of numbers: 2 * (elements of y) * KH * KW * C/G.
Cost cost_of_shapes(const Call& call, const Shape& x, const Shape& w, const Shape& y) {
  double elements = 0;
  for (const Shape* shape : {&x, &w, &y}) elements += static_cast<double>(count(*shape).factor());
  return {2 * static_cast<double>(count(y).factor()) * static_cast<double>(count(w, 0, 3).factor()),
          elements * static_cast<double>(item_size(call.dtype(0)))};
}
Cost cost_conv2d(const Call& call) { return cost_of_shapes(call, call.shape(0), call.shape(1), call.outputs[0].shape); }
Cost cost_conv2d_backward_input(const Call& call) {
  return cost_of_shapes(call, call.outputs[0].shape, call.shape(1), call.shape(0));
}
Cost cost_conv2d_backward_kernel(const Call& call) {
  return cost_of_shapes(call, call.shape(0), call.outputs[0].shape, call.shape(1));
}

}  // namespace

std::span<const Op> conv2d_ops() {
  const AttributeSpec strides{"strides", Dims{1, 1}}, padding{"padding", std::string("valid")};
  const AttributeSpec dilation{"dilation_rate", Dims{1, 1}}, groups{"groups", int64_t{1}}, epilogue{"epilogue", std::string()};
  static const std::vector<Op> ops = {
      {.name = "conv2d",
       .doc =
           "y[b,oh,ow] = bias + sum over kh, kw of x[b, oh*SH - top + kh*DH, ow*SW - left + kw*DW] w[kh,kw], then what the op "
           "named epilogue makes of it and other",
       .inputs = {"x", "w", "bias?", "other?"},
       .outputs = {"y"},
       .attributes = {strides, padding, dilation, groups, epilogue},
       .infer = infer_conv2d,
       .variants = {{"winograd-3", is_winograd<3>, plan_conv2d_winograd<3>},
                    {"winograd-2", is_winograd<2>, plan_conv2d_winograd<2>},
                    {"direct", nullptr, plan_conv2d}},
       .cost = cost_conv2d},
      {.name = "conv2d_backward_input",
       .doc = "dx, the gradient of conv2d with respect to x, then what the op named epilogue makes of it and other",
       .inputs = {"dy", "w", "other?"},
       .outputs = {"dx"},
       .attributes = {{"image_size", Dims{1, 1}, true}, strides, padding, dilation, groups, epilogue},
       .infer = infer_conv2d_backward_input,
       .variants = {{"winograd", input_is_winograd, plan_conv2d_winograd_input},
                    {"direct", nullptr, plan_conv2d_backward_input}},
       .cost = cost_conv2d_backward_input},
      {.name = "conv2d_backward_kernel",
       .doc = "dw, the gradient of conv2d with respect to w, summed over all samples and outputs",
       .inputs = {"x", "dy"},
       .outputs = {"dw"},
       .attributes = {{"kernel_size", Dims{1, 1}, true}, strides, padding, dilation, groups},
       .infer = infer_conv2d_backward_kernel,
       .variants = {{"winograd", kernel_is_winograd, plan_conv2d_winograd_kernel},
                    {"direct", nullptr, plan_conv2d_backward_kernel}},
       .cost = cost_conv2d_backward_kernel},
  };
  return ops;
}

}  // namespace fastnn
