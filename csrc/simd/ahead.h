// Memory that is fetched while register tiles multiply: rows that lie so far apart that no processor reads ahead from one to the next
// by itself. With each span of a tile's loop, or with each tile, go some lines into the second-level cache. All at once they would
// hold the processor up, which has no more than a few dozen lines on their way.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

class Ahead {
 public:
  static constexpr int64_t kSpan = 32;

  FASTNN_INLINE Ahead() = default;  // nothing
  // `rows` of `bytes` each, `step` bytes apart, in so many shares.
  FASTNN_INLINE Ahead(const void* at, int64_t bytes, int64_t step, int64_t rows, int64_t shares)
      : row_(static_cast<const char*>(at)), bytes_(bytes), step_(step), rows_(rows) {
    const int64_t lines = (bytes + kLine - 1) / kLine * rows, parts = shares < 1 ? 1 : shares;
    share_ = (lines + parts - 1) / parts;
  }

  template <bool to_write = false>
  FASTNN_INLINE void fetch() {
    for (int64_t i = 0; i < share_ && rows_ > 0; ++i) {
      __builtin_prefetch(row_ + at_, to_write, 2);
      at_ += kLine;
      if (at_ >= bytes_) at_ = 0, row_ += step_, --rows_;
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  const char* row_ = nullptr;
  int64_t bytes_ = 0, step_ = 0, rows_ = 0, at_ = 0;
  int64_t share_ = 0;  // lines
};

// add(first, length) for all k: at once, or in spans where there is something to fetch.
template <typename Add>
FASTNN_INLINE void in_spans(Ahead* ahead, int64_t k, Add add) {
  const int64_t span = ahead == nullptr ? k : Ahead::kSpan;
  for (int64_t first = 0; first < k; first += span) {
    if (ahead != nullptr) ahead->fetch();
    add(first, k - first < span ? k - first : span);
  }
}

}  // namespace fastnn::FASTNN_ISA
