#include "ops/attention.h"
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
// of e^x. A polynomial of our own (minimax by Lawson's iteration) that is exact at 0; 1.4 eps.
template <typename Real>
constexpr Real kUnit = sizeof(Real) == 4 ? Real(1.44269504088896341) : Real(1);  // what a natural logarithm is multiplied by
template <bool below_zero>
FASTNN_INLINE Vec<float> weight_of(Vec<float> x) {
  // At -127 the exponent's bits are 0, and so is the result. A NaN stays one.
  const Vec<float> least = broadcast(-127.0f);
  x = select<float>(x < least, least, x);
  if constexpr (!below_zero) x = select<float>(x > broadcast(128.0f), broadcast(128.0f), x);
  const Vec<float> magic = broadcast(0x1.8p23f), shifted = x + magic;  // rounds, and leaves the integer in the low bits
  const Vec<float> r = x - (shifted - magic);
  constexpr float c[] = {1.3264727313e-3f, 9.6715129912e-3f, 5.5507335812e-2f, 2.4022242427e-1f, 6.9314700365e-1f, 1.0f};
  const Mask<float> exponent = ((Mask<float>)shifted - ((Mask<float>)magic - 127)) << 23;
  return polynomial(r, c) * (Vec<float>)exponent;
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

// Rows begin <= r < end in strips of about equal height that fit a tile.
template <typename Body>
FASTNN_INLINE void for_each_strip(int64_t begin, int64_t end, Body body) {
  const int64_t rows = end - begin, strips = (rows + kTileRows - 1) / kTileRows;
  for (int64_t i = 0; i < strips; ++i) body(begin + rows * i / strips, begin + rows * (i + 1) / strips);
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
  for (int64_t r = 0; r < count; ++r) {
    for_each_vector<Real>(size, [&](int64_t d, auto part) __attribute__((always_inline)) {
      part.store(to + r * size + d, part.load(rows + r * step + d));
    });
  }
}

// x[s - s0][t] = sum over d of rows[s - s0][d] columns[d][t], but for what stands left of the first vector with a query that sees
// one of its strip's keys.
template <typename Real>
FASTNN_INLINE void products_with_keys(Real* x, const Real* rows, const RowOffsets& row_offsets, const RowOffsets& x_offsets,
                                      const Real* columns, int64_t size, const Queries& q, int64_t s0, int64_t s1) {
  Tile<Real> tile;
  tile.a_rows = row_offsets.at;
  tile.c_rows = x_offsets.at;
  tile.a_k = 1;
  tile.b_k = kBlock;
  tile.k = size;
  for_each_strip(s0, s1, [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
    const int64_t lane = q.first_query(begin) / kLanes<Real> * kLanes<Real>;
    tile.a = rows + (begin - s0) * size;
    tile.b = columns + lane;
    tile.c = x + (begin - s0) * kBlock + lane;
    run_tile_row(tile, end - begin, q.lanes - lane);
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

template <typename Real>
void forward(Real* y, Real* lse, const Real* query, const Real* key, const Real* value, const uint8_t* mask, const Real* bias,
             const void* lengths, const void* positions, const int64_t* random_state, Scratch scratch,
             const AttentionShape& shape, Errors& errors, int64_t task) {
  constexpr int64_t lanes = kLanes<Real>;
  const int64_t block = shape.blocks - 1 - task % shape.blocks, head = task / shape.blocks % shape.NH;
  const int64_t sample = task / shape.blocks / shape.NH, kv = head / (shape.NH / shape.KV);
  const Queries q = queries_of<Real>(shape, sample, head, block, lengths, positions, head + block == 0 ? &errors : nullptr);
  const bool masked = mask != nullptr || bias != nullptr, drops = shape.rate > 0;

  Memory<Real> memory{scratch.as<Real>()};
  Real* const columns = memory.take(shape.HS * kBlock);  // the queries, transposed
  Real* const x = memory.take(kBlock * kBlock);          // scores, then weights
  Real* const largest = memory.take(kBlock);
  Real* const sum = memory.take(kBlock);
  Real* const shrunk = memory.take(kBlock);  // exp(largest so far - largest now)
  Real* const mean = memory.take(kBlock * shape.VS);
  Real* const keys = memory.take(kBlock * shape.HS);
  Real* const values = memory.take(kBlock * shape.VS);
  Real* const rows = memory.take(masked || drops ? kBlock * kBlock : 0);
  Real* const extra = memory.take(masked ? kBlock * kBlock : 0);
  Real* const factors = memory.take(drops ? kBlock * kBlock : 0);

  const int64_t key_step = shape.KV * shape.HS, value_step = shape.KV * shape.VS, query_step = shape.NH * shape.HS;
  const RowOffsets of_keys(shape.HS), of_block(kBlock), of_mean(shape.VS), of_lanes(1);
  query += ((sample * shape.T + q.first) * shape.NH + head) * shape.HS;
  key += (sample * shape.S * shape.KV + kv) * shape.HS;
  value += (sample * shape.S * shape.KV + kv) * shape.VS;
  y += ((sample * shape.T + q.first) * shape.NH + head) * shape.VS;
  lse += (sample * shape.NH + head) * shape.T + q.first;

  transpose_rows(columns, query, query_step, shape.HS, q, static_cast<Real>(shape.scale) * kUnit<Real>);
  const Vec<Real> none = broadcast(-static_cast<Real>(__builtin_inf()));
  for (int64_t t = 0; t < q.lanes; t += lanes) {
    store(largest + t, none);
    store(sum + t, zero<Real>());
  }
  Tile<Real> tile;
  tile.a_rows = of_lanes.at;
  tile.c_rows = of_mean.at;
  tile.a_k = kBlock;
  tile.b = values;
  tile.b_k = shape.VS;
  tile.start = Start::zero;
  for (int64_t s0 = 0; s0 < q.keys || s0 == 0; s0 += kBlock) {
    const int64_t s1 = s0 + kBlock < q.keys ? s0 + kBlock : q.keys;
    copy_rows(keys, key + s0 * key_step, key_step, s1 - s0, shape.HS);
    copy_rows(values, value + s0 * value_step, value_step, s1 - s0, shape.VS);
    products_with_keys(x, keys, of_keys, of_block, columns, shape.HS, q, s0, s1);
    if (masked) read_masks(extra, rows, mask, bias, shape, q, s0, s1);
    if (drops) draw_factors(factors, rows, random_state, shape, q, s0, s1);
    if (masked || shape.causal) hide(x, masked ? extra : nullptr, q, s0, s1);
    for (int64_t t = 0; t < q.lanes; t += lanes) {
      const int64_t end = end_of_lanes<Real>(q, t, s0, s1);
      const Vec<Real> before = load(largest + t);
      const auto larger = [](Vec<Real> a, Vec<Real> b) __attribute__((always_inline)) {
        return select<Real>(a > b, a, b);  // a NaN among the scores is left to the exponential
      };
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
      Vec<Real> total = load(sum + t) * less;
      for (s = 0; s < end; ++s) {
        Vec<Real> p = weight_of<true>(load(x + s * kBlock + t) - shift);
        total += p;
        if (drops) p *= load(factors + s * kBlock + t);
        store(x + s * kBlock + t, p);
      }
      for (; s < s1 - s0; ++s) store(x + s * kBlock + t, zero<Real>());
      store(largest + t, top);
      store(sum + t, total);
      store(shrunk + t, less);
    }
    if (s0 > 0) {
      for (int64_t t = 0; t < q.count; ++t) {
        if (shrunk[t] == Real(1)) continue;
        const Vec<Real> factor = broadcast(shrunk[t]);
        Real* const row = mean + t * shape.VS;
        for_each_vector<Real>(shape.VS, [&](int64_t e, auto part) __attribute__((always_inline)) {
          part.store(row + e, part.load(row + e) * factor);
        });
      }
    }
    for_each_strip(0, q.count, [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
      const int64_t seen = q.seen(end - 1) < s1 ? q.seen(end - 1) : s1;
      if (seen <= s0 && s0 > 0) return;
      tile.a = x + begin;
      tile.c = mean + begin * shape.VS;
      tile.k = seen < s0 ? 0 : seen - s0;
      run_tile_row(tile, end - begin, shape.VS);
    });
    tile.start = Start::accumulate;
  }
  for (int64_t t = 0; t < q.lanes; t += lanes) {
    const Vec<Real> total = load(sum + t);
    const Mask<Real> nothing = total == zero<Real>();
    const Vec<Real> row =
        select<Real>(nothing, zero<Real>(), load(largest + t) * broadcast(Real(1) / kUnit<Real>) + log(total));
    store(sum + t, select<Real>(nothing, zero<Real>(), broadcast(Real(1)) / total));
    if (t + lanes <= q.count) {
      store(lse + t, row);
    } else {
      store_first(lse + t, row, static_cast<int>(q.count - t));
    }
  }
  for (int64_t t = 0; t < q.count; ++t) {
    const Vec<Real> factor = broadcast(sum[t]);
    const Real* const from = mean + t * shape.VS;
    Real* const to = y + t * shape.NH * shape.VS;
    for_each_vector<Real>(shape.VS, [&](int64_t e, auto part)
                                        __attribute__((always_inline)) { part.store(to + e, part.load(from + e) * factor); });
  }
}

template <typename Real>
void set_zero(Real* rows, int64_t count, int64_t step, int64_t size) {
  for (int64_t s = 0; s < count; ++s) {
    for_each_vector<Real>(
        size, [&](int64_t d, auto part) __attribute__((always_inline)) { part.store(rows + s * step + d, zero<Real>()); });
  }
}

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
  Real *columns, *dy_columns;  // queries and dy, transposed
  Real *keys, *values;         // of a block
  Real *p, *dx;                // of a block: p m, and dx times a factor
  Real *log_sum, *mean;        // mean: the sum of p dp
  Real *rows, *extra, *factors;

  ScoreGradient(const AttentionShape& s, const Real* all_keys, const Real* all_values, const uint8_t* mask_or_null,
                const Real* bias_or_null, const int64_t* state, Real* scratch, int64_t sample, int64_t kv)
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
        drops(s.rate > 0) {
    Memory<Real> memory{scratch};
    columns = memory.take(shape.HS * kBlock);
    dy_columns = memory.take(shape.VS * kBlock);
    keys = memory.take(shape.HS * kBlock);
    values = memory.take(shape.VS * kBlock);
    p = memory.take(kBlock * kBlock);
    dx = memory.take(kBlock * kBlock);
    log_sum = memory.take(kBlock);
    mean = memory.take(kBlock);
    rows = memory.take(masked || drops ? kBlock * kBlock : 0);
    extra = memory.take(masked ? kBlock * kBlock : 0);
    factors = memory.take(drops ? kBlock * kBlock : 0);
  }

  void start(const Queries& q, const Real* query_rows, const Real* dy_rows, const Real* y_rows, const Real* lse_row) {
    const int64_t step = shape.NH * shape.VS;
    transpose_rows(columns, query_rows, shape.NH * shape.HS, shape.HS, q, static_cast<Real>(shape.scale) * kUnit<Real>);
    transpose_rows(dy_columns, dy_rows, step, shape.VS, q, Real(1));
    for (int64_t t = 0; t < q.lanes; ++t) log_sum[t] = t < q.count ? lse_row[t] * kUnit<Real> : Real(0);
    // The same chain as that of dp: where one key is all a query sees, their difference is 0 and not a rounding error.
    for (int64_t t = 0; t < q.lanes; t += kLanes<Real>) store(mean + t, zero<Real>());
    for (int64_t e = 0; e < shape.VS; e += kBlock) {
      const int64_t size = shape.VS - e < kBlock ? shape.VS - e : kBlock;
      transpose_rows(p, y_rows + e, step, size, q, Real(1));
      for (int64_t t = 0; t < q.lanes; t += kLanes<Real>) {
        Vec<Real> total = load(mean + t);
        for (int64_t i = 0; i < size; ++i) {
          total = fma(load(p + i * kBlock + t), load(dy_columns + (e + i) * kBlock + t), total);
        }
        store(mean + t, total);
      }
    }
  }

  void block(const Queries& q, int64_t s0, int64_t s1, Real factor) {
    copy_rows(keys, key + s0 * shape.KV * shape.HS, shape.KV * shape.HS, s1 - s0, shape.HS);
    copy_rows(values, value + s0 * shape.KV * shape.VS, shape.KV * shape.VS, s1 - s0, shape.VS);
    products_with_keys(p, keys, of_keys, of_block, columns, shape.HS, q, s0, s1);
    products_with_keys(dx, values, of_values, of_block, dy_columns, shape.VS, q, s0, s1);
    if (masked) read_masks(extra, rows, mask, bias, shape, q, s0, s1);
    if (drops) draw_factors(factors, rows, random_state, shape, q, s0, s1);
    if (masked || shape.causal) hide(p, masked ? extra : nullptr, q, s0, s1);
    const Vec<Real> times = broadcast(factor);
    for (int64_t t = 0; t < q.lanes; t += kLanes<Real>) {
      const int64_t end = end_of_lanes<Real>(q, t, s0, s1);
      const Vec<Real> shift = load(log_sum + t), center = load(mean + t);
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

template <typename Real>
void backward(Real* dquery, Real* dkey, Real* dvalue, const Real* dy, const Real* query, const Real* key, const Real* value,
              const Real* y, const Real* lse, const uint8_t* mask, const Real* bias, const void* lengths, const void* positions,
              const int64_t* random_state, Scratch scratch, const AttentionShape& shape, int64_t task) {
  const int64_t split = task % shape.splits, kv = task / shape.splits % shape.KV, sample = task / shape.splits / shape.KV;
  const int64_t group = shape.NH / shape.KV, step_of_keys = shape.splits * kBlock;
  Memory<Real> memory{scratch.as<Real>()};
  Real* const queries = memory.take(kBlock * shape.HS);  // of a block, side by side; and dy and dquery
  Real* const dys = memory.take(kBlock * shape.VS);
  Real* const dqueries = memory.take(kBlock * shape.HS);
  ScoreGradient<Real> of(shape, key, value, mask, bias, random_state, memory.next, sample, kv);

  const int64_t key_step = shape.KV * shape.HS, value_step = shape.KV * shape.VS;
  const int64_t query_step = shape.NH * shape.HS, y_step = shape.NH * shape.VS;
  const RowOffsets of_lanes(1), of_key_rows(key_step), of_value_rows(value_step);
  dkey += of.key - key;
  dvalue += of.value - value;
  dquery += split * shape.B * shape.T * query_step;
  for (int64_t s0 = split * kBlock; s0 < shape.S; s0 += step_of_keys) {
    const int64_t keys = s0 + kBlock < shape.S ? kBlock : shape.S - s0;
    set_zero(dkey + s0 * key_step, keys, key_step, shape.HS);
    set_zero(dvalue + s0 * value_step, keys, value_step, shape.VS);
  }
  for (int64_t n = 0; n < group * shape.blocks; ++n) {
    const int64_t head = kv * group + n / shape.blocks;
    const Queries q = queries_of<Real>(shape, sample, head, n % shape.blocks, lengths, positions, nullptr);
    const int64_t row = (sample * shape.T + q.first) * shape.NH + head;
    const Real *const query_rows = query + row * shape.HS, *const dy_rows = dy + row * shape.VS;
    Real* const dquery_rows = dquery + row * shape.HS;
    if (q.keys <= split * kBlock) {
      set_zero(dquery_rows, q.count, query_step, shape.HS);
      continue;
    }
    of.start(q, query_rows, dy_rows, y + row * shape.VS, lse + (sample * shape.NH + head) * shape.T + q.first);
    copy_rows(queries, query_rows, query_step, q.count, shape.HS);
    copy_rows(dys, dy_rows, y_step, q.count, shape.VS);
    Start dquery_start = Start::zero;
    for (int64_t s0 = split * kBlock; s0 < q.keys; s0 += step_of_keys) {
      const int64_t s1 = s0 + kBlock < q.keys ? s0 + kBlock : q.keys;
      of.block(q, s0, s1, static_cast<Real>(shape.scale));
      // dvalue += (p m)^T dy, dkey += dx^T query: a row for each key, summed over the queries that see it.
      const auto add_to_keys = [&](Real* result, const RowOffsets& of_result, const Real* weights, const Real* factors,
                                   int64_t size) __attribute__((always_inline)) {
        Tile<Real> tile;
        tile.a_rows = of.of_block.at;
        tile.c_rows = of_result.at;
        tile.a_k = 1;
        tile.b_k = size;
        tile.start = Start::accumulate;
        for_each_strip(s0, s1, [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
          const int64_t t = q.first_query(begin);
          tile.a = weights + (begin - s0) * kBlock + t;
          tile.b = factors + t * size;
          tile.c = result + begin * of_result.at[1];
          tile.k = q.count - t;
          run_tile_row(tile, end - begin, size);
        });
      };
      add_to_keys(dvalue, of_value_rows, of.p, dys, shape.VS);
      add_to_keys(dkey, of_key_rows, of.dx, queries, shape.HS);
      // dquery += dx key, of each query over the keys that it sees.
      Tile<Real> tile;
      tile.a_rows = of_lanes.at;
      tile.c_rows = of.of_keys.at;
      tile.a_k = kBlock;
      tile.b = of.keys;
      tile.b_k = shape.HS;
      tile.start = dquery_start;
      for_each_strip(0, q.count, [&](int64_t begin, int64_t end) __attribute__((always_inline)) {
        const int64_t seen = q.seen(end - 1) < s1 ? q.seen(end - 1) : s1;
        if (seen <= s0 && dquery_start == Start::accumulate) return;
        tile.a = of.dx + begin;
        tile.c = dqueries + begin * shape.HS;
        tile.k = seen < s0 ? 0 : seen - s0;
        run_tile_row(tile, end - begin, shape.HS);
      });
      dquery_start = Start::accumulate;
    }
    for (int64_t t = 0; t < q.count; ++t) {
      copy_rows(dquery_rows + t * query_step, dqueries + t * shape.HS, 0, 1, shape.HS);
    }
  }
}

// dx itself, (B, NH, T, S), with 0 where a query does not see a key.
template <typename Real>
void backward_bias(Real* dbias, const Real* dy, const Real* query, const Real* key, const Real* value, const Real* y,
                   const Real* lse, const uint8_t* mask, const Real* bias, const void* lengths, const void* positions,
                   const int64_t* random_state, Scratch scratch, const AttentionShape& shape, int64_t task) {
  const int64_t head = task / shape.blocks % shape.NH, sample = task / shape.blocks / shape.NH;
  ScoreGradient<Real> of(shape, key, value, mask, bias, random_state, scratch.as<Real>(), sample, head / (shape.NH / shape.KV));
  const Queries q = queries_of<Real>(shape, sample, head, task % shape.blocks, lengths, positions, nullptr);
  const int64_t row = (sample * shape.T + q.first) * shape.NH + head;
  const int64_t first = (sample * shape.NH + head) * shape.T + q.first;
  dbias += first * shape.S;
  set_zero(dbias, q.count, shape.S, shape.S);
  of.start(q, query + row * shape.HS, dy + row * shape.VS, y + row * shape.VS, lse + first);
  for (int64_t s0 = 0; s0 < q.keys; s0 += kBlock) {
    const int64_t s1 = s0 + kBlock < q.keys ? s0 + kBlock : q.keys;
    of.block(q, s0, s1, Real(1));
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
