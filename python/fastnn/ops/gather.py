"""Elements by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.reshape import reshape
from fastnn.tracing import Tensor, TensorLike, apply


def gather_rows(x: TensorLike, indices: TensorLike, *, dtype: str = "") -> Any:
    """`y[i] = x[indices[i]]`, converted to `dtype` on the way.

    Args:
        x: array of any dtype, shape `(rows, ...)`.
        indices: int64 of shape `(n,)`, each at least 0 and below `rows`.
        dtype: name of the result's dtype, converted as `cast` does; default x's own.

    Returns:
        Shape `(n, ...)`. It has no derivative.

    Raises:
        ValueError: an index outside the rows; its position is named.
        TypeError: indices that are not int64.

    Example:
        >>> ops.gather_rows(np.array([10, 20, 30]), np.array([2, 0]), dtype="float32")
        array([30., 10.], dtype=float32)
    """
    return apply("gather_rows", [x, indices], dtype=dtype)


def _numbers(indices: Any) -> Any:
    """Python's ints and lists of them as arrays, which would otherwise take the dtype of what they meet."""
    return np.asarray(indices) if isinstance(indices, (int, list, tuple)) else indices


def take(x: TensorLike, indices: Any, axis: int | None = None) -> Any:
    """`y[..., i, ...] = x[..., indices[i], ...]`: elements by number along an axis, such as a table's rows.

    Args:
        x: array of any dtype.
        indices: int32 or int64 array of any shape, each at least 0 and below the axis's length: negative ones do not count from
            the end, as they do in NumPy.
        axis: negative ones counted from the last; None, the default, takes from the flattened x.

    Returns:
        x's dtype; x's shape with the shape of `indices` in the place of the axis. The gradient adds up in the order of the
        indices, so that its bits do not depend on the number of threads.

    Raises:
        ValueError: an index outside the axis, its position is named; an axis that x does not have.
        TypeError: indices of another dtype.

    Example:
        >>> table = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
        >>> ops.take(table, np.array([2, 0]), axis=0)
        array([[4., 5.],
               [0., 1.]])
    """
    if axis is None:
        x, axis = reshape(x, -1), 0
    return apply("take", [x, _numbers(indices)], axis=axis)


@vjp("take")
def _take(node: Node, dy: Tensor) -> Cotangents:
    x, indices = node.inputs
    return apply("take_backward", [dy, indices, x], **node.attributes), None


@vjp("take_backward")
def _take_backward(node: Node, ddx: Tensor) -> Cotangents:
    return apply("take", [ddx, node.inputs[1]], **node.attributes), None, None


def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: str = "float32") -> Any:
    """`y[..., c] = 1` where `x[...] = c`, else 0.

    Args:
        x: int32 or int64 array of any shape, each number at least 0 and below `num_classes`.
        num_classes: length of the new axis.
        axis: where it stands in the result, negative ones counted from its last.
        dtype: name of the result's dtype.

    Returns:
        x's shape with an axis of `num_classes`. It has no derivative.

    Raises:
        ValueError: a number out of range, its position is named (Keras writes zeros); a place that the result does not have.
        TypeError: x or `dtype` of a dtype that is none of these.

    Example:
        >>> ops.one_hot(np.array([2, 0]), 3)
        array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32)
    """
    return apply("one_hot", [_numbers(x)], num_classes=num_classes, axis=axis, dtype=dtype)
