"""Matrix product."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["matmul"]


def matmul(a: Array, b: Array, *, transpose_a: bool = False, transpose_b: bool = False) -> Array:
    """Return c = a b over the last two axes, of transposed matrices on request; the leading axes broadcast."""
    a = np.swapaxes(a, -1, -2) if transpose_a else a
    b = np.swapaxes(b, -1, -2) if transpose_b else b
    return np.asarray(a @ b)
