#include "ops/optimizer.h"
#include "ops/packed_gemm.h"
#include "simd/nonzero.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

// Calls piece(k, first, place, count) for every run of elements of this task's chunk that lies in one parameter: elements
// first.. of parameter k, which are place.. of the flat state.
template <typename Piece>
FASTNN_INLINE void for_each_piece(const UpdateShape& shape, int64_t task, Piece piece) {
  const int64_t* offsets = shape.offsets;
  const int64_t n = shape.parameters, total = offsets[n];
  int64_t at = task * kUpdateChunk;
  const int64_t end = at + kUpdateChunk < total ? at + kUpdateChunk : total;
  int64_t k = 0;
  for (int64_t above = n; above - k > 1;) {  // offsets[k] <= at < offsets[above]
    const int64_t middle = (k + above) / 2;
    (offsets[middle] <= at ? k : above) = middle;
  }
  for (; at < end; ++k) {
    const int64_t stop = offsets[k + 1] < end ? offsets[k + 1] : end;
    if (stop > at) piece(k, at - offsets[k], shape.places[k] + at - offsets[k], stop - at);
    at = stop;
  }
}

template <typename Real>
FASTNN_INLINE Real* array(Buffers buffers, int64_t index) {
  return static_cast<Real*>(buffers.at[index]);
}

// p (1 - lr decay) of one parameter, or p.
template <typename Real>
struct Decay {
  bool any;
  Vec<Real> minus;
  FASTNN_INLINE Decay(const UpdateShape& shape, int64_t k, double rate)
      : any(shape.decay != nullptr), minus(broadcast(static_cast<Real>(any ? -rate * shape.decay[k] : 0))) {}
  FASTNN_INLINE Vec<Real> of(Vec<Real> p) const { return any ? fma(minus, p, p) : p; }
};

// Where a call's buffers lie: `results` and `operands` of them before the parameters, among the results and among the operands.
// The learning rate is the first operand.
template <typename Real>
struct Layout {
  Buffers buffers;
  int64_t n, results, operands;
  FASTNN_INLINE Real* new_state(int64_t i, int64_t at) const { return array<Real>(buffers, i) + at; }
  FASTNN_INLINE Real* new_parameter(int64_t k, int64_t first) const { return array<Real>(buffers, results + k) + first; }
  FASTNN_INLINE Real* operand(int64_t i) const { return array<Real>(buffers, results + n + i); }
  FASTNN_INLINE const Real* state(int64_t i, int64_t at) const { return operand(i) + at; }
  FASTNN_INLINE const Real* parameter(int64_t k, int64_t first) const { return operand(operands + k) + first; }
  FASTNN_INLINE const Real* gradient(int64_t k, int64_t first) const { return operand(operands + n + k) + first; }
  FASTNN_INLINE double rate() const { return static_cast<double>(*operand(0)); }
};

template <typename Real>
FASTNN_INLINE Vec<Real> constant(double number) {
  return broadcast(static_cast<Real>(number));
}

// ---- Rules: part(k, first, place)(i, g, lanes) updates a vector of elements from first + i on of parameter k, place + i on of the
// state, whose gradient is `g` ------------------------------------------------------------------------------------------------

template <typename Element>
struct Rule {
  using Real = Element;
  static constexpr bool beside_products = false;
  Layout<Real> at;
  const UpdateShape& shape;
  double rate;
  FASTNN_INLINE Rule(Buffers buffers, const UpdateShape& s, int64_t results, int64_t operands)
      : at{buffers, s.parameters, results, operands}, shape(s), rate(at.rate()) {}
};

// Results: parameters. Operands: lr, none, parameters, gradients.
template <typename Element>
struct Sgd : Rule<Element> {
  using Real = Element;
  using Rule<Real>::at, Rule<Real>::shape, Rule<Real>::rate;
  Vec<Real> minus_rate;
  FASTNN_INLINE Sgd(Buffers buffers, const UpdateShape& s) : Rule<Real>(buffers, s, 0, 2), minus_rate(constant<Real>(-rate)) {}
  FASTNN_INLINE auto part(int64_t k, int64_t first, int64_t) const {
    Real* new_p = at.new_parameter(k, first);
    const Real* p = at.parameter(k, first);
    const Decay<Real> decayed(shape, k, rate);
    return [=, *this](int64_t i, Vec<Real> g, auto lanes)
               __attribute__((always_inline)) { lanes.store(new_p + i, fma(minus_rate, g, decayed.of(lanes.load(p + i)))); };
  }
};

