"""Cumulative sums."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def cumsum(x: TensorLike, axis: int = -1, *, exclusive: bool = False, reverse: bool = False) -> Any:
    """`y[i] = x[0] + ... + x[i]` along `axis`.

    Args:
        x: number array of at least 1 axis.
        axis: one axis, negative ones counted from the last. NumPy and Keras flatten by default, TensorFlow takes the first.
        exclusive: leave `x[i]` itself out, so that `y[0]` is 0.
        reverse: sum from the other end, `y[i] = x[n - 1] + ... + x[i]`.

    Returns:
        x's shape and dtype. The additions are made one after the other, so the bits depend on nothing but x.

    Raises:
        ValueError: an axis that x does not have.
        TypeError: x's dtype.

    Example:
        >>> ops.cumsum(np.array([1.0, 2.0, 3.0]))
        array([1., 3., 6.])
        >>> ops.cumsum(np.array([1.0, 2.0, 3.0]), exclusive=True, reverse=True)
        array([5., 3., 0.])
    """
    return apply("cumsum", [x], axis=axis, exclusive=exclusive, reverse=reverse)


@vjp("cumsum")
def _cumsum(node: Node, dy: Tensor) -> Cotangents:
    # y[i] is a sum over j <= i, so dx[j] is one over i >= j.
    return (apply("cumsum", [dy], **{**node.attributes, "reverse": not node.attributes["reverse"]}),)
