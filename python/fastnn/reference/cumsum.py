"""Cumulative sums."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["cumsum"]


def cumsum(x: Array, *, axis: int = -1, exclusive: bool = False, reverse: bool = False) -> Array:
    """Return the sum of x up to every place along an axis, without the place itself or from the other end on request."""
    x = np.flip(x, axis) if reverse else x
    y = np.cumsum(x, axis=axis, dtype=x.dtype)
    if exclusive:
        y = np.roll(y, 1, axis=axis)
        if y.shape[axis]:
            np.moveaxis(y, axis, 0)[0] = 0
    return np.ascontiguousarray(np.flip(y, axis) if reverse else y)
