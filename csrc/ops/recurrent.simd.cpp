#include "ops/recurrent.h"

#include "simd/copy.h"
#include "simd/math.h"
#include "simd/packed_tile.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

// ---- What all have in common ----------------------------------------------------------------------------------------------

// Some rows of the batch: those of one of several parts.
struct Rows {
  int64_t first, count;
  Rows(const RecurrentShape& s, int64_t part, int64_t parts)
      : first(s.B * part / parts), count(s.B * (part + 1) / parts - first) {}
};

// What a task does: all rounds for some rows, or one round for some units. Round 0 makes ready for the first step; each of the
// next T does a step. Where tasks divide the units, what a round leaves to the next lies in two places by turns: one is
// read while the other is written.
struct Turn {
  int64_t round, end;
  int64_t n, n_end;
  Rows rows;
  Rows copied;  // those whose x it copies
  Turn(const RecurrentShape& s, int64_t task)
      : round(s.by_units ? task / s.tasks : 0),
        end(s.by_units ? round + 1 : s.rounds),
        n(s.by_units ? task % s.tasks * s.block : 0),
        n_end(n + s.block < s.U ? n + s.block : s.U),
        rows(s, s.by_units ? 0 : task, s.by_units ? 1 : s.tasks),
        copied(s, task % s.tasks, s.tasks) {}
};

// Where in arrays (B, T, ...) row r is at a step.
FASTNN_INLINE int64_t place(const RecurrentShape& s, const Rows& rows, int64_t r, int64_t step) {
  return (rows.first + r) * s.T + (s.reverse ? s.T - 1 - step : step);
}

// What the next step reads and writes, `count` lines `distance` apart: the steps of a sample lie in different pages, between which a
// processor does not look ahead.
template <typename Real>
FASTNN_INLINE void fetch(const Real* at, int64_t distance, int count) {
  for (int i = 0; i < count; ++i) __builtin_prefetch(at + i * distance);
}
template <typename Real>
FASTNN_INLINE void fetch_to_write(const Real* at, int64_t distance, int count) {
  for (int i = 0; i < count; ++i) __builtin_prefetch(at + i * distance, 1);
}

// body(lanes) for the units n, n + 1, ... of a vector.
template <typename Real, typename Body>
FASTNN_INLINE void with_units(const RecurrentShape& s, int64_t n, Body body) {
  if (s.U - n >= kLanes<Real>) {
    body(AllLanes{});
  } else {
    body(FirstLanes{static_cast<int>(s.U - n)});
  }
}

// body(n, lanes) for the vectors of the units of a task.
template <typename Real, typename Body>
FASTNN_INLINE void for_units(const RecurrentShape& s, const Turn& turn, Body body) {
  int64_t n = turn.n;
  for (; n + kLanes<Real> <= turn.n_end; n += kLanes<Real>) body(n, AllLanes{});
  if (n < turn.n_end) body(n, FirstLanes{static_cast<int>(s.U - n)});
}

// Of what the rounds leave to each other, where the one that begins with it finds it.
template <typename Real>
Real* left_to(int64_t round, Real* places, int64_t size, const RecurrentShape& s) {
  return s.by_units && round % 2 != 0 ? places + size : places;
}

// A state of the task's rows, in whole vectors: zeros without one.
template <typename Real>
void load_state(Real* to, const Real* from, const RecurrentShape& s, const Turn& turn) {
  for (int64_t r = 0; r < turn.rows.count; ++r) {
    for_units<Real>(s, turn, [&](int64_t n, auto lanes) __attribute__((always_inline)) {
      store(to + r * s.units + n, from == nullptr ? zero<Real>() : lanes.load(from + (turn.rows.first + r) * s.U + n));
    });
  }
}
template <typename Real>
void store_state(Real* to, const Real* from, const RecurrentShape& s, const Turn& turn) {
  for (int64_t r = 0; r < turn.rows.count; ++r) {
    for_units<Real>(s, turn, [&](int64_t n, auto lanes) __attribute__((always_inline)) {
      lanes.store(to + (turn.rows.first + r) * s.U + n, load(from + r * s.units + n));
    });
  }
}

// The biases of G gates for each vector of units side by side, as the packed weights are; `second` is added.
template <typename Real>
void spread_bias(Real* to, int64_t to_row, int gate, const Real* bias, const Real* second, const RecurrentShape& s,
                 const Turn& turn) {
  for_units<Real>(s, turn, [&](int64_t n, auto lanes) __attribute__((always_inline)) {
    Vec<Real> sum = bias == nullptr ? zero<Real>() : lanes.load(bias + n);
    if (second != nullptr) sum += lanes.load(second + n);
    store(to + n * to_row + gate * kLanes<Real>, sum);
  });
}

