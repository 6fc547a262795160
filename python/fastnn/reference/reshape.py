"""The same numbers under another shape."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["reshape"]


def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    """Return x in another shape, row-major; one length may be -1: what is left over.

    Axes at the front that are the same in both shapes count as used, so that an empty batch has a remainder too.
    """
    same = 0
    while same < min(x.ndim, len(shape)) and x.shape[same] == shape[same]:
        same += 1
    known = np.prod([n for n in shape[same:] if n != -1], dtype=np.int64)
    rest = np.prod(x.shape[same:], dtype=np.int64) // max(known, 1)
    return x.reshape([int(rest) if n == -1 else n for n in shape])
