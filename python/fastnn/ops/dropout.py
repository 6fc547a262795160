"""Dropout, and random numbers."""

from __future__ import annotations

import math
from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.elementwise import cos, log, sqrt
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
    return apply("dropout", [x, random_state], rate=rate, stream=_own_stream(stream))


def random_uniform(x: TensorLike, random_state: TensorLike, *, stream: int | None = None) -> Any:
    """Random numbers of at least 0 and below 1, multiples of 2^-24, as many as `x` has elements.

    The same `random_state`, stream and shape give the same numbers, on every machine and for any number of threads. They
    have no gradient.

    Args:
        x: float array; only its shape is read.
        random_state: int64 `(2,)`, `[seed, step]`.
        stream: as for `dropout`.

    Returns:
        x's shape and dtype.

    Raises:
        TypeError: x is no float array, or the state not int64.

    Source:
        Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Example:
        >>> ops.random_uniform(np.zeros(3), np.array([1, 0])).round(4)
        array([0.5992, 0.8851, 0.4264])
    """
    return apply("random_uniform", [x, random_state], stream=_own_stream(stream))


def random_normal(x: TensorLike, random_state: TensorLike, *, stream: int | None = None) -> Any:
    """Random numbers of a normal distribution with mean 0 and deviation 1, as many as `x` has elements.

    `y = sqrt(-2 log(1 - u)) cos(2 pi v)` with two `random_uniform` numbers each; none is beyond 5.8.

    Args:
        x: float array; only its shape is read.
        random_state: int64 `(2,)`, `[seed, step]`.
        stream: the numbers are made of those of this stream and the next; default two of this op's own in its trace.

    Returns:
        x's shape and dtype.

    Raises:
        TypeError: x is no float array, or the state not int64.

    Source:
        Box and Muller, "A note on the generation of random normal deviates", 1958.

    Example:
        >>> ops.random_normal(np.zeros(3), np.array([1, 0])).round(4)
        array([-1.1662,  1.9757,  0.3525])
    """
    first = _own_stream(stream)
    second = first + 1 if stream is not None or current_trace() is None else _own_stream(None)
    u, v = (random_uniform(x, random_state, stream=one) for one in (first, second))
    return sqrt(log(1.0 - u) * -2.0) * cos(v * (2 * math.pi))


def _own_stream(stream: int | None) -> int:
    if stream is not None:
        return stream
    trace = current_trace()
    return trace.next_stream() if trace is not None else 0


@vjp("random_uniform")
def _random_uniform(node: Node, dy: Tensor) -> Cotangents:
    return None, None


@vjp("dropout")
def _dropout(node: Node, dy: Tensor) -> Cotangents:
    # y = x * mask / (1 - rate): the same mask again, drawn anew instead of stored.
    return apply("dropout", [dy, node.inputs[1]], **node.attributes), None
