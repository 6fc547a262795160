// Normalisations: x minus a mean, over a standard deviation, times gamma, plus beta.
//
//     y = (x - mean) / sqrt(variance + epsilon) * gamma + beta
//
//     layer_norm             mean and variance of each row, the last axis
//     rms_norm               mean 0, and for the variance the mean of x^2, of each row; no beta
//     group_norm             of each sample and each of `groups` runs of channels, over all axes between and the run
//     batch_norm             of each channel, over all other axes
//     batch_norm_inference   given
//
// Shapes     x (..., C): batch_norm and group_norm (B, ..., C). gamma and beta (C,) or none. mean and variance: layer_norm and
//            rms_norm (...), group_norm (B, groups), batch_norm (C,). The variance divides by the number of elements.
// Backward   with n elements under one mean, xhat = (x - mean) / s, s = sqrt(variance + epsilon) and g = dy gamma:
//            dx = (g - sum g / n - xhat sum(g xhat) / n) / s, in rms_norm without the first sum; dgamma = sum of dy xhat and
//            dbeta = sum of dy over all axes but the last. One op for the three, because they share the pass over dy and x.
//            x, mean and variance are saved. What reaches mean and variance themselves is added by the rule in Python. Of rows,
//            `other` may be added to dx: the pass norm_gradient_sum has it done here.
// Writes     every element of every result.
// Aliasing   y may be x; dx may be dy, x or other.
// Scratch    two to four numbers per channel, in batch_norm and group_norm.
// Requires   float or double, epsilon > 0.
// Edges      NaN and infinities reach everything under the same mean. The mean of nothing is NaN. A constant row gives beta.
// Tasks      layer_norm, rms_norm: rows of 16384 elements together. The others: chunks of 16 to 512 rows of a sample, whose
//            sums stand in a workspace until a second step adds them in order.
// Numerics   two passes: the mean first, then the squares of the distances from it, so that nothing cancels, however far the
//            mean is from 0. Chunks have a mean of their own, and their squares are moved to the common one (Chan). Rows: four
//            vectors take turns, as in ops/reduce.h.
// Cost       8 flop an element, 12 back; x read twice (its second time from the cache) and y written once; dy and x read once
//            or twice, dx written once.
// Source     Ioffe and Szegedy, "Batch normalization", 2015; Ba, Kiros, Hinton, "Layer normalization", 2016; Wu and He, "Group
//            normalization", 2018; Zhang and Sennrich, "Root mean square layer normalization", 2019; Chan, Golub, LeVeque,
//            "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
// Peers      Keras, TensorFlow, JAX and PyTorch agree but for the default of epsilon; ours is Keras's.
#pragma once

#include "ops/op.h"

namespace fastnn {

// layer_norm and rms_norm.
struct RowNormShape {
  int64_t rows, N, rows_per_task;
  int64_t parts;  // backward: tasks, each of which leaves sums of its own in the workspace
  double epsilon;
};

// The others: x is (samples, rows, channels), mean and variance (samples, groups).
struct ColumnNormShape {
  int64_t samples, rows, channels, groups;
  int64_t chunk, chunks;             // rows of a sample under one sum
  int64_t rows_per_task, row_tasks;  // of a sample, in the last step
  int64_t parts;                     // samples * chunks
  double epsilon;
};

constexpr int64_t kNormColumns = 64;  // per task where parts are added

struct NormKernels {                // [0] for float, [1] for double
  KernelFn layer_norm[2];           // y, mean, variance, x, gamma or null, beta or null
  KernelFn rms_norm[2];             // y, variance, x, gamma or null
  KernelFn layer_norm_backward[2];  // dx, dgamma, dbeta, dy, x, gamma or null, mean, variance, other or null, parts
  KernelFn rms_norm_backward[2];    // dx, dgamma, dy, x, gamma or null, variance, other or null, parts
  KernelFn add_rows[2];             // dgamma, dbeta, parts
  KernelFn add_rms_rows[2];         // dgamma, parts
  KernelFn statistics[2];           // parts, x
  KernelFn join_channels[2];        // mean, variance, parts: of batch_norm
  KernelFn join_groups[2];          // the same of group_norm
  KernelFn normalize[2];            // y, x, gamma or null, beta or null, mean, variance
  KernelFn sums[2];                 // parts, dy, x, mean, variance
  KernelFn add_columns[2];          // dgamma, dbeta, parts
  KernelFn add_groups[2];           // sums, gamma or null, parts
  KernelFn batch_backward[2];       // dx, dgamma, dbeta, dy, x, gamma or null, mean, variance
  KernelFn group_backward[2];       // dx, sums, dy, x, gamma or null, mean, variance
};
FASTNN_PER_ISA(NormKernels, norm_kernels)

}  // namespace fastnn
