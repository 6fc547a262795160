#include "ops/reduce.h"

#include <algorithm>

#include "base/divide.h"
#include "base/memory.h"

namespace fastnn {

namespace {

using Flags = std::vector<char>;  // per axis of x: is it reduced?

// ---- Shape rules ----------------------------------------------------------------------------------------------------------

Flags reduced_axes(const Call& call, size_t operand) {
  const Shape& shape = call.shape(operand);
  const auto rank = static_cast<int64_t>(shape.size());
  const Axes& axes = call.attributes.axes("axes");
  Flags reduced(shape.size(), !axes.has_value());
  for (const int64_t axis : axes.value_or(Dims{})) {
    if (axis < -rank || axis >= rank) {
      call.fail_value(concat("axes=", to_shape(*axes), " for ", call.operand(operand), " of shape ", shape,
                             "; expected axes from ", -rank, " to ", rank - 1, "; drop ", axis));
    }
    char& flag = reduced[static_cast<size_t>(axis < 0 ? axis + rank : axis)];
    if (flag) call.fail_value(concat("axes=", to_shape(*axes), "; expected every axis once; drop ", axis));
    flag = 1;
  }
  return reduced;
}

Shape reduced_shape(const Shape& shape, const Flags& reduced, bool keepdims) {
  Shape result;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!reduced[i]) {
      result.push_back(shape[i]);
    } else if (keepdims) {
      result.push_back(1);
    }
  }
  return result;
}

template <Types types>
std::vector<TensorType> infer_reduction(const Call& call) {
  expect_types(call, types);
  return {{call.dtype(0), reduced_shape(call.shape(0), reduced_axes(call, 0), call.attributes.flag("keepdims"))}};
}

std::vector<TensorType> infer_extremum(const Call& call) {
  const Flags reduced = reduced_axes(call, 0);
  for (size_t i = 0; i < reduced.size(); ++i) {
    if (!reduced[i] || call.shape(0)[i] != Extent(0)) continue;
    call.fail_value(
        concat("`x` has shape ", call.shape(0), "; expected at least 1 element along the axes; choose another axis"));
  }
  return infer_reduction<numbers>(call);
}

std::vector<TensorType> infer_of_bools(const Call& call) {
  if (call.dtype(0) != DType::boolean) {
    call.fail_type(concat("`x` is ", dtype_name(call.dtype(0)), "; expected bool; compare it, or cast it to bool"));
  }
  return {{DType::boolean, reduced_shape(call.shape(0), reduced_axes(call, 0), call.attributes.flag("keepdims"))}};
}

std::vector<TensorType> infer_reduction_backward(const Call& call) {
  expect_types(call, floats);
  call.expect_same_dtype(0, 1);
  call.expect_shape(0, reduced_shape(call.shape(1), reduced_axes(call, 1), call.attributes.flag("keepdims")));
  return {call.input(1)};
}

// One of x and like broadcasts to the other.
void expect_broadcast(const Call& call, size_t from, size_t to) {
  if (broadcast(std::string(call.name()), call.shape(from), call.shape(to)) == call.shape(to)) return;
  call.fail_value(concat(call.operand(from), " has shape ", call.shape(from), " and ", call.operand(to), " ", call.shape(to),
                         "; expected one that broadcasts to ", call.shape(to), "; exchange them or reshape one"));
}

std::vector<TensorType> infer_sum_to_like(const Call& call) {
  expect_types(call, numbers);
  expect_broadcast(call, 1, 0);
  return {{call.dtype(0), call.shape(1)}};
}

std::vector<TensorType> infer_broadcast_like(const Call& call) {
  expect_types(call, numbers);
  expect_broadcast(call, 0, 1);
  return {{call.dtype(0), call.shape(1)}};
}

size_t place_axis(const Call& call) {
  const auto rank = static_cast<int64_t>(call.shape(0).size());
  const int64_t axis = call.attributes.integer("axis");
  if (axis >= -rank && axis < rank) return static_cast<size_t>(axis < 0 ? axis + rank : axis);
  if (rank == 0) call.fail_value("`x` is a single number; expected at least 1 axis; reshape it");
  call.fail_value(concat("axis=", axis, " for `x` of shape ", call.shape(0), "; expected ", -rank, " to ", rank - 1,
                         "; choose another axis"));
}

