"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.elementwise import exp, log
from fastnn.ops.reduce import finite_max, sum
from fastnn.tracing import Tensor, TensorLike, apply


def _is_last(op: str, x: Any, axis: int) -> bool:
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"{op}: axis={axis!r}; expected an integer; pass for example axis=-1")
    rank = len(x.shape) if hasattr(x, "shape") else 0
    if rank and not -rank <= axis < rank:
        raise ValueError(f"{op}: axis={axis} for {rank} axes; expected {-rank} to {rank - 1}; choose another axis")
    return axis in (-1, rank - 1)


def softmax(x: TensorLike, axis: int = -1) -> Any:
    """`y[i] = exp(x[i]) / sum over j of exp(x[j])` along an axis.

    The largest element of each row is subtracted first, so that nothing overflows.

    Args:
        x: float array of shape `(..., classes)`.
        axis: the last one has a kernel; others take several passes.

    Returns:
        x's shape and dtype; each row sums to 1. A row that holds NaN or +inf, or only -inf, is all NaN.

    Raises:
        ValueError: a single number, which has no classes; an axis that x does not have.
        TypeError: axis is no integer; x's dtype.

    Example:
        >>> ops.softmax(np.array([1000.0, 1000.0, -1000.0]))
        array([0.5, 0.5, 0. ])
    """
    if _is_last("softmax", x, axis):
        return apply("softmax", [x])
    e = exp(x - finite_max(x, axis))
    return e / sum(e, axis, keepdims=True)


@vjp("softmax")
def _softmax(node: Node, dy: Tensor) -> Cotangents:
    return (apply("softmax_backward", [dy, node.outputs[0]]),)


def log_softmax(x: TensorLike, axis: int = -1) -> Any:
    """`y[i] = x[i] - log(sum over j of exp(x[j]))` along an axis: the logarithm of softmax, which never is that of 0.

    Args:
        x: float array of shape `(..., classes)`.
        axis: as for `softmax`.

    Returns:
        x's shape and dtype. A row that holds NaN or +inf, or only -inf, is all NaN.

    Raises:
        ValueError, TypeError: as `softmax`.

    Example:
        >>> ops.log_softmax(np.array([0.0, 0.0, -1000.0])).round(2)
        array([-6.90000e-01, -6.90000e-01, -1.00069e+03])
    """
    if _is_last("log_softmax", x, axis):
        return apply("log_softmax", [x])
    shifted = x - finite_max(x, axis)
    return shifted - log(sum(exp(shifted), axis, keepdims=True))


@vjp("log_softmax")
def _log_softmax(node: Node, dy: Tensor) -> Cotangents:
    return (apply("log_softmax_backward", [dy, node.outputs[0]]),)
