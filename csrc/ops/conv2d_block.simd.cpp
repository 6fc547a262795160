#include "ops/conv2d_block.h"

#include "ops/conv2d_tiles.h"
#include "ops/epilogue_rows.h"
#include "ops/max_of_window.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

// -- Forward --------------------------------------------------------------------------------------------------------------

// A strip of outputs is convolved into scratch, which the first-level or second-level cache holds, and pooled from there.
template <typename Real>
void forward(Real* y, uint8_t* argmax, const Real* x, const Real* w, const Real* bias, Scratch scratch,
             const Conv2dBlockShape& shape, int64_t task) {
  const Conv2dShape& conv = shape.conv;
  const Window rows = shape.rows, columns = shape.columns;
  const int64_t F = conv.F, PH = rows.window, PW = columns.window;
  const int64_t x_sample = conv.height.image * conv.width.image * conv.C;
  const Part part = part_of(conv, F, task);
  const Span part_rows = part.rows(rows.output);
  Axis h = forward_axis(conv.height), v = forward_axis(conv.width);
  v.results = columns.output * PW;
  for (int64_t sample = part.sample; sample < part.sample + part.samples; sample += shape.strip_samples) {
    const int64_t samples = smaller(shape.strip_samples, part.sample + part.samples - sample);
    for (int64_t row = part_rows.begin; row < part_rows.end; row += shape.strip_rows) {
      const int64_t row_end = smaller(row + shape.strip_rows, part_rows.end);
      for (int64_t f = part.column; f < part.column + part.columns; f += shape.strip_filters) {
        const int64_t filters = smaller(shape.strip_filters, part.column + part.columns - f);
        const int64_t line = v.results * filters;
        h.place = -row * PH;
        const Results<Real> strip{scratch.as<Real>(), filters, line, (row_end - row) * PH * line};
        convolve(strip, x + sample * x_sample, w + f, bias == nullptr ? nullptr : bias + f, h, v,
                 Sum{conv.C, filters, conv.C, F, conv.C * F}, samples, Span{row * PH, row_end * PH});
        const auto activation = [relu = shape.relu](Vec<Real> value)
                                    __attribute__((always_inline)) { return relu ? relu_of<Real>(value) : value; };
        for (int64_t s = 0; s < samples; ++s) {
          for (int64_t i = row; i < row_end; ++i) {
            const Real* corner = strip.at + s * strip.sample + (i - row) * PH * line;
            const int64_t to = (((sample + s) * rows.output + i) * columns.output) * F + f;
            for (int64_t j = 0; j < columns.output; ++j, corner += PW * filters) {
              if (PH == 2 && PW == 2) {  // constants unroll the loops
                max_of_window(y + to + j * F, argmax + to + j * F, corner, filters, line, 2, 2, 2, 0, activation);
              } else {
                max_of_window(y + to + j * F, argmax + to + j * F, corner, filters, line, PH, PW, PW, 0, activation);
              }
            }
          }
        }
      }
    }
  }
}

// -- Sums of scaled rows ----------------------------------------------------------------------------------------------------
//
// Both gradients are sums over some of many pairs (value, place):
//
//     to[r*to_row + n] += sum over the pairs of value * from[place + r*from_row + n]
//
// for the rows r and columns n of a block that fits into registers. For dw a filter has a pair for each window: the place in the
// image that its winner reads. For dx a window has one for each filter, the place of its weights, and each position of the window
// has the sum of those that won there. Which pairs a sum has, in order, is said by bits.

template <typename Real>
using Place = typename MaskLane<Real>::type;

template <typename Real>
struct SumOfRows {
  Real* to;
  const Real* from;
  int64_t to_row = 0, from_row = 0;
  const Real* values;
  const Place<Real>* places;
  int64_t value_step = 0, place_step = 0;  // from pair to pair
  const uint64_t* bits;
  int64_t words;  // of each sum
  const RowSum* sums;
  int64_t count;  // of sums
};

// At most 24 sums in 32 registers, 12 in 16.
constexpr int kSumVectors = kVectorRegisters == 32 ? 12 : 8;
constexpr int kThreeRowsVectors = kVectorRegisters == 32 ? 8 : 4;

