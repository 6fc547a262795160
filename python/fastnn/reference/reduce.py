"""Sums, means and the place of a maximum; broadcasting and what undoes it."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["argmax", "broadcast_like", "mean", "sum", "sum_to_like"]


def sum(x: Array, *, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Return the sum over some axes, or over all of them."""
    return np.asarray(np.sum(x, axis=axes, keepdims=keepdims, dtype=x.dtype))


def mean(x: Array, *, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Return the mean over some axes, or over all of them."""
    count = np.prod([x.shape[axis] for axis in (range(x.ndim) if axes is None else axes)], dtype=np.int64)
    return np.asarray(sum(x, axes=axes, keepdims=keepdims) / x.dtype.type(count))


def sum_to_like(x: Array, like: Array) -> Array:
    """Return x summed over the axes along which `like` was stretched to the shape of x."""
    added = x.ndim - like.ndim
    stretched = [axis for axis, length in enumerate(like.shape) if length == 1 and x.shape[added + axis] != 1]
    y = np.sum(x, axis=tuple(range(added)), dtype=x.dtype)
    return np.asarray(np.sum(y, axis=tuple(stretched), keepdims=True, dtype=x.dtype))


def broadcast_like(x: Array, like: Array) -> Array:
    """Return x stretched to the shape of `like`."""
    return np.array(np.broadcast_to(x, like.shape))


def argmax(x: Array, *, axis: int = -1) -> Array:
    """Return where along an axis the largest value stands, as int64: the first of equal ones; NaN wins."""
    return np.asarray(np.argmax(np.real(x), axis=axis), np.int64)
