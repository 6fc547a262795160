#include "ops/attention.h"
#include "simd/ahead.h"
#include "simd/math.h"
#include "simd/philox.h"
#include "simd/tile.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

// Scores and weights of a block stand transposed, key by key, with a query in each lane: then the queries' maxima and sums are
// made of whole vectors, keys, values and gradients are read where they lie, and of the queries alone is a block transposed.
constexpr int64_t kBlock = kAttentionBlock;  // also the step between rows of such a block

// Scores of floats are in units of log 2, with the scale and the bias multiplied accordingly: 2^x needs half the instructions
// of e^x.
template <typename Real>
constexpr Real kUnit = sizeof(Real) == 4 ? Real(1.44269504088896341) : Real(1);  // what a natural logarithm is multiplied by
template <bool below_zero>
FASTNN_INLINE Vec<float> weight_of(Vec<float> x) {
  return exp2<below_zero>(x);
}
template <bool below_zero>
FASTNN_INLINE Vec<double> weight_of(Vec<double> x) {
  return exp(x);
}

struct RowOffsets {
  int64_t at[kTileRows];
  explicit RowOffsets(int64_t step) {
    for (int r = 0; r < kTileRows; ++r) at[r] = r * step;
  }
};

// The register tile of simd/tile.h for four vectors of columns, 64 queries or heads of 64: it reads 10 numbers and vectors for 24
// multiply-adds. The chains of additions are the same. A second element type of keys and values would be widened where a block of
// them is copied: the tiles see Real alone.
constexpr int kWideRows = 6, kWideVectors = 4;
template <typename Real, int rows, int vectors, bool side_by_side>
__attribute__((noinline)) void wide_tile(const Tile<Real>& t) {
  constexpr int lanes = kLanes<Real>;
  Vec<Real> sum[rows][vectors];
  const Real* row[rows];
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    row[r] = t.a + t.a_rows[r];
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) {
      sum[r][v] = t.start == Start::zero ? zero<Real>() : load(t.c + t.c_rows[r] + v * lanes);
    }
  }
  const int64_t b_bytes = t.b_k * static_cast<int64_t>(sizeof(Real));
  const auto read = [](const Real* p, int) __attribute__((always_inline)) { return load(p); };
  if constexpr (side_by_side) {
    add_side_by_side<Real, rows, vectors>(sum, row[0], t.a_k, t.b, b_bytes, t.k, read);
  } else {
    add_along_rows<Real, rows, vectors>(sum, row, 0, t.b, b_bytes, t.k, read);
  }
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) store(t.c + t.c_rows[r] + v * lanes, sum[r][v]);
  }
}
template <typename Real>
struct WideTiles {
  using Run = void (*)(const Tile<Real>&);
  Run at[2][kWideVectors][kWideRows];  // [side by side]
};
template <typename Real>
constexpr WideTiles<Real> all_wide_tiles() {
  WideTiles<Real> all{};
  [&]<int... i>(std::integer_sequence<int, i...>) {
    ((all.at[0][i / kWideRows][i % kWideRows] = wide_tile<Real, i % kWideRows + 1, i / kWideRows + 1, false>), ...);
    ((all.at[1][i / kWideRows][i % kWideRows] = wide_tile<Real, i % kWideRows + 1, i / kWideRows + 1, true>), ...);
  }(std::make_integer_sequence<int, kWideVectors * kWideRows>());
  return all;
}
template <typename Real>
FASTNN_INLINE void run_wide_tile(const Tile<Real>& tile, int64_t height, int64_t vectors) {
  static constexpr WideTiles<Real> all = all_wide_tiles<Real>();
  all.at[tile.side_by_side][vectors - 1][height - 1](tile);
}
template <typename Real>
FASTNN_INLINE bool is_wide(int64_t columns) {
  return kVectorBytes == 64 && columns > 2 * kLanes<Real> && columns % kLanes<Real> == 0;
}

// Rows begin <= r < end in strips of about equal height that fit a tile of so many columns.
template <typename Real>
FASTNN_INLINE int64_t strips_of(int64_t rows, int64_t columns) {
  const int64_t height = is_wide<Real>(columns) ? kWideRows : kTileRows;
  return (rows + height - 1) / height;
}
template <typename Real, typename Body>
FASTNN_INLINE void for_each_strip(int64_t begin, int64_t end, int64_t columns, Body body) {
  const int64_t rows = end - begin, strips = strips_of<Real>(rows, columns);
  for (int64_t i = 0; i < strips; ++i) body(begin + rows * i / strips, begin + rows * (i + 1) / strips);
}
// One strip; of its columns those from `first` on, a multiple of the lanes.
template <typename Real>
FASTNN_INLINE void run_strip(Tile<Real>& tile, int64_t rows, int64_t columns, int64_t first = 0) {
  if (!is_wide<Real>(columns)) return run_tile_row(tile, rows, columns - first);
  for (int64_t n = first; n < columns; n += kWideVectors * kLanes<Real>) {
    const int64_t vectors = (columns - n) / kLanes<Real>;
    run_wide_tile(tile, rows, vectors < kWideVectors ? vectors : kWideVectors);
    tile.b += kWideVectors * kLanes<Real>;
    tile.c += kWideVectors * kLanes<Real>;
  }
}

