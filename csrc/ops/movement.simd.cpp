#include "ops/movement.h"
#include "simd/copy.h"
#include "simd/transpose.h"

namespace fastnn::FASTNN_ISA {

namespace {

// The compiler vectorises steps that it sees: reversed rows, every second pixel, and the channels of coloured images.
template <int64_t to_step, int64_t from_step, typename T>
FASTNN_INLINE void move_steps(T* to, const T* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
}

template <typename T>
FASTNN_INLINE void move_strided(T* __restrict__ to, const T* __restrict__ from, int64_t to_step, int64_t from_step, int64_t n) {
  if (to_step == 1 && from_step == -1) {
    move_steps<1, -1>(to, from, n);
  } else if (to_step == 1 && from_step == 2) {
    move_steps<1, 2>(to, from, n);
  } else if (to_step == 1 && from_step == 3) {
    move_steps<1, 3>(to, from, n);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
  }
}

template <typename T>
FASTNN_INLINE void fill_strided(T* to, T value, int64_t to_step, int64_t n) {
  if (to_step == 1) {
    for (int64_t i = 0; i < n; ++i) to[i] = value;
  } else {
    for (int64_t i = 0; i < n; ++i) to[i * to_step] = value;
  }
}

// to[j * to_row + i] = from[i * from_row + j] for i < n, j < rows.
template <typename T>
FASTNN_INLINE void move_transposed(T* to, int64_t to_row, const T* from, int64_t from_row, int64_t n, int64_t rows) {
  if constexpr (sizeof(T) > 1) {
    transpose(to, to_row, from, from_row, n, rows);
  } else {
    for (int64_t i0 = 0; i0 < n; i0 += 16) {
      const int64_t i1 = i0 + 16 < n ? i0 + 16 : n;
      for (int64_t j = 0; j < rows; ++j) {
        for (int64_t i = i0; i < i1; ++i) to[j * to_row + i] = from[i * from_row + j];
      }
    }
  }
}

// `n` elements of `rows` rows, from where `to` and `from` point.
template <typename T>
FASTNN_INLINE void move_block(T* to, const T* from, T constant, const Box& box, int64_t rows, int64_t n) {
  if (n < 4 && rows > n && !box.constant && box.walk != Walk::transposed) {  // columns, where rows would be no loop
    for (int64_t i = 0; i < n; ++i) {
      move_strided(to + i * box.to_step, from + i * box.from_step, box.to_row, box.from_row, rows);
    }
    return;
  }
  switch (box.walk) {
    case Walk::runs: {
      const int64_t bytes = n * static_cast<int64_t>(sizeof(T));
      for (int64_t r = 0; r < rows; ++r) {
        copy_bytes(reinterpret_cast<char*>(to + r * box.to_row), reinterpret_cast<const char*>(from + r * box.from_row), bytes);
      }
      break;
    }
    case Walk::fill:
      for (int64_t r = 0; r < rows; ++r) {
        fill_strided(to + r * box.to_row, box.constant ? constant : from[r * box.from_row], box.to_step, n);
      }
      break;
    case Walk::strided:
      for (int64_t r = 0; r < rows; ++r) {
        move_strided(to + r * box.to_row, from + r * box.from_row, box.to_step, box.from_step, n);
      }
      break;
    case Walk::transposed:
      move_transposed(to, box.to_row, from, box.from_step, n, rows);
      break;
  }
}

// Elements are moved as floats where they have the size of one: loads and stores keep every bit.
template <typename T>
void move(Buffers buffers, const MovementShape& shape, int64_t task) {
  int64_t low = 0, high = shape.count;  // the last box that begins at or before the task
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (shape.boxes[middle].first_task <= task ? low : high) = middle;
  }
  const Box& box = shape.boxes[low];
  task -= box.first_task;
  const int64_t start = task % box.pieces * box.piece;
  const int64_t n = box.length - start < box.piece ? box.length - start : box.piece;
  task /= box.pieces;
  const int64_t row = task % box.row_pieces * box.row_piece;
  const int64_t rows = box.rows - row < box.row_piece ? box.rows - row : box.row_piece;
  int64_t block = task / box.row_pieces * box.blocks_per_task;
  const int64_t end = box.blocks - block < box.blocks_per_task ? box.blocks : block + box.blocks_per_task;
  T constant;
  __builtin_memcpy(&constant, &shape.constant, sizeof(T));  // its lowest bytes

  T* to = static_cast<T*>(buffers.at[box.to]) + box.to_first + row * box.to_row + start * box.to_step;
  const T* from =
      box.constant ? nullptr
                   : static_cast<const T*>(buffers.at[box.from]) + box.from_first + row * box.from_row + start * box.from_step;
  // The place of the first block by division, of the others by counting: a block may be two short runs.
  int64_t at[kMaxAxes];
  int64_t index = block;
  for (int axis = box.axes - 1; axis >= 0; --axis) {
    at[axis] = index % box.extent[axis];
    index /= box.extent[axis];
    to += at[axis] * box.to_stride[axis];
    from += at[axis] * box.from_stride[axis];
  }
  for (;;) {
    move_block(to, from, constant, box, rows, n);
    if (++block == end) return;
    for (int axis = box.axes - 1; axis >= 0; --axis) {
      to += box.to_stride[axis];
      from += box.from_stride[axis];
      if (++at[axis] < box.extent[axis]) break;
      at[axis] = 0;
      to -= box.extent[axis] * box.to_stride[axis];
      from -= box.extent[axis] * box.from_stride[axis];
    }
  }
}

}  // namespace

const MovementKernels movement_kernels = {{kernel<move<uint8_t>>, kernel<move<float>>, kernel<move<double>>}};

}  // namespace fastnn::FASTNN_ISA
