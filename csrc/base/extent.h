// Extents and shapes.
//
// An extent is the length of one axis: an integer, or an integer times named symbols (`batch`, `2*batch*time`). A graph is
// traced with symbols and planned with numbers: `bind` replaces every symbol, and the shape rules run again.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

namespace fastnn {

using Bindings = std::map<std::string, int64_t>;  // symbol -> length

constexpr size_t kMaxSymbols = 16;  // of one extent: a graph that squares a length again and again would fill the memory

class Extent {
 public:
  Extent(int64_t factor = 0) : factor_(factor) {}  // NOLINT: an integer is an extent
  static Extent symbol(const std::string& name);

  bool is_int() const { return symbols_.empty(); }
  int64_t factor() const { return factor_; }
  const std::vector<std::string>& symbols() const { return symbols_; }

  // The number, or ValueError "<where>: <what> is `batch`; expected a number ...".
  int64_t to_int(const std::string& where, const std::string& what) const;
  Extent bind(const Bindings& bindings) const;

  friend Extent operator*(const Extent& a, const Extent& b);
  // Exact quotient; ok is false where there is none (2*batch / 3, batch / time).
  static Extent divide(const Extent& a, const Extent& b, bool& ok);
  friend bool operator==(const Extent&, const Extent&) = default;

  std::string to_string() const;

 private:
  int64_t factor_;
  std::vector<std::string> symbols_;  // sorted; empty when factor_ is 0
};

using Shape = std::vector<Extent>;
using Dims = std::vector<int64_t>;  // a shape without symbols

std::ostream& operator<<(std::ostream& out, const Extent& extent);
std::ostream& operator<<(std::ostream& out, const Shape& shape);  // as a Python tuple: (batch, 28, 28, 1)
std::ostream& operator<<(std::ostream& out, const Dims& dims);

Shape to_shape(const Dims& dims);
Dims to_dims(const Shape& shape, const std::string& where);
Shape bind(const Shape& shape, const Bindings& bindings);
Extent count(const Shape& shape);                             // the product of all extents
Extent count(const Shape& shape, size_t first, size_t last);  // of the axes first <= axis < last
int64_t count(const Dims& dims);

// The shape two operands have together under NumPy's broadcasting rules; ValueError naming both where there is none.
Shape broadcast(const std::string& where, const Shape& a, const Shape& b);

}  // namespace fastnn
