"""Softmax."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def softmax(x: TensorLike) -> Any:
    """`y[..., i] = exp(x[..., i]) / sum over j of exp(x[..., j])`, over the last axis.

    Args:
        x: float array of shape `(..., classes)`.

    Returns:
        x's shape; each row sums to 1. A row that holds NaN or +inf is all NaN.

    Example:
        >>> import fastnn, numpy as np
        >>> fastnn.ops.softmax(np.zeros(4))
        array([0.25, 0.25, 0.25, 0.25])
    """
    return apply("softmax", [x])


@vjp("softmax")
def _softmax(node: Node, dy: Tensor) -> Cotangents:
    return (apply("softmax_backward", [dy, node.outputs[0]]),)
