#include "ops/dropout.h"
#include "base/random.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

namespace {

constexpr int kCounters = kLanes<uint64_t>;  // drawn at once
constexpr int kWords = 4 * kCounters;        // their random numbers
static_assert(kDropoutChunk % kWords == 0);

// The words of kCounters consecutive counters, in order: `philox` of base/random.h with one counter per 64-bit lane, whose
// upper halves hold rubbish between rounds.
FASTNN_INLINE void draw(uint32_t* words, uint64_t key, uint64_t counter, uint64_t step) {
  Vec<uint64_t> c0;
  FASTNN_UNROLL
  for (int i = 0; i < kCounters; ++i) c0[i] = counter + static_cast<uint64_t>(i);
  Vec<uint64_t> c1 = c0 >> 32, c2 = zero<uint64_t>() + step, c3 = c2 >> 32;
  const Vec<uint64_t> m0 = zero<uint64_t>() + uint64_t{kPhiloxMultiplier0};
  const Vec<uint64_t> m1 = zero<uint64_t>() + uint64_t{kPhiloxMultiplier1};
  auto k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  FASTNN_UNROLL
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Vec<uint64_t> p0 = multiply_low_halves(c0, m0), p1 = multiply_low_halves(c2, m1);
    c0 = (p1 >> 32) ^ c1 ^ uint64_t{k0};
    c2 = (p0 >> 32) ^ c3 ^ uint64_t{k1};
    c1 = p1;
    c3 = p0;
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
  const Vec<uint64_t> first = (c0 & 0xffffffff) | c1 << 32, second = (c2 & 0xffffffff) | c3 << 32;
  uint64_t pairs[2 * kCounters];
  FASTNN_UNROLL
  for (int i = 0; i < kCounters; ++i) {
    pairs[2 * i] = first[i];
    pairs[2 * i + 1] = second[i];
  }
  __builtin_memcpy(words, pairs, sizeof(pairs));
}

// Each vector of y as `value(i, n, drawn)` says: the first of its n elements, and u 2^24 as integers.
template <typename Real, typename Value>
FASTNN_INLINE void fill(Real* y, const int64_t* random_state, const DropoutShape& shape, int64_t task, Value value) {
  constexpr int lanes = kLanes<Real>;
  typedef uint32_t Words __attribute__((vector_size(lanes * sizeof(uint32_t)), aligned(4), may_alias));
  const uint64_t key = philox_key(static_cast<uint64_t>(random_state[0]), shape.stream);
  const auto step = static_cast<uint64_t>(random_state[1]);
  const int64_t begin = task * kDropoutChunk;
  const int64_t end = begin + kDropoutChunk < shape.elements ? begin + kDropoutChunk : shape.elements;
  for (int64_t block = begin; block < end; block += kWords) {
    uint32_t words[kWords];
    draw(words, key, static_cast<uint64_t>(block) / 4, step);
    FASTNN_UNROLL
    for (int w = 0; w < kWords; w += lanes) {
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
