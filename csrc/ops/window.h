// The arithmetic of sliding windows, shared by convolution and pooling, one axis at a time.
//
// Output o reads the image positions o * stride - before + t, for the taps 0 <= t < window that fall inside
// the image. Padding, as in Keras: `valid` has none, so that only whole windows count; `same` makes
// ceil(image / stride) outputs and puts the smaller half of the padding first (PyTorch's padding=1 differs
// from it where the stride is 2 and the image even).
#pragma once

#include <algorithm>
#include <utility>

#include "ops/op.h"

namespace fastnn {

struct Window {
  int64_t image, window, stride, output, before;
};

// A half-open range of positions.
struct Span {
  int64_t begin, end;
};

// The taps of output o that lie inside the image. (Always inlined: kernels of every ISA use it, and an
// ordinary inline function would be compiled once per ISA under one name.)
__attribute__((always_inline)) inline Span taps_inside(const Window& w, int64_t o) {
  const int64_t first = w.before - o * w.stride, end = first + w.image;
  return {first > 0 ? first : 0, end < w.window ? end : w.window};
}

struct ImageWindow {
  Window height, width;
};

// The two positive numbers of an attribute.
inline std::pair<int64_t, int64_t> positive_pair(const Call& call, std::string_view attribute) {
  const Dims& dims = call.attributes.dims(attribute);
  if (dims.size() != 2 || dims[0] < 1 || dims[1] < 1) {
    call.fail_value(concat(attribute, "=", to_shape(dims),
                           "; expected two positive integers, (vertical, horizontal); pass for example ", attribute,
                           "=(2, 2)"));
  }
  return {dims[0], dims[1]};
}

inline Window window_along(const Call& call, std::string_view axis, int64_t image, int64_t window, int64_t stride) {
  const std::string& padding = call.attributes.text("padding");
  if (padding == "same") {
    const int64_t output = image > 0 ? (image - 1) / stride + 1 : 0;
    // In an order that cannot overflow: the last output's first tap, and so the difference, is never above 0.
    return {image, window, stride, output, std::max<int64_t>((output - 1) * stride - image + window, 0) / 2};
  }
  if (padding != "valid") {
    call.fail_value(concat("padding='", padding,
                           "'; expected 'valid' (no padding) or 'same' (the image's size divided by the "
                           "stride); choose one of them"));
  }
  if (window > image) {
    call.fail_value(concat("the window's ", axis, " is ", window, " and the image's ", image,
                           "; expected a window no larger than "
                           "the image with padding='valid'; pass padding='same' or a smaller window"));
  }
  return {image, window, stride, (image - window) / stride + 1, 0};
}

// Windows over an image of `height` by `width` as the attributes `strides` and `padding` place them.
inline ImageWindow image_window(const Call& call, std::pair<int64_t, int64_t> image, std::pair<int64_t, int64_t> window) {
  const auto strides = positive_pair(call, "strides");
  return {window_along(call, "height", image.first, window.first, strides.first),
          window_along(call, "width", image.second, window.second, strides.second)};
}

// Height and width of an operand of images, (batch, height, width, channels).
inline std::pair<int64_t, int64_t> image_size_of(const Call& call, size_t operand) {
  call.expect_rank(operand, 4);
  return {call.shape(operand)[1].to_int(std::string(call.name()), "the height of " + call.operand(operand)),
          call.shape(operand)[2].to_int(std::string(call.name()), "the width of " + call.operand(operand))};
}

// Height and width of an operand that is a convolution kernel, (KH, KW, C, F).
inline std::pair<int64_t, int64_t> kernel_size_of(const Call& call, size_t operand) {
  call.expect_rank(operand, 4);
  const std::string where(call.name());
  const std::pair size{call.shape(operand)[0].to_int(where, "the height of " + call.operand(operand)),
                       call.shape(operand)[1].to_int(where, "the width of " + call.operand(operand))};
  if (size.first < 1 || size.second < 1) {
    call.fail_value(concat(call.operand(operand), " has shape ", call.shape(operand),
                           "; expected (KH, KW, C, F) with a height and width of at least 1; pass a kernel with elements"));
  }
  return size;
}

// The gradient of the outputs must have the outputs' height and width.
inline void expect_outputs(const Call& call, size_t operand, const ImageWindow& w) {
  const auto [height, width] = image_size_of(call, operand);
  if (height == w.height.output && width == w.width.output) return;
  call.fail_value(concat(call.operand(operand), " has shape ", call.shape(operand), "; expected height and width ",
                         Shape{w.height.output, w.width.output}, ", which windows of ", Shape{w.height.window, w.width.window},
                         " have over an image of ", Shape{w.height.image, w.width.image}, " with strides=",
                         to_shape(call.attributes.dims("strides")), " and padding='", call.attributes.text("padding"),
                         "'; pass the gradient of this call's output, or the image size of the forward call"));
}

}  // namespace fastnn
