#include "ops/rotary.h"
#include "simd/math.h"

namespace fastnn::FASTNN_ISA {

namespace {

template <typename Real>
void rotary(Real* y, const Real* x, const void* positions, Scratch scratch, const RotaryShape& shape, int64_t task) {
  constexpr double turn = 6.283185307179586477;
  const int64_t half = shape.HS / 2, begin = task * shape.rows_per_task;
  const int64_t end = begin + shape.rows_per_task < shape.B * shape.T ? begin + shape.rows_per_task : shape.B * shape.T;
  double* const frequencies = scratch.as<double>();
  Real* const cosines = reinterpret_cast<Real*>(frequencies + half);  // interleaved: each twice, as below
  Real* const sines = cosines + shape.HS;
  for (int64_t i = 0; i < half; ++i) {
    frequencies[i] = __builtin_pow(shape.base, -2 * static_cast<double>(i) / static_cast<double>(shape.HS));
  }
  int64_t angles_of = 0;
  bool known = false;  // whether the cosines are those of place `angles_of`
  for (int64_t row = begin; row < end; ++row) {
    const int64_t sample = row / shape.T;
    int64_t place = row % shape.T;
    if (positions != nullptr) {
      // Unsigned: no sum of two numbers that make no sense overflows.
      const int64_t first = shape.wide_positions ? static_cast<const int64_t*>(positions)[sample]
                                                 : static_cast<const int32_t*>(positions)[sample];
      place = static_cast<int64_t>(static_cast<uint64_t>(place) + static_cast<uint64_t>(first));
    }
    if (!known || angles_of != place) {
      angles_of = place;
      known = true;
      for (int64_t i = 0; i < half; ++i) {
        double angle = static_cast<double>(place) * frequencies[i];
        if constexpr (sizeof(Real) == 4) {  // what a float could not hold; doubles have libm's own reduction
          const double turns = angle * (1 / turn), magic = 0x1.8p52;
          if (__builtin_fabs(turns) < 0x1p50) angle -= ((turns + magic) - magic) * turn;
        }
        cosines[i] = static_cast<Real>(shape.reverse ? -angle : angle);
      }
      for_each_vector<Real>(half, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
        const Vec<Real> angle = lanes.load(cosines + i);
        lanes.store(sines + i, sin(angle));
        lanes.store(cosines + i, cos(angle));
      });
      if (shape.interleaved) {  // c c and -s s for each pair
        for (int64_t i = half; i-- > 0;) {
          const Real c = cosines[i], s = sines[i];
          cosines[2 * i] = cosines[2 * i + 1] = c;
          sines[2 * i] = -s;
          sines[2 * i + 1] = s;
        }
      }
    }
    for (int64_t head = 0; head < shape.NH; ++head) {
      const Real* const from = x + (row * shape.NH + head) * shape.HS;
      Real* const to = y + (row * shape.NH + head) * shape.HS;
      if (shape.interleaved) {
        using Lane = typename MaskLane<Real>::type;
        const Mask<Real> other = lane_numbers<Lane>() ^ static_cast<Lane>(1);
        for_each_vector<Real>(shape.HS, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
          const Vec<Real> pairs = lanes.load(from + i);
          lanes.store(to + i, fma(pairs, lanes.load(cosines + i), shuffle<Real>(pairs, other) * lanes.load(sines + i)));
        });
      } else {
        for_each_vector<Real>(half, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
          const Vec<Real> a = lanes.load(from + i), b = lanes.load(from + half + i);
          const Vec<Real> c = lanes.load(cosines + i), s = lanes.load(sines + i);
          lanes.store(to + i, fma(a, c, -(b * s)));
          lanes.store(to + half + i, fma(b, c, a * s));
        });
      }
    }
  }
}

}  // namespace

const RotaryKernels rotary_kernels = {{kernel<rotary<float>>, kernel<rotary<double>>}};

}  // namespace fastnn::FASTNN_ISA
