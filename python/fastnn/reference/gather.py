"""Elements by number."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .elementwise import cast

__all__ = ["gather_rows", "one_hot", "take"]


def gather_rows(x: Array, indices: Array, *, dtype: str = "") -> Array:
    """Return y[b] = x[indices[b]], in another dtype if one is named."""
    y = x[indices]
    return cast(y, dtype=dtype) if dtype else y


def take(x: Array, indices: Array, *, axis: int) -> Array:
    """Return the elements of x with these numbers along an axis; the shape of `indices` replaces the axis."""
    return np.asarray(np.take(x, indices, axis))


def one_hot(x: Array, *, num_classes: int, axis: int = -1, dtype: str = "float32") -> Array:
    """Return 1 where the number along a new axis is that in x, else 0."""
    y = np.expand_dims(x, axis)
    classes = np.arange(num_classes).reshape([-1 if i == axis % y.ndim else 1 for i in range(y.ndim)])
    return np.asarray(y == classes).astype(dtype)
