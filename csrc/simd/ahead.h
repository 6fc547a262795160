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
      : line_(static_cast<const char*>(at)), step_(step) {
    const int64_t in_row = (bytes + kLine - 1) / kLine, parts = shares < 1 ? 1 : shares;
    end_ = line_ + in_row * kLine;
    skip_ = step - in_row * kLine;
    left_ = in_row * rows;
    share_ = (left_ + parts - 1) / parts;
  }

  template <bool to_write = false>
  FASTNN_INLINE void fetch() {
    // In registers: with each line's place in memory, dense layers of 32 rows took 9 % longer.
    const char *line = line_, *end = end_;
    const int64_t count = left_ < share_ ? left_ : share_;
    for (int64_t i = 0; i < count; ++i) {
      __builtin_prefetch(line, to_write, 2);
      line += kLine;
      if (line == end) line += skip_, end += step_;
    }
    line_ = line, end_ = end, left_ -= count;
  }

 private:
  static constexpr int64_t kLine = 64;
  const char *line_ = nullptr, *end_ = nullptr;         // the next line, and where its row ends
  int64_t step_ = 0, skip_ = 0, left_ = 0, share_ = 0;  // bytes from row to row and from a row's end to the next; lines
};

// add(first, length) for all k, in spans.
template <typename Add>
FASTNN_INLINE void in_spans(Ahead& ahead, int64_t k, Add add) {
  for (int64_t first = 0; first < k; first += Ahead::kSpan) {
    ahead.fetch();
    add(first, k - first < Ahead::kSpan ? k - first : Ahead::kSpan);
  }
}

}  // namespace fastnn::FASTNN_ISA
