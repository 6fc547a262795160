// Element types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fastnn {

enum class DType : uint8_t { float32, float64, int32, int64, uint8, boolean };

constexpr size_t item_size(DType dtype) {
  switch (dtype) {
    case DType::float32:
    case DType::int32:
      return 4;
    case DType::float64:
    case DType::int64:
      return 8;
    default:
      return 1;
  }
}

constexpr bool is_float(DType dtype) { return dtype == DType::float32 || dtype == DType::float64; }

// NumPy's name, and back (throws TypeError, naming the types there are).
std::string_view dtype_name(DType dtype);
DType dtype_from_name(std::string_view name);

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::float32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::float64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::int32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::int64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::uint8;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::boolean;
};

}  // namespace fastnn
