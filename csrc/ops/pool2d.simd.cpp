#include "ops/pool2d.h"
#include "ops/max_of_window.h"

namespace fastnn::FASTNN_ISA {

namespace {

FASTNN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

template <typename Real>
void max_forward(Real* y, uint8_t* argmax, const Real* x, const Pool2dShape& shape, int64_t task) {
  const Window &h = shape.height, &w = shape.width;
  const int64_t C = shape.C, x_row = w.image * C, end = smaller(shape.rows, (task + 1) * shape.row_block);
  const auto as_it_is = [](Vec<Real> value) __attribute__((always_inline)) { return value; };
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
        max_of_window(y + out, argmax + out, corner, C, x_row, 2, 2, w.window, first, as_it_is);
      } else {
        max_of_window(y + out, argmax + out, corner, C, x_row, rows, columns, w.window, first, as_it_is);
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

template <typename Real>
FASTNN_INLINE void mean_of_window(Real* y, const Real* x, int64_t C, int64_t x_row, int64_t rows, int64_t columns) {
  const Vec<Real> positions = broadcast(static_cast<Real>(rows * columns));
  for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
    Vec<Real> sum = zero<Real>();
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) sum += channels.read(x + i * x_row + j * C + c);
    }
    channels.write(y + c, sum / positions);
  });
}

template <typename Real>
void average_forward(Real* y, const Real* x, const Pool2dShape& shape, int64_t task) {
  const Window h = shape.height, w = shape.width;
  const int64_t C = shape.C, x_row = w.image * C, end = smaller(shape.rows, (task + 1) * shape.row_block);
  for (int64_t row = task * shape.row_block; row < end; ++row) {
    const int64_t sample = row / h.output, oh = row % h.output;
    const Span kh = taps_inside(h, oh);
    const Real* line = x + (sample * h.image + oh * h.stride - h.before + kh.begin) * x_row;
    for (int64_t ow = 0; ow < w.output; ++ow) {
      const Span kw = taps_inside(w, ow);
      const Real* corner = line + (ow * w.stride - w.before + kw.begin) * C;
      Real* out = y + (row * w.output + ow) * C;
      const int64_t rows = kh.end - kh.begin, columns = kw.end - kw.begin;
      if (rows == 2 && columns == 2) {  // constants unroll the loops
        mean_of_window(out, corner, C, x_row, 2, 2);
      } else {
        mean_of_window(out, corner, C, x_row, rows, columns);
      }
    }
  }
}

// Where windows do not overlap each hands out equal shares to its own pixels.
template <typename Real>
FASTNN_INLINE void share_out_row(Real* dx, const Real* dy, int64_t C, const Window& h, const Window& w, int64_t ih) {
  const int64_t oh = (ih + h.before) / h.stride;
  const bool seen = oh < h.output && (ih + h.before) % h.stride < h.window;
  int64_t iw = 0;
  auto clear_until = [&](int64_t end) __attribute__((always_inline)) {
    for (int64_t i = iw * C; i < end * C; ++i) dx[i] = 0;
  };
  for (int64_t ow = 0; ow < w.output && seen; ++ow) {
    const Span kh = taps_inside(h, oh), kw = taps_inside(w, ow);
    const int64_t first = ow * w.stride - w.before + kw.begin, columns = kw.end - kw.begin;
    clear_until(first);
    const Vec<Real> share = broadcast(Real(1) / static_cast<Real>((kh.end - kh.begin) * columns));
    for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
      const Vec<Real> gradient = share * channels.read(dy + (oh * w.output + ow) * C + c);
      for (int64_t k = 0; k < columns; ++k) channels.write(dx + (first + k) * C + c, gradient);
    });
    iw = first + columns;
  }
  clear_until(w.image);
}

template <typename Real>
void average_backward(Real* dx, const Real* dy, const Pool2dShape& shape, int64_t task) {
  const Window h = shape.height, w = shape.width;
  const int64_t C = shape.C, end = smaller(shape.rows, (task + 1) * shape.row_block);
  const bool overlap = h.window > h.stride || w.window > w.stride;
  for (int64_t row = task * shape.row_block; row < end; ++row) {
    if (!overlap) {
      share_out_row(dx + row * w.image * C, dy + row / h.image * h.output * w.output * C, C, h, w, row % h.image);
      continue;
    }
    const Real* outputs = dy + row / h.image * h.output * w.output * C;
    Seeing rows{h}, columns{w};
    rows.move_to(row % h.image);
    for (int64_t iw = 0; iw < w.image; ++iw) {
      columns.move_to(iw);
      for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
        Vec<Real> sum = zero<Real>();
        for (int64_t oh = rows.begin; oh < rows.end; ++oh) {
          const Span kh = taps_inside(h, oh);
          for (int64_t ow = columns.begin; ow < columns.end; ++ow) {
            const Span kw = taps_inside(w, ow);
            const Real share = Real(1) / static_cast<Real>((kh.end - kh.begin) * (kw.end - kw.begin));
            sum = fma(broadcast(share), channels.read(outputs + (oh * w.output + ow) * C + c), sum);
          }
        }
        channels.write(dx + (row * w.image + iw) * C + c, sum);
      });
    }
  }
}

}  // namespace

const Pool2dKernels pool2d_kernels = {
    {kernel<max_forward<float>>, kernel<max_forward<double>>},
    {kernel<max_backward<float>>, kernel<max_backward<double>>},
    {kernel<average_forward<float>>, kernel<average_forward<double>>},
    {kernel<average_backward<float>>, kernel<average_backward<double>>},
};

}  // namespace fastnn::FASTNN_ISA
