#include "ops/winograd.h"

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

}  // namespace

bool winograd_pays(const ImageWindow& window, int64_t outputs_h, int64_t outputs_w, int64_t rows, int64_t columns, int64_t C,
                   int64_t F) {
  for (const Window& axis : {window.height, window.width}) {
    if (axis.window != 3 || axis.stride != 1 || axis.dilation != 1) return false;
  }
  // Multiply-adds of the direct way against those of 16 places and the transforms, for each channel and filter.
  const double direct = taps_inside_of(window.height, outputs_h) * taps_inside_of(window.width, outputs_w);
  const double tiles = static_cast<double>(parts(rows, 2) * parts(columns, 2));
  const double products = static_cast<double>(C) * static_cast<double>(F);
  return direct * products > 1.2 * tiles * (16 * products + 64.0 * static_cast<double>(C + F));
}

KernelPlan plan_winograd(WinogradShape shape, KernelFn transform, KernelFn last, size_t item,
                         const WinogradOperands& operands) {
  shape.tile_rows = parts(shape.rows, 2), shape.tile_columns = parts(shape.columns, 2);
  // 42 tiles are rows of three register tiles of 14, or seven of 6; with many channels one of 14 leaves room in the cache.
  const auto size = static_cast<int64_t>(item);
  shape.chunk = 16 * 42 * shape.C * size <= int64_t{384} * 1024 ? 42 : 14;
  shape.filters = std::min<int64_t>(shape.F, 32);
  const int64_t tiles = shape.B * shape.tile_rows * shape.tile_columns;
  const double flops = 32.0 * static_cast<double>(tiles) * static_cast<double>(shape.C) * static_cast<double>(shape.F);
  // Some 5 microseconds at least; whole chunks where they make tasks enough.
  const auto worth = static_cast<int64_t>(flops / 5e5);
  const int64_t chunks = parts(tiles, shape.chunk), most = chunks < 8 ? parts(tiles, 7) : chunks;
  shape.tasks = std::min(worth < 4 ? std::max<int64_t>(worth, 1) : worth / 4 * 4, most);
  shape.transformed_channels = std::max<int64_t>(parts(8192, std::max<int64_t>(shape.F, 1)), 1);
  shape.kernel_plane = shape.C * shape.F + 16;
  const int64_t scratch = 16 * shape.chunk * (shape.C + shape.filters) * size;
  KernelPlan plan;
  plan.workspaces = {static_cast<size_t>(16 * shape.kernel_plane) * item};
  plan.steps.push_back(kernel_step(transform, tiles > 0 ? parts(shape.C, shape.transformed_channels) : 0, shape));
  plan.steps.back().operands = {operands.workspace, operands.w};
  plan.steps.push_back(kernel_step(last, shape.tasks, shape, static_cast<size_t>(scratch)));
  std::vector<size_t>& named = plan.steps.back().operands;
  named = operands.results;
  named.push_back(operands.source);
  named.push_back(operands.workspace);
  named.insert(named.end(), operands.bias.begin(), operands.bias.end());
  return plan;
}

}  // namespace fastnn