std::vector<TensorType> infer_place(const Call& call) {
  expect_types(call, numbers);
  Shape shape = call.shape(0);
  const auto axis = shape.begin() + static_cast<std::ptrdiff_t>(place_axis(call));
  if (*axis == Extent(0)) {
    call.fail_value(
        concat("`x` has shape ", call.shape(0), "; expected at least 1 element along the axis; choose another axis"));
  }
  shape.erase(axis);
  return {{DType::int64, shape}};
}

// ---- Folds ----------------------------------------------------------------------------------------------------------------

// Axes of x that lie side by side and are all kept or all reduced.
struct Group {
  bool reduced;
  int64_t length;
};

std::vector<Group> groups_of(const Dims& dims, const Flags& reduced) {
  std::vector<Group> groups;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 1) continue;
    if (!groups.empty() && groups.back().reduced == static_cast<bool>(reduced[i])) {
      groups.back().length *= dims[i];
    } else {
      groups.push_back({static_cast<bool>(reduced[i]), dims[i]});
    }
  }
  return groups;
}

// The task count follows; chunks too, from the length of the reduced axis alone.
FoldShape fold_shape(int64_t outer, int64_t reduced, int64_t inner) {
  FoldShape shape;
  shape.outer = outer, shape.reduced = reduced, shape.inner = inner;
  const int64_t longest = inner == 1 ? kRowChunk : kColumnChunk;
  shape.chunk = std::max<int64_t>(1, divide_up(reduced, std::max<int64_t>(1, divide_up(reduced, longest))));
  shape.chunks = std::max<int64_t>(1, divide_up(reduced, shape.chunk));
  const int64_t unit = std::max<int64_t>(1, shape.chunk * inner);
  shape.units_per_task = std::max<int64_t>(1, kTaskElements / unit);
  // 128 columns are 512 bytes of each row: whole cache lines, however the row lies. Half of that if there are no more.
  const int64_t least = inner > 128 ? 128 : 64;
  shape.column_block = unit <= 2 * kTaskElements ? std::max<int64_t>(1, inner)
                                                 : std::max<int64_t>(least, kTaskElements / shape.chunk / 128 * 128);
  shape.column_blocks = divide_up(inner, shape.column_block);
  return shape;
}

// Reduces group after group, the last first; a long one in several levels of chunks. Between steps the numbers lie in the
// workspace. Where nothing is reduced, one step copies.
KernelPlan plan_fold(const Call& call, Isa isa, const Flags& reduced, Fold fold, bool mean) {
  std::vector<Group> groups = groups_of(to_dims(call.shape(0), std::string(call.name())), reduced);
  const auto row = static_cast<size_t>(fold);
  const size_t type = call.dtype(0) == DType::boolean ? 0 : static_cast<size_t>(call.dtype(0)),
               workspace = 1 + call.op->inputs.size();
  const size_t per_line = kAlignment / item_size(call.dtype(0));
  const ReduceKernels& kernels = reduce_kernels(isa);
  auto product = [&](size_t first, size_t last) {
    int64_t length = 1;
    for (size_t i = first; i < last; ++i) length *= groups[i].length;
    return length;
  };
  double divisor = 1;
  for (const Group& group : groups) divisor *= mean && group.reduced ? static_cast<double>(group.length) : 1;
  if (count(call.input(0).shape) == Extent(0)) {  // sums of nothing, without intermediate ones
    groups = {{false, count(call.outputs[0].shape).factor()}, {true, 0}};
  }

  KernelPlan plan;
  size_t used = 0, from_buffer = 1;  // elements of the workspace
  int64_t from = 0;
  for (bool done = false; !done;) {
    const auto last = std::ranges::find(groups.rbegin(), groups.rend(), true, &Group::reduced);
    const size_t at = static_cast<size_t>(groups.rend() - last);  // one behind the last reduced group; 0 if there is none
    FoldShape shape = at == 0 ? fold_shape(1, 1, product(0, groups.size()))
                              : fold_shape(product(0, at - 1), groups[at - 1].length, product(at, groups.size()));
    if (shape.chunks > 1) {
      groups[at - 1].length = shape.chunks;
    } else if (at > 0) {
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(at - 1));
    }
    done = std::ranges::find(groups, true, &Group::reduced) == groups.end();
    shape.from_buffer = from_buffer;
    shape.from = from;
    shape.to_buffer = done ? 0 : workspace;
    shape.to = done ? 0 : static_cast<int64_t>(used);
    shape.divisor = done ? divisor : 1;
    const int64_t units = shape.outer * shape.chunks;
    if (!done) {
      const auto elements = static_cast<size_t>(units * shape.inner);
      used += elements / per_line * per_line + per_line;  // never nothing: the next step names the workspace
    }
    from_buffer = shape.to_buffer;
    from = shape.to;
    const int64_t tasks = divide_up(units, shape.units_per_task) * shape.column_blocks;
    plan.steps.push_back(kernel_step((shape.inner == 1 ? kernels.rows : kernels.columns)[row][type], tasks, shape));
  }
  plan.workspaces = {used * item_size(call.dtype(0))};
  return plan;
}

