"""Dropout."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply, current_trace


def dropout(x: TensorLike, random_state: TensorLike, *, rate: float, stream: int | None = None) -> Any:
    """`y = x m / (1 - rate)`, where each element of the mask `m` is 0 with probability `rate` and 1 otherwise.

    The same `random_state`, stream, shape and dtype give the same mask, on every machine and for any number of threads. The
    gradient uses it again.

    Args:
        x: float array of any shape.
        random_state: int64 `(2,)`, `[seed, step]`.
        rate: at least 0 and below 1.
        stream: tells random ops of one state apart; default the ordinal of this op in its trace (0 outside one).

    Returns:
        x's shape and dtype.

    Raises:
        ValueError: a rate outside 0 <= rate < 1.
        TypeError: x is no float array, or the state not int64.

    Source:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural networks from
        overfitting", JMLR 2014. Masks come from Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Example:
        >>> ops.dropout(np.ones(6), np.array([1, 0]), rate=0.5)
        array([2., 2., 0., 2., 2., 2.])
    """
    if stream is None:
        trace = current_trace()
        stream = trace.next_stream() if trace is not None else 0
    return apply("dropout", [x, random_state], rate=rate, stream=stream)


@vjp("dropout")
def _dropout(node: Node, dy: Tensor) -> Cotangents:
    # y = x * mask / (1 - rate): the same mask again, drawn anew instead of stored.
    return apply("dropout", [dy, node.inputs[1]], **node.attributes), None
