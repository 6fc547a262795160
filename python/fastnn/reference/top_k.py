"""The largest numbers of every row."""

from __future__ import annotations

import numpy as np

from ._types import Array, is_nan

__all__ = ["top_k"]


def top_k(x: Array, *, k: int) -> tuple[Array, Array]:
    """Return the k largest numbers along the last axis and their places: NaN first, and of equal ones the first."""
    real = np.real(x)
    # Sorted by the last key first. Integers are turned around by ~, which cannot overflow.
    order = np.lexsort((~real if real.dtype.kind == "i" else -real, ~is_nan(x)), axis=-1)[..., :k].astype(np.int64)
    return np.take_along_axis(x, order, axis=-1), order
