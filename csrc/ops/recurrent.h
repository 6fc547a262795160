// Recurrent networks over whole sequences: simple_rnn, lstm, gru.
//
//     simple_rnn   h' = activation(a)                     a = x K + h R + bias
//     lstm         c' = f c + i g,  h' = o tanh(c')       (i, f, o) = sigmoid(a_i, a_f, a_o),  g = tanh(a_c)
//     gru          h' = z h + (1 - z) n                   (z, r) = sigmoid(a_z, a_r)
//                  reset_after:  n = tanh(x K_h + bias_h + r (h R_h + bias'_h));  else  n = tanh(x K_h + bias_h + (r h) R_h)
//
// where x = x[:, t], h and c are the state before step t and h', c' that after it. `reverse` begins with the last t.
//
// Shapes     x (B, T, C); G gates of U units: kernel K (C, G U), recurrent_kernel R (U, G U), the gates side by side in Keras's
//            order, i f c o and z r h. bias (G U,), of gru with reset_after (2, 3 U), the second row belongs to R. h0, c0
//            (B, U), zeros where left out. mask (B, T) bool: a step whose mask is false leaves the state as it is, and y[t] is
//            y of the step before it (0 at the first). recurrent_mask (B, U) multiplies h wherever it meets R.
//            y (B, T, U), h and c (B, U), the state after the last step.
// Backward   derivatives (B, T, U), for lstm (B, T, 6, U), for gru (B, T, 5, U): what a gradient is multiplied with on its way
//            through the gates, named at the kernels; previous (B, T, U): what was multiplied with R; reset (B, T, U) of gru:
//            r h, what is multiplied with R_h without reset_after. <op>_backward makes dz (B, T, G U), the gradients of the
//            sums a, from the gradients of y, h and c, any of them left out; drecurrent of gru: of the sums with R, which
//            reset_after makes others. The rest are ordinary products over all steps: dK = x^T dz, dR = previous^T dz,
//            dx = dz K^T, dbias = sum of dz.
// Writes     every element of every result once; previous, derivatives, reset and y only where somebody reads them.
// Aliasing   none.
// Scratch    per row of a task: x, h twice, c and the gates of some units; in a workspace where tasks divide the units. Packed
//            weights in a workspace: of a model's weights they stay from run to run.
// Requires   float or double; a mask of bool. simple_rnn: activation tanh, relu or linear.
// Edges      T = 0 gives the initial state. A NaN stays in its row. The mask stops what flows back as what flows forward.
// Tasks      "rows": groups of rows of the batch, each through all steps without waiting for another: at least 16 rows, which
//            is what streaming the weights once per step is worth, but two tasks for as few as two rows. "units": blocks of
//            units, for all rows, a step in each round, with a barrier between rounds: the weights of a block stay in a core's
//            cache. It is for up to 16 rows and more weights than such a cache holds; not for gru without reset_after.
// Numerics   a is one chain of fused multiply-adds over x, then h: |error| <= (C + U) eps sum of |products|. A row's bits do
//            not depend on B, nor on what tasks divide.
// Cost       2 B T (C + U) G U flop, back 2 B T U G U and the products above.
// Source     Hochreiter and Schmidhuber, "Long short-term memory", 1997, with the forget gate of Gers et al., 2000; Cho et al.,
//            "Learning phrase representations using RNN encoder-decoder", 2014 (reset_after: version 3 of the preprint).
// Peers      Keras and TensorFlow have these layouts; PyTorch has i f g o with transposed kernels and two biases, r z n, and
//            only reset_after. Keras returns a reversed sequence in the order of its computation, we in that of x.
#pragma once

#include "ops/op.h"

namespace fastnn {

enum class RecurrentActivation : uint8_t { tanh, relu, linear };

struct RecurrentShape {
  int64_t B, T, C, U, gates;
  int64_t tasks, rounds;    // of a round; rounds are one before the first step, one a step, and backward one behind the last
  int64_t rows, block;      // of a task: rows of the largest, units
  int64_t units;            // U in whole vectors
  int64_t a_row, gate_row;  // elements between rows of [x h], and of the gradients of the gates
  bool by_units;            // do tasks divide the units, one round each, or the rows, all rounds each?
  bool reverse, reset_after;
  RecurrentActivation activation;
};

// [0] for float, [1] for double. Buffers: the op's outputs, its inputs, the packed weights, what rounds share; of a pack_...
// the packed weights, kernel and recurrent_kernel, of pack_backward the packed weights and recurrent_kernel.
struct RecurrentKernels {
  KernelFn simple_rnn[2], lstm[2], gru[2];
  KernelFn simple_rnn_backward[2], lstm_backward[2], gru_backward[2];
  KernelFn pack_simple_rnn[2], pack_lstm[2], pack_gru[2];
  KernelFn pack_backward[2];
  int64_t lanes[2];
};
FASTNN_PER_ISA(RecurrentKernels, recurrent_kernels)

}  // namespace fastnn
