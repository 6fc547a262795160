// 3 x 3 convolution of stride 1 by Winograd's way F(m x m, 3 x 3): conv2d with m = 2 or 3, conv2d_block with 2, the gradients of
// conv2d with 3.
//
//     y = A' [ (G w G') * (B' d B) ] A
//
// for each tile of m x m outputs and the patch d of (m + 2) x (m + 2) numbers that it reads, where * multiplies element by element and
// sums over channels: of (m + 2)^2 matrix products, one for each place of a patch. With m = 2, 16 multiplications stand for 36, and a
// tile is a window of a 2 x 2 max-pool, which can then be taken before anything is stored. With m = 3, 25 stand for 81.
//
// The sum above is linear in d and in w; its gradients are the same three steps turned round, dy being the tile's m x m numbers:
//
//     dd = B [ (G w G') * (A dy A') ] B'  of each tile, where patches overlap added up
//     dw = G' [ the sum over tiles of (B' d B) * (A dy A') ] G
//
// Shapes     forward: source (B, H, W, C), w (3, 3, C, F), results (B, OH, OW, F). Gradients as in ops/conv2d.h.
// Writes     every element of the results once, of dx while it is summed, always the same task. Workspaces: G w G', (patch, C, F) or
//            (patch, F, C), and a gap behind each matrix; for dw the products of up to four groups of tiles.
// Aliasing   none.
// Scratch    the patches of some tiles, for dw one row of their places, and their products.
// Requires   float or double.
// Edges      Taps outside the image count as 0. A NaN or an infinity in a patch makes every output of its tile a NaN or an infinity,
//            also those that do not read it; in dy, every number of the patch; for dw, every element for its channel or filter.
// Tasks      ranges of tiles, for dx of samples, for dw rows of places in groups of tiles, of some channels; of the steps before
//            and after, channels or filters.
// Numerics   each output is one chain per place over the channels (for dw over the tiles of a group), in a fixed order, of y and dx
//            whatever the batch.
//            |error| <= (length of that chain + 24) * eps * the formula above with the absolute value of every matrix and number. Of
//            m = 2 that is at most 36 * the sum over channels of (the largest |number| of the patch) * (the sum of |w|).
// Cost       C F multiply-adds for each place of a tile, and some 4 (C + F) additions (m = 2), 10 (m = 3).
// Source     Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016. For m = 3 the points are 0, 1, -1, 2 and
//            infinity.
#pragma once

#include "ops/conv2d.h"

namespace fastnn {

struct WinogradShape {
  int64_t B, H, W, C, F;       // of x, and the filters
  int64_t before_h, before_w;  // the padding before x
  int64_t rows, columns;       // of y
  int64_t tile_rows, tile_columns;
  Epilogue epilogue;  // of y or dx; none or relu where there is a pool
  int64_t chunk;      // tiles that are transformed and multiplied at a time
  int64_t block;      // columns of a product, likewise
  int64_t tasks;
  int64_t splits;            // of the channels, for dw
  int64_t transformed_rows;  // of w, per task of the first step
  int64_t groups;            // of tiles, for dw
  int64_t kernel_plane;      // from one place to the next: powers of two apart they would share cache lines
};

struct WinogradKernels {         // [0] for float, [1] for double
  KernelFn transform[2][2];      // workspace, w; first m - 2
  KernelFn convolve[2][2];       // y, x, workspace, bias or null, the epilogue's other or null; likewise
  KernelFn pool[2];              // y, argmax, x, workspace, bias or null
  KernelFn transform_turned[2];  // workspace, w: for the gradient
  KernelFn backward_input[2];    // dx, dy, workspace, other or null
  KernelFn products[2];          // workspace, x, dy
  KernelFn backward_kernel[2];   // dw, workspace
};
FASTNN_PER_ISA(WinogradKernels, winograd_kernels)

// Of outputs 0 .. rows and columns of a convolution.
WinogradShape winograd_shape(const Extent& B, const ImageWindow& window, int64_t rows, int64_t columns, const Extent& C,
                             const Extent& F);

// Does it save enough, of so many outputs, and is this the best m for conv2d? Questions of the layer alone, not of the batch, so that
// a sample gets the same bits in any.
bool winograd_pays(int m, const ImageWindow& window, int64_t rows, int64_t columns, int64_t C, int64_t F);
bool three_is_better(int64_t rows, int64_t columns, int64_t C, int64_t F);
bool winograd_pays_for_gradients(const ImageWindow& window, int64_t C, int64_t F);

// The steps of the forward ops; `results` are the operands that the last one gets before x, `more` those that it gets last;
// `workspace` is a buffer's number like the others.
struct WinogradOperands {
  std::vector<size_t> results;
  size_t source, w;
  std::vector<size_t> more;
  size_t workspace;
};
KernelPlan plan_winograd(int m, WinogradShape shape, KernelFn transform, KernelFn last, size_t item,
                         const WinogradOperands& operands);
KernelPlan plan_winograd_input(WinogradShape shape, const WinogradKernels& kernels, bool is_double);
KernelPlan plan_winograd_kernel(WinogradShape shape, const WinogradKernels& kernels, bool is_double);

}  // namespace fastnn