// a = [x h] of a step, h as R meets it, which is what `previous` keeps.
template <typename Real>
void gather(Real* a, Real* previous, const Real* x, const Real* h, const Real* kept, const RecurrentShape& s, const Turn& turn,
            int64_t step) {
  for (int64_t r = 0; r < turn.copied.count; ++r) {
    copy_bytes(reinterpret_cast<char*>(a + (turn.copied.first - turn.rows.first + r) * s.a_row),
               reinterpret_cast<const char*>(x + place(s, turn.copied, r, step) * s.C),
               s.C * static_cast<int64_t>(sizeof(Real)));
  }
  for (int64_t r = 0; r < turn.rows.count; ++r) {
    const int64_t at = place(s, turn.rows, r, step);
    for_units<Real>(s, turn, [&](int64_t n, auto lanes) __attribute__((always_inline)) {
      Vec<Real> state = load(h + r * s.units + n);
      if (kept != nullptr) state *= lanes.load(kept + (turn.rows.first + r) * s.U + n);
      lanes.store(a + r * s.a_row + s.C + n, state);
      if (previous != nullptr) lanes.store(previous + at * s.U + n, state);
    });
  }
}

// c (rows, columns) = bias + a (rows, k) b (k, columns), of b_k columns in memory.
template <typename Real>
FASTNN_INLINE void multiply(Real* c, int64_t c_row, const Real* bias, const Real* a, int64_t a_row, const Real* b, int64_t b_k,
                            int64_t k, int64_t rows, int64_t columns) {
  const Start start = bias == nullptr ? Start::zero : Start::bias;
  if (columns == kWideTileColumns<Real> && b_k == columns) {
    run_wide_tiles<Real>({a, b, c, bias, a_row, 1, c_row, k, start}, rows);
    return;
  }
  Tile<Real> t;
  t.a = a, t.b = b, t.c = c, t.bias = bias;
  t.a_k = 1, t.b_k = b_k, t.k = k;
  t.start = start;
  run_strided_tiles(t, a_row, c_row, rows, columns);
}

// `columns` columns of a matrix of `rows` rows, those that are missing as zeros.
template <typename Real>
void pack(Real* to, int64_t to_row, const Real* from, int64_t from_row, int64_t rows, int64_t present) {
  for (int64_t k = 0; k < rows; ++k) {
    store(to + k * to_row,
          present < kLanes<Real> ? load_first(from + k * from_row, static_cast<int>(present)) : load(from + k * from_row));
  }
}

// y of a step: h, or where the mask holds the state what y was before.
template <typename Real, typename Lanes>
FASTNN_INLINE void write_y(Real* y, int64_t at, bool counts, int64_t step, Vec<Real> h, const RecurrentShape& s, int64_t n,
                           Lanes lanes) {
  if (y == nullptr) return;
  const int64_t before = (at + (s.reverse ? 1 : -1)) * s.U + n;
  lanes.store(y + at * s.U + n, counts ? h : step == 0 ? zero<Real>() : lanes.load(y + before));
}

// ---- Backward, what all have in common ------------------------------------------------------------------------------------

// For each row the first step whose mask is true: y before it is 0 whatever the state.
inline void find_first_steps(int64_t* first, const bool* mask, const RecurrentShape& s, const Turn& turn) {
  for (int64_t r = 0; r < turn.copied.count; ++r) {
    int64_t& step = first[turn.copied.first - turn.rows.first + r];
    step = 0;
    while (mask != nullptr && step < s.T && !mask[place(s, turn.copied, r, step)]) ++step;
  }
}

// sum (rows, units) = gates (rows, k) times the rows first ... first + k of R^T, which pack_backward made.
template <typename Real>
void multiply_transposed(Real* sum, const Real* gates, const Real* packed, int64_t first, int64_t k, const RecurrentShape& s,
                         const Turn& turn) {
  constexpr int64_t width = kWideTileColumns<Real>;
  for (int64_t n = turn.n; n < turn.n_end; n += width) {
    multiply<Real>(sum + n, s.units, nullptr, gates + first, s.gate_row, packed + n * s.gates * s.U + first * width, width, k,
                   turn.rows.count, s.units - n < width ? s.units - n : width);
  }
}

