#include "ops/pool2d.h"
#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {

namespace {

FASTNN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

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

// The largest value of `rows` by `columns` positions from x on, and its number; the first position's is
// `first`.
template <typename Real>
FASTNN_INLINE void max_of_window(Real* y, uint8_t* argmax, const Real* x, int64_t C, int64_t x_row, int64_t rows,
                                 int64_t columns, int64_t KW, int64_t first) {
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
  const Window w;
  int64_t begin = 0, end = 0;
  FASTNN_INLINE void move_to(int64_t position) {
    while (end < w.output && end * w.stride - w.before <= position) ++end;
    while (begin < end && begin * w.stride - w.before + w.window <= position) ++begin;
  }
};

// Each pixel of dx collects from the windows that see it: no zeroing, no adding to memory, one write.
template <typename Real>
FASTNN_INLINE void collect_row(Real* dx, const Real* dy, const uint8_t* argmax, int64_t C, const Window& h, const Window& w,
                               int64_t ih) {
  using Index = typename MaskLane<Real>::type;
  int64_t window_at[256], window_tap[256];  // no pixel is seen by more windows than a window has positions
  Seeing rows{h}, columns{w};
  rows.move_to(ih);
  for (int64_t iw = 0; iw < w.image; ++iw) {
    columns.move_to(iw);
    int64_t windows = 0;
    for (int64_t oh = rows.begin; oh < rows.end; ++oh) {
      for (int64_t ow = columns.begin; ow < columns.end; ++ow, ++windows) {
        window_at[windows] = (oh * w.output + ow) * C;
        window_tap[windows] = (ih + h.before - oh * h.stride) * w.window + iw + w.before - ow * w.stride;
      }
    }
    for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
      Vec<Real> sum = zero<Real>();
      for (int64_t i = 0; i < windows; ++i) {
        const int64_t at = window_at[i] + c;
        const Mask<Real> mine = channels.read_bytes(argmax + at) == Mask<Real>{} + static_cast<Index>(window_tap[i]);
        sum += select<Real>(mine, channels.read(dy + at), zero<Real>());
      }
      channels.write(dx + iw * C + c, sum);
    });
  }
}

// The same where windows do not overlap: each hands its gradient out to its own pixels (three times as fast).
template <typename Real>
FASTNN_INLINE void hand_out_row(Real* dx, const Real* dy, const uint8_t* argmax, int64_t C, const Window& h, const Window& w,
                                int64_t ih) {
  using Index = typename MaskLane<Real>::type;
  const int64_t oh = (ih + h.before) / h.stride, kh = (ih + h.before) % h.stride;
  const bool seen = oh < h.output && kh < h.window;
  int64_t iw = 0;
  auto clear_until = [&](int64_t end) __attribute__((always_inline)) {
    for (int64_t i = iw * C; i < end * C; ++i) dx[i] = 0;
  };
  for (int64_t ow = 0; ow < w.output && seen; ++ow) {
    const Span kw = taps_inside(w, ow);
    const int64_t first = ow * w.stride - w.before + kw.begin, at = (oh * w.output + ow) * C, tap = kh * w.window + kw.begin;
    clear_until(first);
    for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
      const Mask<Real> winner = channels.read_bytes(argmax + at + c) - static_cast<Index>(tap);
      const Vec<Real> gradient = channels.read(dy + at + c);
      Real* pixel = dx + first * C + c;
      for (int64_t k = 0; k < kw.end - kw.begin; ++k, pixel += C) {
        channels.write(pixel, select<Real>(winner == static_cast<Index>(k), gradient, zero<Real>()));
      }
    });
    iw = first + kw.end - kw.begin;
  }
  clear_until(w.image);
}

template <typename Real>
void max_backward(Real* dx, const Real* dy, const uint8_t* argmax, const Pool2dShape& shape, int64_t task) {
  const Window h = shape.height, w = shape.width;  // copies: vector stores may alias the originals
  const int64_t C = shape.C, end = smaller(shape.rows, (task + 1) * shape.row_block);
  const bool overlap = h.window > h.stride || w.window > w.stride;
  for (int64_t row = task * shape.row_block; row < end; ++row) {
    const int64_t sample = row / h.image, outputs = sample * h.output * w.output * C;
    Real* dx_row = dx + row * w.image * C;
    if (overlap) {
      collect_row(dx_row, dy + outputs, argmax + outputs, C, h, w, row % h.image);
    } else {
      hand_out_row(dx_row, dy + outputs, argmax + outputs, C, h, w, row % h.image);
    }
  }
}

}  // namespace

const Pool2dKernels pool2d_kernels = {
    {kernel<max_forward<float>>, kernel<max_forward<double>>},
    {kernel<max_backward<float>>, kernel<max_backward<double>>},
};

}  // namespace fastnn::FASTNN_ISA
