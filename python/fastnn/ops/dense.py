"""Fully connected layer."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def dense(
    x: TensorLike, w: TensorLike, bias: TensorLike | None = None, other: TensorLike | None = None, *, epilogue: str = ""
) -> Any:
    """`y = x w + bias`, over the last axis of `x`, and perhaps a function of it while it is in a cache.

    A program that is planned finds epilogues by itself: `ops.relu(ops.dense(x, w))` computes the same bits in the same time.

    Args:
        x: float array of shape `(..., features)`.
        w: shape `(features, units)`. PyTorch's Linear keeps the transpose.
        bias: shape `(units,)`, or None.
        other: shape `(..., units)` where `epilogue` is "add", else None.
        epilogue: "relu", "add", which adds `other`, or "" for none.

    Returns:
        Shape `(..., units)`, x's dtype. The bits of a row do not depend on how many rows there are.

    Raises:
        ValueError: the shapes do not fit, an unknown epilogue, or `other` without one that takes it.
        TypeError: the dtypes differ.

    Example:
        >>> ops.dense(np.ones((1, 2)), np.ones((2, 3)), np.zeros(3))
        array([[2., 2., 2.]])
    """
    return apply("dense", [x, w, bias, other], epilogue=epilogue)


@vjp("dense")
def _dense(node: Node, dy: Tensor) -> Cotangents:
    x, w, bias, other = [*node.inputs, None, None][:4]
    epilogue = node.attributes.get("epilogue", "")
    if epilogue == "relu":
        dy = apply("relu_backward", [dy, node.outputs[0]])
    # y = x w + bias
    dx = apply("dense_backward_input", [dy, w])
    dw = apply("dense_backward_kernel", [x, dy])
    dbias = None if bias is None else apply("sum", [dy], axes=tuple(range(dy.ndim - 1)))
    return dx, dw, dbias, None if other is None else dy


@vjp("dense_backward_input")
def _dense_backward_input(node: Node, ddx: Tensor) -> Cotangents:
    if epilogue := node.attributes.get("epilogue", ""):
        raise ValueError(
            f"op 'dense_backward_input' has no derivative with epilogue={epilogue!r}; use the op {epilogue!r} itself"
        )
    dy, w = node.inputs[:2]
    # dx = dy w^T
    return apply("dense", [ddx, w]), apply("dense_backward_kernel", [ddx, dy])


@vjp("dense_backward_kernel")
def _dense_backward_kernel(node: Node, ddw: Tensor) -> Cotangents:
    x, dy = node.inputs
    # dw = x^T dy
    return apply("dense_backward_input", [dy, ddw]), apply("dense", [x, ddw])
