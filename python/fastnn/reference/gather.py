"""Rows by index."""

from __future__ import annotations

from ._types import Array
from .elementwise import cast

__all__ = ["gather_rows"]


def gather_rows(x: Array, indices: Array, *, dtype: str = "") -> Array:
    """Return y[b] = x[indices[b]], in another dtype if one is named."""
    y = x[indices]
    return cast(y, dtype=dtype) if dtype else y