template <typename Real, int rows, int vectors, bool partial, bool side_by_side>
void sum_rows(const SumOfRows<Real>& s, int tail) {
  constexpr int lanes = kLanes<Real>;
  const Real* row[rows];  // addresses of all vectors are made of these; the compiler would keep one for each
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) row[r] = rows == 1 ? s.from : forget(s.from + r * s.from_row);
  for (int64_t i = 0; i < s.count; ++i) {
    const RowSum sum = s.sums[i];
    Real* const to = s.to + sum.to;
    Vec<Real> total[rows][vectors];
    FASTNN_UNROLL
    for (int r = 0; r < rows; ++r) {
      FASTNN_UNROLL
      for (int v = 0; v < vectors; ++v) {
        const Real* p = to + r * s.to_row + v * lanes;
        total[r][v] = partial && v == vectors - 1 ? load_first(p, tail) : load(p);
      }
    }
    const int64_t value_step = side_by_side ? 1 : s.value_step, place_step = side_by_side ? 1 : s.place_step;
    const Real* values = s.values + sum.value;
    const Place<Real>* places = s.places + sum.place;
    for (int64_t word = 0; word < s.words; ++word, values += kWordBits * value_step, places += kWordBits * place_step) {
      for (uint64_t left = s.bits[sum.bits + word]; left != 0; left &= left - 1) {
        const auto n = static_cast<int64_t>(static_cast<uint32_t>(__builtin_ctzll(left)));
        const int64_t place = places[n * place_step];
        const Vec<Real> value = broadcast(values[n * value_step]);
        FASTNN_UNROLL
        for (int r = 0; r < rows; ++r) {
          FASTNN_UNROLL
          for (int v = 0; v < vectors; ++v) {
            const Real* p = row[r] + place + v * lanes;
            total[r][v] = fma(partial && v == vectors - 1 ? load_first(p, tail) : load(p), value, total[r][v]);
          }
        }
      }
    }
    FASTNN_UNROLL
    for (int r = 0; r < rows; ++r) {
      FASTNN_UNROLL
      for (int v = 0; v < vectors; ++v) {
        Real* p = to + r * s.to_row + v * lanes;
        partial&& v == vectors - 1 ? store_first(p, total[r][v], tail) : store(p, total[r][v]);
      }
    }
  }
}

template <typename Real>
using SumFn = void (*)(const SumOfRows<Real>&, int tail);
template <typename Real>
struct SumTable {
  SumFn<Real> one[2][2][kSumVectors + 1] = {};  // [pairs side by side][last vector partial][vectors]
  SumFn<Real> three[2][kThreeRowsVectors + 1] = {};
};
template <typename Real, bool partial, int... v>
constexpr void fill_sums(SumTable<Real>& table, std::integer_sequence<int, v...>) {
  ((table.one[0][partial][v + 1] = sum_rows<Real, 1, v + 1, partial, false>), ...);
  ((table.one[1][partial][v + 1] = sum_rows<Real, 1, v + 1, partial, true>), ...);
  ((v < kThreeRowsVectors
        ? void(table.three[partial][v + 1] = sum_rows < Real, 3, v < kThreeRowsVectors ? v + 1 : 1, partial, false >)
        : void()),
   ...);
}
template <typename Real>
constexpr SumTable<Real> make_sum_table() {
  SumTable<Real> table;
  fill_sums<Real, false>(table, std::make_integer_sequence<int, kSumVectors>());
  fill_sums<Real, true>(table, std::make_integer_sequence<int, kSumVectors>());
  return table;
}
template <typename Real>
constexpr SumTable<Real> kSums = make_sum_table<Real>();

