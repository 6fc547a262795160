"""Dropout."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply, current_trace


def dropout(x: TensorLike, random_state: TensorLike, *, rate: float, stream: int | None = None) -> Any:
    """Sets elements to zero with probability `rate` and scales the others by `1 / (1 - rate)`.

    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural networks from
    overfitting", JMLR 2014.

    Args:
        x: float array.
        random_state: int64 array `[seed, step]`; the same state drops the same elements.
        rate: at least 0 and below 1.
        stream: tells random ops of one state apart; default the ordinal of this op in its trace (0 outside one).

    Returns:
        x's shape.

    Example:
        >>> import fastnn, numpy as np
        >>> fastnn.ops.dropout(np.ones(3), np.array([1, 0]), rate=0.0)
        array([1., 1., 1.])
    """
    if stream is None:
        trace = current_trace()
        stream = trace.next_stream() if trace is not None else 0
    return apply("dropout", [x, random_state], rate=rate, stream=stream)


@vjp("dropout")
def _dropout(node: Node, dy: Tensor) -> Cotangents:
    # y = x * mask / (1 - rate): the same mask again, drawn anew instead of stored.
    return apply("dropout", [dy, node.inputs[1]], **node.attributes), None
