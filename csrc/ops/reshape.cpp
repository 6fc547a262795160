#include "ops/reshape.h"

namespace fastnn {

namespace {

const Extent kRest(-1);

std::vector<TensorType> infer_reshape(const Call& call) {
  const Shape &from = call.shape(0), &wanted = call.attributes.shape("shape");
  const std::string came = concat("`x` has shape ", from, " and shape=", wanted);
  size_t rest = wanted.size();
  for (size_t axis = 0; axis < wanted.size(); ++axis) {
    if (wanted[axis].factor() >= 0) continue;
    if (wanted[axis] != kRest || rest < wanted.size()) {
      call.fail_value(concat(came, "; expected lengths of 0 or more and at most one -1; give the other axes a length"));
    }
    rest = axis;
  }

  size_t equal = 0;
  while (equal < std::min(from.size(), wanted.size()) && from[equal] == wanted[equal]) ++equal;
  const Extent have = count(from, equal, from.size());
  Extent need(1);
  for (size_t axis = equal; axis < wanted.size(); ++axis) {
    if (axis != rest) need = need * wanted[axis];
  }
  Shape shape = wanted;
  bool fits = true;
  if (rest < wanted.size()) {
    shape[rest] = Extent::divide(have, need, fits);
  } else {
    fits = have == need || count(from) == count(wanted);
  }
  if (!fits) {
    call.fail_value(concat(came, "; expected as many elements in both, ", count(from),
                           "; change an axis, or let one be -1 for whatever is left over"));
  }
  return {{call.dtype(0), shape}};
}

}  // namespace

std::span<const Op> reshape_ops() {
  static const std::vector<Op> ops = {
      {.name = "reshape",
       .doc = "y = x under another shape; one extent may be -1, the rest",
       .inputs = {"x"},
       .outputs = {"y"},
       .attributes = {{"shape", Shape{}, true}},
       .infer = infer_reshape,
       .variants = {},
       .cost = [](const Call&) { return Cost{}; },
       .view = true},
  };
  return ops;
}

}  // namespace fastnn