template <typename Real>
void pack_backward(Real* packed, const Real* recurrent, const RecurrentShape& s, int64_t task) {
  constexpr int64_t width = kWideTileColumns<Real>;
  const int64_t n = task * width, height = s.gates * s.U, columns = s.U - n < width ? s.U - n : width;
  Real* to = packed + n * height;
  if (columns < width) {
    for (int64_t i = 0; i < height * width; ++i) to[i] = 0;
  }
  transpose(to, width, recurrent + n * height, height, columns, height);
}

// The gradient of the state before the first step: what flows through R, and what flows past it.
template <typename Real>
void finish(Real* dh0, Real* sum, const Real* carry, const Real* kept, const RecurrentShape& s, const Turn& turn) {
  for (int64_t r = 0; r < turn.rows.count; ++r) {
    const int64_t row = turn.rows.first + r;
    for_units<Real>(s, turn, [&](int64_t n, auto lanes) __attribute__((always_inline)) {
      const int64_t at = r * s.units + n;
      Vec<Real> through = load(sum + at);
      if (kept != nullptr) through *= lanes.load(kept + row * s.U + n);
      lanes.store(dh0 + row * s.U + n, through + load(carry + at));
    });
  }
}

// The gradient of the state after a step: what came through R and past it from the next one, and dy.
template <typename Real, typename Lanes>
FASTNN_INLINE Vec<Real> state_gradient(const Real* sum, const Real* carry, const Real* kept, const Real* dy, int64_t row,
                                       int64_t at, int64_t n, const RecurrentShape& s, Lanes lanes) {
  Vec<Real> through = load(sum + n);
  if (kept != nullptr) through *= lanes.load(kept + row * s.U + n);
  through += load(carry + n);
  return dy == nullptr ? through : through + lanes.load(dy + at * s.U + n);
}

// ---- lstm -----------------------------------------------------------------------------------------------------------------

// By vectors of units: the rows of K, then of R, of four gates side by side.
template <typename Real>
void pack_lstm(Real* packed, const Real* kernel, const Real* recurrent, const RecurrentShape& s, int64_t task) {
  constexpr int64_t lanes = kLanes<Real>, row = 4 * lanes;
  const int64_t n = task * lanes, G = 4 * s.U;
  Real* to = packed + n * 4 * (s.C + s.U);
  for (int gate = 0; gate < 4; ++gate) {
    pack(to + gate * lanes, row, kernel + gate * s.U + n, G, s.C, s.U - n);
    pack(to + s.C * row + gate * lanes, row, recurrent + gate * s.U + n, G, s.U, s.U - n);
  }
}

// derivatives: of c' by a_i, a_f, a_c; of h' by a_o and c'; of c' by c.
template <typename Real>
void lstm(Real* y, Real* h_last, Real* c_last, Real* previous, Real* derivatives, const Real* x, const Real*, const Real*,
          const Real* bias, const Real* h0, const Real* c0, const bool* mask, const Real* kept, const Real* packed,
          Real* shared, Scratch scratch, const RecurrentShape& s, int64_t task) {
  constexpr int64_t vector = kLanes<Real>, row = 4 * vector;
  const Turn turn(s, task);
  const Rows& rows = turn.rows;
  const int64_t next = s.reverse ? -1 : 1;
  Real* const gates = scratch.as<Real>();
  Real* const places = s.by_units ? shared : gates + s.rows * row;
  Real* const h = left_to(1, places, s.rows * s.a_row, s) + s.rows * s.a_row;
  Real* const c = h + s.rows * s.units;
  Real* const start = c + s.rows * s.units;
  const Vec<Real> one = broadcast(Real(1));
  for (int64_t round = turn.round; round < turn.end; ++round) {
    if (round == 0) {
      for (int gate = 0; gate < 4; ++gate) {
        spread_bias<Real>(start, 4, gate, bias == nullptr ? bias : bias + gate * s.U, nullptr, s, turn);
      }
      load_state(h, h0, s, turn);
      load_state(c, c0, s, turn);
    }
    const int64_t step = round - 1;
    const Real* const a = left_to(round, places, s.rows * s.a_row, s);
    for (int64_t n = turn.n; n < turn.n_end && round > 0; n += vector) {
      multiply(gates, row, start + 4 * n, a, s.a_row, packed + n * 4 * (s.C + s.U), row, s.C + s.U, rows.count, row);
      with_units<Real>(s, n, [&](auto lanes) __attribute__((always_inline)) {
        for (int64_t r = 0; r < rows.count; ++r) {
          const int64_t at = place(s, rows, r, step);
          Real *const ours = gates + r * row, *const h_at = h + r * s.units + n, *const c_at = c + r * s.units + n;
          Real* const d = derivatives == nullptr ? nullptr : derivatives + at * 6 * s.U + n;
          if (d != nullptr) fetch_to_write(d + next * 6 * s.U, s.U, 6);
          const bool counts = mask == nullptr || mask[at];
          if (counts) {
            const Vec<Real> i = sigmoid<Real>(load(ours)), f = sigmoid<Real>(load(ours + vector));
            const Vec<Real> g = tanh(load(ours + 2 * vector)), o = sigmoid<Real>(load(ours + 3 * vector));
            const Vec<Real> before = load(c_at), after = fma(f, before, i * g), t = tanh(after);
            store(c_at, after);
            store(h_at, o * t);
            if (d != nullptr) {
              lanes.store(d, g * i * (one - i));
              lanes.store(d + s.U, before * f * (one - f));
              lanes.store(d + 2 * s.U, i * (one - g * g));
              lanes.store(d + 3 * s.U, t * o * (one - o));
              lanes.store(d + 4 * s.U, o * (one - t * t));
              lanes.store(d + 5 * s.U, f);
            }
          } else if (d != nullptr) {
            for (int k = 0; k < 5; ++k) lanes.store(d + k * s.U, zero<Real>());
            lanes.store(d + 5 * s.U, one);
          }
          write_y(y, at, counts, step, load(h_at), s, n, lanes);
        }
      });
    }
    if (round < s.T) {
      gather(left_to(round + 1, places, s.rows * s.a_row, s), previous, x, h, kept, s, turn, round);
    } else {
      store_state(h_last, h, s, turn);
      store_state(c_last, c, s, turn);
    }
  }
}

