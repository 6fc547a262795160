// 3 x 3 convolution of stride 1 by Winograd's F(2x2, 3x3): a way to compute conv2d, its input gradient and conv2d_block.
//
//     y = A' [ (G w G') * (B' d B) ] A
//
// for each tile of 2 x 2 outputs and the 4 x 4 patch d of the image that it reads, where * multiplies element by element and sums over
// channels: of 16 matrix products, one for each place of the patch, 16 multiplications stand for 36. A tile is a window of a 2 x 2
// max-pool, which can then be taken before anything is stored.
//
// Shapes     source (B, H, W, C), w (3, 3, C, F), results (B, OH, OW, F). For the input gradient the source is dy, w is turned round
//            and has its channels for filters.
// Writes     every element of the results once; the workspace: G w G', (16, C, F) and a gap behind each C, F.
// Aliasing   none.
// Scratch    the patches of some tiles and their products.
// Requires   float or double.
// Edges      Taps outside the image count as 0. A NaN or an infinity in a patch makes every output of its tile a NaN or an infinity,
//            also those that do not read it.
// Tasks      ranges of tiles; of the first step, channels.
// Numerics   each output is one chain per place over the channels, in a fixed order, whatever the batch. |error| <= (C + 12) * eps *
//            36 * the sum over channels of (the largest |number| of the patch) * (the sum of |w|).
// Cost       C F multiply-adds for each of 16 places of a tile, instead of 36, and some 4 (C + F) additions.
// Source     Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.
#pragma once

#include "ops/conv2d.h"

namespace fastnn {

struct WinogradShape {
  int64_t B, H, W, C, F;       // of the source and the results
  int64_t before_h, before_w;  // the padding before the source
  int64_t rows, columns;       // of results
  int64_t tile_rows, tile_columns;
  bool turned;  // w is that of the convolution whose gradient this is
  bool relu;
  int64_t chunk;    // tiles that are transformed and multiplied at a time
  int64_t filters;  // likewise
  int64_t tasks;
  int64_t transformed_channels;  // per task of the first step
  int64_t kernel_plane;  // from one place of the transformed w to the next: powers of two apart they would share cache lines
};

struct WinogradKernels {  // [0] for float, [1] for double
  KernelFn transform[2];  // workspace, w
  KernelFn convolve[2];   // y, source, workspace, bias or null
  KernelFn gradient[2];   // dx, dy, workspace
  KernelFn pool[2];       // y, argmax, source, workspace, bias or null
};
FASTNN_PER_ISA(WinogradKernels, winograd_kernels)

// Does it save enough for `rows` by `columns` results, where the direct way computes `window` for its first outputs, so many along
// each axis? A question of the layer alone, not of the batch, so that a sample gets the same bits in any.
bool winograd_pays(const ImageWindow& window, int64_t outputs_h, int64_t outputs_w, int64_t rows, int64_t columns, int64_t C,
                   int64_t F);

// The steps; `results` are the operands that the last one gets before the source, `workspace` is a buffer's number like the others.
struct WinogradOperands {
  std::vector<size_t> results;
  size_t source, w;
  std::vector<size_t> bias;
  size_t workspace;
};
KernelPlan plan_winograd(WinogradShape shape, KernelFn transform, KernelFn last, size_t item, const WinogradOperands& operands);

}  // namespace fastnn
