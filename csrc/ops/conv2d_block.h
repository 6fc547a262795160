// Convolution, bias, activation and max-pooling as one op, channels-last.
//
//     y[b,i,j,f] = activation(max over p, q of conv2d(x, w, bias)[b, i*PH + p, j*PW + q, f])
//     argmax[b,i,j,f] = p*PW + q of that position
//
// for windows that touch and do not overlap. An activation that grows with its argument may as well come after the maximum,
// where there are PH*PW times fewer values.
//
// Shapes     x (B, H, W, C), w (KH, KW, C, F), bias (F,) or none; OH by OW outputs as in ops/conv2d.h. y and argmax
//            (B, OH/PH, OW/PW, F), rounded down: outputs that no window sees are never computed.
// Backward   g is the gradient of the largest value: dy, or with relu that of op relu_backward. Only the winners have one, so
//            both gradients cost PH*PW times less than those of conv2d. With (h, v) the place from which the winner of
//            (b,i,j,f) reads x, conv2d_block_backward_input: dx[b, h + kh, v + kw, c] = sum of g[b,i,j,f] * w[kh,kw,c,f];
//            conv2d_block_backward_kernel: dw[kh,kw,c,f] = sum of g[b,i,j,f] * x[b, h + kh, v + kw, c]. dbias is the sum
//            of g. argmax is saved. Epilogues of dx as in ops/conv2d.h, sample by sample.
// Writes     every element of y and argmax once; dx and dw while they are summed, always the same task.
// Aliasing   none.
// Scratch    forward: a strip of outputs, some 32 KiB. Backward, where it is "sparse": bits of the gradients of some windows.
//            backward_input first writes w, transposed, into a workspace; backward_kernel has one for up to eight dw.
// Requires   float or double; windows of at most 256 positions.
// Ways       forward: "short" of few products, "winograd" where it pays (ops/winograd.h), "strips".
// Edges      Of equal values the first in row-major order wins, and a NaN over every number, as in ops/pool2d.h; argmax does not
//            know of the activation. "sparse": a gradient of 0 contributes nothing, not even 0 * NaN. Taps outside the image
//            are absent. An argmax that is no position of the window has no gradient.
//            "short": the gradients of losers may be multiplied, as zeros.
// Tasks      forward: groups of samples, or parts of one by rows or filters. Backward, "sparse": groups of samples for dx, of
//            samples and filters for dw; "short" likewise. "unpooled": those of max_pool2d_backward and of conv2d's gradients.
// Numerics   one chain of fused multiply-adds per element of y and dx, and per group of samples of dw, in a fixed order: the
//            same bits for any number of threads, and of y and dx in any batch. |error| <= length * eps * sum of |products|.
// Cost       2 KH KW C F flop per output that a window sees; back, twice that per window.
// Source     -
// Peers      elsewhere the gradient of the pool is unpacked, and three of four products have a factor 0.
#pragma once

#include "ops/conv2d.h"

namespace fastnn {

struct Conv2dBlockShape {
  Conv2dShape conv;      // sample_tasks, row_blocks, column_block: of the forward kernel, rows being those of y
  Window rows, columns;  // the pool's, over the convolution's outputs
  bool relu;
  // Forward: so many rows of y of so many samples are computed at a time, for so many filters.
  int64_t strip_rows, strip_samples, strip_filters;
  // Backward: of so many rows of windows the gradients are looked through at a time.
  int64_t band_rows;
  int64_t sample_groups, filter_tasks;  // backward_kernel: each group of samples has a dw of its own, until they are added
  // backward_input: the rows of the kernel, (kw, c), are cut into `part_count` parts of `part_width`.
  int64_t part_width, part_count;
};

// A sum of (value, place), and where it goes. Which of them there are is said by bits, in words that begin at number `bits`.
struct RowSum {
  int64_t to, value, place, bits;
};
constexpr int64_t kWordBits = 64;
__attribute__((always_inline)) inline int64_t words_of(int64_t n) { return (n + kWordBits - 1) / kWordBits; }

__attribute__((always_inline)) inline int64_t whole_vectors(int64_t n, int64_t lanes) {
  return (n + lanes - 1) / lanes * lanes;
}
// How a worker's scratch is divided, in offsets; the bits, of every window and position or of every filter, come first.
constexpr int64_t kWordBytes = sizeof(uint64_t);
struct InputScratch {
  int64_t places, sums, bytes;
};
__attribute__((always_inline)) inline InputScratch input_scratch(int64_t filters, int64_t sums, int64_t item) {
  const int64_t places = sums * words_of(filters) * kWordBytes, end = places + whole_vectors(filters * item, kWordBytes);
  return {places, end, end + sums * static_cast<int64_t>(sizeof(RowSum))};
}
struct KernelScratch {
  int64_t winners, set, sums, bytes;
};
__attribute__((always_inline)) inline KernelScratch kernel_scratch(int64_t windows, int64_t filters, int64_t lanes,
                                                                   int64_t item) {
  const int64_t row = whole_vectors(filters, lanes) * item;
  const int64_t winners = (filters * words_of(windows) * kWordBytes + 63) / 64 * 64, set = winners + windows * row;
  const int64_t sums = set + words_of(windows) * kWordBytes / item * row;
  return {winners, set, sums, sums + filters * static_cast<int64_t>(sizeof(RowSum))};
}
constexpr int64_t kAddedFilters = 16, kAddedRows = 64;  // per task of add_groups

struct Conv2dBlockKernels {  // [0] for float, [1] for double
  int lanes[2];
  KernelFn forward[2];           // y, argmax, x, w, bias or null
  KernelFn transpose_kernel[2];  // workspace, w
  KernelFn backward_input[2];    // dx, g, argmax, w, the epilogue's other or null, workspace
  KernelFn backward_kernel[2];   // dw, x, g, argmax, workspace: writes the workspace
  KernelFn add_groups[2];        // dw, x, g, argmax, workspace
};
FASTNN_PER_ISA(Conv2dBlockKernels, conv2d_block_kernels)

// "short": sums of at most kShortSum products in at most kShortRows rows, of windows that lie inside the image.
constexpr int kShortSum = 9, kShortRows = 3;
constexpr int64_t kAddedNumbers = 2048;  // per task of add_groups

struct ShortBlockKernels {
  KernelFn forward[2];          // y, argmax, x, w, bias or null
  KernelFn backward_kernel[2];  // dw, x, g, argmax, workspace: writes the workspace
  KernelFn add_groups[2];       // dw, x, g, argmax, workspace
};
FASTNN_PER_ISA(ShortBlockKernels, short_block_kernels)

}  // namespace fastnn
