// One training update of all parameters: a single pass over parameters, gradients and the optimizer's state.
//
//     sgd_update    without momentum   p' = p - lr g
//                   with momentum      v' = momentum v - lr g;  p' = p + v'
//                   nesterov           v' = momentum v - lr g;  p' = p + momentum v' - lr g
//     adam_update   m' = m + (g - m)(1 - beta_1);  v' = v + (g^2 - v)(1 - beta_2)
//                   p' = p - alpha m' / (sqrt(v') + epsilon)
//                   alpha = lr sqrt(1 - beta_2^step) / (1 - beta_1^step)
//
// Shapes     n parameters p of any shapes, then their n gradients g, of the same shapes. learning_rate lr (); step () int64,
//            the number of this update, 1 for the first. The state m, v, velocity is flat: (total,), all parameters' elements
//            in order. sgd_update has a velocity exactly when momentum is not 0.
// Backward   none.
// Writes     every element of every result once.
// Aliasing   each result may be its own operand, and is, when the update runs in commit on the variables. No gradient may share
//            memory with a result.
// Scratch    none.
// Requires   float or double, one dtype for everything but step; step >= 1 (0 divides by zero).
// Edges      A parameter without elements takes no space in the state. A NaN in a gradient makes its elements NaN.
// Tasks      chunks of 8192 elements of all parameters laid end to end, whatever their number and sizes: a model's many small
//            biases cost no task of their own, and its one large kernel is shared out.
// Numerics   elementwise; alpha is worked out in double.
// Cost       sgd 2 flop (with momentum 4, nesterov 5) and 3 elements (with momentum 5) moved per element; adam 12 and 7.
// Source     Kingma and Ba, "Adam", 2015, in Keras's form (epsilon beside the uncorrected root, "epsilon hat" in the paper);
//            Sutskever et al., "On the importance of initialization and momentum", 2013, in Keras's form, where lr is inside
//            the velocity. PyTorch multiplies lr in afterwards and adds epsilon to the corrected root.
#pragma once

#include "ops/op.h"

namespace fastnn {

struct UpdateShape {
  int64_t parameters;                          // n
  const int64_t* offsets;                      // n + 1: where each parameter begins in the state; the last is the total
  std::shared_ptr<const int64_t[]> owner;      // of offsets: kernels are compiled without std containers
  double momentum = 0;                         // sgd
  double beta_1 = 0, beta_2 = 0, epsilon = 0;  // adam
};
constexpr int64_t kUpdateChunk = 8192;

struct OptimizerKernels {  // [0] for float, [1] for double; buffers in the order of the op's table
  KernelFn sgd[2];
  KernelFn sgd_momentum[2];
  KernelFn sgd_nesterov[2];
  KernelFn adam[2];
};
FASTNN_PER_ISA(OptimizerKernels, optimizer_kernels)

}  // namespace fastnn
