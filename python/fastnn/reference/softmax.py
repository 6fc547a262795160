"""Softmax and its logarithm."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["log_softmax", "softmax"]


def softmax(x: Array) -> Array:
    """Return y = e^x / sum of e^x over the last axis, shifted by the row's maximum so that nothing overflows."""
    e = np.exp(x - np.max(np.real(x), axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(e / np.sum(e, axis=-1, keepdims=True))


def log_softmax(x: Array) -> Array:
    """Return y = x - ln of the sum of e^x over the last axis, shifted by the row's maximum so that nothing overflows."""
    shifted = x - np.max(np.real(x), axis=-1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True)))
