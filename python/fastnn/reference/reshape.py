"""The same numbers under another shape."""

from __future__ import annotations

from ._types import Array

__all__ = ["reshape"]


def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    """Return x in another shape, row-major; one length may be -1, which is computed."""
    return x.reshape(shape)
