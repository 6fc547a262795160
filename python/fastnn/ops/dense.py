"""Fully connected layer."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def dense(x: TensorLike, w: TensorLike, bias: TensorLike | None = None) -> Any:
    """`y = x w + bias`, over the last axis of `x`.

    Args:
        x: float array of shape `(..., features)`.
        w: shape `(features, units)`. PyTorch's Linear keeps the transpose.
        bias: shape `(units,)`, or None.

    Returns:
        Shape `(..., units)`, x's dtype. The bits of a row do not depend on how many rows there are.

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.

    Example:
        >>> ops.dense(np.ones((1, 2)), np.ones((2, 3)), np.zeros(3))
        array([[2., 2., 2.]])
    """
    return apply("dense", [x, w, bias])


@vjp("dense")
def _dense(node: Node, dy: Tensor) -> Cotangents:
    x, w, bias = [*node.inputs, None][:3]
    # y = x w + bias
    dx = apply("dense_backward_input", [dy, w])
    dw = apply("dense_backward_kernel", [x, dy])
    dbias = None if bias is None else apply("sum", [dy], axes=tuple(range(dy.ndim - 1)))
    return dx, dw, dbias


@vjp("dense_backward_input")
def _dense_backward_input(node: Node, ddx: Tensor) -> Cotangents:
    dy, w = node.inputs
    # dx = dy w^T
    return apply("dense", [ddx, w]), apply("dense_backward_kernel", [ddx, dy])


@vjp("dense_backward_kernel")
def _dense_backward_kernel(node: Node, ddw: Tensor) -> Cotangents:
    x, dy = node.inputs
    # dw = x^T dy
    return apply("dense_backward_input", [dy, ddw]), apply("dense", [x, ddw])
