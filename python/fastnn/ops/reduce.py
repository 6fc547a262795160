"""Reductions over axes, and their counterparts that broadcast."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.elementwise import cast, clip, equal, exp, log, square, stop_gradient, where
from fastnn.tracing import Tensor, TensorLike, apply


def _reduce(op: str, x: TensorLike, axes: int | Sequence[int] | None, keepdims: bool) -> Any:
    axes = (axes,) if isinstance(axes, (int, np.integer)) else axes
    listed = axes is None or isinstance(axes, (tuple, list))
    if not listed or builtins.any(not isinstance(axis, (int, np.integer)) for axis in axes or ()):
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


def max(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """The largest number over `axes`; NaN if there is one. Equal ones share the gradient evenly.

    Args:
        x: number array.
        axes: as for `sum`.
        keepdims: as for `sum`.

    Returns:
        x's dtype; its shape without `axes`.

    Raises:
        ValueError, TypeError: as `sum`, and for an axis of length 0.

    Example:
        >>> ops.max(np.array([[1.0, 5.0], [3.0, 4.0]]), axes=1)
        array([5., 4.])
    """
    return _reduce("max", x, axes, keepdims)


def min(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """The smallest number over `axes`; NaN if there is one. Equal ones share the gradient evenly.

    Args:
        x: number array.
        axes: as for `sum`.
        keepdims: as for `sum`.

    Returns:
        x's dtype; its shape without `axes`.

    Raises:
        ValueError, TypeError: as `sum`, and for an axis of length 0.

    Example:
        >>> ops.min(np.array([[1.0, 5.0], [3.0, 4.0]]), axes=1)
        array([1., 3.])
    """
    return _reduce("min", x, axes, keepdims)


@vjp("max")
@vjp("min")
def _extremum_over_axes(node: Node, dy: Tensor) -> Cotangents:
    (x,) = node.inputs
    assert x is not None
    # The share of every one of n equal extrema is 1 / n.
    here = cast(equal(x, apply("sum_backward", [node.outputs[0], x], **node.attributes)), x.dtype)
    share = dy / apply("sum", [here], **node.attributes)
    return (here * apply("sum_backward", [share, x], **node.attributes),)


def prod(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """The product over `axes`.

    Args:
        x: number array.
        axes: as for `sum`.
        keepdims: as for `sum`.

    Returns:
        x's dtype; its shape without `axes`. A product of nothing is 1.

    Raises:
        ValueError, TypeError: as `sum`.

    Example:
        >>> ops.prod(np.array([[1.0, 2.0], [3.0, 4.0]]), axes=0)
        array([3., 8.])
    """
    return _reduce("prod", x, axes, keepdims)


@vjp("prod")
def _prod(node: Node, dy: Tensor) -> Cotangents:
    (x,) = node.inputs
    assert x is not None

    def back(y: Any) -> Any:
        return apply("sum_backward", [y, x], **node.attributes)

    # The product of the others: y / x where no factor is 0; if one is, it alone has a gradient, the product of the rest.
    zero = equal(x, 0.0)
    others = where(zero, 1.0, x)
    zeros = back(apply("sum", [cast(zero, x.dtype)], **node.attributes))
    product = back(apply("prod", [others], **node.attributes))
    rest = where(equal(zeros, cast(zero, x.dtype)), product, 0.0) / others
    return (back(dy) * rest,)


def any(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """Whether anything over `axes` holds; of nothing False. It has no derivative.

    Args:
        x: bool array.
        axes: as for `sum`.
        keepdims: as for `sum`.

    Returns:
        bool; x's shape without `axes`.

    Raises:
        ValueError, TypeError: as `sum`, and for anything but bool.

    Example:
        >>> ops.any(np.array([[True, False], [False, False]]), axes=1)
        array([ True, False])
    """
    return _reduce("any", x, axes, keepdims)


def all(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """Whether everything over `axes` holds; of nothing True. It has no derivative.

    Args:
        x: bool array.
        axes: as for `sum`.
        keepdims: as for `sum`.

    Returns:
        bool; x's shape without `axes`.

    Raises:
        ValueError, TypeError: as `sum`, and for anything but bool.

    Example:
        >>> ops.all(np.array([[True, False], [True, True]]), axes=1)
        array([False,  True])
    """
    return _reduce("all", x, axes, keepdims)


def variance(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """The mean square of the distances from the mean, over `axes`: divided by how many numbers there are, not one less.

    Args:
        x: float array.
        axes: as for `sum`.
        keepdims: as for `sum`.

    Returns:
        x's dtype; its shape without `axes`. The variance of nothing is NaN.

    Raises:
        ValueError, TypeError: as `mean`.

    Example:
        >>> ops.variance(np.array([[1.0, 3.0], [2.0, 2.0]]), axes=1)
        array([1., 0.])
    """
    # In two passes: the mean of squares less the square of the mean cancels.
    return mean(square(x - mean(x, axes, keepdims=True)), axes, keepdims=keepdims)


def finite_max(x: Any, axes: Any) -> Any:
    """The largest number over axes, which are kept, by which exponents are shifted so that nothing overflows.

    It is a constant, because its gradients would cancel, and finite, so that infinities stay what they are.
    """
    largest = max(x, axes, keepdims=True)
    limit = float(np.finfo(largest.dtype).max)
    return stop_gradient(clip(largest, -limit, limit))


def log_sum_exp(x: TensorLike, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Any:
    """`log(sum of e^x)` over `axes`, without overflow. Its gradient is the softmax over these axes.

    Args:
        x: float array.
        axes: as for `sum`.
        keepdims: as for `sum`.

    Returns:
        x's dtype; its shape without `axes`. Of -inf alone it is -inf.

    Raises:
        ValueError, TypeError: as `mean`, and for an axis of length 0.

    Example:
        >>> ops.log_sum_exp(np.array([1000.0, 1000.0])).round(4)
        np.float64(1000.6931)
    """
    shift = finite_max(x, axes)
    total = log(sum(exp(x - shift), axes, keepdims=True)) + shift
    return total if keepdims else sum(total, axes)


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


def argmin(x: TensorLike, axis: int = -1) -> Any:
    """The index of the smallest value along `axis`: the first of equal ones; NaN comes before everything.

    Args:
        x: number array.
        axis: one axis, negative ones counted from the last.

    Returns:
        int64, x's shape without `axis`. It has no derivative.

    Raises:
        ValueError: an axis that x does not have, or of length 0.
        TypeError: axis is no integer; x's dtype.

    Example:
        >>> ops.argmin(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.6]]))
        array([0, 0])
    """
    return apply("argmin", [x], axis=axis)
