"""A guard against NaN and infinities."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["check_finite"]


def check_finite(x: Array) -> Array:
    """Return x, which must be finite everywhere."""
    if not np.all(np.isfinite(x)):
        raise ValueError("check_finite: x has values that are NaN or infinite; expected finite ones; see what made them")
    return x
