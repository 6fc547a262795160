#include "ops/pool2d.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

namespace {

FASTNN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// One byte per lane of a vector of Real.
template <typename Real>
struct Bytes {
  typedef uint8_t type __attribute__((vector_size(kLanes<Real>)));
  typedef uint8_t unaligned __attribute__((vector_size(kLanes<Real>), aligned(1), may_alias));
};

template <typename Real>
FASTNN_INLINE Mask<Real> load_bytes(const uint8_t* p) {
  const typename Bytes<Real>::type bytes = *reinterpret_cast<const typename Bytes<Real>::unaligned*>(p);
  return __builtin_convertvector(bytes, Mask<Real>);
}
template <typename Real>
FASTNN_INLINE void store_bytes(uint8_t* p, Mask<Real> lanes) {
  *reinterpret_cast<typename Bytes<Real>::unaligned*>(p) = __builtin_convertvector(lanes, typename Bytes<Real>::type);
}

// A vector of Real at p, of which the first `tail` lanes exist if `partial`; likewise of bytes.
template <typename Real, bool partial>
struct Channels {
  int tail;
  FASTNN_INLINE Vec<Real> read(const Real* p) const { return partial ? load_first(p, tail) : load(p); }
  FASTNN_INLINE void write(Real* p, Vec<Real> v) const { partial ? store_first(p, v, tail) : store(p, v); }
  FASTNN_INLINE Mask<Real> read_bytes(const uint8_t* p) const {
    if (!partial) return load_bytes<Real>(p);
    uint8_t bytes[kLanes<Real>] = {};
    for (int i = 0; i < tail; ++i) bytes[i] = p[i];
    return load_bytes<Real>(bytes);
  }
  FASTNN_INLINE void write_bytes(uint8_t* p, Mask<Real> lanes) const {
    if (!partial) return store_bytes<Real>(p, lanes);
    uint8_t bytes[kLanes<Real>];
    store_bytes<Real>(bytes, lanes);
    for (int i = 0; i < tail; ++i) p[i] = bytes[i];
  }
};

// Calls body(c, channels) for each vector of the channels from c on.
template <typename Real, typename Body>
FASTNN_INLINE void for_channels(int64_t C, Body&& body) {
  int64_t c = 0;
  for (; c + kLanes<Real> <= C; c += kLanes<Real>) body(c, Channels<Real, false>{0});
  if (c < C) body(c, Channels<Real, true>{static_cast<int>(C - c)});
}

// The window's largest value and its index, `rows` by `columns` positions from x on, of which the first is number `first`.
template <typename Real>
FASTNN_INLINE void max_of_window(Real* y, uint8_t* argmax, const Real* x, int64_t C, int64_t x_row, int64_t rows, int64_t columns,
                                 int64_t KW, int64_t first) {
  using Index = typename MaskLane<Real>::type;
  for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
    Vec<Real> best = channels.read(x + c);
    Mask<Real> winner = Mask<Real>{} + static_cast<Index>(first);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = i == 0; j < columns; ++j) {
        const Vec<Real> value = channels.read(x + i * x_row + j * C + c);
        // Larger, or not a number where the best still is one.
        const Mask<Real> wins = ~(value <= best) & (best == best);
        best = select<Real>(wins, value, best);
        winner = wins ? Mask<Real>{} + static_cast<Index>(first + i * KW + j) : winner;
      }
    }
    channels.write(y + c, best);
    channels.write_bytes(argmax + c, winner);
  });
}

template <typename Real>
void max_forward(Real* y, uint8_t* argmax, const Real* x, const Pool2dShape& shape, int64_t task) {
  const Window &h = shape.height, &w = shape.width;
  const int64_t C = shape.C, x_row = w.image * C, end = smaller(shape.rows, (task + 1) * shape.row_block);
  for (int64_t row = task * shape.row_block; row < end; ++row) {
    const int64_t sample = row / h.output, oh = row % h.output;
    const Span kh = taps_inside(h, oh);
    const Real* line = x + (sample * h.image + oh * h.stride - h.before + kh.begin) * x_row;
    for (int64_t ow = 0; ow < w.output; ++ow) {
      const Span kw = taps_inside(w, ow);
      const Real* corner = line + (ow * w.stride - w.before + kw.begin) * C;
      const int64_t out = (row * w.output + ow) * C, first = kh.begin * w.window + kw.begin;
      const int64_t rows = kh.end - kh.begin, columns = kw.end - kw.begin;
      if (rows == 2 && columns == 2) {  // constants unroll the loops
        max_of_window(y + out, argmax + out, corner, C, x_row, 2, 2, w.window, first);
      } else {
        max_of_window(y + out, argmax + out, corner, C, x_row, rows, columns, w.window, first);
      }
    }
  }
}

// The windows [begin, end) that see a position of one axis, as it moves on from 0.
struct Seeing {
  const Window& w;
  int64_t begin = 0, end = 0;
  FASTNN_INLINE void move_to(int64_t position) {
    while (end < w.output && end * w.stride - w.before <= position) ++end;
    while (begin < end && begin * w.stride - w.before + w.window <= position) ++begin;
  }
};

// Each pixel of dx collects from the windows that see it: no zeroing, no adding to memory, each element written once.
template <typename Real>
void max_backward(Real* dx, const Real* dy, const uint8_t* argmax, const Pool2dShape& shape, int64_t task) {
  using Index = typename MaskLane<Real>::type;
  const Window &h = shape.height, &w = shape.width;
  const int64_t C = shape.C, end = smaller(shape.rows, (task + 1) * shape.row_block);
  for (int64_t row = task * shape.row_block; row < end; ++row) {
    const int64_t sample = row / h.image, ih = row % h.image;
    Seeing rows{h}, columns{w};
    rows.move_to(ih);
    const int64_t outputs = sample * h.output * w.output * C;
    const Real* dy_sample = dy + outputs;
    const uint8_t* argmax_sample = argmax + outputs;
    for (int64_t iw = 0; iw < w.image; ++iw) {
      columns.move_to(iw);
      Real* pixel = dx + (row * w.image + iw) * C;
      auto collect = [&](int64_t row_end, int64_t column_end) __attribute__((always_inline)) {
        for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
          Vec<Real> sum = zero<Real>();
          for (int64_t oh = rows.begin; oh < row_end; ++oh) {
            for (int64_t ow = columns.begin; ow < column_end; ++ow) {
              const int64_t at = (oh * w.output + ow) * C + c;
              const int64_t tap = (ih + h.before - oh * h.stride) * w.window + iw + w.before - ow * w.stride;
              const Mask<Real> mine = channels.read_bytes(argmax_sample + at) == Mask<Real>{} + static_cast<Index>(tap);
              sum += select<Real>(mine, channels.read(dy_sample + at), zero<Real>());
            }
          }
          channels.write(pixel + c, sum);
        });
      };
      if (rows.end - rows.begin == 1 && columns.end - columns.begin == 1) {  // windows that do not overlap: no loops
        collect(rows.begin + 1, columns.begin + 1);
      } else {
        collect(rows.end, columns.end);
      }
    }
  }
}

}  // namespace

const Pool2dKernels pool2d_kernels = {
    {kernel<max_forward<float>>, kernel<max_forward<double>>},
    {kernel<max_backward<float>>, kernel<max_backward<double>>},
};

}  // namespace fastnn::FASTNN_ISA