template <typename Real>
void lstm_backward(Real* dz, Real* dh0, Real* dc0, const Real* derivatives, const Real*, const Real* dy, const Real* dh,
                   const Real* dc, const bool* mask, const Real* kept, const Real* packed, Real* shared, Scratch scratch,
                   const RecurrentShape& s, int64_t task) {
  const Turn turn(s, task);
  const Rows& rows = turn.rows;
  const int64_t U = s.U, size = s.rows * s.gate_row, next = s.reverse ? 1 : -1;
  Real* const places = s.by_units ? shared : scratch.as<Real>();  // dz of the step after
  Real* const sum = left_to(1, places, size, s) + size;
  Real* const carry = sum + s.rows * s.units;
  Real* const cell = carry + s.rows * s.units;
  int64_t* const first = reinterpret_cast<int64_t*>(cell + s.rows * s.units);
  for (int64_t round = turn.round; round < turn.end; ++round) {
    if (round == 0) {
      find_first_steps(first, mask, s, turn);
      load_state(carry, dh, s, turn);
      load_state(cell, dc, s, turn);
      load_state<Real>(sum, nullptr, s, turn);
      continue;
    }
    const bool has_step = round <= s.T;
    if (round > 1 && (has_step || dh0 != nullptr)) {
      multiply_transposed(sum, left_to(round, places, size, s), packed, 0, 4 * U, s, turn);
    }
    Real* const gates = left_to(round + 1, places, size, s);
    for (int64_t r = 0; r < rows.count && has_step; ++r) {
      const int64_t step = s.T - round, at = place(s, rows, r, step), row = r * s.units;
      const bool masked = mask != nullptr && !mask[at];
      const Real* const dy_at = step < first[r] ? nullptr : dy;
      for_units<Real>(s, turn, [&](int64_t n, auto lanes) __attribute__((always_inline)) {
        const Vec<Real> d = state_gradient(sum + row, carry + row, kept, dy_at, rows.first + r, at, n, s, lanes);
        const Real* const by = derivatives + at * 6 * U + n;
        fetch(by + next * 6 * U, U, 6);
        fetch_to_write(dz + (at + next) * 4 * U + n, U, 4);
        // h' = o tanh(c'), c' = f c + i g
        const Vec<Real> to_c = fma(d, lanes.load(by + 4 * U), load(cell + row + n));
        const Vec<Real> z[] = {to_c * lanes.load(by), to_c * lanes.load(by + U), to_c * lanes.load(by + 2 * U),
                               d * lanes.load(by + 3 * U)};
        FASTNN_UNROLL
        for (int gate = 0; gate < 4; ++gate) {
          lanes.store(gates + r * s.gate_row + gate * U + n, z[gate]);
          lanes.store(dz + (at * 4 + gate) * U + n, z[gate]);
        }
        store(cell + row + n, to_c * lanes.load(by + 5 * U));
        store(carry + row + n, masked ? d : zero<Real>());
      });
    }
    if (has_step) continue;
    if (dh0 != nullptr) finish(dh0, sum, carry, kept, s, turn);
    if (dc0 != nullptr) store_state(dc0, cell, s, turn);
  }
}

