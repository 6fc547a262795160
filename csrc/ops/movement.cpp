#include "ops/movement.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/divide.h"

namespace fastnn {

namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max(), kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kTaskBytes = 65536;

// ---- Boxes ----------------------------------------------------------------------------------------------------------------

// `n` steps of both sides.
struct Steps {
  int64_t n, to, from;
};

// The elements of all axes behind each axis.
Dims strides_of(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

class Boxes {
 public:
  explicit Boxes(const Call& call) : item_(static_cast<int64_t>(item_size(call.outputs[0].dtype))) {}

  // Axes in the order of the result.
  void add(size_t to, size_t from, int64_t to_first, int64_t from_first, const std::vector<Steps>& axes) {
    Box box;
    box.to = to, box.from = from, box.to_first = to_first, box.from_first = from_first;
    finish(box, axes);
  }
  void add_constant(size_t to, int64_t to_first, std::vector<Steps> axes) {
    Box box;
    box.to = to, box.to_first = to_first, box.constant = true;
    for (Steps& axis : axes) axis.from = 0;
    finish(box, axes);
  }

  KernelPlan plan(Isa isa, uint64_t constant = 0) {
    auto memory = std::make_shared<Box[]>(boxes_.size());
    std::ranges::copy(boxes_, memory.get());
    MovementShape shape{memory.get(), static_cast<int64_t>(boxes_.size()), constant, memory};
    const KernelFn move = movement_kernels(isa).move[item_ == 1 ? 0 : item_ == 4 ? 1 : 2];
    return {{kernel_step(move, tasks_, std::move(shape))}};
  }

 private:
  // Without axes of length 1, and with those merged along which both sides move as along one.
  static std::vector<Steps> merged(const std::vector<Steps>& axes) {
    std::vector<Steps> result;
    for (const Steps& axis : axes) {
      if (axis.n == 1) continue;
      if (!result.empty() && result.back().to == axis.to * axis.n && result.back().from == axis.from * axis.n) {
        result.back() = {result.back().n * axis.n, axis.to, axis.from};
      } else {
        result.push_back(axis);
      }
    }
    return result;
  }

  void finish(Box& box, const std::vector<Steps>& all) {
    if (std::ranges::find(all, 0, &Steps::n) != all.end()) return;
    std::vector<Steps> axes = merged(all);
    if (axes.empty()) axes.push_back({1, 1, 1});
    const Steps row = axes.back();
    axes.pop_back();
    box.length = row.n, box.to_step = row.to, box.from_step = row.from;
    box.walk = box.constant || row.from == 0 ? Walk::fill : row.to == 1 && row.from == 1 ? Walk::runs : Walk::strided;
    auto rows = axes.end();
    if (box.walk == Walk::strided && row.to == 1 && row.n >= 4) {
      rows = std::ranges::find_if(axes, [](const Steps& axis) { return axis.from == 1 && axis.n >= 4; });
      if (rows != axes.end()) box.walk = Walk::transposed;
    }
    if (rows == axes.end() && !axes.empty()) {
      --rows;
      // Two short runs at a time would spend more on finding their place than on moving them.
      if (axes.size() > 1 && rows->n < 8 && (rows - 1)->n > rows->n) --rows;
    }
    if (rows != axes.end()) {
      box.rows = rows->n, box.to_row = rows->to, box.from_row = rows->from;
      axes.erase(rows);
    }
    for (const Steps& axis : axes) {
      box.extent[box.axes] = axis.n;
      box.to_stride[box.axes] = axis.to;
      box.from_stride[box.axes] = axis.from;
      ++box.axes;
      box.blocks *= axis.n;
    }
    cut(box);
    boxes_.push_back(box);
  }

  void cut(Box& box) {
    const int64_t elements = kTaskBytes / item_;
    box.piece = box.length, box.row_piece = box.rows;
    if (box.length * box.rows > elements) {
      // Squares for a transposition, which reads as many lines as it writes; whole rows where they fit otherwise.
      box.piece = std::min(box.length, box.walk == Walk::transposed ? int64_t{128} : elements);
      box.row_piece = std::clamp<int64_t>(elements / box.piece, 1, box.rows);
      if (box.row_piece > 16) box.row_piece -= box.row_piece % 16;
    }
    box.pieces = divide_up(box.length, box.piece);
    box.row_pieces = divide_up(box.rows, box.row_piece);
    box.blocks_per_task =
        box.pieces * box.row_pieces > 1 ? 1 : std::clamp<int64_t>(elements / (box.length * box.rows), 1, box.blocks);
    box.first_task = tasks_;
    tasks_ += box.pieces * box.row_pieces * divide_up(box.blocks, box.blocks_per_task);
  }

  const int64_t item_;
  std::vector<Box> boxes_;
  int64_t tasks_ = 0;
};

Dims dims_of(const Call& call, const TensorType& type) { return to_dims(type.shape, std::string(call.name())); }

Cost cost_of_moving(const Call& call) {
  double bytes = 0;
  for (const TensorType& output : call.outputs) {
    bytes += static_cast<double>(count(dims_of(call, output))) * static_cast<double>(item_size(output.dtype));
  }
  return {0, 2 * bytes};
}

// ---- transpose and broadcast_to -------------------------------------------------------------------------------------------

// axes[k] is the axis of x that becomes y's axis k.
std::vector<size_t> order_of(const Call& call) {
  const Axes& axes = call.attributes.axes("axes");
  const auto rank = static_cast<int64_t>(call.shape(0).size());
  std::vector<size_t> order;
  if (!axes) {
    for (int64_t i = rank; i-- > 0;) order.push_back(static_cast<size_t>(i));
    return order;
  }
  std::vector<char> seen(call.shape(0).size(), 0);
  for (const int64_t axis : *axes) {
    const int64_t at = axis < 0 ? axis + rank : axis;
    if (at < 0 || at >= rank || seen[static_cast<size_t>(at)]++) break;
    order.push_back(static_cast<size_t>(at));
  }
  if (order.size() != axes->size() || order.size() != seen.size()) {
    call.fail_value(concat("axes=", to_shape(*axes), " for `x` of shape ", call.shape(0), "; expected each of its ", rank,
                           " axes once; name them all, in the order that the result has"));
  }
  return order;
}

std::vector<TensorType> infer_transpose(const Call& call) {
  Shape shape;
  for (const size_t axis : order_of(call)) shape.push_back(call.shape(0)[axis]);
  return {{call.dtype(0), shape}};
}

KernelPlan plan_transpose(const Call& call, Isa isa) {
  const Dims from = strides_of(dims_of(call, call.input(0))), y = dims_of(call, call.outputs[0]), to = strides_of(y);
  const std::vector<size_t> order = order_of(call);
  std::vector<Steps> axes;
  for (size_t k = 0; k < y.size(); ++k) axes.push_back({y[k], to[k], from[order[k]]});
  Boxes boxes(call);
  boxes.add(0, 1, 0, 0, axes);
  return boxes.plan(isa);
}

std::vector<TensorType> infer_broadcast_to(const Call& call) {
  const Shape& shape = call.attributes.shape("shape");
  if (std::ranges::any_of(shape, [](const Extent& extent) { return extent.factor() < 0; }) ||
      broadcast(std::string(call.name()), call.shape(0), shape) != shape) {
    call.fail_value(concat("`x` has shape ", call.shape(0), " and shape=", shape,
                           "; expected axes of x, counted from the last, that are equal or 1; reshape x first"));
  }
  return {{call.dtype(0), shape}};
}

KernelPlan plan_broadcast_to(const Call& call, Isa isa) {
  const Dims x = dims_of(call, call.input(0)), y = dims_of(call, call.outputs[0]);
  const Dims from = strides_of(x), to = strides_of(y);
  const size_t added = y.size() - x.size();
  std::vector<Steps> axes;
  for (size_t k = 0; k < y.size(); ++k) {
    const bool stretched = k < added || x[k - added] != y[k];
    axes.push_back({y[k], to[k], stretched ? 0 : from[k - added]});
  }
  Boxes boxes(call);
  boxes.add(0, 1, 0, 0, axes);
  return boxes.plan(isa);
}

// ---- slice ----------------------------------------------------------------------------------------------------------------

struct Cut {
  Extent length;
  int64_t first, step;
  bool drop;
};

Cut cut_of(const Call& call, const Shape& x, size_t axis, int64_t begin, int64_t end, int64_t step, bool drop) {
  if (drop) {
    if (!x[axis].is_int()) {
      // Which place that is, and whether there is one, is known when the axis has a length.
      return {1, begin, 1, true};
    }
    const int64_t n = x[axis].factor();
    if (begin < -n || begin >= n) {
      call.fail_value(concat("index ", begin, " on axis ", axis, " of shape ", x, "; expected ",
                             n == 0 ? std::string("an axis that is not empty") : concat("an index from ", -n, " to ", n - 1),
                             "; choose another place"));
    }
    return {1, begin < 0 ? begin + n : begin, 1, true};
  }
  if (!x[axis].is_int()) {
    const bool whole = begin == 0 && end == kMost && step == 1;
    const bool backwards = (begin == -1 || begin == kMost) && end == kLeast && step == -1;
    if (whole || backwards) return {x[axis], 0, step, false};
    call.fail_value(concat("axis ", axis, " of shape ", x, " has the symbolic length ", x[axis],
                           "; expected all of it, all of it backwards, or one place, whose lengths are known; give the axis a "
                           "length or slice before the trace"));
  }
  const int64_t n = x[axis].factor();
  const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
  auto place = [&](int64_t i) { return std::clamp(i < 0 ? i + n : i, low, high); };
  const int64_t first = place(begin), behind = place(end), size = std::abs(std::max(step, -kMost));
  const int64_t distance = step < 0 ? first - behind : behind - first, length = distance > 0 ? (distance - 1) / size + 1 : 0;
  const int64_t taken = length > 1 ? size : 1;  // a step that is never taken may be larger than any memory
  return {length, first, step < 0 ? -taken : taken, false};
}

// What the attributes say of each axis of a shape.
std::vector<Cut> cuts_of(const Call& call, const Shape& x) {
  const Dims &begin = call.attributes.dims("begin"), &end = call.attributes.dims("end");
  const Dims &strides = call.attributes.dims("strides"), &drop = call.attributes.dims("drop");
  if (begin.size() > x.size() || end.size() != begin.size() || (!strides.empty() && strides.size() != begin.size())) {
    call.fail_value(concat("begin=", to_shape(begin), ", end=", to_shape(end), ", strides=", to_shape(strides), " for shape ",
                           x, "; expected at most ", x.size(), " numbers, and as many in each; drop or add some"));
  }
  if (std::ranges::count(strides, 0) > 0) {
    call.fail_value(
        concat("strides=", to_shape(strides), "; expected no 0, which would never arrive; use 1 for every element"));
  }
  for (const int64_t axis : drop) {
    if (axis >= 0 && axis < static_cast<int64_t>(begin.size()) && std::ranges::count(drop, axis) == 1) continue;
    call.fail_value(concat("drop=", to_shape(drop), " for begin=", to_shape(begin),
                           "; expected different axes that begin has a number for; drop ", axis));
  }
  std::vector<Cut> cuts;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool given = i < begin.size();
    cuts.push_back(cut_of(call, x, i, given ? begin[i] : 0, given ? end[i] : kMost, given && !strides.empty() ? strides[i] : 1,
                          std::ranges::count(drop, static_cast<int64_t>(i)) > 0));
  }
  return cuts;
}

Shape sliced_shape(const std::vector<Cut>& cuts) {
  Shape shape;
  for (const Cut& cut : cuts) {
    if (!cut.drop) shape.push_back(cut.length);
  }
  return shape;
}

std::vector<TensorType> infer_slice(const Call& call) { return {{call.dtype(0), sliced_shape(cuts_of(call, call.shape(0)))}}; }

KernelPlan plan_slice(const Call& call, Isa isa) {
  const std::vector<Cut> cuts = cuts_of(call, call.shape(0));
  const Dims from = strides_of(dims_of(call, call.input(0))), to = strides_of(dims_of(call, call.outputs[0]));
  std::vector<Steps> axes;
  int64_t first = 0;
  size_t k = 0;
  for (size_t i = 0; i < cuts.size(); ++i) {
    first += cuts[i].first * from[i];
    if (!cuts[i].drop) axes.push_back({cuts[i].length.factor(), to[k++], cuts[i].step * from[i]});
  }
  Boxes boxes(call);
  boxes.add(0, 1, 0, first, axes);
  return boxes.plan(isa);
}

// ---- pad, and slice backwards: boxes that are products of parts of each axis -----------------------------------------------

// A part of an axis of the result: of the constant, or of an axis of the operand.
struct Part {
  int64_t to_first, from_first;
  bool constant;
  std::vector<Steps> steps;  // in units of the axis
};

class Product {
 public:
  Product(Boxes& boxes, const Dims& to, const Dims& from) : boxes_(boxes), dims_(to), to_(strides_of(to)), from_(from) {}
  std::vector<std::vector<Part>> parts;  // of each axis

