#include "ops/depthwise_conv2d.h"

namespace fastnn {

namespace {

// ---- Shape rules ----------------------------------------------------------------------------------------------------------

ImageWindow window_of(const Call& call, std::pair<int64_t, int64_t> image, std::pair<int64_t, int64_t> window) {
  return image_window(call, image, window, positive_pair(call, "dilation_rate"));
}
ImageWindow forward_window(const Call& call) { return window_of(call, image_size_of(call, 0), kernel_size_of(call, 1)); }
ImageWindow input_window(const Call& call) {
  return window_of(call, positive_pair(call, "image_size"), kernel_size_of(call, 1));
}
ImageWindow kernel_window(const Call& call) {
  return window_of(call, image_size_of(call, 0), positive_pair(call, "kernel_size"));
}

// Operand 0 has images of the channels that operand 1, the kernel, is for.
void expect_channels(const Call& call) {
  call.expect_float(0);
  call.expect_same_dtype(0, 1);
  call.expect_rank(0, 4);
  call.expect_rank(1, 4);
  const Shape &images = call.shape(0), &w = call.shape(1);
  if (w[2] == images[3] && w[3] == Extent(1)) return;
  call.fail_value(concat(call.operand(0), " has shape ", images, " and `w` ", w, "; expected w of shape (KH, KW, ", images[3],
                         ", 1), one window per channel; fastnn.ops.depthwise_conv2d repeats channels for more"));
}

std::vector<TensorType> infer_forward(const Call& call) {
  expect_channels(call);
  const Shape& x = call.shape(0);
  if (call.has(2)) {
    call.expect_same_dtype(0, 2);
    call.expect_shape(2, {x[3]});
  }
  const ImageWindow window = forward_window(call);
  return {{call.dtype(0), {x[0], window.height.output, window.width.output, x[3]}}};
}

std::vector<TensorType> infer_backward_input(const Call& call) {
  expect_channels(call);
  const ImageWindow window = input_window(call);
  expect_outputs(call, 0, window);
  return {{call.dtype(0), {call.shape(0)[0], window.height.image, window.width.image, call.shape(0)[3]}}};
}

std::vector<TensorType> infer_backward_kernel(const Call& call) {
  call.expect_float(0);
  call.expect_same_dtype(0, 1);
  call.expect_rank(0, 4);
  call.expect_rank(1, 4);
  const Shape &x = call.shape(0), &dy = call.shape(1);
  if (x[0] != dy[0] || x[3] != dy[3]) {
    call.fail_value(concat("`x` has shape ", x, " and `dy` ", dy,
                           "; expected equal batches and channels; pass the gradient of this layer's output"));
  }
  const ImageWindow window = kernel_window(call);
  expect_outputs(call, 1, window);
  return {{call.dtype(0), {window.height.window, window.width.window, x[3], 1}}};
}

// ---- Plans ----------------------------------------------------------------------------------------------------------------

constexpr double kTaskFlops = 4e5;  // some 10 microseconds

// `rows` rows of the result in each sample, of `pixels` pixels.
DepthwiseShape shape_of(const Shape& images, const ImageWindow& window, int64_t rows, int64_t pixels) {
  DepthwiseShape shape{};
  shape.B = images[0].factor(), shape.C = images[3].factor();
  shape.height = window.height, shape.width = window.width;
  shape.taps = window.height.window * window.width.window;
  shape.rows = pixels > 0 && shape.C > 0 ? shape.B * rows : 0;
  const double row = 2.0 * static_cast<double>(pixels * shape.C) * static_cast<double>(shape.taps);
  shape.row_block = std::max<int64_t>(static_cast<int64_t>(kTaskFlops / std::max(row, 1.0)), 1);
  return shape;
}

bool is_double(const Call& call) { return call.dtype(0) == DType::float64; }

KernelPlan plan_forward(const Call& call, Isa isa) {
  const ImageWindow window = forward_window(call);
  const DepthwiseShape shape = shape_of(call.shape(0), window, window.height.output, window.width.output);
  return {{kernel_step(depthwise_kernels(isa).forward[is_double(call)], parts(shape.rows, shape.row_block), shape)}};
}

KernelPlan plan_backward_input(const Call& call, Isa isa) {
  const ImageWindow window = input_window(call);
  const DepthwiseShape shape = shape_of(call.shape(0), window, window.height.image, window.width.image);
  return {{kernel_step(depthwise_kernels(isa).backward_input[is_double(call)], parts(shape.rows, shape.row_block), shape)}};
}

KernelPlan plan_backward_kernel(const Call& call, Isa isa) {
  const ImageWindow window = kernel_window(call);
  DepthwiseShape shape = shape_of(call.shape(0), window, window.height.output, window.width.output);
  shape.row_block = std::max(shape.row_block, parts(shape.rows, 64));  // each chunk has a dw of its own
  shape.chunks = parts(shape.rows, shape.row_block);
  const DepthwiseKernels& kernels = depthwise_kernels(isa);
  const int64_t size = shape.taps * shape.C;
  KernelPlan plan;
  plan.workspaces = {static_cast<size_t>(shape.chunks * size) * item_size(call.dtype(0))};
  plan.steps.push_back(kernel_step(kernels.backward_kernel[is_double(call)], shape.chunks, shape));
  plan.steps.push_back(kernel_step(kernels.add_chunks[is_double(call)], parts(size, kDepthwiseColumns), shape));
  return plan;
}

// All three multiply the same pairs of numbers.
Cost cost_of_shapes(const Call& call, const Shape& x, const Shape& w, const Shape& y) {
  double elements = 0;
  for (const Shape* shape : {&x, &w, &y}) elements += static_cast<double>(count(*shape).factor());
  return {2 * static_cast<double>(count(y).factor()) * static_cast<double>(count(w, 0, 2).factor()),
          elements * static_cast<double>(item_size(call.dtype(0)))};
}
Cost cost_forward(const Call& call) { return cost_of_shapes(call, call.shape(0), call.shape(1), call.outputs[0].shape); }
Cost cost_backward_input(const Call& call) { return cost_of_shapes(call, call.outputs[0].shape, call.shape(1), call.shape(0)); }
Cost cost_backward_kernel(const Call& call) {
  return cost_of_shapes(call, call.shape(0), call.outputs[0].shape, call.shape(1));
}

}  // namespace

std::span<const Op> depthwise_conv2d_ops() {
  const AttributeSpec strides{"strides", Dims{1, 1}}, padding{"padding", std::string("valid")};
  const AttributeSpec dilation{"dilation_rate", Dims{1, 1}};
  static const std::vector<Op> ops = {
      {.name = "depthwise_conv2d",
       .doc = "y[b,oh,ow,c] = bias[c] + sum over kh, kw of x[b, oh*SH - top + kh*DH, ow*SW - left + kw*DW, c] w[kh,kw,c]",
       .inputs = {"x", "w", "bias?"},
       .outputs = {"y"},
       .attributes = {strides, padding, dilation},
       .infer = infer_forward,
       .variants = {{"direct", nullptr, plan_forward}},
       .cost = cost_forward},
      {.name = "depthwise_conv2d_backward_input",
       .doc = "dx, the gradient of depthwise_conv2d with respect to x",
       .inputs = {"dy", "w"},
       .outputs = {"dx"},
       .attributes = {{"image_size", Dims{1, 1}, true}, strides, padding, dilation},
       .infer = infer_backward_input,
       .variants = {{"direct", nullptr, plan_backward_input}},
       .cost = cost_backward_input},
      {.name = "depthwise_conv2d_backward_kernel",
       .doc = "dw, the gradient of depthwise_conv2d with respect to w, summed over all samples and outputs",
       .inputs = {"x", "dy"},
       .outputs = {"dw"},
       .attributes = {{"kernel_size", Dims{1, 1}, true}, strides, padding, dilation},
       .infer = infer_backward_kernel,
       .variants = {{"direct", nullptr, plan_backward_kernel}},
       .cost = cost_backward_kernel},
  };
  return ops;
}

}  // namespace fastnn