// The same for any number of rows and columns: three rows at once where they fit, else pieces of one.
template <typename Real>
FASTNN_INLINE void sum_block(SumOfRows<Real> s, int64_t rows, int64_t columns) {
  constexpr int lanes = kLanes<Real>;
  const int64_t vectors = (columns + lanes - 1) / lanes;
  const int tail = static_cast<int>(columns - (vectors - 1) * lanes);
  Real* const to = s.to;
  const Real* const from = s.from;
  for (int64_t r = 0; r < rows;) {
    s.to = to + r * s.to_row;
    s.from = from + r * s.from_row;
    if (vectors <= kThreeRowsVectors && r + 3 <= rows) {
      kSums<Real>.three[tail < lanes][vectors](s, tail);
      r += 3;
      continue;
    }
    const int64_t pieces = (vectors + kSumVectors - 1) / kSumVectors;
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const int64_t first = vectors * piece / pieces, end = vectors * (piece + 1) / pieces;
      s.to = to + r * s.to_row + first * lanes;
      s.from = from + r * s.from_row + first * lanes;
      kSums<Real>.one[s.value_step == 1 && s.place_step == 1][tail < lanes && end == vectors][end - first](s, tail);
    }
    ++r;
  }
}

// -- Backward ---------------------------------------------------------------------------------------------------------------

// The taps of one output along an axis that lie inside the image.
struct Taps {
  int64_t start;  // the position that tap 0 reads
  Span inside;
};
FASTNN_INLINE Taps taps_at(const Window& axis, int64_t output) {
  return {output * axis.stride - axis.before, taps_inside(axis, output)};
}
FASTNN_INLINE bool all_inside(const Window& axis, int64_t first_output, int64_t last_output) {
  return first_output * axis.stride >= axis.before && last_output * axis.stride - axis.before + axis.window <= axis.image;
}

// The first n bytes as lanes; the others read 0.
template <typename Real>
FASTNN_INLINE Mask<Real> load_first_bytes(const uint8_t* p, int64_t n) {
  if (n == kLanes<Real>) return load_bytes<Real>(p);
  uint8_t bytes[kLanes<Real>] = {};
  for (int64_t i = 0; i < n; ++i) bytes[i] = p[i];
  return load_bytes<Real>(bytes);
}

// Bits of windows, of which `lanes` has so many for each filter as a lane is wide, as words of each filter.
template <typename Real>
FASTNN_INLINE void words_of_filters(uint64_t* bits, int64_t words, const Place<Real>* lanes, int64_t lane_row,
                                    int64_t filters) {
  using Unsigned = std::make_unsigned_t<Place<Real>>;
  constexpr int64_t width = 8 * sizeof(Real), together = kWordBits / width;
  for (int64_t word = 0; word < words; ++word, lanes += together * lane_row) {
    for (int64_t f = 0; f < filters; ++f) {
      uint64_t all = 0;
      for (int64_t k = 0; k < together; ++k) {
        all |= static_cast<uint64_t>(static_cast<Unsigned>(lanes[k * lane_row + f])) << (k * width);
      }
      bits[f * words + word] = all;
    }
  }
}

