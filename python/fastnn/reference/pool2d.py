"""Pooling of images, channels last."""

from __future__ import annotations

import numpy as np

from ._types import Array, is_nan
from ._windows import padded, window_axis

__all__ = ["average_pool2d", "max_pool2d"]


def max_pool2d(
    x: Array,
    *,
    pool_size: tuple[int, int] = (2, 2),
    strides: tuple[int, int] = (2, 2),
    padding: str = "valid",
) -> tuple[Array, Array]:
    """Return the largest value of every window, and its place in the window, p KW + q, as uint8.

    The first of equal values wins, and NaN wins over everything. Padding never does: it counts as absent.
    """
    rows = window_axis(x.shape[1], pool_size[0], strides[0], padding)
    columns = window_axis(x.shape[2], pool_size[1], strides[1], padding)
    image = padded(x, rows, columns)
    inside = padded(np.ones(x.shape, bool), rows, columns)
    y = np.zeros((x.shape[0], rows.outputs, columns.outputs, x.shape[3]), x.dtype)
    winner = np.zeros(y.shape, np.uint8)
    found = np.zeros(y.shape, bool)
    for p in range(pool_size[0]):
        for q in range(pool_size[1]):
            candidate = image[:, rows.at(p), columns.at(q)]
            better = (np.real(candidate) > np.real(y)) | (is_nan(candidate) & ~is_nan(y))
            takes = inside[:, rows.at(p), columns.at(q)] & (~found | better)
            y = np.where(takes, candidate, y)
            winner = np.where(takes, np.uint8(p * pool_size[1] + q), winner)
            found |= takes
    return y, winner


def average_pool2d(
    x: Array,
    *,
    pool_size: tuple[int, int] = (2, 2),
    strides: tuple[int, int] = (2, 2),
    padding: str = "valid",
) -> Array:
    """Return the mean of every window. Padding does not count: at the border a window has fewer values."""
    rows = window_axis(x.shape[1], pool_size[0], strides[0], padding)
    columns = window_axis(x.shape[2], pool_size[1], strides[1], padding)
    image = padded(x, rows, columns)
    inside = padded(np.ones((1, *x.shape[1:3], 1), bool), rows, columns)
    total = np.zeros((x.shape[0], rows.outputs, columns.outputs, x.shape[3]), x.dtype)
    count = np.zeros((1, rows.outputs, columns.outputs, 1), x.dtype)
    for p in range(pool_size[0]):
        for q in range(pool_size[1]):
            total += image[:, rows.at(p), columns.at(q)]
            count += inside[:, rows.at(p), columns.at(q)]
    return np.asarray(total / count)
