"""Selecting rows."""

from __future__ import annotations

from typing import Any

from fastnn.tracing import TensorLike, apply


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
