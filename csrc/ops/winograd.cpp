#include "ops/winograd.h"

#include "base/divide.h"

namespace fastnn {

namespace {

// The taps inside the image, of all these outputs together: at most 3 of one, and all of it but at the borders.
double taps_inside_of(const Window& axis, int64_t outputs) {
  int64_t taps = 0;
  for (int64_t o = 0; o < outputs; ++o) {
    if (o == 3 && outputs > 8) {
      taps += 3 * (outputs - 6);
      o = outputs - 3;
    }
    const Span inside = taps_inside(axis, o);
    taps += std::max<int64_t>(inside.end - inside.begin, 0);
  }
  return static_cast<double>(taps);
}

bool is_three_by_three(const ImageWindow& window) {
  for (const Window& axis : {window.height, window.width}) {
    if (axis.window != 3 || axis.stride != 1 || axis.dilation != 1) return false;
  }
  return true;
}

// Multiply-adds, in vector instructions: of the places, of the transforms of patches for each channel and filter, and of a share of
// the transform of w, which predictions do once and training for a whole batch. (Measured with AVX-512.)
double cost_of(int m, int64_t rows, int64_t columns, int64_t C, int64_t F) {
  const double tiles = static_cast<double>(parts(rows, m) * parts(columns, m));
  const double products = static_cast<double>(C) * static_cast<double>(F), sum = static_cast<double>(C + F);
  return m == 2 ? tiles * (16 * products + 64 * sum) : tiles * (25 * products + 100 * sum) + 5 * products;
}

// Some 5 microseconds at least, of so many multiply-adds.
int64_t tasks_worth(double products) { return equal_shares(2 * products / 5e5); }

void tile_by(WinogradShape& shape, int64_t m) {
  shape.tile_rows = parts(shape.rows, m), shape.tile_columns = parts(shape.columns, m);
}
// A place of the kernel, or of its gradient. A place of what is multiplied by is in panels of columns, which are 32 wide or less.
int64_t plane_of(int64_t rows, int64_t columns) { return rows * columns + 16; }
int64_t panels_of(int64_t rows, int64_t columns) { return plane_of(rows, parts(columns, 32) * 32); }
int64_t tiles_of(const WinogradShape& shape) { return shape.B * shape.tile_rows * shape.tile_columns; }
double products_of(const WinogradShape& shape, int64_t places) {
  return static_cast<double>(places * tiles_of(shape)) * static_cast<double>(shape.C) * static_cast<double>(shape.F);
}

}  // namespace

WinogradShape winograd_shape(const Extent& B, const ImageWindow& window, int64_t rows, int64_t columns, const Extent& C,
                             const Extent& F) {
  WinogradShape shape{};
  shape.B = B.factor(), shape.H = window.height.image, shape.W = window.width.image;
  shape.C = C.factor(), shape.F = F.factor();
  shape.before_h = window.height.before, shape.before_w = window.width.before;
  shape.rows = rows, shape.columns = columns;
  return shape;
}

bool winograd_pays(int m, const ImageWindow& window, int64_t rows, int64_t columns, int64_t C, int64_t F) {
  if (!is_three_by_three(window)) return false;
  if (m == 3 && std::min(C, F) < 16) return false;  // 25 products of a few numbers each
  const double direct = taps_inside_of(window.height, rows) * taps_inside_of(window.width, columns);
  return direct * static_cast<double>(C) * static_cast<double>(F) > 1.2 * cost_of(m, rows, columns, C, F);
}
// With fewer than four tiles in a sample a prediction for one would read the transformed w for almost nothing.
bool three_is_better(int64_t rows, int64_t columns, int64_t C, int64_t F) {
  return parts(rows, 3) * parts(columns, 3) >= 4 && cost_of(3, rows, columns, C, F) < cost_of(2, rows, columns, C, F);
}
bool winograd_pays_for_gradients(const ImageWindow& window, int64_t C, int64_t F) {
  return winograd_pays(3, window, window.height.output, window.width.output, C, F);
}

KernelPlan plan_winograd(int m, WinogradShape shape, KernelFn transform, KernelFn last, size_t item,
                         const WinogradOperands& operands) {
  tile_by(shape, m);
  shape.kernel_plane = panels_of(shape.C, shape.F);
  // 24 tiles are rows of two register tiles, or of four; with many channels one of 12 leaves room in the cache.
  const auto size = static_cast<int64_t>(item), places = int64_t{m + 2} * (m + 2);
  shape.chunk = places * 24 * shape.C * size <= int64_t{384} * 1024 ? 24 : 12;
  shape.block = std::min<int64_t>(shape.F, 64);
  // The transformed w is read once per chunk: whole chunks where they make tasks enough.
  const int64_t tiles = tiles_of(shape), chunks = parts(tiles, shape.chunk);
  const int64_t most = chunks < 8 ? parts(tiles, m == 2 ? 7 : 8) : chunks;
  shape.tasks = std::min(tasks_worth(products_of(shape, places)), most);
  shape.transformed_rows = at_least_one(parts(1024, at_least_one(shape.F)));
  const int64_t scratch = places * (shape.chunk * (shape.C + shape.block) + shape.C) * size;
  KernelPlan plan;
  plan.workspaces = {static_cast<size_t>(places * shape.kernel_plane) * item};
  plan.steps.push_back(kernel_step(transform, tiles > 0 ? parts(shape.C, shape.transformed_rows) : 0, shape));
  plan.steps.back().operands = {operands.workspace, operands.w};
  plan.steps.back().prepares = true;
  plan.steps.push_back(kernel_step(last, shape.tasks, shape, static_cast<size_t>(scratch)));
  std::vector<size_t>& named = plan.steps.back().operands;
  named = operands.results;
  named.push_back(operands.source);
  named.push_back(operands.workspace);
  named.insert(named.end(), operands.more.begin(), operands.more.end());
  return plan;
}

KernelPlan plan_winograd_input(WinogradShape shape, const WinogradKernels& kernels, bool is_double) {
  tile_by(shape, 3);
  shape.kernel_plane = panels_of(shape.F, shape.C);
  const int64_t item = is_double ? 8 : 4, tiles = tiles_of(shape);
  shape.chunk = 25 * 12 * shape.F * item <= int64_t{192} * 1024 ? 12 : 6;
  shape.block = std::min<int64_t>(shape.C, 64);
  // The transformed w is read once per chunk: rather few tasks than chunks of a few tiles.
  const int64_t chunks = parts(tiles, shape.chunk), most = chunks < 8 ? parts(tiles, 8) : chunks;
  shape.tasks = std::min({tasks_worth(products_of(shape, 25)), most, shape.B});
  shape.transformed_rows = 16;  // filters: the rows of a square
  const int64_t scratch = 25 * (shape.chunk * (shape.F + shape.block) + shape.F) * item;
  KernelPlan plan;
  plan.workspaces = {static_cast<size_t>(25 * shape.kernel_plane * item)};
  const int64_t squares = tiles > 0 ? parts(shape.F, shape.transformed_rows) : 0;
  plan.steps.push_back(kernel_step(kernels.transform_turned[is_double], squares, shape));
  plan.steps.back().operands = {4, 2};
  plan.steps.back().prepares = true;
  plan.steps.push_back(kernel_step(kernels.backward_input[is_double], shape.tasks, shape, static_cast<size_t>(scratch)));
  plan.steps.back().operands = {0, 1, 4, 3};
  return plan;
}

KernelPlan plan_winograd_kernel(WinogradShape shape, const WinogradKernels& kernels, bool is_double) {
  tile_by(shape, 3);
  shape.kernel_plane = plane_of(shape.C, shape.F);
  const int64_t item = is_double ? 8 : 4, tiles = tiles_of(shape);
  // A row of products and a chunk of patches stay in a second-level cache together; a group is worth its addition.
  const int64_t sum = shape.C + shape.F;
  shape.chunk = 5 * 56 * sum * item <= int64_t{256} * 1024 ? 56 : 28;
  const int64_t products = at_least_one(25 * shape.kernel_plane * item);
  shape.groups = std::clamp<int64_t>(tiles / 64, 1, std::clamp<int64_t>(int64_t{4} * 1024 * 1024 / products, 1, 4));
  shape.splits = shape.groups == 1 && shape.C >= 32 ? 2 : 1;  // five tasks would leave one of two threads waiting
  shape.transformed_rows = at_least_one(parts(1024, at_least_one(shape.F)));
  const int64_t scratch = (5 * shape.chunk * sum + 25 * std::max(shape.C, shape.F)) * item;
  KernelPlan plan;
  plan.workspaces = {static_cast<size_t>(shape.groups * products)};
  plan.steps.push_back(
      kernel_step(kernels.products[is_double], 5 * shape.groups * shape.splits, shape, static_cast<size_t>(scratch)));
  plan.steps.back().operands = {3, 1, 2};
  plan.steps.push_back(kernel_step(kernels.backward_kernel[is_double], parts(shape.C, shape.transformed_rows), shape));
  plan.steps.back().operands = {0, 3};
  return plan;
}

}  // namespace fastnn
