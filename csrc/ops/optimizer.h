// One training update of all parameters: a single pass over parameters, gradients and the optimizer's state.
//
//     sgd_update      without momentum   p' = p - lr g
//                     with momentum      v' = momentum v - lr g;  p' = p + v'
//                     nesterov           v' = momentum v - lr g;  p' = p + momentum v' - lr g
//     adam_update     m' = m + (g - m)(1 - beta_1);  v' = v + (g^2 - v)(1 - beta_2)
//                     p' = p - alpha m' / (sqrt(v') + epsilon)
//                     alpha = lr sqrt(1 - beta_2^step) / (1 - beta_1^step)
//                     amsgrad            v_max' = max(v_max, v') stands for v' in p'
//     rmsprop_update  v' = v + (g^2 - v)(1 - rho);  d = lr g / sqrt(v' + epsilon);  p' = p - d
//                     centered           m' = m + (g - m)(1 - rho);  d = lr g / sqrt(v' - m'^2 + epsilon)
//                     with momentum      velocity' = momentum velocity + d;  p' = p - velocity'
//     adagrad_update  a' = a + g^2;  p' = p - lr g / sqrt(a' + epsilon)
//     lion_update     p' = p - lr sign(m beta_1 + g (1 - beta_1));  m' = m + (g - m)(1 - beta_2)
//
// With a weight_decay for parameter k, p (1 - lr weight_decay[k]) stands for p in all of them.
//
// Shapes     n parameters p of any shapes, then their n gradients g, of the same shapes. Of a parameter (C, U) that `products`
//            names the gradient is left out: it is x^T dy of a pair x (..., C), dy (..., U), and the pairs follow the gradients in
//            the order of `products`. learning_rate lr (); step () int64,
//            the number of this update, 1 for the first. The state m, v, velocity, ... is flat: (total,), all parameters' elements
//            in order. An optional part of the state is there exactly when its option is on. weight_decay is empty or has n
//            numbers.
// Backward   none.
// Writes     every element of every result once.
// Aliasing   each result may be its own operand, and is, when the update runs in commit on the variables. No gradient may share
//            memory with a result.
// Scratch    for a product: both operands packed in a workspace, and a tile's height of rows of the gradient or two tiles.
// Requires   float or double, one dtype for everything but step; step >= 1 (0 divides by zero).
// Edges      A parameter without elements takes no space in the state. A NaN in a gradient makes its elements NaN. The sign of 0
//            is 0. A centered v' - m'^2 that rounding takes below 0 counts as 0.
// Tasks      chunks of 4096 elements of all parameters laid end to end, whatever their number and sizes: a model's many small
//            biases cost no task of their own, and its one large kernel is shared out. A product has steps of its own: pack,
//            then for each few rows of the parameter multiply and, while the gradient is in the cache, update: adam, where there are
//            registers for it, each tile beside the products of the next, because roots and quotients have a unit of their own.
// Numerics   elementwise; alpha is worked out in double. A product has the bits of dense_backward_kernel; of up to 128 rows the zeros of
//            x are left out of it as in matmul.
// Cost       sgd 2 flop (with momentum 4, nesterov 5) and 3 elements (with momentum 5) moved per element; adam 12 and 7 (amsgrad
//            13 and 9); rmsprop 8 and 5, two more elements for each option; adagrad 6 and 5; lion 7 and 5.
// Source     Kingma and Ba, "Adam", 2015, in Keras's form (epsilon beside the uncorrected root, "epsilon hat" in the paper);
//            Sutskever et al., "On the importance of initialization and momentum", 2013, in Keras's form, where lr is inside
//            the velocity. PyTorch multiplies lr in afterwards and adds epsilon to the corrected root. Reddi, Kale, Kumar, "On the
//            convergence of Adam and beyond", 2018 (amsgrad); Loshchilov and Hutter, "Decoupled weight decay regularization",
//            2019; Tieleman and Hinton, "RMSprop", Coursera lecture 6.5, 2012; Graves, "Generating sequences with recurrent
//            neural networks", 2013 (centered); Duchi, Hazan, Singer, "Adaptive subgradient methods", 2011; Chen et al.,
//            "Symbolic discovery of optimization algorithms", 2023 (lion). Epsilons and their places are Keras's.
#pragma once

#include "ops/matmul.h"

namespace fastnn {

struct UpdateShape {
  int64_t parameters;                      // n
  const int64_t* places;                   // n: where each parameter begins in the state
  const int64_t* offsets;                  // n + 1: where each begins in what `flat` shares out; a product has no element there
  const double* decay;                     // n, or null
  std::shared_ptr<const int64_t[]> owner;  // of places and offsets: kernels are compiled without std containers
  std::shared_ptr<const double[]> decay_owner;
  double momentum = 0;                                  // sgd, rmsprop
  double rho = 0, beta_1 = 0, beta_2 = 0, epsilon = 0;  // rmsprop; adam and lion
};
constexpr int64_t kUpdateChunk = 4096;

struct ProductUpdateShape {
  UpdateShape update;
  PackedGemmShape product;  // tile_block: tiles of rows per task
  int64_t parameter;        // whose gradient it is
  int64_t workspace;        // among the buffers
};

// [0] for float, [1] for double; buffers in the order of the op's table.
struct UpdateKernels {
  int tile_rows;         // of a product, at most
  bool beside_products;  // a tile is updated beside the next one's products
  KernelFn flat[2];
  KernelFn product[2];
};
struct OptimizerKernels {
  UpdateKernels sgd, sgd_momentum, sgd_nesterov;
  UpdateKernels adam, adam_amsgrad;
  UpdateKernels rmsprop[2][2];  // [centered][momentum]
  UpdateKernels adagrad, lion;
};
FASTNN_PER_ISA(OptimizerKernels, optimizer_kernels)

// Whether the gradient x^T dy of a parameter (C, U), summed over `rows`, is better made where it is used up: the products below
// 128 rows take no longer than moving what they write and read again, and their packed operands stay in a second-level cache.
bool pays_to_update_with_product(int64_t rows, int64_t C, int64_t U);

}  // namespace fastnn
