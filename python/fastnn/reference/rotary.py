"""Rotary position embedding."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["rotary"]


def rotary(
    x: Array, positions: Array | None = None, *, base: float = 10000.0, interleaved: bool = False, reverse: bool = False
) -> Array:
    """Return pairs of the last axis of x (B, T, NH, HS) turned by place * base^(-2 i / HS); places begin at `positions`."""
    B, T, _, HS = x.shape
    first = np.zeros(B) if positions is None else positions
    places = (first[:, None] + np.arange(T)).astype(np.float64)
    angles = places[:, :, None, None] * base ** (-2 * np.arange(HS // 2) / max(HS, 1)) * (-1 if reverse else 1)
    c, s = (f(angles).astype(np.real(x).dtype) for f in (np.cos, np.sin))
    y = np.empty_like(x)
    one, two = (np.s_[..., ::2], np.s_[..., 1::2]) if interleaved else (np.s_[..., : HS // 2], np.s_[..., HS // 2 :])
    y[one] = x[one] * c - x[two] * s
    y[two] = x[two] * c + x[one] * s
    return y
