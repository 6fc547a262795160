"""Reductions over axes, and their counterparts that broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def _reduce(op: str, x: TensorLike, axes: int | Sequence[int] | None, keepdims: bool) -> Any:
    return apply(op, [x], axes=(axes,) if isinstance(axes, int) else axes, keepdims=keepdims)


def sum(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """The sum over `axes`.

    Args:
        x: array.
        axes: axes to sum over, negative ones counted from the last; default all, and `()` is none, as in NumPy.
        keepdims: keep them with length 1.

    Example:
        >>> import fastnn, numpy as np
        >>> fastnn.ops.sum(np.ones((2, 3)), axes=0)
        array([2., 2., 2.])
    """
    return _reduce("sum", x, axes, keepdims)


def mean(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """The mean over `axes`; arguments as for `sum`. The mean of nothing is NaN."""
    return _reduce("mean", x, axes, keepdims)


@vjp("sum")
@vjp("mean")
def _reduction(node: Node, dy: Tensor) -> Cotangents:
    return (apply(f"{node.op}_backward", [dy, node.inputs[0]], **node.attributes),)


@vjp("sum_backward")
@vjp("mean_backward")
def _broadcast_back(node: Node, ddx: Tensor) -> Cotangents:
    return apply(node.op.removesuffix("_backward"), [ddx], **node.attributes), None


def sum_to_like(x: TensorLike, like: TensorLike) -> Any:
    """`x` summed over the axes that broadcasting stretched, so that it has the shape of `like`."""
    return apply("sum_to_like", [x, like])


def broadcast_like(x: TensorLike, like: TensorLike) -> Any:
    """`x` repeated to the shape of `like`."""
    return apply("broadcast_like", [x, like])


@vjp("sum_to_like")
def _sum_to_like(node: Node, dy: Tensor) -> Cotangents:
    return apply("broadcast_like", [dy, node.inputs[0]]), None


@vjp("broadcast_like")
def _broadcast_like(node: Node, dy: Tensor) -> Cotangents:
    return apply("sum_to_like", [dy, node.inputs[0]]), None


def argmax(x: TensorLike, axis: int = -1) -> Any:
    """The index of the largest value along `axis`, as int64: the first of equal ones; NaN is the largest."""
    return apply("argmax", [x], axis=axis)
