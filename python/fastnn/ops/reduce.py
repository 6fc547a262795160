"""Reductions over axes, and their counterparts that broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def _reduce(op: str, x: TensorLike, axes: int | Sequence[int] | None, keepdims: bool) -> Any:
    axes = (axes,) if isinstance(axes, (int, np.integer)) else axes
    if axes is not None and not (isinstance(axes, (tuple, list)) and all(isinstance(axis, (int, np.integer)) for axis in axes)):
        raise TypeError(f"{op}: axes={axes!r}; expected an int, a tuple of ints or None for all; pass for example axes=0")
    return apply(op, [x], axes=None if axes is None else tuple(int(axis) for axis in axes), keepdims=keepdims)


def sum(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """The sum over `axes`.

    Args:
        x: number array.
        axes: an axis or several, negative ones counted from the last; None, the default, is all and `()` none, as in NumPy.
        keepdims: keep the summed axes with length 1.

    Returns:
        x's dtype; its shape without `axes`. A sum of nothing is 0. The order of additions depends on shapes and the
        instruction set alone.

    Raises:
        ValueError: an axis that x does not have, or one twice.
        TypeError: axes that are no integers; x's dtype.

    Source:
        Sums are made in chunks: Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput. 1993.

    Example:
        >>> ops.sum(np.ones((2, 3)), axes=0)
        array([2., 2., 2.])
        >>> ops.sum(np.ones((2, 3)), axes=-1, keepdims=True).shape
        (2, 1)
    """
    return _reduce("sum", x, axes, keepdims)


def mean(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """The mean over `axes`.

    Args:
        x: float array.
        axes: as for `sum`.
        keepdims: as for `sum`.

    Returns:
        x's dtype; its shape without `axes`. The mean of nothing is NaN.

    Raises:
        ValueError, TypeError: as `sum`, and for integers.

    Example:
        >>> ops.mean(np.array([[1.0, 2.0], [3.0, 4.0]]), axes=0)
        array([2., 3.])
    """
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
    """`x` summed over the axes along which broadcasting stretched `like`: the transpose of `broadcast_like`.

    Args:
        x: number array.
        like: of a shape that broadcasts to x's; only its shape is read.

    Returns:
        like's shape, x's dtype.

    Raises:
        ValueError: like's shape does not broadcast to x's.

    Example:
        >>> ops.sum_to_like(np.ones((2, 3)), np.zeros((1, 3)))
        array([[2., 2., 2.]])
    """
    return apply("sum_to_like", [x, like])


def broadcast_like(x: TensorLike, like: TensorLike) -> Any:
    """`x` repeated to the shape of `like`.

    Args:
        x: number array, of a shape that broadcasts to like's.
        like: array; only its shape is read.

    Returns:
        like's shape, x's dtype.

    Raises:
        ValueError: x's shape does not broadcast to like's.

    Example:
        >>> ops.broadcast_like(np.array([1.0, 2.0]), np.zeros((2, 2)))
        array([[1., 2.],
               [1., 2.]])
    """
    return apply("broadcast_like", [x, like])


@vjp("sum_to_like")
def _sum_to_like(node: Node, dy: Tensor) -> Cotangents:
    return apply("broadcast_like", [dy, node.inputs[0]]), None


@vjp("broadcast_like")
def _broadcast_like(node: Node, dy: Tensor) -> Cotangents:
    return apply("sum_to_like", [dy, node.inputs[0]]), None


def argmax(x: TensorLike, axis: int = -1) -> Any:
    """The index of the largest value along `axis`: the first of equal ones; NaN is the largest.

    Args:
        x: number array.
        axis: one axis, negative ones counted from the last.

    Returns:
        int64, x's shape without `axis`. It has no derivative.

    Raises:
        ValueError: an axis that x does not have, or of length 0.
        TypeError: axis is no integer; x's dtype.

    Example:
        >>> ops.argmax(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]))
        array([1, 0])
    """
    return apply("argmax", [x], axis=axis)