// Results: velocity, parameters. Operands: lr, velocity, parameters, gradients.
template <typename Element, bool nesterov>
struct Momentum : Rule<Element> {
  using Real = Element;
  using Rule<Real>::at, Rule<Real>::shape, Rule<Real>::rate;
  Vec<Real> minus_rate, momentum;
  FASTNN_INLINE Momentum(Buffers buffers, const UpdateShape& s)
      : Rule<Real>(buffers, s, 1, 2), minus_rate(constant<Real>(-rate)), momentum(constant<Real>(s.momentum)) {}
  FASTNN_INLINE auto part(int64_t k, int64_t first, int64_t place) const {
    Real *new_velocity = at.new_state(0, place), *new_p = at.new_parameter(k, first);
    const Real *velocity = at.state(1, place), *p = at.parameter(k, first);
    const Decay<Real> decayed(shape, k, rate);
    return [=, *this](int64_t i, Vec<Real> g, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> step = minus_rate * g;
      const Vec<Real> v = fma(momentum, lanes.load(velocity + i), step);
      lanes.store(new_velocity + i, v);
      lanes.store(new_p + i, decayed.of(lanes.load(p + i)) + (nesterov ? fma(momentum, v, step) : v));
    };
  }
};

// Results: m, v, with amsgrad v_max, parameters. Operands: lr, step, m, v, v_max or none, parameters, gradients.
template <typename Element, bool amsgrad>
struct Adam : Rule<Element> {
  using Real = Element;
  using Rule<Real>::at, Rule<Real>::shape, Rule<Real>::rate;
  // A root and a quotient take as long as the products of 16 samples, and a unit of their own.
  static constexpr bool beside_products = !amsgrad && kVectorRegisters == 32;
  Vec<Real> minus_alpha, epsilon, new_in_m, new_in_v;
  FASTNN_INLINE Adam(Buffers buffers, const UpdateShape& s)
      : Rule<Real>(buffers, s, amsgrad ? 3 : 2, 5),
        epsilon(constant<Real>(s.epsilon)),
        new_in_m(constant<Real>(1 - s.beta_1)),
        new_in_v(constant<Real>(1 - s.beta_2)) {
    const auto step = static_cast<double>(*array<int64_t>(buffers, at.results + at.n + 1));
    minus_alpha =
        constant<Real>(-rate * __builtin_sqrt(1 - __builtin_pow(s.beta_2, step)) / (1 - __builtin_pow(s.beta_1, step)));
  }
  FASTNN_INLINE auto part(int64_t k, int64_t first, int64_t place) const {
    Real *new_m = at.new_state(0, place), *new_v = at.new_state(1, place), *new_p = at.new_parameter(k, first);
    Real* new_max = amsgrad ? at.new_state(2, place) : nullptr;
    const Real *old_m = at.state(2, place), *old_v = at.state(3, place), *p = at.parameter(k, first);
    const Real* old_max = amsgrad ? at.state(4, place) : nullptr;
    const Decay<Real> decayed(shape, k, rate);
    return [=, *this](int64_t i, Vec<Real> g, auto lanes) __attribute__((always_inline)) {
      Vec<Real> m = lanes.load(old_m + i), v = lanes.load(old_v + i);
      m = fma(g - m, new_in_m, m);
      v = fma(g * g - v, new_in_v, v);
      lanes.store(new_m + i, m);
      lanes.store(new_v + i, v);
      if constexpr (amsgrad) {
        v = max<Real>(lanes.load(old_max + i), v);
        lanes.store(new_max + i, v);
      }
      lanes.store(new_p + i, fma(minus_alpha, m / (sqrt(v) + epsilon), decayed.of(lanes.load(p + i))));
    };
  }
};

