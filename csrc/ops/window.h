// The arithmetic of sliding windows, shared by convolution and pooling, one axis at a time.
//
// Output o reads the image positions o * stride - before + t * dilation, for the taps 0 <= t < window that fall
// inside the image; with dilation a window reaches over (window - 1) * dilation + 1 positions. Padding, as in
// Keras: `valid` has none, so that only whole windows count; `same` makes ceil(image / stride) outputs and puts
// the smaller half of the padding first (PyTorch's padding=1 differs from it where the stride is 2 and the image
// even); `causal`, of convolutions, makes as many and puts all of the padding first, so that output o reads
// nothing behind position o * stride; `ceil`, of pooling, is `valid` and one window more where the last whole one
// leaves positions over, of which it sees what there is (PyTorch's ceil_mode).
#pragma once

#include <algorithm>
#include <utility>

#include "ops/op.h"

namespace fastnn {

struct Window {
  int64_t image, window, stride, output, before;
  int64_t dilation = 1;
};

// A half-open range of positions.
struct Span {
  int64_t begin, end;
};

// The taps of output o that lie inside the image, without dilation. (Always inlined: kernels of every ISA use it, and an
// ordinary inline function would be compiled once per ISA under one name.)
__attribute__((always_inline)) inline Span taps_inside(const Window& w, int64_t o) {
  const int64_t first = w.before - o * w.stride, end = first + w.image;
  return {first > 0 ? first : 0, end < w.window ? end : w.window};
}

constexpr int64_t kMostPositions = int64_t{1} << 31;  // that a window reaches over: nothing overflows

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

// `dilation` is 0 for ops that have none; those that have one know causal padding too, and those that pool `ceil`.
inline Window window_along(const Call& call, std::string_view axis, int64_t image, int64_t window, int64_t stride,
                           int64_t dilation, bool pools) {
  const std::string& padding = call.attributes.text("padding");
  const bool convolves = dilation > 0;
  if (!convolves) dilation = 1;
  int64_t reach;
  if (__builtin_mul_overflow(window - 1, dilation, &reach) || std::max({reach, stride, dilation}) > kMostPositions) {
    call.fail_value(concat("a window of ", window, " taps along the ", axis, ", ", dilation, " apart, and a stride of ", stride,
                           "; expected at most ", kMostPositions, " positions; choose smaller ones"));
  }
  ++reach;
  if (stride > 1 && dilation > 1) {
    call.fail_value(concat("a stride of ", stride, " and a dilation of ", dilation, " along the ", axis,
                           "; expected one of them to be 1; choose which"));
  }
  const int64_t outputs = image > 0 ? (image - 1) / stride + 1 : 0;
  if (padding == "same") {
    return {image, window, stride, outputs, std::max<int64_t>((outputs - 1) * stride - image + reach, 0) / 2, dilation};
  }
  if (pools && padding == "ceil") {
    const int64_t left = image - reach;  // behind the first window; a further one begins inside the image
    const int64_t further = left > 0 ? std::min((left - 1) / stride + 1, (image - 1) / stride) : 0;
    return {image, window, stride, image > 0 ? further + 1 : 0, 0, dilation};
  }
  if (convolves && padding == "causal") return {image, window, stride, outputs, reach - 1, dilation};
  if (padding != "valid") {
    call.fail_value(concat("padding='", padding,
                           "'; expected 'valid' (no padding) or 'same' (the image's size divided by the stride)",
                           convolves ? " or 'causal' (as 'same', all of it first)" : "",
                           pools ? " or 'ceil' (as 'valid', the last window may be cut off)" : "", "; choose one of them"));
  }
  if (reach > image) {
    call.fail_value(concat("the window's ", axis, " is ", reach, " and the image's ", image,
                           "; expected a window no larger than "
                           "the image with padding='valid'; pass padding='same' or a smaller window"));
  }
  return {image, window, stride, (image - reach) / stride + 1, 0, dilation};
}

// Windows over an image of `height` by `width` as the attributes `strides` and `padding` place them.
inline ImageWindow image_window(const Call& call, std::pair<int64_t, int64_t> image, std::pair<int64_t, int64_t> window,
                                std::pair<int64_t, int64_t> dilation = {0, 0}, bool pools = false) {
  const auto strides = positive_pair(call, "strides");
  return {window_along(call, "height", image.first, window.first, strides.first, dilation.first, pools),
          window_along(call, "width", image.second, window.second, strides.second, dilation.second, pools)};
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
