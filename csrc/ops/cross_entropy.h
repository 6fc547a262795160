// Cross-entropy per sample, over the last axis: of logits z or of probabilities p, against labels or target probabilities t.
//
//     sparse_softmax_cross_entropy   loss = log(sum over j of exp(z[j])) - z[label]
//     softmax_cross_entropy          loss = sum over j of t[j] (log(sum over k of exp(z[k])) - z[j])
//     sparse_cross_entropy           loss = -log(clip(p[label]))
//     cross_entropy                  loss = -sum over j of t[j] log(clip(q[j])),   q = p / sum p
//
// The ops on logits smooth labels: with s = label_smoothing the targets are t (1 - s) + s / N, t being 1 at the label and 0
// elsewhere for the sparse one.
//
// clip(x) keeps x within 1e-7 and 1 - 1e-7, as Keras does; a loss of logits needs no such limit.
//
// Shapes     logits, probabilities, targets (..., N); labels and loss (...). The leading axes are one row axis to the kernel.
// Backward   of logits, from the saved probabilities p = softmax(z):
//                sparse   dz[j] = dloss (p[j] - (1 - s) [j = label] - s / N)
//                dense    dz[j] = dloss (p[j] sum t - t[j]), t being smoothed
//            of probabilities, where the j that are clipped count as constants:
//                sparse   dp[label] = -dloss / p[label], or 0 if clipped; 0 elsewhere
//                dense    dp[j] = dloss / sum p (sum over unclipped k of t[k] - t[j] / q[j])
//                         without the term t[j] / q[j] where j is clipped
//            No gradient flows into targets.
// Writes     every element.
// Aliasing   the gradients of logits may take the memory of the probabilities.
// Scratch    none.
// Requires   float or double; labels int32, int64 or uint8; targets of the dtype of the logits.
// Edges      A label outside 0..N-1 is reported with its position; that row's loss is NaN and its gradient 0. Targets need not
//            sum to 1. A NaN in a row of logits makes its loss NaN, and so does +infinity. -infinity is a class that is ruled
//            out: with a label elsewhere it counts for nothing, but a target of 0 times its infinite loss is NaN, as in
//            PyTorch, and smoothing makes the sparse loss infinite. Rows of probabilities that sum to 0 are NaN in
//            cross_entropy.
// Tasks      blocks of rows of about 8192 elements, as softmax.
// Numerics   the maximum is subtracted first, so nothing overflows; |error| about 4 eps (1 + |z[label] - max z|). At p near 1
//            the loss has an absolute error of eps, not a relative one.
// Source     label smoothing: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture", 2016.
// Cost       softmax's and 2 to 4 flop per element; 2 or 3 elements moved per element.
// Peers      Keras's (sparse_)categorical_crossentropy with and without from_logits (Keras also divides the sparse one's
//            probabilities by their sum); PyTorch's cross_entropy on logits.
#pragma once

#include "ops/softmax.h"

namespace fastnn {

struct CrossEntropyShape {
  SoftmaxShape rows;
  DType labels = DType::int64;
  double smoothing = 0;
};

struct CrossEntropyKernels {                                 // [0] for float, [1] for double
  KernelFn sparse_softmax[2], softmax[2];                    // loss, probabilities, logits, labels or targets
  KernelFn sparse_softmax_backward[2], softmax_backward[2];  // dlogits, dloss, probabilities, labels or targets
  KernelFn sparse[2], dense[2];                              // loss, probabilities, labels or targets
  KernelFn sparse_backward[2], dense_backward[2];            // dprobabilities, dloss, probabilities, labels or targets
};
FASTNN_PER_ISA(CrossEntropyKernels, cross_entropy_kernels)

}  // namespace fastnn
