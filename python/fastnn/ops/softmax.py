"""Softmax."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def softmax(x: TensorLike) -> Any:
    """`y[..., i] = exp(x[..., i]) / sum over j of exp(x[..., j])`, over the last axis.

    The largest element of each row is subtracted first, so that nothing overflows.

    Args:
        x: float array of shape `(..., classes)`.

    Returns:
        x's shape and dtype; each row sums to 1. A row that holds NaN or +inf, or only -inf, is all NaN.

    Raises:
        ValueError: a single number, which has no classes.

    Example:
        >>> ops.softmax(np.array([1000.0, 1000.0, -1000.0]))
        array([0.5, 0.5, 0. ])
    """
    return apply("softmax", [x])


@vjp("softmax")
def _softmax(node: Node, dy: Tensor) -> Cotangents:
    return (apply("softmax_backward", [dy, node.outputs[0]]),)
