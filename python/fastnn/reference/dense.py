"""Fully connected layer."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["dense"]


def dense(x: Array, w: Array, bias: Array | None = None) -> Array:
    """Return y[..., u] = bias[u] + sum over c of x[..., c] w[c, u], for x (..., C), w (C, U), bias (U,)."""
    y = np.asarray(x @ w)
    return y if bias is None else y + bias
