"""Convolution of each channel with a window of its own, channels last."""

from __future__ import annotations

import numpy as np

from ._types import Array
from ._windows import padded, window_axis

__all__ = ["depthwise_conv2d"]


def depthwise_conv2d(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: str = "valid",
    dilation_rate: tuple[int, int] = (1, 1),
) -> Array:
    """Return y[b, i, j, c M + m] = bias[c M + m] + sum over p, q of x[b, i SH + p DH, j SW + q DW, c] w[p, q, c, m].

    Shapes are x (B, H, W, C), w (KH, KW, C, M), bias (C M,), y (B, OH, OW, C M). Taps outside the image contribute nothing.
    """
    rows = window_axis(x.shape[1], w.shape[0], strides[0], padding, dilation_rate[0])
    columns = window_axis(x.shape[2], w.shape[1], strides[1], padding, dilation_rate[1])
    image, inside = padded(x, rows, columns), padded(np.ones((1, *x.shape[1:3], 1), bool), rows, columns)
    y = np.zeros((x.shape[0], rows.outputs, columns.outputs, *w.shape[2:]), np.result_type(x, w))
    for p in range(w.shape[0]):
        for q in range(w.shape[1]):
            place = slice(None), rows.at(p), columns.at(q)
            y += np.where(inside[place][..., None], image[place][..., None] * w[p, q], 0)
    flat = y.reshape(*y.shape[:3], w.shape[2] * w.shape[3])
    return flat if bias is None else flat + bias