// dw of one group of samples, transposed: (groups, F, KH, KW, C).
template <typename Real>
void backward_kernel(Real*, const Real* x, const Real* g, const uint8_t* argmax, Real* groups, Scratch scratch,
                     const Conv2dBlockShape& shape, int64_t task) {
  constexpr int lanes = kLanes<Real>;
  const Conv2dShape& conv = shape.conv;
  const Window h = conv.height, w = conv.width, rows = shape.rows, columns = shape.columns;
  const int64_t C = conv.C, F = conv.F, PW = columns.window, positions = rows.window * PW;
  const int64_t x_row = w.image * C, row_size = w.window * C, size = h.window * row_size;
  const int64_t group = task / shape.filter_tasks, part = task % shape.filter_tasks;
  const int64_t first = F * part / shape.filter_tasks, filters = F * (part + 1) / shape.filter_tasks - first;
  const int64_t windows = shape.band_rows * columns.output, words = words_of(windows);
  const int64_t lane_row = whole_vectors(filters, lanes), set_size = words * kWordBytes / int64_t{sizeof(Real)} * lane_row;
  const KernelScratch layout = kernel_scratch(windows, filters, lanes, sizeof(Real));
  auto* const bits = scratch.as<uint64_t>();
  auto* const winners = reinterpret_cast<Place<Real>*>(scratch.memory + layout.winners);  // (windows, filters)
  auto* const set = reinterpret_cast<Place<Real>*>(scratch.memory + layout.set);  // for every filter a lane of bits of windows
  auto* const sums = reinterpret_cast<RowSum*>(scratch.memory + layout.sums);
  Real* const total = groups + (group * F + first) * size;
  for (int64_t i = 0; i < filters * size; ++i) total[i] = 0;
  for (int64_t f = 0; f < filters; ++f) sums[f] = {f * size, f, f, f * words};

  // p / PW = p * inverse / 2^16 for every p and PW of at most 256.
  const auto inverse = static_cast<Place<Real>>((65536 + PW - 1) / PW), width = static_cast<Place<Real>>(PW);
  const auto row_step = static_cast<Place<Real>>(h.stride * x_row), column_step = static_cast<Place<Real>>(w.stride * C);
  const int64_t last = conv.B * (group + 1) / shape.sample_groups;
  int64_t sample = conv.B * group / shape.sample_groups;
  x += sample * h.image * x_row;
  for (; sample < last; ++sample, x += h.image * x_row) {
    for (int64_t band = 0; band < rows.output; band += shape.band_rows) {
      const int64_t band_end = smaller(band + shape.band_rows, rows.output);
      const int64_t start = (sample * rows.output + band) * columns.output * F + first;
      for (int64_t i = 0; i < set_size; ++i) set[i] = 0;
      Place<Real>* winner = winners;
      int64_t at = start, window = 0;
      for (int64_t i = band; i < band_end; ++i) {
        const int64_t oh = i * rows.window;
        const bool rows_inside = all_inside(h, oh, oh + rows.window - 1);
        for (int64_t j = 0; j < columns.output; ++j, at += F, winner += lane_row, ++window) {
          const int64_t ow = j * PW;
          if (rows_inside && all_inside(w, ow, ow + PW - 1)) {
            const auto corner = static_cast<Place<Real>>(((oh * h.stride - h.before) * w.image + ow * w.stride - w.before) * C);
            constexpr int64_t kLaneBits = 8 * sizeof(Real);
            Place<Real>* const seen = set + window / kLaneBits * lane_row;
            const auto bit = static_cast<Place<Real>>(uint64_t{1} << window % kLaneBits);
            for (int64_t f = 0; f < filters; f += lanes) {
              const int n = static_cast<int>(smaller(filters - f, lanes));
              const Mask<Real> p = load_first_bytes<Real>(argmax + at + f, n);
              const Mask<Real> row = (p * inverse) >> 16, place = corner + row * row_step + (p - row * width) * column_step;
              const Vec<Real> value = n == lanes ? load(g + at + f) : load_first(g + at + f, n);
              const Mask<Real> counts = (value != zero<Real>()) & (p < static_cast<Place<Real>>(positions));
              store(winner + f, place);
              store(seen + f, load(seen + f) | (counts & bit));
            }
            continue;
          }
          for (int64_t f = 0; f < filters; ++f) {  // some taps lie outside
            if (g[at + f] == 0 || argmax[at + f] >= positions) continue;
            const Taps th = taps_at(h, oh + argmax[at + f] / PW), tw = taps_at(w, ow + argmax[at + f] % PW);
            if (th.inside.begin >= th.inside.end || tw.inside.begin >= tw.inside.end) continue;
            const RowSum alone{};
            const Place<Real> zero_place = 0;
            const uint64_t one = 1;
            sum_block<Real>({.to = total + f * size + th.inside.begin * row_size + tw.inside.begin * C,
                             .from = x + (th.start + th.inside.begin) * x_row + (tw.start + tw.inside.begin) * C,
                             .to_row = row_size,
                             .from_row = x_row,
                             .values = g + at + f,
                             .places = &zero_place,
                             .bits = &one,
                             .words = 1,
                             .sums = &alone,
                             .count = 1},
                            th.inside.end - th.inside.begin, (tw.inside.end - tw.inside.begin) * C);
          }
        }
      }
      words_of_filters<Real>(bits, words, set, lane_row, filters);
      sum_block<Real>({.to = total,
                       .from = x,
                       .to_row = row_size,
                       .from_row = x_row,
                       .values = g + start,
                       .places = winners,
                       .value_step = F,
                       .place_step = lane_row,
                       .bits = bits,
                       .words = words,
                       .sums = sums,
                       .count = filters},
                      h.window, row_size);
    }
  }
}

