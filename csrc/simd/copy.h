// Short copies without a call. Rows of attention heads, channels and embeddings are 16 to 500 bytes, where a call of memcpy and
// its choice of a method cost as much as the copy.
#pragma once

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

// The ends of a run of `width` to twice as many bytes, which overlap in the middle.
template <int width>
FASTNN_INLINE void copy_ends(char* to, const char* from, int64_t bytes) {
  struct Chunk {
    char at[width];
  };
  Chunk first, last;
  __builtin_memcpy(&first, from, width);
  __builtin_memcpy(&last, from + bytes - width, width);
  __builtin_memcpy(to, &first, width);
  __builtin_memcpy(to + bytes - width, &last, width);
}

FASTNN_INLINE void copy_bytes(char* to, const char* from, int64_t bytes) {
  if (bytes > 256) {
    __builtin_memcpy(to, from, static_cast<size_t>(bytes));
  } else if (bytes >= 64) {
    int64_t i = 0;
    for (; i + 128 <= bytes; i += 64) __builtin_memcpy(to + i, from + i, 64);
    copy_ends<64>(to + i, from + i, bytes - i);
  } else if (bytes >= 32) {
    copy_ends<32>(to, from, bytes);
  } else if (bytes >= 16) {
    copy_ends<16>(to, from, bytes);
  } else if (bytes >= 8) {
    copy_ends<8>(to, from, bytes);
  } else if (bytes >= 4) {
    copy_ends<4>(to, from, bytes);
  } else {
    for (int64_t i = 0; i < bytes; ++i) to[i] = from[i];
  }
}

}  // namespace fastnn::FASTNN_ISA
