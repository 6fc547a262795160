"""Scaled dot-product attention."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.dropout import _own_stream
from fastnn.tracing import Tensor, TensorLike, apply


def attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    mask: TensorLike | None = None,
    bias: TensorLike | None = None,
    lengths: TensorLike | None = None,
    positions: TensorLike | None = None,
    random_state: TensorLike | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    rate: float = 0.0,
    stream: int | None = None,
) -> Any:
    """`y = softmax(scale query key^T + bias) value`, of every sample and head.

    The weights are never in memory as a whole: it grows with the number of queries and of keys, not with their product.

    A causal query sees the keys up to its own place: the last query sees all keys, or, with `positions`, query `t` sees
    `positions + t + 1` of them. So keys and values may be a cache with room for more: write the rows of the new tokens at
    `positions`, and pass the whole cache.

    Args:
        query: float array of shape `(batch, queries, heads, size)`.
        key: `(batch, keys, key_heads, size)`; as many heads as queries have, or a number that divides theirs, when each is read
            by several in a row (grouped queries).
        value: `(batch, keys, key_heads, value_size)`.
        mask: bool, true where a query sees a key, of a shape that stretches to `(batch, heads, queries, keys)`.
        bias: numbers added to the scores, likewise; -infinity hides a key. Its gradient has the shape of all scores before it
            is summed to that of `bias`.
        lengths: int32 or int64 `(batch,)`: how many keys of each sample are there.
        positions: likewise: the place of the first query among the keys; default, the last query stands at the last key.
        random_state: int64 `(2,)`, `[seed, step]`, for dropout.
        causal: whether a query sees only keys up to its place.
        scale: default `1 / sqrt(size)`.
        rate: the part of the weights that is dropped; the others are multiplied by `1 / (1 - rate)`.
        stream: as for `dropout`.

    Returns:
        Shape `(batch, queries, heads, value_size)`. A query that sees no key gives zeros.

    Raises:
        ValueError: shapes that do not fit, heads that are no multiple, a rate outside 0 <= rate < 1 or above 0 without a state,
            positions without `causal`; lengths or positions outside the keys, the sample is named.
        TypeError: the dtypes differ, a mask that is not bool, numbers that are no integers.

    Source:
        Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv:1706.03762; Dao, Fu, Ermon, Rudra, Re,
        "FlashAttention", NeurIPS 2022, arXiv:2205.14135; Ainslie et al., "GQA", EMNLP 2023, arXiv:2305.13245.

    Example:
        >>> x = np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1)
        >>> ops.attention(x * 0.0, x, x, causal=True).ravel().round(3)
        array([1.   , 1.5  , 2.333])
    """
    attributes = {"causal": causal, "scale": 0.0 if scale is None else float(scale), "rate": float(rate)}
    operands = [query, key, value, mask, bias, lengths, positions, random_state]
    attributes["stream"] = 0 if random_state is None and stream is None else _own_stream(stream)
    return apply("attention", operands, outputs=2, **attributes)[0]


@vjp("attention")
def _attention(node: Node, dy: Tensor | None, dlse: Tensor | None) -> Cotangents:
    if dlse is not None or dy is None:
        raise ValueError("attention: a gradient of the saved sums; expected one of the result only; use ops.log_sum_exp")
    query, key, value, *options = [*node.inputs, *[None] * 8][:8]
    operands = [dy, query, key, value, *node.outputs, *options]
    gradients = apply("attention_backward", operands, outputs=3, **node.attributes)
    bias = options[1]
    if bias is None:
        return gradients
    dscores = apply("attention_backward_bias", operands, **node.attributes)
    return [*gradients, None, apply("sum_to_like", [dscores, bias])]