// dw, the sum of the groups, turned back: a task has some filters of some rows.
template <typename Real>
void add_groups(Real* dw, const Real*, const Real*, const uint8_t*, const Real* groups, const Conv2dBlockShape& shape,
                int64_t task) {
  const int64_t F = shape.conv.F, size = shape.conv.height.window * shape.conv.width.window * shape.conv.C;
  const int64_t blocks = (F + kAddedFilters - 1) / kAddedFilters;
  const int64_t first = task % blocks * kAddedFilters, filters = smaller(F - first, kAddedFilters);
  const int64_t row = task / blocks * kAddedRows, rows = smaller(size - row, kAddedRows);
  Real sum[kAddedFilters * kAddedRows];
  for (int64_t f = 0; f < filters; ++f) {
    const Real* from = groups + (first + f) * size + row;
    for_each_vector<Real>(rows, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
      Vec<Real> total = lanes.load(from + i);
      for (int64_t group = 1; group < shape.sample_groups; ++group) total += lanes.load(from + group * F * size + i);
      lanes.store(sum + f * kAddedRows + i, total);
    });
  }
  transpose(dw + row * F + first, F, sum, kAddedRows, filters, rows);
}

// The workspace has w as (KH, part, F, part_width): what one pass over a band reads again and again lies together.
template <typename Real>
void transpose_kernel(Real* parts, const Real* w, const Conv2dBlockShape& shape, int64_t task) {
  const int64_t F = shape.conv.F, row_size = shape.conv.width.window * shape.conv.C;
  const int64_t kh = task / shape.part_count, first = task % shape.part_count * shape.part_width;
  transpose(parts + task * F * shape.part_width, shape.part_width, w + (kh * row_size + first) * F, F,
            smaller(shape.part_width, row_size - first), F);
}

// Bit f is set where of filter f, of `count` filters from the word's first on, the gradient belongs to position p.
template <typename Real, typename Test>
FASTNN_INLINE uint64_t filters_where(int64_t count, Test test) {
  constexpr int64_t lanes = kLanes<Real>;
  uint64_t bits = 0;
  for (int64_t f = 0; f < count; f += lanes) {
    bits |= bits_of<Real>(test(f, static_cast<int>(smaller(count - f, lanes)))) << f;
  }
  return bits;
}