  void run(size_t axis = 0, int64_t to_first = 0, int64_t from_first = 0, const std::vector<Steps>& before = {}) {
    if (axis == parts.size()) return boxes_.add(0, 1, to_first, from_first, before);
    for (const Part& part : parts[axis]) {
      // Not even looked into: otherwise there would be 3^axes borders of nothing.
      if (std::ranges::any_of(part.steps, [](const Steps& s) { return s.n == 0; })) continue;
      std::vector<Steps> steps = before;
      for (const Steps& s : part.steps) steps.push_back({s.n, s.to * to_[axis], s.from * from_[axis]});
      const int64_t to = to_first + part.to_first * to_[axis], from = from_first + part.from_first * from_[axis];
      if (!part.constant) {
        run(axis + 1, to, from, steps);
        continue;
      }
      for (size_t i = axis + 1; i < dims_.size(); ++i) steps.push_back({dims_[i], to_[i], 0});
      boxes_.add_constant(0, to, steps);
    }
  }

 private:
  Boxes& boxes_;
  const Dims dims_, to_, from_;  // strides of the operand, 0 where it lacks the axis
};

std::vector<TensorType> infer_slice_backward(const Call& call) {
  call.expect_same_dtype(0, 1);
  call.expect_shape(0, sliced_shape(cuts_of(call, call.shape(1))));
  return {call.input(1)};
}

KernelPlan plan_slice_backward(const Call& call, Isa isa) {
  const std::vector<Cut> cuts = cuts_of(call, call.shape(1));
  const Dims dx = dims_of(call, call.outputs[0]), dy = strides_of(dims_of(call, call.input(0)));
  Dims from;
  for (size_t i = 0, k = 0; i < dx.size(); ++i) from.push_back(cuts[i].drop ? 0 : dy[k++]);
  Boxes boxes(call);
  Product product(boxes, dx, from);
  for (size_t i = 0; i < dx.size(); ++i) {
    const int64_t n = cuts[i].length.factor(), size = std::abs(cuts[i].step), last = cuts[i].first + (n - 1) * cuts[i].step;
    if (n == 0) {
      product.parts.push_back({{0, 0, true, {{dx[i], 1, 0}}}});
      continue;
    }
    const bool backwards = cuts[i].step < 0;  // then dx is walked upwards and dy downwards
    const int64_t low = std::min(cuts[i].first, last), high = std::max(cuts[i].first, last);
    product.parts.push_back({{low, backwards ? n - 1 : 0, false, {{n, size, backwards ? -1 : 1}}},
                             {0, 0, true, {{low, 1, 0}}},
                             {low + 1, 0, true, {{n - 1, size, 0}, {size - 1, 1, 0}}},
                             {high + 1, 0, true, {{dx[i] - high - 1, 1, 0}}}});
  }
  product.run();
  return boxes.plan(isa);
}

// The bits of `value` in a dtype, if that holds it.
bool to_bits(double value, DType dtype, uint64_t& bits) {
  bits = 0;
  auto integer = [&]<typename T>(T) {
    if (!(value >= static_cast<double>(std::numeric_limits<T>::min()) &&
          value < std::ldexp(1.0, std::numeric_limits<T>::digits)))
      return false;
    const T number = static_cast<T>(value);
    std::memcpy(&bits, &number, sizeof number);
    return static_cast<double>(number) == value;
  };
  switch (dtype) {
    case DType::float32: {
      const auto number = static_cast<float>(value);
      std::memcpy(&bits, &number, sizeof number);
      return true;
    }
    case DType::float64:
      std::memcpy(&bits, &value, sizeof value);
      return true;
    case DType::int32:
      return integer(int32_t());
    case DType::int64:
      return integer(int64_t());
    case DType::uint8:
      return integer(uint8_t());
    case DType::boolean:
      bits = value == 1;
      return value == 0 || value == 1;
  }
  return false;
}

// Copied borders meet in 3^axes boxes; constant ones are two for each axis.
constexpr size_t kMostCopiedBorders = 6;

std::vector<TensorType> infer_pad(const Call& call) {
  const Shape& x = call.shape(0);
  const Dims& paddings = call.attributes.dims("paddings");
  const std::string& mode = call.attributes.text("mode");
  if (paddings.size() != 2 * x.size() || std::ranges::any_of(paddings, [](int64_t n) { return n < 0; })) {
    call.fail_value(concat("paddings=", to_shape(paddings), " for `x` of shape ", x, "; expected ", 2 * x.size(),
                           " numbers of 0 or more, before and after each axis; slice to make an axis shorter"));
  }
  if (mode != "constant" && mode != "edge" && mode != "reflect" && mode != "symmetric") {
    call.fail_value(concat("mode='", mode, "'; expected 'constant', 'edge', 'reflect' or 'symmetric'; choose one"));
  }
  const double value = call.attributes.real("value");
  if (mode != "constant" && value != 0) {
    call.fail_value(concat("value=", value, " with mode='", mode, "'; expected a value in mode 'constant' only; drop it"));
  }
  if (uint64_t bits; !to_bits(value, call.dtype(0), bits)) {
    call.fail_value(concat("value=", value, " for `x`, which is ", dtype_name(call.dtype(0)),
                           "; expected a number that its dtype holds; choose another, or cast x"));
  }
  Shape shape = x;
  size_t padded = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t before = paddings[2 * i], after = paddings[2 * i + 1];
    if (before == 0 && after == 0) continue;
    if (++padded > kMostCopiedBorders && mode != "constant") {
      call.fail_value(concat("paddings=", to_shape(paddings), " with mode='", mode, "'; expected at most ", kMostCopiedBorders,
                             " axes with a border; pad in several steps"));
    }
    if (!x[i].is_int()) {
      call.fail_value(concat("paddings=", to_shape(paddings), " pad axis ", i, " of shape ", x, ", whose length is the symbol ",
                             x[i], "; expected 0 there; give the axis a length, or pad before the trace"));
    }
    const int64_t n = x[i].factor(), most = mode == "reflect" ? n - 1 : mode == "symmetric" ? n : n > 0 ? kMost : 0;
    if (mode != "constant" && std::max(before, after) > most) {
      call.fail_value(concat("paddings=", to_shape(paddings), " with mode='", mode, "' for axis ", i, " of shape ", x,
                             "; expected at most ", std::max<int64_t>(most, 0), " there; pad less, or in several steps"));
    }
    int64_t length;
    if (__builtin_add_overflow(n, before, &length) || __builtin_add_overflow(length, after, &length)) {
      call.fail_value(
          concat("paddings=", to_shape(paddings), " for shape ", x, "; expected fewer than 2^63 elements; pad less"));
    }
    shape[i] = length;
  }
  return {{call.dtype(0), shape}};
}

