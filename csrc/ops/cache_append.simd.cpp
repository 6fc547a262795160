#include "ops/cache_append.h"
#include "simd/copy.h"

namespace fastnn::FASTNN_ISA {

namespace {

// What a task has of one sample is up to three runs: cache, new rows, cache.
template <typename Index>
void append(char* y, const char* cache, const char* rows, const Index* position, const CacheAppendShape& shape, Errors& errors,
            int64_t task) {
  const int64_t total = shape.B * shape.S, size = shape.row_bytes;
  int64_t at = task * shape.per_task;
  const int64_t end = at + shape.per_task < total ? at + shape.per_task : total;
  while (at < end) {
    const int64_t sample = at / shape.S, first = sample * shape.S;  // sample b's rows are first to first + S
    const int64_t stop = first + shape.S < end ? first + shape.S : end;
    const bool fits = position[sample] >= 0 && position[sample] <= shape.S - shape.T;
    if (!fits && at == first) errors.report(sample, position[sample]);
    const int64_t begin = first + (fits ? position[sample] : shape.S), behind = fits ? begin + shape.T : begin;
    while (at < stop) {
      const bool is_new = at >= begin && at < behind;
      const int64_t until = is_new ? behind : at < begin ? begin : stop, run = (until < stop ? until : stop) - at;
      copy_bytes(y + at * size, is_new ? rows + (sample * shape.T + at - begin) * size : cache + at * size, run * size);
      at += run;
    }
  }
}

}  // namespace

const CacheAppendKernels cache_append_kernels = {{kernel<append<int32_t>>, kernel<append<int64_t>>}};

}  // namespace fastnn::FASTNN_ISA