// ---- simple_rnn -----------------------------------------------------------------------------------------------------------

// By tiles of units: the rows of K, then of R.
template <typename Real>
void pack_simple_rnn(Real* packed, const Real* kernel, const Real* recurrent, const RecurrentShape& s, int64_t task) {
  constexpr int64_t lanes = kLanes<Real>, width = kWideTileColumns<Real>;
  for (int64_t n = task * width; n < s.U && n < (task + 1) * width; n += lanes) {
    Real* to = packed + task * width * (s.C + s.U) + n % width;
    pack(to, width, kernel + n, s.U, s.C, s.U - n);
    pack(to + s.C * width, width, recurrent + n, s.U, s.U, s.U - n);
  }
}

template <typename Real>
FASTNN_INLINE Vec<Real> activate(RecurrentActivation activation, Vec<Real> a) {
  if (activation == RecurrentActivation::tanh) return tanh(a);
  return activation == RecurrentActivation::relu ? select<Real>(a < zero<Real>(), zero<Real>(), a) : a;
}

// derivatives: of h' by a.
template <typename Real>
FASTNN_INLINE Vec<Real> derivative(RecurrentActivation activation, Vec<Real> h) {
  const Vec<Real> one = broadcast(Real(1));
  if (activation == RecurrentActivation::tanh) return one - h * h;
  return activation == RecurrentActivation::relu ? select<Real>(h == zero<Real>(), h, one) : one;
}

template <typename Real>
void simple_rnn(Real* y, Real* h_last, Real* previous, Real* derivatives, const Real* x, const Real*, const Real*,
                const Real* bias, const Real* h0, const bool* mask, const Real* kept, const Real* packed, Real* shared,
                Scratch scratch, const RecurrentShape& s, int64_t task) {
  constexpr int64_t width = kWideTileColumns<Real>;
  const Turn turn(s, task);
  const Rows& rows = turn.rows;
  const int64_t size = s.rows * s.a_row;
  Real* const sums = scratch.as<Real>();
  Real* const places = s.by_units ? shared : sums + s.rows * width;
  Real* const h = left_to(1, places, size, s) + size;
  Real* const start = h + s.rows * s.units;
  for (int64_t round = turn.round; round < turn.end; ++round) {
    if (round == 0) {
      spread_bias<Real>(start, 1, 0, bias, nullptr, s, turn);
      load_state(h, h0, s, turn);
    }
    const int64_t step = round - 1;
    const Real* const a = left_to(round, places, size, s);
    for (int64_t first = turn.n; first < turn.n_end && round > 0; first += width) {
      multiply(sums, width, start + first, a, s.a_row, packed + first * (s.C + s.U), width, s.C + s.U, rows.count,
               s.units - first < width ? s.units - first : width);
      for (int64_t n = first; n < s.U && n < first + width; n += kLanes<Real>) {
        with_units<Real>(s, n, [&](auto lanes) __attribute__((always_inline)) {
          for (int64_t r = 0; r < rows.count; ++r) {
            const int64_t at = place(s, rows, r, step);
            Real* const h_at = h + r * s.units + n;
            const bool counts = mask == nullptr || mask[at];
            if (counts) store(h_at, activate<Real>(s.activation, load(sums + r * width + n - first)));
            if (derivatives != nullptr) {
              lanes.store(derivatives + at * s.U + n, counts ? derivative<Real>(s.activation, load(h_at)) : zero<Real>());
            }
            write_y(y, at, counts, step, load(h_at), s, n, lanes);
          }
        });
      }
    }
    if (round < s.T) {
      gather(left_to(round + 1, places, size, s), previous, x, h, kept, s, turn, round);
    } else {
      store_state(h_last, h, s, turn);
    }
  }
}

