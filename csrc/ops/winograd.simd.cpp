#include "ops/winograd.h"

#include "ops/max_of_window.h"
#include "ops/packed_gemm.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

// ---- The matrices ---------------------------------------------------------------------------------------------------------

template <int m>
struct Scheme;  // patch is B', kernel G, output A'
template <>
struct Scheme<2> {
  static constexpr double patch[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
  static constexpr double kernel[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  static constexpr double output[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
};
template <>
struct Scheme<3> {
  static constexpr double patch[5][5] = {
      {2, -1, -2, 1, 0}, {0, -2, -1, 1, 0}, {0, 2, -3, 1, 0}, {0, -1, 0, 1, 0}, {0, 2, -1, -2, 1}};
  static constexpr double sixth = 1.0 / 6;
  static constexpr double kernel[5][3] = {
      {0.5, 0, 0}, {-0.5, -0.5, -0.5}, {-sixth, sixth, -sixth}, {sixth, 2 * sixth, 4 * sixth}, {0, 0, 1}};
  static constexpr double output[3][5] = {{1, 1, 1, 1, 0}, {0, 1, -1, 2, 0}, {0, 1, 1, 4, 1}};
};

// Row i of a matrix, or with `turned` column i, times n vectors. Both are constants where it is inlined, and what is
// multiplied by 0 or 1 is not.
template <bool turned, int n, typename Real, int rows, int columns>
FASTNN_INLINE Vec<Real> combine(const double (&matrix)[rows][columns], int i, const Vec<Real>* x) {
  Vec<Real> sum = zero<Real>();
  bool first = true;
  FASTNN_UNROLL
  for (int k = 0; k < n; ++k) {
    const double factor = turned ? matrix[k][i] : matrix[i][k];
    if (factor == 0) continue;
    const Vec<Real> number = x[k];
    if (first) {
      sum = factor == 1 ? number : factor == -1 ? -number : broadcast(static_cast<Real>(factor)) * number;
    } else if (factor == 1 || factor == -1) {
      sum = factor == 1 ? sum + number : sum - number;
    } else {
      sum = fma(broadcast(static_cast<Real>(factor)), number, sum);
    }
    first = false;
  }
  return sum;
}

// matrix * x * matrix', of n x n numbers that read(row, column) gives; write(row, column, result) takes the r x r results, or one row
// of them.
template <typename Real, int n, int r, bool turned, int begin = 0, int end = r, typename Matrix, typename Read, typename Write>
FASTNN_INLINE void two_sided(const Matrix& matrix, Read read, Write write) {
  Vec<Real> half[r][n];
  FASTNN_UNROLL
  for (int k = 0; k < n; ++k) {
    Vec<Real> column[n];
    FASTNN_UNROLL
    for (int i = 0; i < n; ++i) column[i] = read(i, k);
    FASTNN_UNROLL
    for (int i = begin; i < end; ++i) half[i][k] = combine<turned, n, Real>(matrix, i, column);
  }
  FASTNN_UNROLL
  for (int i = begin; i < end; ++i) {
    FASTNN_UNROLL
    for (int j = 0; j < r; ++j) write(i, j, combine<turned, n, Real>(matrix, j, half[i]));
  }
}

// ---- The kernel -------------------------------------------------------------------------------------------------------------

// Where a number of (rows, columns) is whose columns stand panel by panel, as a register tile reads them.
template <typename Real>
FASTNN_INLINE int64_t place_in_panels(int64_t rows, int64_t row, int64_t column) {
  constexpr int64_t panel = kTileColumns<Real>;
  return (column / panel * rows + row) * panel + column % panel;
}

// G w G' as (patch, panels of (C, F)), for some channels.
template <typename Real, int m>
void transform(Real* transformed, const Real* w, const WinogradShape& shape, int64_t task) {
  constexpr int n = m + 2;
  const int64_t C = shape.C, F = shape.F, first = task * shape.transformed_rows;
  const int64_t end = first + shape.transformed_rows < C ? first + shape.transformed_rows : C;
  for (int64_t c = first; c < end; ++c) {
    for_channels<Real>(F, [&](int64_t f, auto filters) __attribute__((always_inline)) {
      two_sided<Real, 3, n, false>(
          Scheme<m>::kernel,
          [&](int h, int v) __attribute__((always_inline)) { return filters.read(w + ((h * 3 + v) * C + c) * F + f); },
          [&](int h, int v, Vec<Real> number) __attribute__((always_inline)) {
            filters.write(transformed + (h * n + v) * shape.kernel_plane + place_in_panels<Real>(C, c, f), number);
          });
    });
  }
}

// The same as (patch, panels of (F, C)), for some filters: squares of w are transposed on the way.
template <typename Real, int m>
void transform_turned(Real* transformed, const Real* w, const WinogradShape& shape, int64_t task) {
  constexpr int n = m + 2, lanes = kLanes<Real>;
  const int64_t C = shape.C, F = shape.F, first = task * shape.transformed_rows;
  const int64_t end = first + shape.transformed_rows < F ? first + shape.transformed_rows : F;
  Real square[9][lanes * lanes];  // (filters, channels) of each tap
  for (int64_t f = first; f < end; f += lanes) {
    const int64_t filters = end - f < lanes ? end - f : lanes;
    for_channels<Real>(C, [&](int64_t c, auto channels) __attribute__((always_inline)) {
      const int64_t count = C - c < lanes ? C - c : lanes;
      for (int t = 0; t < 9; ++t) transpose(square[t], lanes, w + (t * C + c) * F + f, F, count, filters);
      for (int64_t i = 0; i < filters; ++i) {
        two_sided<Real, 3, n, false>(
            Scheme<m>::kernel,
            [&](int h, int v) __attribute__((always_inline)) { return channels.read(square[h * 3 + v] + i * lanes); },
            [&](int h, int v, Vec<Real> number) __attribute__((always_inline)) {
              channels.write(transformed + (h * n + v) * shape.kernel_plane + place_in_panels<Real>(F, f + i, c), number);
            });
      }
    });
  }
}

// ---- Tiles ------------------------------------------------------------------------------------------------------------------

struct TilePlace {
  int64_t sample, i, j;
};
FASTNN_INLINE TilePlace place_of(const WinogradShape& shape, int64_t tile) {
  const int64_t row = tile / shape.tile_columns;
  return {row / shape.tile_rows, row % shape.tile_rows, tile % shape.tile_columns};
}
// From tile to tile without the divisions, of up to 95 cycles each before Ice Lake.
FASTNN_INLINE void advance(TilePlace& place, const WinogradShape& shape) {
  if (++place.j < shape.tile_columns) return;
  place.j = 0;
  if (++place.i < shape.tile_rows) return;
  place.i = 0;
  ++place.sample;
}

// n x n numbers of an image of height x width, from (h, v) on: where they lie, or a copy with zeros for those outside.
template <typename Real>
struct Square {
  const Real* from;
  int64_t row;
};
template <typename Real, int n>
FASTNN_INLINE Square<Real> square_at(const Real* image, int64_t height, int64_t width, int64_t channels, int64_t h, int64_t v,
                                     Real* copy) {
  if (h >= 0 && v >= 0 && h + n <= height && v + n <= width) return {image + (h * width + v) * channels, width * channels};
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      const bool inside = h + i >= 0 && h + i < height && v + j >= 0 && v + j < width;
      const Real* const from = image + ((h + i) * width + v + j) * channels;
      Real* const to = copy + (i * n + j) * channels;
      for_each_vector<Real>(channels, [&](int64_t c, auto lanes) __attribute__((always_inline)) {
        lanes.store(to + c, inside ? lanes.load(from + c) : zero<Real>());
      });
    }
  }
  return {copy, n * channels};
}

// Channels `begin` to `begin + count` of x.
struct Part {
  int64_t begin, count;
};

// matrix * x * matrix' of such a square, or rows of it; place (i, j) goes to `to` + (i * r + j - begin * r) * plane.
template <typename Real, int n, int r, bool turned, int begin, int end, typename Matrix>
FASTNN_INLINE void transform_square(Real* to, int64_t plane, const Matrix& matrix, Square<Real> square, int64_t pixel,
                                    int64_t count) {
  for_channels<Real>(count, [&](int64_t c, auto channels) __attribute__((always_inline)) {
    two_sided<Real, n, r, turned, begin, end>(
        matrix,
        [&](int i, int j)
            __attribute__((always_inline)) { return channels.read(square.from + i * square.row + j * pixel + c); },
        [&](int i, int j, Vec<Real> number)
            __attribute__((always_inline)) { channels.write(to + ((i - begin) * r + j) * plane + c, number); });
  });
}

// B' d B of a tile of x, for some channels. `copy` has room for a patch.
template <typename Real, int m, int begin = 0, int end = m + 2>
FASTNN_INLINE void transform_patch(Real* to, int64_t plane, const Real* x, const WinogradShape& shape, TilePlace place,
                                   Part part, Real* copy) {
  const Real* const image = x + place.sample * shape.H * shape.W * shape.C;
  const int64_t h = place.i * m - shape.before_h, v = place.j * m - shape.before_w;
  Square<Real> square = square_at<Real, m + 2>(image, shape.H, shape.W, shape.C, h, v, copy);
  square.from += part.begin;
  transform_square<Real, m + 2, m + 2, false, begin, end>(to, plane, Scheme<m>::patch, square, shape.C, part.count);
}
// A dy A' of a tile of y, F channels.
template <typename Real, int m, int begin = 0, int end = m + 2>
FASTNN_INLINE void expand_outputs(Real* to, int64_t plane, const Real* dy, const WinogradShape& shape, TilePlace place,
                                  Real* copy) {
  const Real* const image = dy + place.sample * shape.rows * shape.columns * shape.F;
  transform_square<Real, m, m + 2, true, begin, end>(
      to, plane, Scheme<m>::output,
      square_at<Real, m>(image, shape.rows, shape.columns, shape.F, place.i * m, place.j * m, copy), shape.F, shape.F);
}

// The products of `count` tiles of some columns: (places, tiles, K) times (places, panels of (K, columns)), places side by side.
template <typename Real>
FASTNN_INLINE void multiply_places(Real* products, const Real* patches, const Real* transformed, int places, int64_t K,
                                   int64_t count, int64_t columns, const WinogradShape& shape) {
  constexpr int64_t panel = kTileColumns<Real>;
  const TileHeights heights = tile_heights(count);
  for (int place = 0; place < places; ++place) {
    for (int64_t n = 0; n < columns; n += panel) {
      PackedTile<Real> t;
      t.b = transformed + place * shape.kernel_plane + n * K;
      t.a_row = K, t.a_k = 1, t.c_row = shape.block, t.k = K;
      for (int64_t tile = 0; tile < heights.tiles; ++tile) {
        const int64_t row = place * shape.chunk + heights.first_row(tile);
        t.a = patches + row * K, t.c = products + row * shape.block + n;
        multiply_panel(t, heights[tile], columns - n < panel ? columns - n : panel);
      }
    }
  }
}

// ---- Forward ----------------------------------------------------------------------------------------------------------------

// Computes the tiles of a task, chunk by chunk, and calls finish(place, first filter, number of filters, products, plane) for each
// tile and some filters: products[k * plane + n] belongs to place k of the patch and filter n.
template <typename Real, int m, typename Finish>
FASTNN_INLINE void for_tiles(const Real* x, const Real* transformed, Scratch scratch, const WinogradShape& shape, int64_t task,
                             Finish finish) {
  constexpr int places = (m + 2) * (m + 2);
  const int64_t C = shape.C, F = shape.F, plane = shape.chunk * shape.block;
  Real* const patches = scratch.as<Real>();
  Real* const products = patches + places * shape.chunk * C;
  Real* const copy = products + places * plane;
  const int64_t tiles = shape.B * shape.tile_rows * shape.tile_columns, begin = tiles * task / shape.tasks;
  const int64_t end = tiles * (task + 1) / shape.tasks;
  TilePlace place = begin < end ? place_of(shape, begin) : TilePlace{};
  for (int64_t first = begin; first < end; first += shape.chunk) {
    const int64_t count = end - first < shape.chunk ? end - first : shape.chunk;
    const TilePlace start = place;
    for (int64_t t = 0; t < count; ++t, advance(place, shape)) {
      transform_patch<Real, m>(patches + t * C, shape.chunk * C, x, shape, place, {0, C}, copy);
    }
    for (int64_t f = 0; f < F; f += shape.block) {
      const int64_t filters = F - f < shape.block ? F - f : shape.block;
      multiply_places(products, patches, transformed + f * C, places, C, count, filters, shape);
      place = start;
      for (int64_t t = 0; t < count; ++t, advance(place, shape)) finish(place, f, filters, products + t * shape.block, plane);
    }
  }
}

// A' p A: the outputs of a tile.
template <typename Real, int m, typename Channels>
FASTNN_INLINE void outputs_of(Vec<Real> (&out)[m * m], const Real* products, int64_t plane, Channels filters) {
  two_sided<Real, m + 2, m, false>(
      Scheme<m>::output,
      [&](int i, int j) __attribute__((always_inline)) { return filters.read(products + (i * (m + 2) + j) * plane); },
      [&](int i, int j, Vec<Real> number) __attribute__((always_inline)) { out[i * m + j] = number; });
}

template <typename Real, int m>
void convolve(Real* y, const Real* x, const Real* transformed, const Real* bias, const Real* other, Scratch scratch,
              const WinogradShape& shape, int64_t task) {
  for_tiles<Real, m>(x, transformed, scratch, shape, task,
                     [&](TilePlace place, int64_t first, int64_t count, const Real* products, int64_t plane)
                         __attribute__((always_inline)) {
                           const int64_t row = place.i * m, column = place.j * m, line = shape.columns * shape.F;
                           const int64_t rows = shape.rows - row < m ? shape.rows - row : m;
                           const int64_t columns = shape.columns - column < m ? shape.columns - column : m;
                           const int64_t to = (place.sample * shape.rows + row) * line + column * shape.F + first;
                           for_channels<Real>(count, [&](int64_t f, auto filters) __attribute__((always_inline)) {
                             Vec<Real> out[m * m];
                             outputs_of<Real, m>(out, products + f, plane, filters);
                             const Vec<Real> start = bias == nullptr ? zero<Real>() : filters.read(bias + first + f);
                             FASTNN_UNROLL
                             for (int p = 0; p < m * m; ++p) {
                               if (p / m >= rows || p % m >= columns) continue;
                               filters.write(y + to + p / m * line + p % m * shape.F + f, out[p] + start);
                             }
                           });
                           if (shape.epilogue == Epilogue::none) return;
                           for (int64_t i = 0; i < rows; ++i) {
                             const int64_t at = to + i * line;
                             finish(shape.epilogue, y, other, at, columns, count, shape.F);
                           }
                         });
}

// Each tile is a window of the pool.
template <typename Real>
void pool(Real* y, uint8_t* argmax, const Real* x, const Real* transformed, const Real* bias, Scratch scratch,
          const WinogradShape& shape, int64_t task) {
  for_tiles<Real, 2>(
      x, transformed, scratch, shape, task,
      [&](TilePlace place, int64_t first, int64_t count, const Real* products, int64_t plane) __attribute__((always_inline)) {
        const int64_t to = ((place.sample * shape.tile_rows + place.i) * shape.tile_columns + place.j) * shape.F + first;
        for_channels<Real>(count, [&](int64_t f, auto filters) __attribute__((always_inline)) {
          Vec<Real> out[4];
          outputs_of<Real, 2>(out, products + f, plane, filters);
          const Largest<Real> largest = largest_of<Real>(out[0], out[1], out[2], out[3]);
          Vec<Real> best = largest.best;
          if (bias != nullptr) best += filters.read(bias + first + f);
          filters.write(y + to + f, shape.epilogue == Epilogue::relu ? relu_of<Real>(best) : best);
          filters.write_bytes(argmax + to + f, largest.winner);
        });
      });
}

// ---- Gradients --------------------------------------------------------------------------------------------------------------

// A task has whole samples, whose patches it adds up.
template <typename Real, int m>
void backward_input(Real* dx, const Real* dy, const Real* transformed, const Real* other, Scratch scratch,
                    const WinogradShape& shape, int64_t task) {
  constexpr int n = m + 2;
  const int64_t C = shape.C, F = shape.F, per_sample = shape.tile_rows * shape.tile_columns;
  Real* const patches = scratch.as<Real>();
  Real* const products = patches + n * n * shape.chunk * F;
  const int64_t sample = shape.B * task / shape.tasks, samples = shape.B * (task + 1) / shape.tasks - sample;
  const int64_t size = shape.H * shape.W * C, plane = shape.chunk * shape.block;
  Real* const copy = products + n * n * plane;
  for (int64_t i = sample * size; i < (sample + samples) * size; ++i) dx[i] = 0;
  const int64_t end = (sample + samples) * per_sample;
  TilePlace place{sample, 0, 0};
  int64_t whole = sample;  // samples before it are finished
  for (int64_t first = sample * per_sample; first < end; first += shape.chunk) {
    const int64_t count = end - first < shape.chunk ? end - first : shape.chunk;
    const TilePlace start = place;
    for (int64_t t = 0; t < count; ++t, advance(place, shape)) {
      expand_outputs<Real, m>(patches + t * F, shape.chunk * F, dy, shape, place, copy);
    }
    for (int64_t c = 0; c < C; c += shape.block) {
      const int64_t columns = C - c < shape.block ? C - c : shape.block;
      multiply_places(products, patches, transformed + c * F, n * n, F, count, columns, shape);
      place = start;
      for (int64_t t = 0; t < count; ++t, advance(place, shape)) {
        const int64_t h = place.i * m - shape.before_h, v = place.j * m - shape.before_w;
        Real* const to = dx + place.sample * size + (h * shape.W + v) * C + c;
        for_channels<Real>(columns, [&](int64_t k, auto channels) __attribute__((always_inline)) {
          two_sided<Real, n, n, true>(
              Scheme<m>::patch,
              [&](int i, int j) __attribute__((always_inline)) {
                return channels.read(products + (i * n + j) * plane + t * shape.block + k);
              },
              [&](int i, int j, Vec<Real> number) __attribute__((always_inline)) {
                if (h + i < 0 || h + i >= shape.H || v + j < 0 || v + j >= shape.W) return;
                Real* const at = to + (i * shape.W + j) * C + k;
                channels.write(at, channels.read(at) + number);
              });
        });
      }
    }
    if (place.sample == whole) continue;
    finish(shape.epilogue, dx, other, whole * size, 1, (place.sample - whole) * size, 0);
    whole = place.sample;
  }
}

// The products of one group of tiles in row `i` of the patches' places, each (C, F), for some channels.
template <typename Real, int m, int i>
void products_of_row(Real* results, const Real* x, const Real* dy, Real* scratch, const WinogradShape& shape, int64_t group,
                     Part part) {
  constexpr int n = m + 2;
  const int64_t C = part.count, F = shape.F, chunk = shape.chunk;
  Real* const of_x = scratch;
  Real* const of_dy = of_x + n * chunk * C;
  Real* const copy = of_dy + n * chunk * F;
  const int64_t tiles = shape.B * shape.tile_rows * shape.tile_columns;
  const int64_t begin = tiles * group / shape.groups, end = tiles * (group + 1) / shape.groups;
  TilePlace place = begin < end ? place_of(shape, begin) : TilePlace{};
  for (int64_t first = begin; first == begin || first < end; first += chunk) {
    const int64_t count = end - first < chunk ? end - first : chunk;
    for (int64_t t = 0; t < count; ++t, advance(place, shape)) {
      transform_patch<Real, m, i, i + 1>(of_x + t * C, chunk * C, x, shape, place, part, copy);
      expand_outputs<Real, m, i, i + 1>(of_dy + t * F, chunk * F, dy, shape, place, copy);
    }
    for (int j = 0; j < n; ++j) {
      Tile<Real> tile{};
      tile.a = of_x + j * chunk * C, tile.b = of_dy + j * chunk * F;
      tile.c = results + (i * n + j) * shape.kernel_plane + part.begin * F;
      tile.a_k = C, tile.b_k = F, tile.k = count, tile.segments = tile.blocks = 1;
      tile.start = first == begin ? Start::zero : Start::accumulate;
      run_strided_tiles(tile, 1, F, C, F);
    }
  }
}

// (groups, patch, C, F): a task has a row of places of some channels, whose products stay in its cache.
template <typename Real, int m>
void products(Real* groups, const Real* x, const Real* dy, Scratch scratch, const WinogradShape& shape, int64_t task) {
  constexpr int n = m + 2;
  const int64_t row = task % n, group = task / n / shape.splits;
  const int64_t split = task / n % shape.splits, begin = shape.C * split / shape.splits;
  const Part part{begin, shape.C * (split + 1) / shape.splits - begin};
  Real* const results = groups + group * n * n * shape.kernel_plane;
  [&]<int... i>(std::integer_sequence<int, i...>) {
    ((row == i ? products_of_row<Real, m, i>(results, x, dy, scratch.as<Real>(), shape, group, part) : void()), ...);
  }(std::make_integer_sequence<int, n>());
}

// G' p G, for some channels, p being the sum of the groups.
template <typename Real, int m>
void backward_kernel(Real* dw, const Real* groups, const WinogradShape& shape, int64_t task) {
  constexpr int n = m + 2;
  const int64_t C = shape.C, F = shape.F, first = task * shape.transformed_rows;
  const int64_t end = first + shape.transformed_rows < C ? first + shape.transformed_rows : C;
  for (int64_t c = first; c < end; ++c) {
    for_channels<Real>(F, [&](int64_t f, auto filters) __attribute__((always_inline)) {
      two_sided<Real, n, 3, true>(
          Scheme<m>::kernel,
          [&](int i, int j) __attribute__((always_inline)) {
            const Real* const from = groups + (i * n + j) * shape.kernel_plane + c * F + f;
            Vec<Real> total = filters.read(from);
            for (int64_t g = 1; g < shape.groups; ++g) total += filters.read(from + g * n * n * shape.kernel_plane);
            return total;
          },
          [&](int i, int j, Vec<Real> number)
              __attribute__((always_inline)) { filters.write(dw + ((i * 3 + j) * C + c) * F + f, number); });
    });
  }
}

}  // namespace

const WinogradKernels winograd_kernels = {
    {{kernel<transform<float, 2>>, kernel<transform<double, 2>>}, {kernel<transform<float, 3>>, kernel<transform<double, 3>>}},
    {{kernel<convolve<float, 2>>, kernel<convolve<double, 2>>}, {kernel<convolve<float, 3>>, kernel<convolve<double, 3>>}},
    {kernel<pool<float>>, kernel<pool<double>>},
    {kernel<transform_turned<float, 3>>, kernel<transform_turned<double, 3>>},
    {kernel<backward_input<float, 3>>, kernel<backward_input<double, 3>>},
    {kernel<products<float, 3>>, kernel<products<double, 3>>},
    {kernel<backward_kernel<float, 3>>, kernel<backward_kernel<double, 3>>},
};

}  // namespace fastnn::FASTNN_ISA