// A block of queries of one head, and what they see.
struct Queries {
  int64_t sample, head, first, count;
  int64_t lanes;   // count up to whole vectors
  int64_t length;  // keys that are there
  int64_t place;   // of the first query among the keys, if causal
  bool causal;
  int64_t keys;  // that the last query sees, and no other sees more

  int64_t seen(int64_t t) const {  // the keys 0 <= s < seen(t)
    if (!causal) return length;
    const int64_t end = place + t + 1;
    return end < 0 ? 0 : end < length ? end : length;
  }
  int64_t first_query(int64_t s) const {  // that sees key s
    return causal && s > place ? s - place : 0;
  }
};

int64_t read_integer(const void* numbers, bool wide, int64_t i) {
  return wide ? static_cast<const int64_t*>(numbers)[i] : static_cast<const int32_t*>(numbers)[i];
}

template <typename Real>
Queries queries_of(const AttentionShape& shape, int64_t sample, int64_t head, int64_t block, const void* lengths,
                   const void* positions, Errors* errors) {
  Queries q{};
  q.sample = sample;
  q.head = head;
  q.first = block * kBlock;
  q.count = shape.T - q.first < kBlock ? shape.T - q.first : kBlock;
  q.lanes = (q.count + kLanes<Real> - 1) / kLanes<Real> * kLanes<Real>;
  q.causal = shape.causal;
  q.length = shape.S;
  if (lengths != nullptr) {
    const int64_t length = read_integer(lengths, shape.wide_lengths, sample);
    const bool good = length >= 0 && length <= shape.S;
    if (!good && errors != nullptr) errors->report(2 * sample, length);
    q.length = good ? length : 0;
  }
  int64_t position = shape.S - shape.T;
  if (positions != nullptr) {
    position = read_integer(positions, shape.wide_positions, sample);
    const bool good = position >= 0 && position <= shape.S - shape.T;
    if (!good && errors != nullptr) errors->report(2 * sample + 1, position);
    if (!good) position = 0;
  }
  q.place = position + q.first;
  q.keys = q.seen(q.count - 1);
  return q;
}

// to[d][t] = factor rows[t][d], and 0 for lanes without a query.
template <typename Real>
void transpose_rows(Real* to, const Real* rows, int64_t step, int64_t size, const Queries& q, Real factor) {
  if (q.count < q.lanes) {
    for (int64_t d = 0; d < size; ++d) store(to + d * kBlock + q.lanes - kLanes<Real>, zero<Real>());
  }
  transpose(to, kBlock, rows, step, q.count, size);
  if (factor == Real(1)) return;
  for (int64_t d = 0; d < size; ++d) {
    for (int64_t t = 0; t < q.lanes; t += kLanes<Real>) {
      store(to + d * kBlock + t, load(to + d * kBlock + t) * broadcast(factor));
    }
  }
}

// Rows of one head side by side. Where they lie they are a power of two apart, share a few sets of the first-level cache, and
// push each other out before a tile comes back to them.
template <typename Real>
FASTNN_INLINE void copy_rows(Real* to, const Real* rows, int64_t step, int64_t count, int64_t size) {
  constexpr int64_t kAhead = 6;  // rows in different pages, between which a processor does not look ahead
  for (int64_t r = 0; r < count; ++r) {
    for_each_vector<Real>(size, [&](int64_t d, auto part) __attribute__((always_inline)) {
      __builtin_prefetch(rows + (r + kAhead) * step + d);
      part.store(to + r * size + d, part.load(rows + r * step + d));
    });
  }
}

// What is fetched beside a product, some with each strip of it: rows to be read and rows to be written.
struct Beside {
  Ahead read, written;
  FASTNN_INLINE void fetch() {
    read.fetch();
    written.fetch<true>();
  }
};
template <typename Real>
FASTNN_INLINE Ahead rows_ahead(const Real* rows, int64_t step, int64_t count, int64_t size, int64_t strips) {
  constexpr auto bytes = static_cast<int64_t>(sizeof(Real));
  return {rows, size * bytes, step * bytes, count, strips};
}

// x[s - s0][t] = sum over d of rows[s - s0][d] columns[d][t], but for what stands left of the first vector with a query that sees
// one of its strip's keys.
template <typename Real>
FASTNN_INLINE void products_with_keys(Real* x, const Real* rows, const RowOffsets& row_offsets, const RowOffsets& x_offsets,
                                      const Real* columns, int64_t size, const Queries& q, int64_t s0, int64_t s1,
                                      Beside beside = {}) {
  Tile<Real> tile;
  tile.a_rows = row_offsets.at;
  tile.c_rows = x_offsets.at;
  tile.a_k = 1;
  tile.b_k = kBlock;
  tile.k = size;
  for_each_strip<Real>(s0, s1, q.lanes, [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
    const int64_t lane = q.first_query(begin) / kLanes<Real> * kLanes<Real>;
    beside.fetch();
    tile.a = rows + (begin - s0) * size;
    tile.b = columns + lane;
    tile.c = x + (begin - s0) * kBlock + lane;
    run_strip(tile, end - begin, q.lanes, lane);
  });
}