template <typename Real>
void simple_rnn_backward(Real* dz, Real* dh0, const Real* derivatives, const Real*, const Real* dy, const Real* dh,
                         const bool* mask, const Real* kept, const Real* packed, Real* shared, Scratch scratch,
                         const RecurrentShape& s, int64_t task) {
  const Turn turn(s, task);
  const Rows& rows = turn.rows;
  const int64_t size = s.rows * s.gate_row;
  Real* const places = s.by_units ? shared : scratch.as<Real>();
  Real* const sum = left_to(1, places, size, s) + size;
  Real* const carry = sum + s.rows * s.units;
  int64_t* const first = reinterpret_cast<int64_t*>(carry + s.rows * s.units);
  for (int64_t round = turn.round; round < turn.end; ++round) {
    if (round == 0) {
      find_first_steps(first, mask, s, turn);
      load_state(carry, dh, s, turn);
      load_state<Real>(sum, nullptr, s, turn);
      continue;
    }
    const bool has_step = round <= s.T;
    if (round > 1 && (has_step || dh0 != nullptr)) {
      multiply_transposed(sum, left_to(round, places, size, s), packed, 0, s.U, s, turn);
    }
    Real* const gates = left_to(round + 1, places, size, s);
    for (int64_t r = 0; r < rows.count && has_step; ++r) {
      const int64_t step = s.T - round, at = place(s, rows, r, step), row = r * s.units;
      const bool masked = mask != nullptr && !mask[at];
      const Real* const dy_at = step < first[r] ? nullptr : dy;
      for_units<Real>(s, turn, [&](int64_t n, auto lanes) __attribute__((always_inline)) {
        const Vec<Real> d = state_gradient(sum + row, carry + row, kept, dy_at, rows.first + r, at, n, s, lanes);
        const Vec<Real> z = d * lanes.load(derivatives + at * s.U + n);
        lanes.store(gates + r * s.gate_row + n, z);
        lanes.store(dz + at * s.U + n, z);
        store(carry + row + n, masked ? d : zero<Real>());
      });
    }
    if (!has_step && dh0 != nullptr) finish(dh0, sum, carry, kept, s, turn);
  }
}

// ---- gru ------------------------------------------------------------------------------------------------------------------

// By vectors of units: the rows of K, then of R, of z and r side by side, and then those of the candidate n.
template <typename Real>
void pack_gru(Real* packed, const Real* kernel, const Real* recurrent, const RecurrentShape& s, int64_t task) {
  constexpr int64_t lanes = kLanes<Real>, row = 2 * lanes;
  const int64_t n = task * lanes, G = 3 * s.U, K = s.C + s.U;
  Real* to = packed + n * 3 * K;
  for (int gate = 0; gate < 2; ++gate) {
    pack(to + gate * lanes, row, kernel + gate * s.U + n, G, s.C, s.U - n);
    pack(to + s.C * row + gate * lanes, row, recurrent + gate * s.U + n, G, s.U, s.U - n);
  }
  pack(to + K * row, lanes, kernel + 2 * s.U + n, G, s.C, s.U - n);
  pack(to + K * row + s.C * lanes, lanes, recurrent + 2 * s.U + n, G, s.U, s.U - n);
}

