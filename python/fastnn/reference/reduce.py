"""Sums, means, extrema, their places, products; broadcasting and what undoes it."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["all", "any", "argmax", "argmin", "broadcast_like", "max", "mean", "min", "prod", "sum", "sum_to_like"]


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


def argmin(x: Array, *, axis: int = -1) -> Array:
    """Return where along an axis the smallest value stands, as int64: the first of equal ones; NaN wins."""
    return np.asarray(np.argmin(np.real(x), axis=axis), np.int64)


def max(x: Array, *, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Return the largest number over some axes, or over all of them; NaN if there is one."""
    return _select(x, np.max(np.real(x), axis=axes, keepdims=True), axes, keepdims)


def min(x: Array, *, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Return the smallest number over some axes, or over all of them; NaN if there is one."""
    return _select(x, np.min(np.real(x), axis=axes, keepdims=True), axes, keepdims)


def _select(x: Array, extreme: Array, axes: tuple[int, ...] | None, keepdims: bool) -> Array:
    """Return the extreme numbers, each with the mean of the imaginary parts of those that equal it."""
    shape = np.sum(np.real(x), axis=axes, keepdims=keepdims).shape
    if not np.iscomplexobj(x):
        return extreme.reshape(shape)
    here = np.real(x) == extreme
    slope = np.sum(np.imag(x), axis=axes, keepdims=True, where=here) / np.sum(here, axis=axes, keepdims=True)
    return np.asarray(extreme + 1j * slope).reshape(shape)


def prod(x: Array, *, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Return the product over some axes, or over all of them."""
    return np.asarray(np.prod(x, axis=axes, keepdims=keepdims, dtype=x.dtype))


def any(x: Array, *, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Return whether any of some axes, or of all of them, holds."""
    return np.asarray(np.any(x, axis=axes, keepdims=keepdims))


def all(x: Array, *, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Return whether all of some axes, or of all of them, hold."""
    return np.asarray(np.all(x, axis=axes, keepdims=keepdims))