template <Fold fold, bool mean = false>
KernelPlan plan_reduction(const Call& call, Isa isa) {
  return plan_fold(call, isa, reduced_axes(call, 0), fold, mean);
}

KernelPlan plan_sum_to_like(const Call& call, Isa isa) {
  const Shape &x = call.shape(0), &like = call.shape(1);
  Flags reduced(x.size(), 1);
  for (size_t i = 0; i < like.size(); ++i) {
    const size_t axis = x.size() - like.size() + i;
    reduced[axis] = like[i] != x[axis];
  }
  return plan_fold(call, isa, reduced, Fold::sum, false);
}

// ---- The other plans ------------------------------------------------------------------------------------------------------

KernelPlan plan_spread(const Call& call, Isa isa, const Dims& x, double divisor) {
  const SpreadShape shape{plan_broadcast(to_dims(call.outputs[0].shape, std::string(call.name())), {&x, 1}), divisor};
  return {{kernel_step(reduce_kernels(isa).spread[static_cast<size_t>(call.dtype(0))], shape.over.tasks, shape)}};
}

template <bool mean>
KernelPlan plan_reduction_backward(const Call& call, Isa isa) {
  const Flags reduced = reduced_axes(call, 1);
  const Dims kept = to_dims(reduced_shape(call.shape(1), reduced, /*keepdims=*/true), std::string(call.name()));
  double divisor = 1;
  for (size_t i = 0; i < kept.size(); ++i) divisor *= mean && reduced[i] ? static_cast<double>(call.shape(1)[i].factor()) : 1;
  return plan_spread(call, isa, kept, divisor);
}

KernelPlan plan_broadcast_like(const Call& call, Isa isa) {
  return plan_spread(call, isa, to_dims(call.shape(0), std::string(call.name())), 1);
}

template <KernelFn (ReduceKernels::*kernels)[4]>
KernelPlan plan_place(const Call& call, Isa isa) {
  const Dims dims = to_dims(call.shape(0), std::string(call.name()));
  const auto axis = dims.begin() + static_cast<std::ptrdiff_t>(place_axis(call));
  PlaceShape shape{count(Dims(dims.begin(), axis)), *axis, count(Dims(axis + 1, dims.end())), 1};
  shape.results_per_task = std::max<int64_t>(1, kTaskElements / shape.n);
  const int64_t tasks = divide_up(shape.outer * shape.inner, shape.results_per_task);
  return {{kernel_step((reduce_kernels(isa).*kernels)[static_cast<size_t>(call.dtype(0))], tasks, shape)}};
}

// The larger of the two arrays goes through an addition or a division each; `like` is never read.
Cost cost_reduction(const Call& call) {
  auto elements = [&](const TensorType& type) { return static_cast<double>(count(to_dims(type.shape, "cost"))); };
  const double x = elements(call.input(0)), y = elements(call.outputs[0]);
  return {std::max(x, y),
          x * static_cast<double>(item_size(call.dtype(0))) + y * static_cast<double>(item_size(call.outputs[0].dtype))};
}

}  // namespace