// derivatives: z, which is that of h' by h past all products; of h' by a_z and by the sum in n's tanh; with reset_after r and
// h R_h r (1 - r), that sum's by h R_h and by a_r; without it r and h r (1 - r), those of r h by h and by a_r.
template <typename Real>
void gru(Real* y, Real* h_last, Real* previous, Real* derivatives, Real* reset, const Real* x, const Real*, const Real*,
         const Real* bias, const Real* h0, const bool* mask, const Real* kept, const Real* packed, Real* shared,
         Scratch scratch, const RecurrentShape& s, int64_t task) {
  constexpr int64_t vector = kLanes<Real>, row = 4 * vector;
  const Turn turn(s, task);
  const Rows& rows = turn.rows;
  const int64_t U = s.U, K = s.C + U, size = s.rows * s.a_row;
  Real* const gates = scratch.as<Real>();
  Real* const places = s.by_units ? shared : gates + s.rows * row;
  Real* const h = left_to(1, places, size, s) + size;
  Real* const start = h + s.rows * s.units;   // z, r, x K_h, h R_h
  Real* const update = start + 4 * s.units;   // without reset_after, where a task has all units
  Real* const b = update + s.rows * s.units;  // and [x, r h]
  const Real* const second = bias == nullptr || !s.reset_after ? nullptr : bias + 3 * U;
  const Vec<Real> one = broadcast(Real(1));

  // h' of a row from n's sum; d are the derivatives of the row, where they are wanted.
  const auto finish_row = [&](int64_t r, int64_t at, int64_t step, int64_t n, Vec<Real> z, Vec<Real> candidate, Real* d,
                              auto lanes) __attribute__((always_inline)) {
    Real* const h_at = h + r * s.units + n;
    const bool counts = mask == nullptr || mask[at];
    if (counts) {
      const Vec<Real> t = tanh(candidate), before = load(h_at);
      store(h_at, fma(z, before - t, t));
      if (d != nullptr) {
        lanes.store(d, z);
        lanes.store(d + U, (before - t) * z * (one - z));
        lanes.store(d + 2 * U, (one - z) * (one - t * t));
      }
    } else if (d != nullptr) {
      lanes.store(d, one);
      for (int k = 1; k < 5; ++k) lanes.store(d + k * U, zero<Real>());
    }
    write_y(y, at, counts, step, load(h_at), s, n, lanes);
  };

  for (int64_t round = turn.round; round < turn.end; ++round) {
    if (round == 0) {
      for (int gate = 0; gate < 3; ++gate) {
        spread_bias<Real>(start, 4, gate, bias == nullptr ? bias : bias + gate * U,
                          second == nullptr || gate == 2 ? nullptr : second + gate * U, s, turn);
      }
      spread_bias<Real>(start, 4, 3, second == nullptr ? second : second + 2 * U, nullptr, s, turn);
      load_state(h, h0, s, turn);
    }
    const int64_t step = round - 1;
    const Real* const a = left_to(round, places, size, s);
    if (!s.reset_after && round > 0) {
      for (int64_t r = 0; r < rows.count; ++r) {
        copy_bytes(reinterpret_cast<char*>(b + r * s.a_row), reinterpret_cast<const char*>(a + r * s.a_row),
                   s.C * static_cast<int64_t>(sizeof(Real)));
      }
    }
    for (int64_t n = turn.n; n < turn.n_end && round > 0; n += vector) {
      const Real* const weights = packed + n * 3 * K;
      multiply(gates, row, start + 4 * n, a, s.a_row, weights, 2 * vector, K, rows.count, 2 * vector);
      if (s.reset_after) {
        const Real* const of_n = weights + 2 * K * vector;
        multiply(gates + 2 * vector, row, start + 4 * n + 2 * vector, a, s.a_row, of_n, vector, s.C, rows.count, vector);
        multiply(gates + 3 * vector, row, start + 4 * n + 3 * vector, a + s.C, s.a_row, of_n + s.C * vector, vector, U,
                 rows.count, vector);
      }
      with_units<Real>(s, n, [&](auto lanes) __attribute__((always_inline)) {
        for (int64_t i = 0; i < rows.count; ++i) {
          const int64_t at = place(s, rows, i, step);
          const Real* const ours = gates + i * row;
          Real* const d = derivatives == nullptr ? nullptr : derivatives + at * 5 * U + n;
          const Vec<Real> z = sigmoid<Real>(load(ours)), r = sigmoid<Real>(load(ours + vector));
          const Vec<Real> state = lanes.load(a + i * s.a_row + s.C + n);
          const Vec<Real> slope = r * (one - r), inner = s.reset_after ? load(ours + 3 * vector) : state;
          if (d != nullptr) {
            lanes.store(d + 3 * U, r);
            lanes.store(d + 4 * U, inner * slope);
          }
          if (reset != nullptr) lanes.store(reset + at * U + n, r * state);
          if (s.reset_after) {
            finish_row(i, at, step, n, z, fma(r, inner, load(ours + 2 * vector)), d, lanes);
          } else {
            store(update + i * s.units + n, z);
            lanes.store(b + i * s.a_row + s.C + n, r * state);
          }
        }
      });
    }
    for (int64_t n = 0; n < U && !s.reset_after && round > 0; n += vector) {
      const Real* const of_n = packed + n * 3 * K + 2 * K * vector;
      multiply(gates, row, start + 4 * n + 2 * vector, b, s.a_row, of_n, vector, K, rows.count, vector);
      with_units<Real>(s, n, [&](auto lanes) __attribute__((always_inline)) {
        for (int64_t i = 0; i < rows.count; ++i) {
          const int64_t at = place(s, rows, i, step);
          Real* const d = derivatives == nullptr ? nullptr : derivatives + at * 5 * U + n;
          finish_row(i, at, step, n, load(update + i * s.units + n), load(gates + i * row), d, lanes);
        }
      });
    }
    if (round < s.T) {
      gather(left_to(round + 1, places, size, s), previous, x, h, kept, s, turn, round);
    } else {
      store_state(h_last, h, s, turn);
    }
  }
}