KernelPlan plan_pad(const Call& call, Isa isa) {
  const Dims x = dims_of(call, call.input(0)), y = dims_of(call, call.outputs[0]);
  const Dims& paddings = call.attributes.dims("paddings");
  const std::string& mode = call.attributes.text("mode");
  const bool constant = mode == "constant";
  const int64_t step = mode == "edge" || constant ? 0 : -1, skip = mode == "reflect";
  Boxes boxes(call);
  Product product(boxes, y, strides_of(x));
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t before = paddings[2 * i], after = paddings[2 * i + 1];
    product.parts.push_back({{before, 0, false, {{x[i], 1, 1}}},
                             {0, step * (1 - before - skip), constant, {{before, 1, step}}},
                             {before + x[i], x[i] - 1 - skip, constant, {{after, 1, step}}}});
  }
  product.run();
  uint64_t bits;
  to_bits(call.attributes.real("value"), call.dtype(0), bits);
  return boxes.plan(isa, bits);
}

// ---- concatenate and split ------------------------------------------------------------------------------------------------

size_t axis_of(const Call& call, size_t operand) {
  const auto rank = static_cast<int64_t>(call.shape(operand).size());
  const int64_t axis = call.attributes.integer("axis");
  if (axis >= -rank && axis < rank) return static_cast<size_t>(axis < 0 ? axis + rank : axis);
  if (rank == 0) call.fail_value(concat(call.operand(operand), " is a single number; expected at least 1 axis; reshape it"));
  call.fail_value(concat("axis=", axis, " for ", call.operand(operand), " of shape ", call.shape(operand), "; expected ", -rank,
                         " to ", rank - 1, "; choose another axis"));
}

