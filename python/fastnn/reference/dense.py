"""Fully connected layer."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["dense"]


def dense(x: Array, w: Array, bias: Array | None = None, other: Array | None = None, *, epilogue: str = "") -> Array:
    """Return y[..., u] = bias[u] + sum over c of x[..., c] w[c, u], for x (..., C), w (C, U), bias (U,).

    Then the epilogue: relu, or add, which adds `other` (..., U).
    """
    y = np.asarray(x @ w)
    if bias is not None:
        y = y + bias
    if epilogue == "relu":
        return np.where(np.real(y) > 0, y, 0)
    return y if other is None else y + other
