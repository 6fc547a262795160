#include "ops/dropout.h"
#include "simd/philox.h"

namespace fastnn::FASTNN_ISA {

namespace {

static_assert(kDropoutChunk % kPhiloxWords == 0);

// Each vector of y as `value(i, n, drawn)` says: the first of its n elements, and u 2^24 as integers.
template <typename Real, typename Value>
FASTNN_INLINE void fill(Real* y, const int64_t* random_state, const DropoutShape& shape, int64_t task, Value value) {
  constexpr int lanes = kLanes<Real>;
  typedef uint32_t Words __attribute__((vector_size(lanes * sizeof(uint32_t)), aligned(4), may_alias));
  const uint64_t key = philox_key(static_cast<uint64_t>(random_state[0]), shape.stream);
  const auto step = static_cast<uint64_t>(random_state[1]);
  const int64_t begin = task * kDropoutChunk;
  const int64_t end = begin + kDropoutChunk < shape.elements ? begin + kDropoutChunk : shape.elements;
  for (int64_t block = begin; block < end; block += kPhiloxWords) {
    uint32_t words[kPhiloxWords];
    draw_words(words, key, static_cast<uint64_t>(block) / 4, step);
    FASTNN_UNROLL
    for (int w = 0; w < kPhiloxWords; w += lanes) {
      const auto drawn = __builtin_convertvector(*reinterpret_cast<const Words*>(words + w) >> 8, Mask<Real>);
      const int64_t i = block + w;
      if (i + lanes <= end) {
        store(y + i, value(i, lanes, drawn));
      } else if (i < end) {
        const int tail = static_cast<int>(end - i);
        store_first(y + i, value(i, tail, drawn), tail);
      }
    }
  }
}

template <typename Real>
void dropout(Real* y, const Real* x, const int64_t* random_state, const DropoutShape& shape, int64_t task) {
  const Vec<Real> scale = broadcast(static_cast<Real>(shape.scale));
  fill(y, random_state, shape, task, [&](int64_t i, int n, const Mask<Real>& drawn) {
    const Mask<Real> keep = drawn >= static_cast<typename MaskLane<Real>::type>(shape.threshold);
    const Vec<Real> there = n == kLanes<Real> ? load(x + i) : load_first(x + i, n);
    return select<Real>(keep, there * scale, zero<Real>());
  });
}

template <typename Real>
void uniform(Real* y, const Real*, const int64_t* random_state, const DropoutShape& shape, int64_t task) {
  const Vec<Real> unit = broadcast(static_cast<Real>(0x1p-24));
  fill(y, random_state, shape, task,
       [&](int64_t, int, const Mask<Real>& drawn) { return __builtin_convertvector(drawn, Vec<Real>) * unit; });
}

}  // namespace

const DropoutKernels dropout_kernels = {{kernel<dropout<float>>, kernel<dropout<double>>},
                                        {kernel<uniform<float>>, kernel<uniform<double>>}};

}  // namespace fastnn::FASTNN_ISA