// Results: v, if centered m, with momentum velocity, parameters. Operands: lr, v, m or none, velocity or none, parameters,
// gradients.
template <typename Element, bool centered, bool has_momentum>
struct RmsProp : Rule<Element> {
  using Real = Element;
  using Rule<Real>::at, Rule<Real>::shape, Rule<Real>::rate;
  Vec<Real> lr, epsilon, added, momentum;
  FASTNN_INLINE RmsProp(Buffers buffers, const UpdateShape& s)
      : Rule<Real>(buffers, s, 1 + centered + has_momentum, 4),
        lr(constant<Real>(rate)),
        epsilon(constant<Real>(s.epsilon)),
        added(constant<Real>(1 - s.rho)),
        momentum(constant<Real>(s.momentum)) {}
  FASTNN_INLINE auto part(int64_t k, int64_t first, int64_t place) const {
    Real *new_v = at.new_state(0, place), *new_p = at.new_parameter(k, first);
    Real* new_m = centered ? at.new_state(1, place) : nullptr;
    Real* new_velocity = has_momentum ? at.new_state(1 + centered, place) : nullptr;
    const Real *old_v = at.state(1, place), *p = at.parameter(k, first);
    const Real* old_m = centered ? at.state(2, place) : nullptr;
    const Real* velocity = has_momentum ? at.state(3, place) : nullptr;
    const Decay<Real> decayed(shape, k, rate);
    return [=, *this](int64_t i, Vec<Real> g, auto lanes) __attribute__((always_inline)) {
      Vec<Real> v = lanes.load(old_v + i);
      v = fma(g * g - v, added, v);
      lanes.store(new_v + i, v);
      if constexpr (centered) {
        Vec<Real> m = lanes.load(old_m + i);
        m = fma(g - m, added, m);
        lanes.store(new_m + i, m);
        v = max<Real>(fma(-m, m, v), zero<Real>());
      }
      Vec<Real> step = lr * g / sqrt(v + epsilon);
      if constexpr (has_momentum) {
        step = fma(momentum, lanes.load(velocity + i), step);
        lanes.store(new_velocity + i, step);
      }
      lanes.store(new_p + i, decayed.of(lanes.load(p + i)) - step);
    };
  }
};

// Results: accumulator, parameters. Operands: lr, accumulator, parameters, gradients.
template <typename Element>
struct Adagrad : Rule<Element> {
  using Real = Element;
  using Rule<Real>::at, Rule<Real>::shape, Rule<Real>::rate;
  Vec<Real> lr, epsilon;
  FASTNN_INLINE Adagrad(Buffers buffers, const UpdateShape& s)
      : Rule<Real>(buffers, s, 1, 2), lr(constant<Real>(rate)), epsilon(constant<Real>(s.epsilon)) {}
  FASTNN_INLINE auto part(int64_t k, int64_t first, int64_t place) const {
    Real *new_a = at.new_state(0, place), *new_p = at.new_parameter(k, first);
    const Real *old_a = at.state(1, place), *p = at.parameter(k, first);
    const Decay<Real> decayed(shape, k, rate);
    return [=, *this](int64_t i, Vec<Real> g, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> a = fma(g, g, lanes.load(old_a + i));
      lanes.store(new_a + i, a);
      lanes.store(new_p + i, decayed.of(lanes.load(p + i)) - lr * g / sqrt(a + epsilon));
    };
  }
};

// Results: m, parameters. Operands: lr, m, parameters, gradients.
template <typename Element>
struct Lion : Rule<Element> {
  using Real = Element;
  using Rule<Real>::at, Rule<Real>::shape, Rule<Real>::rate;
  Vec<Real> lr, kept, new_in_sum, new_in_m;
  FASTNN_INLINE Lion(Buffers buffers, const UpdateShape& s)
      : Rule<Real>(buffers, s, 1, 2),
        lr(constant<Real>(rate)),
        kept(constant<Real>(s.beta_1)),
        new_in_sum(constant<Real>(1 - s.beta_1)),
        new_in_m(constant<Real>(1 - s.beta_2)) {}
  FASTNN_INLINE auto part(int64_t k, int64_t first, int64_t place) const {
    Real *new_m = at.new_state(0, place), *new_p = at.new_parameter(k, first);
    const Real *old_m = at.state(1, place), *p = at.parameter(k, first);
    const Decay<Real> decayed(shape, k, rate);
    return [=, *this](int64_t i, Vec<Real> g, auto lanes) __attribute__((always_inline)) {
      const Vec<Real> m = lanes.load(old_m + i), sum = fma(m, kept, g * new_in_sum);
      // 0 * sum is 0, or NaN as sum is.
      Vec<Real> step = select<Real>(sum > zero<Real>(), lr, select<Real>(sum < zero<Real>(), -lr, zero<Real>() * sum));
      lanes.store(new_m + i, fma(g - m, new_in_m, m));
      lanes.store(new_p + i, decayed.of(lanes.load(p + i)) - step);
    };
  }
};

// ---- Kernels --------------------------------------------------------------------------------------------------------------