// What the masks add, transposed like the scores: bias, -infinity where the mask hides; 0 in lanes without a query.
template <typename Real>
void read_masks(Real* extra, Real* rows, const uint8_t* mask, const Real* bias, const AttentionShape& shape, const Queries& q,
                int64_t s0, int64_t s1) {
  const auto start = [&q](const auto* numbers, const AttentionSteps& steps) {
    return numbers == nullptr ? nullptr : numbers + q.sample * steps.sample + q.head * steps.head + q.first * steps.query;
  };
  const Real hidden = -static_cast<Real>(__builtin_inf()), unit = kUnit<Real>;
  mask = start(mask, shape.mask);
  bias = start(bias, shape.bias);
  const bool alike = (mask == nullptr || shape.mask.query == 0) && (bias == nullptr || shape.bias.query == 0);
  const int64_t different = alike ? 1 : q.count;
  for (int64_t t = 0; t < different; ++t) {
    Real* const row = rows + t * kBlock;
    for (int64_t s = s0; s < s1; ++s) {
      const Real there = bias == nullptr ? Real(0) : unit * bias[t * shape.bias.query + s * shape.bias.key];
      row[s - s0] = mask == nullptr || mask[t * shape.mask.query + s * shape.mask.key] != 0 ? there : hidden;
    }
  }
  if (alike) {
    for (int64_t s = 0; s < s1 - s0; ++s) {
      for (int64_t t = 0; t < q.lanes; t += kLanes<Real>) store(extra + s * kBlock + t, broadcast(rows[s]));
    }
    return;
  }
  for (int64_t t = q.count; t < q.lanes; ++t) {
    for (int64_t s = 0; s < s1 - s0; ++s) rows[t * kBlock + s] = 0;
  }
  transpose(extra, kBlock, rows, kBlock, q.lanes, s1 - s0);
}

// The factors of dropout, transposed like the scores: those of dropout over the array of all weights (B, NH, T, S).
template <typename Real>
void draw_factors(Real* factors, Real* rows, const int64_t* random_state, const AttentionShape& shape, const Queries& q,
                  int64_t s0, int64_t s1) {
  const uint64_t key = philox_key(static_cast<uint64_t>(random_state[0]), shape.stream);
  const auto step = static_cast<uint64_t>(random_state[1]);
  const auto kept = static_cast<Real>(shape.kept);
  for (int64_t t = 0; t < q.count; ++t) {
    const auto row = static_cast<uint64_t>((q.sample * shape.NH + q.head) * shape.T + q.first + t);
    const uint64_t element = row * static_cast<uint64_t>(shape.S) + static_cast<uint64_t>(s0);
    const auto skipped = static_cast<int64_t>(element % 4), wanted = skipped + s1 - s0;
    uint32_t words[kBlock + 4 + kPhiloxWords];
    for (int64_t w = 0; w < wanted; w += kPhiloxWords) {
      draw_words(words + w, key, element / 4 + static_cast<uint64_t>(w) / 4, step);
    }
    for (int64_t s = 0; s < s1 - s0; ++s) {
      rows[t * kBlock + s] = (words[skipped + s] >> 8) >= shape.threshold ? kept : Real(0);
    }
  }
  for (int64_t t = q.count; t < q.lanes; ++t) {
    for (int64_t s = 0; s < s1 - s0; ++s) rows[t * kBlock + s] = 0;
  }
  transpose(factors, kBlock, rows, kBlock, q.lanes, s1 - s0);
}

// Scores of hidden keys become -infinity. Of the vector of lanes from t on, end(t) keys of the block are worth a look.
template <typename Real>
FASTNN_INLINE int64_t end_of_lanes(const Queries& q, int64_t t, int64_t s0, int64_t s1) {
  const int64_t end = q.seen(t + kLanes<Real> - 1);
  return (end < s0 ? s0 : end < s1 ? end : s1) - s0;
}
template <typename Real>
void hide(Real* x, const Real* extra, const Queries& q, int64_t s0, int64_t s1) {
  const Vec<Real> hidden = broadcast(-static_cast<Real>(__builtin_inf()));
  using Lane = typename MaskLane<Real>::type;
  for (int64_t t = 0; t < q.lanes; t += kLanes<Real>) {
    const int64_t end = end_of_lanes<Real>(q, t, s0, s1);
    if (extra != nullptr) {
      for (int64_t s = 0; s < end; ++s) {
        const Vec<Real> added = load(extra + s * kBlock + t);
        Real* const at = x + s * kBlock + t;
        store(at, select<Real>(added == hidden, hidden, load(at) + added));
      }
    }
    const int64_t all_see = q.seen(t) - s0;
    for (int64_t s = all_see < 0 ? 0 : all_see; s < end; ++s) {
      const Mask<Real> see = lane_numbers<Lane>() >= static_cast<Lane>(q.first_query(s0 + s) - t);
      Real* const at = x + s * kBlock + t;
      store(at, select<Real>(see, load(at), hidden));
    }
  }
}

// Numbers in scratch memory, one array behind the other.
template <typename Real>
struct Memory {
  Real* next;
  Real* take(int64_t count) {
    Real* const taken = next;
    next += count;
    return taken;
  }
};

// A block of queries on its way through the keys.
template <typename Real>
struct Reading {
  Queries q;
  Real* columns;        // the queries, transposed
  Real *largest, *sum;  // the largest score so far, and the sum of weights relative to it
  Real* mean;           // the sum of values times these weights
};