template <typename Real>
void gru_backward(Real* dz, Real* drecurrent, Real* dh0, const Real* derivatives, const Real*, const Real* dy, const Real* dh,
                  const bool* mask, const Real* kept, const Real* packed, Real* shared, Scratch scratch,
                  const RecurrentShape& s, int64_t task) {
  const Turn turn(s, task);
  const Rows& rows = turn.rows;
  const int64_t U = s.U, size = s.rows * s.gate_row;
  Real* const places = s.by_units ? shared : scratch.as<Real>();  // the gradients of the sums with R
  Real* const sum = left_to(1, places, size, s) + size;
  Real* const carry = sum + s.rows * s.units;
  int64_t* const first = reinterpret_cast<int64_t*>(carry + s.rows * s.units);
  for (int64_t round = turn.round; round < turn.end; ++round) {
    if (round == 0) {
      find_first_steps(first, mask, s, turn);
      load_state(carry, dh, s, turn);
      load_state<Real>(sum, nullptr, s, turn);
      continue;
    }
    const bool has_step = round <= s.T;
    if (round > 1 && (has_step || dh0 != nullptr)) {
      multiply_transposed(sum, left_to(round, places, size, s), packed, 0, s.reset_after ? 3 * U : 2 * U, s, turn);
    }
    Real* const gates = left_to(round + 1, places, size, s);
    const auto write = [&](int64_t r, int64_t at, int gate, int64_t n, Vec<Real> of_x, Vec<Real> of_h, auto lanes)
                           __attribute__((always_inline)) {
                             lanes.store(dz + (at * 3 + gate) * U + n, of_x);
                             lanes.store(gates + r * s.gate_row + gate * U + n, of_h);
                             if (drecurrent != nullptr) lanes.store(drecurrent + (at * 3 + gate) * U + n, of_h);
                           };
    for (int64_t r = 0; r < rows.count && has_step; ++r) {
      const int64_t step = s.T - round, at = place(s, rows, r, step), row = r * s.units;
      const Real* const dy_at = step < first[r] ? nullptr : dy;
      for_units<Real>(s, turn, [&](int64_t n, auto lanes) __attribute__((always_inline)) {
        const Vec<Real> d = state_gradient(sum + row, carry + row, kept, dy_at, rows.first + r, at, n, s, lanes);
        const Real* const by = derivatives + at * 5 * U + n;
        const Vec<Real> to_n = d * lanes.load(by + 2 * U), to_z = d * lanes.load(by + U);
        write(r, at, 0, n, to_z, to_z, lanes);
        if (s.reset_after) {  // n = tanh(x K_h + r (h R_h))
          const Vec<Real> to_r = to_n * lanes.load(by + 4 * U);
          write(r, at, 1, n, to_r, to_r, lanes);
          write(r, at, 2, n, to_n, to_n * lanes.load(by + 3 * U), lanes);
        } else {
          write(r, at, 2, n, to_n, to_n, lanes);
        }
        store(carry + row + n, d * lanes.load(by));
      });
    }
    if (has_step && !s.reset_after) {
      multiply_transposed(sum, gates, packed, 2 * U, U, s, turn);  // n = tanh(x K_h + (r h) R_h)
      for (int64_t r = 0; r < rows.count; ++r) {
        const int64_t at = place(s, rows, r, s.T - round);
        for_units<Real>(s, turn, [&](int64_t n, auto lanes) __attribute__((always_inline)) {
          const Vec<Real> d = load(sum + r * s.units + n);
          const Real* const by = derivatives + at * 5 * U + n;
          const Vec<Real> to_r = d * lanes.load(by + 4 * U);
          write(r, at, 1, n, to_r, to_r, lanes);
          Vec<Real> to_h = d * lanes.load(by + 3 * U);
          if (kept != nullptr) to_h *= lanes.load(kept + (rows.first + r) * U + n);
          store(carry + r * s.units + n, load(carry + r * s.units + n) + to_h);
        });
      }
    }
    if (!has_step && dh0 != nullptr) finish(dh0, sum, carry, kept, s, turn);
  }
}

}  // namespace

const RecurrentKernels recurrent_kernels = {
    .simple_rnn = {kernel<simple_rnn<float>>, kernel<simple_rnn<double>>},
    .lstm = {kernel<lstm<float>>, kernel<lstm<double>>},
    .gru = {kernel<gru<float>>, kernel<gru<double>>},
    .simple_rnn_backward = {kernel<simple_rnn_backward<float>>, kernel<simple_rnn_backward<double>>},
    .lstm_backward = {kernel<lstm_backward<float>>, kernel<lstm_backward<double>>},
    .gru_backward = {kernel<gru_backward<float>>, kernel<gru_backward<double>>},
    .pack_simple_rnn = {kernel<pack_simple_rnn<float>>, kernel<pack_simple_rnn<double>>},
    .pack_lstm = {kernel<pack_lstm<float>>, kernel<pack_lstm<double>>},
    .pack_gru = {kernel<pack_gru<float>>, kernel<pack_gru<double>>},
    .pack_backward = {kernel<pack_backward<float>>, kernel<pack_backward<double>>},
    .lanes = {kLanes<float>, kLanes<double>},
};

}  // namespace fastnn::FASTNN_ISA