// `part` for `count` elements from i on.
template <typename Real, typename Part>
FASTNN_INLINE void update_row(const Part& part, int64_t i, int64_t count, const Real* g) {
  for_each_vector<Real>(count,
                        [&](int64_t j, auto lanes) __attribute__((always_inline)) { part(i + j, lanes.load(g + j), lanes); });
}

template <typename Update>
void flat(Buffers buffers, const UpdateShape& shape, int64_t task) {
  const Update update(buffers, shape);
  for_each_piece(shape, task, [&](int64_t k, int64_t first, int64_t place, int64_t count) __attribute__((always_inline)) {
    update_row(update.part(k, first, place), 0, count, update.at.gradient(k, first));
  });
}

// The place of lanes for which an update fetches what it will write.
struct FetchedLanes {
  template <typename Real>
  FASTNN_INLINE Vec<Real> load(const Real*) const {
    return zero<Real>();
  }
  template <typename Real>
  FASTNN_INLINE void store(Real* p, Vec<Real>) const {
    __builtin_prefetch(p, 1);
  }
};

// A tile of a gradient whose rows are N apart, kept in rows of a panel's width, and the element at its corner.
template <typename Real>
struct GradientTile {
  const Real* sums;
  int64_t corner, rows, columns;

  template <typename Part>
  FASTNN_INLINE void update(const Part& part, int64_t N) const {
    for (int64_t r = 0; r < rows; ++r) update_row(part, corner + r * N, columns, sums + r * kTileColumns<Real>);
  }
};

// Fetches what an update of some rows and columns, from an element on, will write.
template <typename Real, typename Part>
FASTNN_INLINE void fetch_rows(const Part& part, int64_t corner, int64_t rows, int64_t columns, int64_t N) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < columns; i += kLanes<Real>) part(corner + r * N + i, zero<Real>(), FetchedLanes{});
  }
}

constexpr int64_t kMarkedSamples = 128;  // the most that a product of marked numbers sums
constexpr int kMarkedPanels = 4;         // at a time, so that no product waits for the last: fewer do not pay for the marks

constexpr int kBesideRows = 12;                                           // whose sums leave registers for an update
static_assert(kVectorRegisters != 32 || kBesideRows <= kSideBySideRows);  // multiply_panel knows no more

// A tile's products, and beside them the update of the tile before: with the products of each k that of one vector.
template <typename Real, int rows, typename Part>
__attribute__((noinline)) void multiply_beside(const PackedTile<Real>& t, const GradientTile<Real>& before, const Part& part,
                                               int64_t corner, int64_t N) {
  constexpr int64_t panel = kTileColumns<Real>;
  constexpr std::integral_constant<int64_t, kTileVectors * kVectorBytes> b_bytes;
  Vec<Real> sum[rows][kTileVectors];
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    FASTNN_UNROLL
    for (int v = 0; v < kTileVectors; ++v) sum[r][v] = zero<Real>();
  }
  const auto add = [&](int64_t k, int64_t length) __attribute__((always_inline)) {
    add_side_by_side<Real, rows, kTileVectors>(sum, t.a + k * rows, rows, t.b + k * panel, b_bytes, length,
                                               [](const Real* p, int) __attribute__((always_inline)) { return load(p); });
  };
  int64_t k = 0, r = 0;
  for (; r < before.rows && k + kTileVectors <= t.k; ++r) {
    FASTNN_UNROLL
    for (int v = 0; v < kTileVectors; ++v) {
      const int64_t at = v * kLanes<Real>;
      part(before.corner + r * N + at, load(before.sums + r * panel + at), AllLanes{});
      part(corner + r * N + at, zero<Real>(), FetchedLanes{});
      add(k++, 1);
    }
  }
  add(k, t.k - k);
  for (; r < before.rows; ++r) update_row(part, before.corner + r * N, panel, before.sums + r * panel);
  FASTNN_UNROLL
  for (int r = 0; r < rows; ++r) {
    FASTNN_UNROLL
    for (int v = 0; v < kTileVectors; ++v) store(t.c + r * panel + v * kLanes<Real>, sum[r][v]);
  }
}

// A tile's rows, K apart, and marks of their numbers that are not 0.
template <typename Real>
struct MarkedRows {
  int64_t K, rows;
  uint64_t marks[kSideBySideRows][kMarkedSamples / kMarks];
  Real numbers[kSideBySideRows * kMarkedSamples];