// The sum, where it is a number times symbols: batch + batch is 2*batch, batch + 1 is nothing.
bool add(Extent& total, const Extent& other) {
  if (other == Extent(0)) return true;
  if (total == Extent(0)) {
    total = other;
    return true;
  }
  bool ok;
  const Extent unit = Extent::divide(other, Extent(other.factor()), ok);
  if (total.symbols() != other.symbols()) return false;
  int64_t factor;
  if (__builtin_add_overflow(total.factor(), other.factor(), &factor)) return false;
  total = unit * Extent(factor);
  return true;
}

std::vector<TensorType> infer_concatenate(const Call& call) {
  if (call.inputs.empty()) call.fail_value("no operands; expected at least one array; pass a list of them");
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!call.has(i)) call.fail_value(concat("operand `xs` is missing at ", i, "; expected an array; drop the None"));
  }
  const size_t axis = axis_of(call, 0);
  Shape shape = call.shape(0);
  shape[axis] = 0;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (call.dtype(i) != call.dtype(0)) {
      call.fail_type(concat("operand ", i, " is ", dtype_name(call.dtype(i)), " and operand 0 is ", dtype_name(call.dtype(0)),
                            "; expected one dtype; cast some of them"));
    }
    Shape rest = call.shape(i);
    const Extent length = rest.size() == shape.size() ? rest[axis] : Extent(0);
    if (rest.size() == shape.size()) rest[axis] = call.shape(0)[axis];
    if (rest != call.shape(0)) {
      call.fail_value(concat("operand ", i, " has shape ", call.shape(i), " and operand 0 ", call.shape(0),
                             "; expected equal shapes but for axis ", axis, "; reshape or transpose one of them"));
    }
    if (!add(shape[axis], length)) {
      call.fail_value(
          concat("the lengths ", shape[axis], " and ", length, " along axis ", axis,
                 " have no sum that can be written as a number times symbols; expected numbers, or multiples of one "
                 "symbol; give the axis a length"));
    }
  }
  return {{call.dtype(0), shape}};
}

