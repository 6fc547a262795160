#include "ops/cache_append.h"

#include <algorithm>

namespace fastnn {

namespace {

std::vector<TensorType> infer_cache_append(const Call& call) {
  if (call.shape(0).size() < 2) {
    call.fail_value(concat("`cache` of shape ", call.shape(0), "; expected (batch, context, ...); reshape it"));
  }
  call.expect_same_dtype(0, 1);
  Shape rows = call.shape(0);
  if (call.shape(1).size() == rows.size()) rows[1] = call.shape(1)[1];
  call.expect_shape(1, rows);
  if (rows[1].is_int() && call.shape(0)[1].is_int() && rows[1].factor() > call.shape(0)[1].factor()) {
    call.fail_value(concat("`rows` of shape ", rows, " for `cache` of shape ", call.shape(0),
                           "; expected no more rows than the cache has; cut them, or make the cache longer"));
  }
  call.expect_shape(2, {rows[0]});
  if (call.dtype(2) != DType::int32 && call.dtype(2) != DType::int64) {
    call.fail_type(concat("`position` is ", dtype_name(call.dtype(2)), "; expected int32 or int64; cast it first"));
  }
  return {call.input(0)};
}

KernelPlan plan_cache_append(const Call& call, Isa isa) {
  const Dims dims = to_dims(call.shape(0), "cache_append");
  CacheAppendShape shape{};
  shape.B = dims[0];
  shape.S = dims[1];
  shape.T = call.shape(1)[1].factor();
  shape.row_bytes = count(Dims(dims.begin() + 2, dims.end())) * static_cast<int64_t>(item_size(call.dtype(0)));
  shape.per_task = std::max<int64_t>(1, 65536 / std::max<int64_t>(16, shape.row_bytes));
  const int64_t rows = shape.B * shape.S;
  return {{kernel_step(cache_append_kernels(isa).append[call.dtype(2) == DType::int64],
                       (rows + shape.per_task - 1) / shape.per_task, shape)}};
}

Cost cost_cache_append(const Call& call) {
  return {0, 2 * static_cast<double>(count(to_dims(call.shape(0), "cost"))) * static_cast<double>(item_size(call.dtype(0)))};
}

std::string explain_cache_append(const Call& call, int64_t sample, int64_t position) {
  const Extent &context = call.shape(0)[1], &rows = call.shape(1)[1];
  return concat("cache_append: position ", position, " of sample ", sample,
                "; expected 0 <= position <= ", context.factor() - rows.factor(), ", so that ", rows,
                " rows fit into a cache of ", context, "; make the cache longer, or begin a new one");
}

}  // namespace

std::span<const Op> cache_append_ops() {
  static const std::vector<Op> ops = {
      {.name = "cache_append",
       .doc = "y = cache with y[b, position[b] + t] = rows[b, t]",
       .inputs = {"cache", "rows", "position"},
       .outputs = {"y"},
       .infer = infer_cache_append,
       .variants = {{"copy", nullptr, plan_cache_append}},
       .cost = cost_cache_append,
       .explain = explain_cache_append},
  };
  return ops;
}

}  // namespace fastnn