  // Of a packed tile, [k][row]; false, and nothing is taken, where the products of all its numbers take no longer.
  __attribute__((noinline)) bool take(const Real* tile, int64_t tile_rows, int64_t tile_K) {
    K = tile_K, rows = tile_rows;
    int64_t nonzero = 0;
    for (int64_t i = 0; i < rows * K; i += kMarks) {
      nonzero += count_of(marks_of(tile + i, rows * K - i < kMarks ? rows * K - i : kMarks));
    }
    if (4 * nonzero > 3 * rows * K) return false;
    transpose(numbers, K, tile, rows, K, rows);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < K; k += kMarks) {
        marks[r][k / kMarks] = marks_of(numbers + r * K + k, K - k < kMarks ? K - k : kMarks);
      }
    }
    return true;
  }
};

// Gives part(place, sum, lanes) the sums of marked products for some panels' columns of the rows: b is their first panel, `corner` the
// place of their first sum, and rows are N apart.
template <typename Real, int panels, typename Part>
__attribute__((noinline)) void sum_marked(const MarkedRows<Real>& tile, const Real* b, const Part& part_of_all, int64_t corner,
                                          int64_t N) {
  constexpr int64_t panel = kTileColumns<Real>, kAhead = 2;
  constexpr int vectors = panels * kTileVectors, lanes = kLanes<Real>;
  const Part part = part_of_all;  // in registers, because what it writes may not be it
  const int64_t K = tile.K, words = (K + kMarks - 1) / kMarks;
  for (int64_t r = 0; r < tile.rows; ++r, corner += N) {
    Vec<Real> sum[vectors];
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) {
      sum[v] = zero<Real>();
      part(corner + kAhead * N + v * lanes, zero<Real>(), FetchedLanes{});
    }
    for (int64_t word = 0; word < words; ++word) {
      const Real *const numbers = tile.numbers + r * K + word * kMarks, *const rows_of_b = b + word * kMarks * panel;
      add_marked<Real, vectors>(sum, tile.marks[r][word], numbers, [&](int64_t i, int v) __attribute__((always_inline)) {
        return load(rows_of_b + i * panel + v / kTileVectors * K * panel + v % kTileVectors * lanes);
      });
    }
    FASTNN_UNROLL
    for (int v = 0; v < vectors; ++v) part(corner + v * lanes, sum[v], AllLanes{});
  }
}

// Sums that are only kept.
template <typename Real>
struct Kept {
  Real* sums;
  template <typename Lanes>
  FASTNN_INLINE void operator()(int64_t i, Vec<Real> sum, Lanes lanes) const {
    lanes.store(sums + i, sum);
  }
};

// All sums, in whole panels: rows are so many apart as those have columns.
template <typename Real>
void keep_marked(Real* sums, const MarkedRows<Real>& tile, const Real* b, int64_t columns) {
  constexpr int64_t panel = kTileColumns<Real>;
  int64_t n = 0;
  for (; n + kMarkedPanels * panel <= columns; n += kMarkedPanels * panel) {
    sum_marked<Real, kMarkedPanels>(tile, b + n * tile.K, Kept<Real>{sums}, n, columns);
  }
  for (; n < columns; n += panel) sum_marked<Real, 1>(tile, b + n * tile.K, Kept<Real>{sums}, n, columns);
}

// Updates the rows; `sums` has room for a panel of them.
template <typename Real, typename Part>
FASTNN_INLINE void update_marked(Real* sums, const MarkedRows<Real>& tile, const Real* b, const Part& part, int64_t corner,
                                 int64_t N) {
  constexpr int64_t panel = kTileColumns<Real>;
  int64_t n = 0;
  for (; n + kMarkedPanels * panel <= N; n += kMarkedPanels * panel) {
    sum_marked<Real, kMarkedPanels>(tile, b + n * tile.K, part, corner + n, N);
  }
  for (; n < N; n += panel) {
    keep_marked(sums, tile, b + n * tile.K, panel);
    GradientTile<Real>{sums, corner + n, tile.rows, N - n < panel ? N - n : panel}.update(part, N);
  }
}