// One side is whole, the other in parts along the axis.
KernelPlan plan_parts(const Call& call, Isa isa, const Dims& whole, std::span<const TensorType> parts, bool joins) {
  const size_t axis = axis_of(call, 0);
  const Dims strides = strides_of(whole);
  Boxes boxes(call);
  int64_t first = 0;
  for (size_t k = 0; k < parts.size(); ++k) {
    const Dims part = dims_of(call, parts[k]), own = strides_of(part);
    std::vector<Steps> axes;
    for (size_t i = 0; i < part.size(); ++i)
      axes.push_back({part[i], joins ? strides[i] : own[i], joins ? own[i] : strides[i]});
    if (joins) {
      boxes.add(0, 1 + k, first, 0, axes);
    } else {
      boxes.add(k, parts.size(), 0, first, axes);
    }
    first += part[axis] * strides[axis];
  }
  return boxes.plan(isa);
}

KernelPlan plan_concatenate(const Call& call, Isa isa) {
  std::vector<TensorType> parts;
  for (size_t i = 0; i < call.inputs.size(); ++i) parts.push_back(call.input(i));
  return plan_parts(call, isa, dims_of(call, call.outputs[0]), parts, true);
}

std::vector<TensorType> infer_split(const Call& call) {
  const size_t axis = axis_of(call, 0);
  const Shape& sizes = call.attributes.shape("sizes");
  std::vector<TensorType> parts;
  Extent total(0);
  bool fits = !sizes.empty();
  for (const Extent& size : sizes) {
    fits = fits && size.factor() >= 0 && add(total, size);
    parts.push_back(call.input(0));
    parts.back().shape[axis] = size;
  }
  if (!fits || total != call.shape(0)[axis]) {
    call.fail_value(concat("sizes=", sizes, " for axis ", axis, " of `x` of shape ", call.shape(0),
                           "; expected lengths of 0 or more whose sum is ", call.shape(0)[axis], "; change one of them"));
  }
  return parts;
}