template <typename Real>
void backward_input(Real* dx, const Real* g, const uint8_t* argmax, const Real*, const Real* other, const Real* parts,
                    Scratch scratch, const Conv2dBlockShape& shape, int64_t task) {
  const Conv2dShape& conv = shape.conv;
  const Window h = conv.height, w = conv.width, rows = shape.rows, columns = shape.columns;
  const int64_t C = conv.C, F = conv.F, PW = columns.window, positions = rows.window * PW;
  const int64_t dx_row = w.image * C, dx_sample = h.image * dx_row, row_size = w.window * C;
  const int64_t windows = shape.band_rows * columns.output, part_size = F * shape.part_width;
  const int64_t words = words_of(F);
  const InputScratch layout = input_scratch(F, windows * positions, sizeof(Real));
  auto* const bits = scratch.as<uint64_t>();  // (windows, positions, filters)
  auto* const places = reinterpret_cast<Place<Real>*>(scratch.memory + layout.places);
  auto* const sums = reinterpret_cast<RowSum*>(scratch.memory + layout.sums);
  for (int64_t f = 0; f < F; ++f) places[f] = static_cast<Place<Real>>(f * shape.part_width);

  const int64_t last = conv.B * (task + 1) / conv.sample_tasks;
  for (int64_t sample = conv.B * task / conv.sample_tasks; sample < last; ++sample) {
    Real* const image = dx + sample * dx_sample;
    for (int64_t i = 0; i < dx_sample; ++i) image[i] = 0;
    for (int64_t band = 0; band < rows.output; band += shape.band_rows) {
      const int64_t band_end = smaller(band + shape.band_rows, rows.output);
      int64_t count = 0;
      uint64_t* of_window = bits;
      for (int64_t i = band; i < band_end; ++i) {
        for (int64_t j = 0; j < columns.output; ++j) {
          const int64_t at = ((sample * rows.output + i) * columns.output + j) * F;
          for (int64_t word = 0; word < words; ++word) {
            const Real* const value = g + at + word * kWordBits;
            const uint8_t* const winner = argmax + at + word * kWordBits;
            const int64_t filters = smaller(F - word * kWordBits, kWordBits);
            const uint64_t counts = filters_where<Real>(filters, [&](int64_t f, int n) __attribute__((always_inline)) {
              return (n == kLanes<Real> ? load(value + f) : load_first(value + f, n)) != zero<Real>();
            });
            for (int64_t p = 0; p < positions; ++p) {
              const Mask<Real> position = Mask<Real>{} + static_cast<Place<Real>>(p);
              of_window[p * words + word] =
                  counts & filters_where<Real>(filters, [&](int64_t f, int n) __attribute__((always_inline)) {
                    return load_first_bytes<Real>(winner + f, n) == position;
                  });
            }
          }
          // Column by column: neighbours in a row add to the same elements, and one would wait for the other.
          for (int64_t n = 0, row = 0, column = 0; n < positions; ++n) {
            const Taps th = taps_at(h, i * rows.window + row), tw = taps_at(w, j * PW + column);
            const int64_t p = row * PW + column;
            if (++row == rows.window) ++column, row = 0;
            const uint64_t* const chosen = of_window + p * words;
            uint64_t any = 0;
            for (int64_t word = 0; word < words; ++word) any |= chosen[word];
            if (any == 0) continue;
            if (th.inside.end - th.inside.begin == h.window && tw.inside.end - tw.inside.begin == w.window) {
              sums[count++] = {th.start * dx_row + tw.start * C, at, 0, chosen - bits};
              continue;
            }
            const RowSum alone{};  // some taps lie outside: the columns from `low` to `high` are inside
            const int64_t low = tw.inside.begin * C, high = tw.inside.end * C;
            for (int64_t kh = th.inside.begin; kh < th.inside.end; ++kh) {
              for (int64_t part = 0; part < shape.part_count; ++part) {
                const int64_t first = part * shape.part_width, from = larger(low, first);
                const int64_t width = smaller(high, first + shape.part_width) - from;
                if (width <= 0) continue;
                sum_block<Real>({.to = image + (th.start + kh) * dx_row + tw.start * C + from,
                                 .from = parts + (kh * shape.part_count + part) * part_size + from - first,
                                 .values = g + at,
                                 .places = places,
                                 .value_step = 1,
                                 .place_step = 1,
                                 .bits = chosen,
                                 .words = words,
                                 .sums = &alone,
                                 .count = 1},
                                1, width);
              }
            }
          }
          of_window += positions * words;
        }
      }
      for (int64_t kh = 0; kh < h.window; ++kh) {
        for (int64_t part = 0; part < shape.part_count; ++part) {
          const int64_t first = part * shape.part_width;
          sum_block<Real>({.to = image + kh * dx_row + first,
                           .from = parts + (kh * shape.part_count + part) * part_size,
                           .values = g,
                           .places = places,
                           .value_step = 1,
                           .place_step = 1,
                           .bits = bits,
                           .words = words,
                           .sums = sums,
                           .count = count},
                          1, smaller(shape.part_width, row_size - first));
        }
      }
    }
    finish(conv.epilogue, dx, other, sample * dx_sample, 1, dx_sample, 0);
  }
}

}  // namespace

const Conv2dBlockKernels conv2d_block_kernels = {
    {kLanes<float>, kLanes<double>},
    {kernel<forward<float>>, kernel<forward<double>>},
    {kernel<transpose_kernel<float>>, kernel<transpose_kernel<double>>},
    {kernel<backward_input<float>>, kernel<backward_input<double>>},
    {kernel<backward_kernel<float>>, kernel<backward_kernel<double>>},
    {kernel<add_groups<float>>, kernel<add_groups<double>>},
};

}  // namespace fastnn::FASTNN_ISA