// Of a parameter with N columns the tiles first..end, each updated beside the next. `sums` has room for two.
template <typename Real, typename Part>
FASTNN_INLINE void update_beside_products(Real* sums, const Real* a, const Real* b, bool marks, const Part& part,
                                          const PackedGemmShape& shape, int64_t first, int64_t end) {
  constexpr int64_t panel = kTileColumns<Real>;
  const TileHeights heights = tile_heights(shape.M, shape.height);
  GradientTile<Real> before{};
  Real* other = sums + shape.height * panel;
  MarkedRows<Real> marked;
  for (int64_t tile = first; tile < end; ++tile) {
    const int64_t row = heights.first_row(tile), rows = heights[tile];
    if (marks && marked.take(a + row * shape.K, rows, shape.K)) {
      before.update(part, shape.N);
      before = {};
      update_marked(sums, marked, b, part, (row - heights.first_row(first)) * shape.N, shape.N);
      continue;
    }
    for (int64_t n = 0; n < shape.N; n += panel) {
      const int64_t columns = shape.N - n < panel ? shape.N - n : panel;
      PackedTile<Real> t{};
      t.a = a + row * shape.K, t.b = b + n * shape.K, t.c = sums;
      t.a_row = 1, t.a_k = rows, t.c_row = panel, t.k = shape.K;
      const int64_t corner = (row - heights.first_row(first)) * shape.N + n;
      const bool whole = before.columns == panel && columns == panel;
      if (whole && rows == kBesideRows) {
        multiply_beside<Real, kBesideRows>(t, before, part, corner, shape.N);
      } else if (whole && rows == kBesideRows - 1) {
        multiply_beside<Real, kBesideRows - 1>(t, before, part, corner, shape.N);
      } else {
        if (before.rows == 0) fetch_rows<Real>(part, corner, rows, columns, shape.N);
        multiply_panel(t, rows, columns);
        before.update(part, shape.N);
      }
      before = {sums, corner, rows, columns};
      std::swap(sums, other);
    }
  }
  before.update(part, shape.N);
}

template <typename Update>
void product(Buffers buffers, Scratch scratch, const ProductUpdateShape& shape, int64_t task) {
  using Real = typename Update::Real;
  const Update update(buffers, shape.update);
  const TileHeights heights = tile_heights(shape.product.M, shape.product.height);
  int64_t tile = task * shape.product.tile_block;
  const int64_t end = tile + shape.product.tile_block < heights.tiles ? tile + shape.product.tile_block : heights.tiles;
  const int64_t N = shape.product.N, first = heights.first_row(tile) * N;
  Real* const gradient = scratch.as<Real>();
  const Real* const a = array<Real>(buffers, shape.workspace);
  const Real* const b = a + shape.product.b_begins;
  const auto part = update.part(shape.parameter, first, shape.update.places[shape.parameter] + first);
  const bool marks =
      shape.product.K <= kMarkedSamples && N >= kMarkedPanels * kTileColumns<Real> && b_is_finite(a, shape.product);
  if constexpr (Update::beside_products) {
    update_beside_products(gradient, a, b, marks, part, shape.product, tile, end);
  } else {
    constexpr int64_t panel = kTileColumns<Real>;
    const int64_t in_panels = (N + panel - 1) / panel * panel;
    MarkedRows<Real> marked;
    for (int64_t corner = 0; tile < end; ++tile) {
      const int64_t rows = heights[tile];
      const bool is_marked = marks && marked.take(a + heights.first_row(tile) * shape.product.K, rows, shape.product.K);
      if (is_marked) {
        keep_marked(gradient, marked, b, in_panels);
      } else {
        multiply_packed_share<Real>(gradient, a, b, nullptr, nullptr, shape.product, {tile, tile + 1, 0, N});
      }
      const int64_t lines = is_marked ? rows : 1, length = is_marked ? N : rows * N;
      for (int64_t i = 0; i < lines; ++i, corner += length) update_row(part, corner, length, gradient + i * in_panels);
    }
  }
}

template <template <typename, auto...> class Update, auto... options>
constexpr UpdateKernels kernels_of = {
    Update<float, options...>::beside_products ? kBesideRows : kSideBySideRows,
    Update<float, options...>::beside_products,
    {kernel<flat<Update<float, options...>>>, kernel<flat<Update<double, options...>>>},
    {kernel<product<Update<float, options...>>>, kernel<product<Update<double, options...>>>}};

}  // namespace

const OptimizerKernels optimizer_kernels = {
    kernels_of<Sgd>,
    kernels_of<Momentum, false>,
    kernels_of<Momentum, true>,
    kernels_of<Adam, false>,
    kernels_of<Adam, true>,
    {{kernels_of<RmsProp, false, false>, kernels_of<RmsProp, false, true>},
     {kernels_of<RmsProp, true, false>, kernels_of<RmsProp, true, true>}},
    kernels_of<Adagrad>,
    kernels_of<Lion>,
};

}  // namespace fastnn::FASTNN_ISA