// Scores become weights relative to the largest score so far; `shrunk` is what the weights of before are multiplied by.
template <typename Real>
FASTNN_INLINE void weigh(Real* x, Real* shrunk, const Reading<Real>& reading, const Real* factors, int64_t s0, int64_t s1) {
  const Vec<Real> none = broadcast(-static_cast<Real>(__builtin_inf()));
  const auto larger = [](Vec<Real> a, Vec<Real> b) __attribute__((always_inline)) {
    return select<Real>(a > b, a, b);  // a NaN among the scores is left to the exponential
  };
  for (int64_t t = 0; t < reading.q.lanes; t += kLanes<Real>) {
    const int64_t end = end_of_lanes<Real>(reading.q, t, s0, s1);
    const Vec<Real> before = load(reading.largest + t);
    Vec<Real> top = before, others[3] = {before, before, before};  // four comparisons do not wait for each other
    int64_t s = 0;
    for (; s + 4 <= end; s += 4) {
      top = larger(load(x + s * kBlock + t), top);
      FASTNN_UNROLL
      for (int i = 0; i < 3; ++i) others[i] = larger(load(x + (s + 1 + i) * kBlock + t), others[i]);
    }
    for (; s < end; ++s) top = larger(load(x + s * kBlock + t), top);
    top = larger(larger(top, others[0]), larger(others[1], others[2]));
    const Vec<Real> shift = select<Real>(top == none, zero<Real>(), top);
    const Vec<Real> less = weight_of<true>(before - shift);
    Vec<Real> total = load(reading.sum + t) * less;
    for (s = 0; s < end; ++s) {
      Vec<Real> p = weight_of<true>(load(x + s * kBlock + t) - shift);
      total += p;
      if (factors != nullptr) p *= load(factors + s * kBlock + t);
      store(x + s * kBlock + t, p);
    }
    for (; s < s1 - s0; ++s) store(x + s * kBlock + t, zero<Real>());
    store(reading.largest + t, top);
    store(reading.sum + t, total);
    store(shrunk + t, less);
  }
}

