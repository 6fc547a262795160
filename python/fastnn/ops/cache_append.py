"""New rows in a cache of keys or values."""

from __future__ import annotations

from typing import Any

from fastnn.tracing import TensorLike, apply


def cache_append(cache: TensorLike, rows: TensorLike, position: TensorLike) -> Any:
    """`y = cache`, but `y[b, position[b] + t] = rows[b, t]`: new keys or values behind those of earlier tokens.

    Assigned to the Variable that it was made of, `cache.assign(ops.cache_append(cache, keys, position))`, it is a cache that a
    program fills. `attention` with `positions=position` reads the rows that are filled and no others.

    Args:
        cache: array of any dtype, shape `(batch, context, ...)`.
        rows: `(batch, time, ...)`, no more than the context.
        position: int32 or int64 `(batch,)`, the place of the first new row of each sample.

    Returns:
        The cache's shape and dtype, a copy. It has no derivative.

    Raises:
        ValueError: shapes that do not fit; rows that would stand outside the cache, the sample is named.
        TypeError: rows of another dtype than the cache, positions that are no integers.

    Example:
        >>> ops.cache_append(np.zeros((2, 3)), np.array([[1.0], [2.0]]), np.array([0, 2]))
        array([[1., 0., 0.],
               [0., 0., 2.]])
    """
    return apply("cache_append", [cache, rows, position])
