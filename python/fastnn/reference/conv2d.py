"""Convolution of images, channels last."""

from __future__ import annotations

import numpy as np

from ._types import Array
from ._windows import padded, window_axis

__all__ = ["conv2d"]


def conv2d(
    x: Array, w: Array, bias: Array | None = None, *, strides: tuple[int, int] = (1, 1), padding: str = "valid"
) -> Array:
    """Return y[b, i, j, f] = bias[f] + sum over p, q, c of x[b, i SH + p, j SW + q, c] w[p, q, c, f].

    Shapes are x (B, H, W, C), w (KH, KW, C, F), bias (F,), y (B, OH, OW, F). Taps outside the image contribute nothing.
    (Deep learning's convolution does not flip its kernel: elsewhere this is called a cross-correlation.)
    """
    rows = window_axis(x.shape[1], w.shape[0], strides[0], padding)
    columns = window_axis(x.shape[2], w.shape[1], strides[1], padding)
    image, inside = padded(x, rows, columns), padded(np.ones((1, *x.shape[1:3], 1), bool), rows, columns)
    y = np.zeros((x.shape[0], rows.outputs, columns.outputs, w.shape[3]), np.result_type(x, w))
    for p in range(w.shape[0]):
        for q in range(w.shape[1]):
            place = slice(None), rows.at(p), columns.at(q)
            y += np.where(inside[place], image[place] @ w[p, q], 0)
    return y if bias is None else y + bias
