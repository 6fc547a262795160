"""Reductions over axes, and their counterparts that broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def _reduce(op: str, x: TensorLike, axes: int | Sequence[int] | None, keepdims: bool) -> Any:
    if axes is None:
        return apply(op, [x], keepdims=keepdims)  # the op's own default: all
    axes = (axes,) if isinstance(axes, (int, np.integer)) else axes
    if not isinstance(axes, (tuple, list)) or not all(isinstance(axis, (int, np.integer)) for axis in axes):
        raise TypeError(f"{op}: axes={axes!r}; expected an int, a tuple of ints or None for all; pass for example axes=0")
    if not axes:
        # Reduce nothing, as NumPy does. To the op itself no axes mean all, so it gets an axis of length 1.
        return apply(op, [apply("reshape", [x], shape=(1, *getattr(x, "shape", ())))], axes=(0,))
    return apply(op, [x], axes=tuple(int(axis) for axis in axes), keepdims=keepdims)


def sum(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """The sum over `axes`.

    Args:
        x: array.
        axes: axes to sum over, negative ones counted from the last; default all.
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
