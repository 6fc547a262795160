"""New rows in a cache of keys or values."""

from __future__ import annotations

from ._types import Array

__all__ = ["cache_append"]


def cache_append(cache: Array, rows: Array, position: Array) -> Array:
    """Return the cache with y[b, position[b] + t] = rows[b, t]."""
    y = cache.copy()
    for b, place in enumerate(position):
        y[b, place : place + rows.shape[1]] = rows[b]
    return y
