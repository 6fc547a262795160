#include "base/extent.h"

#include <algorithm>
#include <ostream>

#include "base/errors.h"
#include "fastnn/dtype.h"

namespace fastnn {

namespace {

constexpr std::string_view kDTypeNames[] = {"float32", "float64", "int32", "int64", "uint8", "bool"};

template <typename Items>
std::ostream& print_tuple(std::ostream& out, const Items& items) {
  out << '(';
  constexpr size_t kMost = 64;  // axes are fewer, but a file may hold any list where an op expects a short one
  for (size_t i = 0; i < std::min(items.size(), kMost); ++i) out << (i ? ", " : "") << items[i];
  if (items.size() > kMost) out << ", ...";
  return out << (items.size() == 1 ? ",)" : ")");
}

}  // namespace

std::string_view dtype_name(DType dtype) { return kDTypeNames[static_cast<size_t>(dtype)]; }

DType dtype_from_name(std::string_view name) {
  for (size_t i = 0; i < std::size(kDTypeNames); ++i) {
    if (kDTypeNames[i] == name) return static_cast<DType>(i);
  }
  throw TypeError(concat("dtype: '", name,
                         "'; expected float32, float64, int32, int64, uint8 or bool; convert the array with "
                         ".astype first"));
}

Extent Extent::symbol(const std::string& name) {
  Extent extent(1);
  extent.symbols_.push_back(name);
  return extent;
}

int64_t Extent::to_int(const std::string& where, const std::string& what) const {
  if (is_int()) return factor_;
  throw ValueError(concat(where, ": ", what, " is the symbolic length ", *this,
                          "; expected a number; only the batch axis may vary between calls, so give this axis a length"));
}

Extent Extent::bind(const Bindings& bindings) const {
  Extent bound(factor_);
  for (const std::string& name : symbols_) {
    auto found = bindings.find(name);
    bound = bound * (found == bindings.end() ? symbol(name) : Extent(found->second));
  }
  return bound;
}

namespace {
int64_t multiply_checked(int64_t a, int64_t b) {
  int64_t product;
  if (!__builtin_mul_overflow(a, b, &product)) return product;
  throw ValueError(concat("shape: ", a, " times ", b, " elements; expected fewer than 2^63; use smaller arrays"));
}
}  // namespace

Extent operator*(const Extent& a, const Extent& b) {
  Extent product(multiply_checked(a.factor_, b.factor_));
  if (product.factor_ == 0) return product;
  if (a.symbols_.size() + b.symbols_.size() > kMaxSymbols) {
    throw ValueError(concat("shape: ", a, " times ", b, " elements; expected at most ", kMaxSymbols,
                            " symbols in a product; give some axes a length"));
  }
  product.symbols_.resize(a.symbols_.size() + b.symbols_.size());
  std::merge(a.symbols_.begin(), a.symbols_.end(), b.symbols_.begin(), b.symbols_.end(), product.symbols_.begin());
  return product;
}

Extent Extent::divide(const Extent& a, const Extent& b, bool& ok) {
  ok = b.factor_ != 0 && a.factor_ % b.factor_ == 0 &&
       std::includes(a.symbols_.begin(), a.symbols_.end(), b.symbols_.begin(), b.symbols_.end());
  if (!ok) return Extent(0);
  Extent quotient(a.factor_ / b.factor_);
  if (quotient.factor_ != 0) {
    std::set_difference(a.symbols_.begin(), a.symbols_.end(), b.symbols_.begin(), b.symbols_.end(),
                        std::back_inserter(quotient.symbols_));
  }
  return quotient;
}

std::string Extent::to_string() const {
  if (is_int()) return std::to_string(factor_);
  std::string text = factor_ == 1 ? "" : std::to_string(factor_) + "*";
  for (size_t i = 0; i < symbols_.size(); ++i) text += (i ? "*" : "") + symbols_[i];
  return text;
}

std::ostream& operator<<(std::ostream& out, const Extent& extent) { return out << extent.to_string(); }
std::ostream& operator<<(std::ostream& out, const Shape& shape) { return print_tuple(out, shape); }
std::ostream& operator<<(std::ostream& out, const Dims& dims) { return print_tuple(out, dims); }

Shape to_shape(const Dims& dims) { return Shape(dims.begin(), dims.end()); }

Dims to_dims(const Shape& shape, const std::string& where) {
  Dims dims;
  dims.reserve(shape.size());
  for (const Extent& extent : shape) dims.push_back(extent.to_int(where, "an axis"));
  return dims;
}

Shape bind(const Shape& shape, const Bindings& bindings) {
  Shape bound;
  bound.reserve(shape.size());
  for (const Extent& extent : shape) bound.push_back(extent.bind(bindings));
  return bound;
}

Extent count(const Shape& shape, size_t first, size_t last) {
  Extent product(1);
  for (size_t axis = first; axis < last; ++axis) product = product * shape[axis];
  return product;
}

Extent count(const Shape& shape) { return count(shape, 0, shape.size()); }

int64_t count(const Dims& dims) {
  int64_t product = 1;
  for (int64_t length : dims) product = multiply_checked(product, length);
  return product;
}

Shape broadcast(const std::string& where, const Shape& a, const Shape& b) {
  const size_t rank = std::max(a.size(), b.size());
  Shape result(rank);
  for (size_t i = 0; i < rank; ++i) {  // from the last axis to the first
    const Extent one(1);
    const Extent& x = i < a.size() ? a[a.size() - 1 - i] : one;
    const Extent& y = i < b.size() ? b[b.size() - 1 - i] : one;
    if (x != y && x != one && y != one) {
      throw ValueError(
          concat(where, ": shapes ", a, " and ", b,
                 " do not broadcast; expected axes, counted from the last, that are equal or 1; reshape one of them"));
    }
    result[rank - 1 - i] = x == one ? y : x;
  }
  return result;
}

}  // namespace fastnn