template <typename Real>
void forward(Real* y, Real* lse, const Real* query, const Real* key, const Real* value, const uint8_t* mask, const Real* bias,
             const void* lengths, const void* positions, const int64_t* random_state, Scratch scratch,
             const AttentionShape& shape, Errors& errors, int64_t task) {
  constexpr int64_t lanes = kLanes<Real>;
  const int64_t groups = (shape.blocks + shape.group - 1) / shape.group;
  const int64_t first_block = (groups - 1 - task % groups) * shape.group, head = task / groups % shape.NH;
  const int64_t sample = task / groups / shape.NH, kv = head / (shape.NH / shape.KV);
  const int64_t count = shape.blocks - first_block < shape.group ? shape.blocks - first_block : shape.group;
  const bool masked = mask != nullptr || bias != nullptr, drops = shape.rate > 0;

  Memory<Real> memory{scratch.as<Real>()};
  Real* const keys = memory.take(kBlock * shape.HS);  // of a block
  Real* const values = memory.take(kBlock * shape.VS);
  Real* const x = memory.take(kBlock * kBlock);  // scores, then weights
  Real* const shrunk = memory.take(kBlock);
  Real* const rows = memory.take(masked || drops ? kBlock * kBlock : 0);
  Real* const extra = memory.take(masked ? kBlock * kBlock : 0);
  Real* const factors = memory.take(drops ? kBlock * kBlock : 0);

  const int64_t key_step = shape.KV * shape.HS, value_step = shape.KV * shape.VS;
  const int64_t query_step = shape.NH * shape.HS, y_step = shape.NH * shape.VS;
  const RowOffsets of_keys(shape.HS), of_block(kBlock), of_mean(shape.VS), of_lanes(1);
  key += (sample * shape.S * shape.KV + kv) * shape.HS;
  value += (sample * shape.S * shape.KV + kv) * shape.VS;
  Reading<Real> readings[kAttentionGroup];
  for (int64_t i = 0; i < count; ++i) {
    Reading<Real>& reading = readings[i];
    Queries& q = reading.q;
    q = queries_of<Real>(shape, sample, head, first_block + i, lengths, positions,
                         head + first_block + i == 0 ? &errors : nullptr);
    reading.columns = memory.take(shape.HS * kBlock);
    reading.largest = memory.take(kBlock);
    reading.sum = memory.take(kBlock);
    reading.mean = memory.take(kBlock * shape.VS);
    const Real* const queries = query + ((sample * shape.T + q.first) * shape.NH + head) * shape.HS;
    transpose_rows(reading.columns, queries, query_step, shape.HS, q, static_cast<Real>(shape.scale) * kUnit<Real>);
    for (int64_t t = 0; t < q.lanes; t += lanes) {
      store(reading.largest + t, broadcast(-static_cast<Real>(__builtin_inf())));
      store(reading.sum + t, zero<Real>());
    }
  }
  const int64_t last = readings[count - 1].q.keys;  // no block before it sees more
  for (int64_t s0 = 0; s0 < last || s0 == 0; s0 += kBlock) {
    const int64_t here = last - s0 < kBlock ? last - s0 : kBlock;
    copy_rows(keys, key + s0 * key_step, key_step, here, shape.HS);
    copy_rows(values, value + s0 * value_step, value_step, here, shape.VS);
    for (int64_t i = 0; i < count; ++i) {
      const Reading<Real>& reading = readings[i];
      const Queries& q = reading.q;
      if (s0 >= q.keys && s0 > 0) continue;
      const int64_t s1 = s0 + kBlock < q.keys ? s0 + kBlock : q.keys;
      products_with_keys(x, keys, of_keys, of_block, reading.columns, shape.HS, q, s0, s1);
      if (masked) read_masks(extra, rows, mask, bias, shape, q, s0, s1);
      if (drops) draw_factors(factors, rows, random_state, shape, q, s0, s1);
      if (masked || shape.causal) hide(x, masked ? extra : nullptr, q, s0, s1);
      weigh(x, shrunk, reading, drops ? factors : nullptr, s0, s1);
      for (int64_t t = 0; t < q.count && s0 > 0; ++t) {
        if (shrunk[t] == Real(1)) continue;
        const Vec<Real> factor = broadcast(shrunk[t]);
        Real* const row = reading.mean + t * shape.VS;
        for_each_vector<Real>(shape.VS, [&](int64_t e, auto part) __attribute__((always_inline)) {
          part.store(row + e, part.load(row + e) * factor);
        });
      }
      Tile<Real> tile;
      tile.a_rows = of_lanes.at;
      tile.c_rows = of_mean.at;
      tile.a_k = kBlock;
      tile.side_by_side = true;
      tile.b_k = shape.VS;
      tile.start = s0 == 0 ? Start::zero : Start::accumulate;
      for_each_strip<Real>(0, q.count, shape.VS, [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
        const int64_t seen = q.seen(end - 1) < s1 ? q.seen(end - 1) : s1;
        if (seen <= s0 && s0 > 0) return;
        tile.a = x + begin;
        tile.b = values;
        tile.c = reading.mean + begin * shape.VS;
        tile.k = seen < s0 ? 0 : seen - s0;
        run_strip(tile, end - begin, shape.VS);
      });
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const Reading<Real>& reading = readings[i];
    const Queries& q = reading.q;
    Real* const lse_row = lse + (sample * shape.NH + head) * shape.T + q.first;
    for (int64_t t = 0; t < q.lanes; t += lanes) {
      const Vec<Real> total = load(reading.sum + t);
      const Mask<Real> nothing = total == zero<Real>();
      const Vec<Real> largest = load(reading.largest + t) * broadcast(Real(1) / kUnit<Real>);
      const Vec<Real> row = select<Real>(nothing, zero<Real>(), largest + log(total));
      store(reading.sum + t, select<Real>(nothing, zero<Real>(), broadcast(Real(1)) / total));
      if (t + lanes <= q.count) {
        store(lse_row + t, row);
      } else {
        store_first(lse_row + t, row, static_cast<int>(q.count - t));
      }
    }
    Real* const y_rows = y + ((sample * shape.T + q.first) * shape.NH + head) * shape.VS;
    for (int64_t t = 0; t < q.count; ++t) {
      const Vec<Real> factor = broadcast(reading.sum[t]);
      const Real* const from = reading.mean + t * shape.VS;
      Real* const to = y_rows + t * y_step;
      for_each_vector<Real>(shape.VS, [&](int64_t e, auto part)
                                          __attribute__((always_inline)) { part.store(to + e, part.load(from + e) * factor); });
    }
  }
}

template <typename Real>
void set_zero(Real* rows, int64_t count, int64_t step, int64_t size) {
  for (int64_t s = 0; s < count; ++s) {
    for_each_vector<Real>(
        size, [&](int64_t d, auto part) __attribute__((always_inline)) { part.store(rows + s * step + d, zero<Real>()); });
  }
}

// A block of queries whose gradient is wanted.
template <typename Real>
struct Gradient {
  Queries q;
  Real *columns, *dy_columns;  // queries and dy, transposed
  Real *log_sum, *mean;        // mean: the sum of p dp
  Real *queries, *dys;         // side by side
  Real* dqueries;
  Start start = Start::zero;  // of dqueries
};

// y = sum of (p m) value with p = e^(x - lse)  gives  dx = p (dp - sum of p dp), where dp = (dy value^T) m: block by block, of one
// head of the keys of a sample.
template <typename Real>
struct ScoreGradient {
  const AttentionShape& shape;
  const Real *key, *value;
  const uint8_t* mask;
  const Real* bias;
  const int64_t* random_state;
  RowOffsets of_keys, of_values, of_block;
  bool masked, drops;
  Memory<Real> memory;
  Real *keys, *values;  // of a block
  Real *p, *dx;         // of a block: p m, and dx times a factor
  Real *rows, *extra, *factors;

  ScoreGradient(const AttentionShape& s, const Real* all_keys, const Real* all_values, const uint8_t* mask_or_null,
                const Real* bias_or_null, const int64_t* state, Scratch scratch, int64_t sample, int64_t kv)
      : shape(s),
        key(all_keys + (sample * s.S * s.KV + kv) * s.HS),
        value(all_values + (sample * s.S * s.KV + kv) * s.VS),
        mask(mask_or_null),
        bias(bias_or_null),
        random_state(state),
        of_keys(s.HS),
        of_values(s.VS),
        of_block(kBlock),
        masked(mask != nullptr || bias != nullptr),
        drops(s.rate > 0),
        memory{scratch.as<Real>()} {
    keys = memory.take(shape.HS * kBlock);
    values = memory.take(shape.VS * kBlock);
    p = memory.take(kBlock * kBlock);
    dx = memory.take(kBlock * kBlock);
    rows = memory.take(masked || drops ? kBlock * kBlock : 0);
    extra = memory.take(masked ? kBlock * kBlock : 0);
    factors = memory.take(drops ? kBlock * kBlock : 0);
  }

  Gradient<Real> gradient_of(const Queries& q, const Real* query, const Real* dy, const Real* y, const Real* lse) {
    const int64_t row = (q.sample * shape.T + q.first) * shape.NH + q.head;
    const Real *const query_rows = query + row * shape.HS, *const dy_rows = dy + row * shape.VS;
    const Real *const y_rows = y + row * shape.VS, *const lse_row = lse + (q.sample * shape.NH + q.head) * shape.T + q.first;
    const int64_t step = shape.NH * shape.VS;
    Gradient<Real> g{};
    g.q = q;
    g.columns = memory.take(shape.HS * kBlock);
    g.dy_columns = memory.take(shape.VS * kBlock);
    g.log_sum = memory.take(kBlock);
    g.mean = memory.take(kBlock);
    g.queries = memory.take(shape.HS * kBlock);
    g.dys = memory.take(shape.VS * kBlock);
    g.dqueries = memory.take(shape.HS * kBlock);
    copy_rows(g.queries, query_rows, shape.NH * shape.HS, q.count, shape.HS);
    copy_rows(g.dys, dy_rows, step, q.count, shape.VS);
    transpose_rows(g.columns, g.queries, shape.HS, shape.HS, q, static_cast<Real>(shape.scale) * kUnit<Real>);
    transpose_rows(g.dy_columns, g.dys, shape.VS, shape.VS, q, Real(1));
    for (int64_t t = 0; t < q.lanes; ++t) g.log_sum[t] = t < q.count ? lse_row[t] * kUnit<Real> : Real(0);
    // The same chain as that of dp: where one key is all a query sees, their difference is 0 and not a rounding error.
    for (int64_t t = 0; t < q.lanes; t += kLanes<Real>) store(g.mean + t, zero<Real>());
    for (int64_t e = 0; e < shape.VS; e += kBlock) {
      const int64_t size = shape.VS - e < kBlock ? shape.VS - e : kBlock;
      transpose_rows(p, y_rows + e, step, size, q, Real(1));
      for (int64_t t = 0; t < q.lanes; t += kLanes<Real>) {
        Vec<Real> total = load(g.mean + t);
        for (int64_t i = 0; i < size; ++i) {
          total = fma(load(p + i * kBlock + t), load(g.dy_columns + (e + i) * kBlock + t), total);
        }
        store(g.mean + t, total);
      }
    }
    return g;
  }

  void copy_keys(int64_t s0, int64_t count) {
    copy_rows(keys, key + s0 * shape.KV * shape.HS, shape.KV * shape.HS, count, shape.HS);
    copy_rows(values, value + s0 * shape.KV * shape.VS, shape.KV * shape.VS, count, shape.VS);
  }

  void block(const Gradient<Real>& g, int64_t s0, int64_t s1, Real factor, const Beside& beside_x = {},
             const Beside& beside_dp = {}) {
    const Queries& q = g.q;
    products_with_keys(p, keys, of_keys, of_block, g.columns, shape.HS, q, s0, s1, beside_x);
    products_with_keys(dx, values, of_values, of_block, g.dy_columns, shape.VS, q, s0, s1, beside_dp);
    if (masked) read_masks(extra, rows, mask, bias, shape, q, s0, s1);
    if (drops) draw_factors(factors, rows, random_state, shape, q, s0, s1);
    if (masked || shape.causal) hide(p, masked ? extra : nullptr, q, s0, s1);
    const Vec<Real> times = broadcast(factor);
    for (int64_t t = 0; t < q.lanes; t += kLanes<Real>) {
      const int64_t end = end_of_lanes<Real>(q, t, s0, s1);
      const Vec<Real> shift = load(g.log_sum + t), center = load(g.mean + t);
      for (int64_t s = 0; s < end; ++s) {
        Real *const p_at = p + s * kBlock + t, *const dx_at = dx + s * kBlock + t;
        const Vec<Real> weight = weight_of<false>(load(p_at) - shift);
        Vec<Real> dp = load(dx_at), dropped = weight;
        if (drops) {
          const Vec<Real> m = load(factors + s * kBlock + t);
          dp *= m;
          dropped *= m;
        }
        store(p_at, dropped);
        store(dx_at, weight * (dp - center) * times);
      }
      for (int64_t s = end; s < s1 - s0; ++s) {
        store(p + s * kBlock + t, zero<Real>());
        store(dx + s * kBlock + t, zero<Real>());
      }
    }
  }
};

// sums[s - s0] = or += sum over t of weights[s - s0][t] rows[t], over the queries that see the strip's first key.
template <typename Real>
FASTNN_INLINE void sum_over_queries(Real* sums, const RowOffsets& of_sums, const Real* weights, const RowOffsets& of_block,
                                    const Real* rows, int64_t size, Start start, const Queries& q, int64_t s0, int64_t s1,
                                    Beside beside) {
  Tile<Real> tile;
  tile.a_rows = of_block.at;
  tile.c_rows = of_sums.at;
  tile.a_k = 1;
  tile.b_k = size;
  tile.start = start;
  for_each_strip<Real>(s0, s1, size, [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
    const int64_t t = q.first_query(begin);
    beside.fetch();
    tile.a = weights + (begin - s0) * kBlock + t;
    tile.b = rows + t * size;
    tile.c = sums + (begin - s0) * of_sums.at[1];
    tile.k = q.count - t;
    run_strip(tile, end - begin, size);
  });
}

template <typename Real>
void backward(Real* dquery, Real* dkey, Real* dvalue, const Real* dy, const Real* query, const Real* key, const Real* value,
              const Real* y, const Real* lse, const uint8_t* mask, const Real* bias, const void* lengths, const void* positions,
              const int64_t* random_state, Scratch scratch, const AttentionShape& shape, int64_t task) {
  const int64_t split = task % shape.splits, kv = task / shape.splits % shape.KV, sample = task / shape.splits / shape.KV;
  const int64_t heads = shape.NH / shape.KV, groups = (shape.blocks + shape.group - 1) / shape.group;
  const int64_t first_key = split * kBlock, step_of_keys = shape.splits * kBlock;
  ScoreGradient<Real> of(shape, key, value, mask, bias, random_state, scratch, sample, kv);
  Real* const dkeys = of.memory.take(kBlock * shape.HS);  // of a block, over a group of queries
  Real* const dvalues = of.memory.take(kBlock * shape.VS);
  const Memory<Real> memory = of.memory;

  const int64_t key_step = shape.KV * shape.HS, value_step = shape.KV * shape.VS, query_step = shape.NH * shape.HS;
  // Gradients to which nobody adds later are computed in their place: of keys that meet all queries at once, of queries that meet
  // all keys at once. Others begin at 0.
  const bool once = heads * groups == 1, in_place = shape.S <= kBlock;
  const RowOffsets of_lanes(1), of_dkeys(once ? key_step : shape.HS), of_dvalues(once ? value_step : shape.VS),
      of_dqueries(in_place ? query_step : shape.HS);
  dkey += of.key - key;
  dvalue += of.value - value;
  dquery += split * shape.B * shape.T * query_step;
  const auto place_of = [&](const Queries& q) {
    return dquery + ((sample * shape.T + q.first) * shape.NH + q.head) * shape.HS;
  };
  // Few queries and keys are done with before a processor has seen how their rows lie: beside their products those of the next head
  // are fetched, so many heads further on.
  const bool last_head = kv + 1 == shape.KV, more = !(last_head && sample + 1 == shape.B);
  const int64_t to_keys = last_head ? shape.S * shape.KV - kv : 1;
  const int64_t to_queries = last_head ? shape.T * shape.KV - kv : 1;
  const auto clear_from = [&](int64_t seen) {  // of this task's keys, those from `seen` on
    for (int64_t s0 = first_key; s0 < shape.S; s0 += step_of_keys) {
      const int64_t begin = s0 < seen ? seen : s0, end = shape.S - s0 < kBlock ? shape.S : s0 + kBlock;
      set_zero(dkey + begin * key_step, end - begin, key_step, shape.HS);
      set_zero(dvalue + begin * value_step, end - begin, value_step, shape.VS);
    }
  };
  if (!once) clear_from(0);
  Gradient<Real> gradients[kAttentionGroup];
  for (int64_t n = 0; n < heads * groups; ++n) {
    const int64_t head = kv * heads + n / groups, first_block = n % groups * shape.group;
    const int64_t count = shape.blocks - first_block < shape.group ? shape.blocks - first_block : shape.group;
    of.memory = memory;
    for (int64_t i = 0; i < count; ++i) {
      const Queries q = queries_of<Real>(shape, sample, head, first_block + i, lengths, positions, nullptr);
      gradients[i] = of.gradient_of(q, query, dy, y, lse);
      if (in_place) gradients[i].dqueries = place_of(q);
    }
    const int64_t last = gradients[count - 1].q.keys;  // no block before it sees more
    for (int64_t s0 = first_key; s0 < last; s0 += step_of_keys) {
      const int64_t here = last - s0 < kBlock ? last - s0 : kBlock;
      of.copy_keys(s0, here);
      Real *const dkey_rows = dkey + s0 * key_step, *const dvalue_rows = dvalue + s0 * value_step;
      Start start = Start::zero;
      for (int64_t i = count - 1; i >= 0 && gradients[i].q.keys > s0; --i) {  // from the last, which sees all of these keys
        Gradient<Real>& g = gradients[i];
        const Queries& q = g.q;
        const int64_t s1 = s0 + kBlock < q.keys ? s0 + kBlock : q.keys;
        Beside beside_x, beside_dp, beside_dvalue, beside_dkey, beside_dquery;
        if (once && in_place) {
          const int64_t with_keys = strips_of<Real>(here, q.lanes), of_keys = strips_of<Real>(here, shape.VS);
          beside_x.written = rows_ahead(dvalue_rows, value_step, here, shape.VS, with_keys);
          beside_dp.written = rows_ahead(dkey_rows, key_step, here, shape.HS, with_keys);
          beside_dvalue.written = rows_ahead(g.dqueries, query_step, q.count, shape.HS, of_keys);
          if (more) {
            const int64_t next = (sample * shape.T + q.first) * shape.NH + head + to_queries, y_step = shape.NH * shape.VS;
            beside_x.read = rows_ahead(of.key + to_keys * shape.HS, key_step, here, shape.HS, with_keys);
            beside_dp.read = rows_ahead(of.value + to_keys * shape.VS, value_step, here, shape.VS, with_keys);
            beside_dvalue.read = rows_ahead(query + next * shape.HS, query_step, q.count, shape.HS, of_keys);
            beside_dkey.read = rows_ahead(dy + next * shape.VS, y_step, q.count, shape.VS, strips_of<Real>(here, shape.HS));
            beside_dquery.read = rows_ahead(y + next * shape.VS, y_step, q.count, shape.VS, strips_of<Real>(q.count, shape.HS));
          }
        }
        of.block(g, s0, s1, static_cast<Real>(shape.scale), beside_x, beside_dp);
        // dvalue = (p m)^T dy, dkey = dx^T query
        sum_over_queries(once ? dvalue_rows : dvalues, of_dvalues, of.p, of.of_block, g.dys, shape.VS, start, q, s0, s1,
                         beside_dvalue);
        sum_over_queries(once ? dkey_rows : dkeys, of_dkeys, of.dx, of.of_block, g.queries, shape.HS, start, q, s0, s1,
                         beside_dkey);
        start = Start::accumulate;
        // dquery = dx key, of each query over the keys that it sees
        Tile<Real> tile;
        tile.a_rows = of_lanes.at;
        tile.c_rows = of_dqueries.at;
        tile.a_k = kBlock;
        tile.side_by_side = true;
        tile.b_k = shape.HS;
        tile.start = g.start;
        for_each_strip<Real>(0, q.count, shape.HS, [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
          const int64_t seen = q.seen(end - 1) < s1 ? q.seen(end - 1) : s1;
          if (seen <= s0 && g.start == Start::accumulate) return;
          beside_dquery.fetch();
          tile.a = of.dx + begin;
          tile.b = of.keys;
          tile.c = g.dqueries + begin * of_dqueries.at[1];
          tile.k = seen < s0 ? 0 : seen - s0;
          run_strip(tile, end - begin, shape.HS);
        });
        g.start = Start::accumulate;
      }
      if (once) continue;
      const auto add = [](Real* sums, int64_t step, const Real* block, int64_t count_of_rows, int64_t size) {
        for (int64_t s = 0; s < count_of_rows; ++s) {
          for_each_vector<Real>(size, [&](int64_t d, auto part) __attribute__((always_inline)) {
            part.store(sums + s * step + d, part.load(sums + s * step + d) + part.load(block + s * size + d));
          });
        }
      };
      add(dkey_rows, key_step, dkeys, here, shape.HS);
      add(dvalue_rows, value_step, dvalues, here, shape.VS);
    }
    if (once) clear_from(last);
    for (int64_t i = 0; i < count; ++i) {
      const Gradient<Real>& g = gradients[i];
      Real* const to = place_of(g.q);
      if (g.start == Start::zero) {
        set_zero(to, g.q.count, query_step, shape.HS);
      } else if (!in_place) {
        for (int64_t t = 0; t < g.q.count; ++t) copy_rows(to + t * query_step, g.dqueries + t * shape.HS, 0, 1, shape.HS);
      }
    }
  }
}

// dx itself, (B, NH, T, S), with 0 where a query does not see a key.
template <typename Real>
void backward_bias(Real* dbias, const Real* dy, const Real* query, const Real* key, const Real* value, const Real* y,
                   const Real* lse, const uint8_t* mask, const Real* bias, const void* lengths, const void* positions,
                   const int64_t* random_state, Scratch scratch, const AttentionShape& shape, int64_t task) {
  const int64_t head = task / shape.blocks % shape.NH, sample = task / shape.blocks / shape.NH;
  ScoreGradient<Real> of(shape, key, value, mask, bias, random_state, scratch, sample, head / (shape.NH / shape.KV));
  const Queries q = queries_of<Real>(shape, sample, head, task % shape.blocks, lengths, positions, nullptr);
  dbias += ((sample * shape.NH + head) * shape.T + q.first) * shape.S;
  set_zero(dbias, q.count, shape.S, shape.S);
  const Gradient<Real> g = of.gradient_of(q, query, dy, y, lse);
  for (int64_t s0 = 0; s0 < q.keys; s0 += kBlock) {
    const int64_t s1 = s0 + kBlock < q.keys ? s0 + kBlock : q.keys;
    of.copy_keys(s0, s1 - s0);
    of.block(g, s0, s1, Real(1));
    transpose(dbias + s0, shape.S, of.dx, kBlock, s1 - s0, q.count);
  }
}

// dquery = the sum of its parts, in order.
template <typename Real>
void add_parts(Real* dquery, const Real* parts, const AttentionShape& shape, int64_t task) {
  const int64_t elements = shape.B * shape.T * shape.NH * shape.HS, first = task * kAttentionChunk;
  const int64_t count = elements - first < kAttentionChunk ? elements - first : kAttentionChunk;
  for_each_vector<Real>(count, [&](int64_t i, auto lanes) __attribute__((always_inline)) {
    Vec<Real> total = lanes.load(parts + first + i);
    for (int64_t split = 1; split < shape.splits; ++split) total += lanes.load(parts + split * elements + first + i);
    lanes.store(dquery + first + i, total);
  });
}

}  // namespace

#define FASTNN_BOTH(function) {kernel<function<float>>, kernel<function<double>>}

const AttentionKernels attention_kernels = {FASTNN_BOTH(forward), FASTNN_BOTH(backward), FASTNN_BOTH(add_parts),
                                            FASTNN_BOTH(backward_bias)};

}  // namespace fastnn::FASTNN_ISA