KernelPlan plan_split(const Call& call, Isa isa) {
  return plan_parts(call, isa, dims_of(call, call.input(0)), call.outputs, false);
}

}  // namespace

std::span<const Op> movement_ops() {
  static const std::vector<AttributeSpec> cut = {
      {"begin", Dims{}, true}, {"end", Dims{}, true}, {"strides", Dims{}}, {"drop", Dims{}}};
  static const std::vector<Op> ops = {
      {.name = "transpose",
       .doc = "y = x with its axes in another order; None reverses them",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = {{"axes", Axes()}},
       .infer = infer_transpose,
       .variants = {{"boxes", nullptr, plan_transpose}},
       .cost = cost_of_moving},
      {.name = "broadcast_to",
       .doc = "y = x stretched to a shape",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = {{"shape", Shape{}, true}},
       .infer = infer_broadcast_to,
       .variants = {{"boxes", nullptr, plan_broadcast_to}},
       .cost = cost_of_moving},
      {.name = "slice",
       .doc = "y = x[begin:end:strides] of the first axes; those in drop are taken at begin and go",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = cut,
       .infer = infer_slice,
       .variants = {{"boxes", nullptr, plan_slice}},
       .cost = cost_of_moving},
      {.name = "slice_backward",
       .doc = "dx[begin:end:strides] = dy, and 0 elsewhere",
       .inputs = {"dy", "x"},
       .outputs = {"dx"},
       .attributes = cut,
       .infer = infer_slice_backward,
       .variants = {{"boxes", nullptr, plan_slice_backward}},
       .cost = cost_of_moving,
       .shape_only = {1}},
      {.name = "pad",
       .doc = "y = x with a border; paddings are before and after of each axis in turns",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = {{"paddings", Dims{}, true}, {"mode", std::string("constant")}, {"value", 0.0}},
       .infer = infer_pad,
       .variants = {{"boxes", nullptr, plan_pad}},
       .cost = cost_of_moving},
      {.name = "concatenate",
       .doc = "y = the operands one behind the other along an axis",
       .inputs = {"xs..."},
       .outputs = {"y"},
       .attributes = {{"axis", int64_t{0}}},
       .infer = infer_concatenate,
       .variants = {{"boxes", nullptr, plan_concatenate}},
       .cost = cost_of_moving},
      {.name = "split",
       .doc = "ys = x in parts of these sizes along an axis",
       .inputs = {"x"},
       .outputs = {"ys..."},
       .attributes = {{"sizes", Shape{}, true}, {"axis", int64_t{0}}},
       .infer = infer_split,
       .variants = {{"boxes", nullptr, plan_split}},
       .cost = cost_of_moving},
  };
  return ops;
}

}  // namespace fastnn
