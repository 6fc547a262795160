// Whole numbers of parts, for plans that cut work.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fastnn {

// How many parts of `b` cover `a`; the last one may be smaller.
inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline int64_t at_least_one(int64_t n) { return std::max<int64_t>(n, 1); }

}  // namespace fastnn
