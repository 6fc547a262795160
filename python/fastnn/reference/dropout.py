"""Dropout, and random numbers."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .random import uniform

__all__ = ["dropout", "random_uniform"]


def dropout(x: Array, random_state: Array, *, rate: float = 0.5, stream: int = 0) -> Array:
    """Return x / (1 - rate) where a random number in [0, 1) reaches `rate`, else 0.

    random_state is [seed, step]; with `stream` and the element's row-major position it decides, and nothing else does.
    """
    seed, step = (int(number) & 0xFFFFFFFFFFFFFFFF for number in random_state)
    keep = uniform(seed, stream, step, x.size).reshape(x.shape) >= rate
    return np.where(keep, x * (1 / (1 - rate)), np.zeros_like(x))


def random_uniform(x: Array, random_state: Array, *, stream: int = 0) -> Array:
    """Return random numbers in [0, 1) in the shape of x, of which nothing else is read."""
    seed, step = (int(number) & 0xFFFFFFFFFFFFFFFF for number in random_state)
    return uniform(seed, stream, step, x.size).reshape(x.shape).astype(x.dtype)