// In place (equal bytes, which the planner asks for): nothing is summed or stretched, and the kernels copy.
std::span<const Op> reduce_ops() {
  static const std::vector<AttributeSpec> axes = {{"axes", Axes()}, {"keepdims", false}};
  static const std::vector<Op> ops = {
      {.name = "sum",
       .doc = "y = sum of x over axes, None being all",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = axes,
       .infer = infer_reduction<numbers>,
       .variants = {{"vector", nullptr, plan_reduction<Fold::sum>}},
       .cost = cost_reduction,
       .in_place = {{0, 0}}},
      {.name = "mean",
       .doc = "y = mean of x over axes, None being all",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = axes,
       .infer = infer_reduction<floats>,
       .variants = {{"vector", nullptr, plan_reduction<Fold::sum, true>}},
       .cost = cost_reduction,
       .in_place = {{0, 0}}},
      {.name = "max",
       .doc = "y = largest x over axes, None being all",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = axes,
       .infer = infer_extremum,
       .variants = {{"vector", nullptr, plan_reduction<Fold::max>}},
       .cost = cost_reduction,
       .in_place = {{0, 0}}},
      {.name = "min",
       .doc = "y = smallest x over axes, None being all",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = axes,
       .infer = infer_extremum,
       .variants = {{"vector", nullptr, plan_reduction<Fold::min>}},
       .cost = cost_reduction,
       .in_place = {{0, 0}}},
      {.name = "prod",
       .doc = "y = product of x over axes, None being all",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = axes,
       .infer = infer_reduction<numbers>,
       .variants = {{"vector", nullptr, plan_reduction<Fold::prod>}},
       .cost = cost_reduction,
       .in_place = {{0, 0}}},
      {.name = "any",
       .doc = "y = whether any x over axes holds, None being all",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = axes,
       .infer = infer_of_bools,
       .variants = {{"vector", nullptr, plan_reduction<Fold::any>}},
       .cost = cost_reduction,
       .in_place = {{0, 0}}},
      {.name = "all",
       .doc = "y = whether every x over axes holds, None being all",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = axes,
       .infer = infer_of_bools,
       .variants = {{"vector", nullptr, plan_reduction<Fold::all>}},
       .cost = cost_reduction,
       .in_place = {{0, 0}}},
      {.name = "sum_backward",
       .doc = "dx = dy, stretched over the axes that were summed",
       .inputs = {"dy", "x"},
       .outputs = {"dx"},
       .attributes = axes,
       .infer = infer_reduction_backward,
       .variants = {{"vector", nullptr, plan_reduction_backward<false>}},
       .cost = cost_reduction,
       .in_place = {{0, 0}},
       .shape_only = {1}},
      {.name = "mean_backward",
       .doc = "dx = dy / count, stretched over the axes that were averaged",
       .inputs = {"dy", "x"},
       .outputs = {"dx"},
       .attributes = axes,
       .infer = infer_reduction_backward,
       .variants = {{"vector", nullptr, plan_reduction_backward<true>}},
       .cost = cost_reduction,
       .in_place = {{0, 0}},
       .shape_only = {1}},
      {.name = "sum_to_like",
       .doc = "y = x summed to the shape of like, over the axes that broadcasting stretched",
       .inputs = {"x", "like"},
       .outputs = {"y"},
       .infer = infer_sum_to_like,
       .variants = {{"vector", nullptr, plan_sum_to_like}},
       .cost = cost_reduction,
       .in_place = {{0, 0}},
       .shape_only = {1}},
      {.name = "broadcast_like",
       .doc = "y = x stretched to the shape of like",
       .inputs = {"x", "like"},
       .outputs = {"y"},
       .infer = infer_broadcast_like,
       .variants = {{"vector", nullptr, plan_broadcast_like}},
       .cost = cost_reduction,
       .in_place = {{0, 0}},
       .shape_only = {1}},
      {.name = "argmax",
       .doc = "y = the first index along axis where x is largest",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = {{"axis", int64_t{-1}}},
       .infer = infer_place,
       .variants = {{"plain", nullptr, plan_place<&ReduceKernels::argmax>}},
       .cost = cost_reduction},
      {.name = "argmin",
       .doc = "y = the first index along axis where x is smallest",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = {{"axis", int64_t{-1}}},
       .infer = infer_place,
       .variants = {{"plain", nullptr, plan_place<&ReduceKernels::argmin>}},
       .cost = cost_reduction},
  };
  return ops;
}

}  // namespace fastnn
