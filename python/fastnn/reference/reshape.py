"""The same numbers under another shape."""

from __future__ import annotations

import math

from ._types import Array

__all__ = ["reshape"]


def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    """Return x in another shape, row-major; one length may be -1: what is left over.

    Axes at the front that are the same in both shapes count as used, so that an empty batch has a remainder too.
    """
    same = 0
    while same < min(x.ndim, len(shape)) and x.shape[same] == shape[same]:
        same += 1
    known = math.prod(n for n in shape[same:] if n != -1)
    rest = math.prod(x.shape[same:]) // max(known, 1)
    return x.reshape([rest if n == -1 else n for n in shape])
