// Scaled dot-product attention: each query's mean of the values, weighted by how well their keys fit it.
//
//     x[t, s] = scale sum over d of query[t, d] key[s, d] + bias[t, s],   -infinity where query t does not see key s
//     p[t, s] = exp(x[t, s] - lse[t]),   lse[t] = log(sum over s of exp(x[t, s]))
//     y[t, e] = sum over s of p[t, s] m[t, s] value[s, e]
//
// of every sample and head. m is 1, or with a rate of dropout 0 where u[t, s] < rate and 1 / (1 - rate) elsewhere.
//
// Query t sees key s if the mask says so (true), s < lengths[b], and, if causal, s <= t + positions[b], the place of the first
// query among the keys: S - T where that is left out, so that the last query sees all. With positions the keys may be a cache
// that has more rows than are filled: T new queries behind `position` filled ones see position + T of them.
//
// Shapes     query (B, T, NH, HS), key (B, S, KV, HS), value (B, S, KV, VS), y (B, T, NH, VS), lse (B, NH, T). NH is a multiple
//            of KV: head h reads the keys and values h / (NH / KV). mask (bool) and bias stretch to (B, NH, T, S) by NumPy's
//            rules. lengths and positions (B,), random_state (2,).
// Backward   dp = (dy value^T) m, dx = p (dp - sum over s of p dp); dvalue = (p m)^T dy, dquery = scale dx key, dkey = scale
//            dx^T query. y and lse are saved, the weights are computed again; the sum is that of dy y over a row. The gradient
//            of a bias is the op attention_backward_bias, dx itself, (B, NH, T, S), which Python sums to the shape of bias.
// Writes     every element of every result.
// Aliasing   none.
// Scratch    blocks of 64 queries by 64 keys, copies of up to 4 x 64 rows; but for masks and dbias nothing is as large as T
//            times S. Backward, of few samples and heads: up to 8 parts of dquery as workspace.
// Requires   float or double; lengths and positions int32 or int64; random_state int64 where rate > 0; HS, VS, NH, KV >= 1.
// Edges      A query that sees no key has y = 0 and lse = 0. So has a bias of -infinity throughout, which hides like the mask.
//            A length outside 0..S, or a position outside 0..S-T, is reported with its sample. NaN in a query reaches its row,
//            NaN in a key or value all rows that see it. Of a hidden key it reaches none, if it lies behind lengths or behind
//            what the last query sees; else 0 NaN may stand in the sum. What is dropped may be NaN where p is.
// Tasks      forward: up to 4 blocks of 64 queries of a head, which read a block of keys together; the last first, because with
//            a causal mask they see most. dbias: blocks of 64. Backward: a head of the keys, with all queries that read it, in
//            order; where there are fewer than 8 of them, several tasks share its keys, and a second step adds their parts of
//            dquery in order.
// Numerics   sums over s in order of blocks of 64, each a chain of fused multiply-adds; the running maximum is subtracted, as in
//            softmax. |error of y| about (HS max|scale q k| + S + 8) eps max|value|. A query's bits depend on nothing but what it
//            sees: not on other queries, and not on what stands behind the keys.
// Cost       2 T S (HS + VS) flop forward and 2 T S (3 HS + 2 VS) back for every sample and head, half of it where a causal T = S.
// Source     Vaswani et al., "Attention is all you need", 2017; Milakov and Gimelshein, "Online normalizer calculation for
//            softmax", 2018; Dao, Fu, Ermon, Rudra, Re, "FlashAttention", 2022; Ainslie et al., "GQA", 2023.
// Peers      Keras's and JAX's dot_product_attention have this layout and these masks. A query that sees nothing is NaN in
//            PyTorch's math version, and the mean of all values in Keras. PyTorch's is_causal is s <= t even if S > T.
#pragma once

#include "ops/op.h"

namespace fastnn {

constexpr int64_t kAttentionBlock = 64;     // queries, and keys
constexpr int64_t kAttentionGroup = 4;      // blocks of queries, at most, that pass a block of keys while it is in the cache
constexpr int64_t kAttentionChunk = 16384;  // elements of dquery whose parts a task adds

// Steps of a mask in elements along (sample, head, query, key); 0 where it is stretched.
struct AttentionSteps {
  int64_t sample, head, query, key;
};

struct AttentionShape {
  int64_t B, T, S, NH, KV, HS, VS;
  AttentionSteps mask, bias;
  bool causal;
  bool wide_lengths, wide_positions;  // int64
  double scale;
  double rate, kept;   // kept: 1 / (1 - rate)
  uint32_t threshold;  // kept where the upper 24 bits of the random word reach it
  uint64_t stream;
  int64_t blocks;  // of queries
  int64_t group;   // of them that go through the keys together
  int64_t splits;  // backward: tasks that share the keys of a head
};

struct AttentionKernels {  // [0] for float, [1] for double
  // y, lse, query, key, value, mask or null, bias or null, lengths or null, positions or null, random_state or null
  KernelFn forward[2];
  // dquery or parts of it, dkey, dvalue, dy, query, key, value, y, lse, and the masks and so on of forward
  KernelFn backward[2];
  KernelFn add_parts[2];      // dquery, parts
  KernelFn backward_bias[2];  // dbias, dy and the rest of backward
};
FASTNN_PER_ISA(AttentionKernels, attention_kernels)

}  // namespace fastnn
