#include "ops/pool2d.h"

namespace fastnn {

namespace {

constexpr int64_t kMaxPositions = 256;  // argmax is one byte

ImageWindow average_window(const Call& call, std::pair<int64_t, int64_t> image) {
  return image_window(call, image, positive_pair(call, "pool_size"), {0, 0}, /*pools=*/true);
}

ImageWindow max_window(const Call& call, std::pair<int64_t, int64_t> image) {
  const auto size = positive_pair(call, "pool_size");
  if (size.first > kMaxPositions || size.second > kMaxPositions / size.first) {
    call.fail_value(concat("pool_size=", to_shape(call.attributes.dims("pool_size")), "; expected at most ", kMaxPositions,
                           " positions in a window; pool in two steps"));
  }
  return average_window(call, image);
}

std::vector<TensorType> infer_max_pool2d(const Call& call) {
  call.expect_float(0);
  const ImageWindow window = max_window(call, image_size_of(call, 0));
  const Shape y{call.shape(0)[0], window.height.output, window.width.output, call.shape(0)[3]};
  return {{call.dtype(0), y}, {DType::uint8, y}};
}

std::vector<TensorType> infer_max_pool2d_backward(const Call& call) {
  call.expect_float(0);
  if (call.dtype(1) != DType::uint8) {
    call.fail_type(concat("`argmax` is ", dtype_name(call.dtype(1)), "; expected uint8; pass the second result of max_pool2d"));
  }
  const ImageWindow window = max_window(call, positive_pair(call, "image_size"));
  expect_outputs(call, 0, window);
  call.expect_shape(1, call.shape(0));
  return {{call.dtype(0), {call.shape(0)[0], window.height.image, window.width.image, call.shape(0)[3]}}};
}

std::vector<TensorType> infer_average_pool2d(const Call& call) {
  call.expect_float(0);
  const ImageWindow window = average_window(call, image_size_of(call, 0));
  return {{call.dtype(0), {call.shape(0)[0], window.height.output, window.width.output, call.shape(0)[3]}}};
}

std::vector<TensorType> infer_average_pool2d_backward(const Call& call) {
  call.expect_float(0);
  const ImageWindow window = average_window(call, positive_pair(call, "image_size"));
  expect_outputs(call, 0, window);
  return {{call.dtype(0), {call.shape(0)[0], window.height.image, window.width.image, call.shape(0)[3]}}};
}

// Rows of `row_bytes` in blocks of about 64 KiB, some 5 microseconds, at most 64 of them.
KernelPlan plan_rows(KernelFn kernel, const Shape& result, const ImageWindow& window, int64_t row_bytes) {
  Pool2dShape shape;
  shape.C = result[3].factor();
  shape.height = window.height, shape.width = window.width;
  shape.rows = row_bytes > 0 ? result[0].factor() * result[1].factor() : 0;
  shape.row_block = std::max<int64_t>({int64_t{64} * 1024 / std::max<int64_t>(row_bytes, 1), (shape.rows + 63) / 64, 1});
  return {{kernel_step(kernel, (shape.rows + shape.row_block - 1) / shape.row_block, shape)}};
}

// What an output row reads and writes, `written` bytes for each of its elements.
int64_t output_row_bytes(const Call& call, const ImageWindow& window, int64_t written) {
  const int64_t C = call.shape(0)[3].factor(), outputs = window.width.output * C;
  const int64_t rows = std::min({window.height.stride, window.height.window, window.height.image});
  const int64_t read = rows * window.width.image * C;
  return outputs > 0 ? read * static_cast<int64_t>(item_size(call.dtype(0))) + outputs * written : 0;
}

KernelPlan plan_max_pool2d(const Call& call, Isa isa) {
  const ImageWindow window = max_window(call, image_size_of(call, 0));
  const int64_t item = static_cast<int64_t>(item_size(call.dtype(0)));
  return plan_rows(pool2d_kernels(isa).max[call.dtype(0) == DType::float64], call.outputs[0].shape, window,
                   output_row_bytes(call, window, item + 1));
}

KernelPlan plan_max_pool2d_backward(const Call& call, Isa isa) {
  const ImageWindow window = max_window(call, positive_pair(call, "image_size"));
  const int64_t item = static_cast<int64_t>(item_size(call.dtype(0)));
  return plan_rows(pool2d_kernels(isa).max_backward[call.dtype(0) == DType::float64], call.outputs[0].shape, window,
                   window.width.image * call.shape(0)[3].factor() * item);
}

KernelPlan plan_average_pool2d(const Call& call, Isa isa) {
  const ImageWindow window = average_window(call, image_size_of(call, 0));
  const int64_t item = static_cast<int64_t>(item_size(call.dtype(0)));
  return plan_rows(pool2d_kernels(isa).average[call.dtype(0) == DType::float64], call.outputs[0].shape, window,
                   output_row_bytes(call, window, item));
}

KernelPlan plan_average_pool2d_backward(const Call& call, Isa isa) {
  const ImageWindow window = average_window(call, positive_pair(call, "image_size"));
  const int64_t item = static_cast<int64_t>(item_size(call.dtype(0)));
  return plan_rows(pool2d_kernels(isa).average_backward[call.dtype(0) == DType::float64], call.outputs[0].shape, window,
                   window.width.image * call.shape(0)[3].factor() * item);
}

}  // namespace

std::span<const Op> pool2d_ops() {
  const AttributeSpec pool_size{"pool_size", Dims{2, 2}}, strides{"strides", Dims{2, 2}};
  const AttributeSpec padding{"padding", std::string("valid")};
  static const std::vector<Op> ops = {
      {.name = "max_pool2d",
       .doc = "y = the largest value of each window, argmax = its position in the window, row-major",
       .inputs = {"x"},
       .outputs = {"y", "argmax"},
       .attributes = {pool_size, strides, padding},
       .infer = infer_max_pool2d,
       .variants = {{"direct", nullptr, plan_max_pool2d}}},
      {.name = "max_pool2d_backward",
       .doc = "dx, the gradient of max_pool2d: each window's dy at the position that won",
       .inputs = {"dy", "argmax"},
       .outputs = {"dx"},
       .attributes = {{"image_size", Dims{1, 1}, true}, pool_size, strides, padding},
       .infer = infer_max_pool2d_backward,
       .variants = {{"direct", nullptr, plan_max_pool2d_backward}}},
      {.name = "average_pool2d",
       .doc = "y = the mean of each window, of the positions inside the image",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = {pool_size, strides, padding},
       .infer = infer_average_pool2d,
       .variants = {{"direct", nullptr, plan_average_pool2d}}},
      {.name = "average_pool2d_backward",
       .doc = "dx, the gradient of average_pool2d: each window's dy in equal shares",
       .inputs = {"dy"},
       .outputs = {"dx"},
       .attributes = {{"image_size", Dims{1, 1}, true}, pool_size, strides, padding},
       .infer = infer_average_pool2d_backward,
       .variants = {{"direct", nullptr, plan_average_pool2d_backward}}},
  };
  return ops;
}

}  // namespace fastnn
