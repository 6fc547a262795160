"""Convolution of images, channels last."""

from __future__ import annotations

import numpy as np

from ._types import Array
from ._windows import padded, window_axis

__all__ = ["conv2d"]


def conv2d(
    x: Array,
    w: Array,
    bias: Array | None = None,
    other: Array | None = None,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: str = "valid",
    dilation_rate: tuple[int, int] = (1, 1),
    groups: int = 1,
    epilogue: str = "",
) -> Array:
    """Return y[b, i, j, f] = bias[f] + sum over p, q, c of x[b, i SH + p DH, j SW + q DW, c] w[p, q, c, f].

    Shapes are x (B, H, W, C), w (KH, KW, C / groups, F), bias (F,), y (B, OH, OW, F). Taps outside the image contribute
    nothing. With groups the first F / groups filters read the first C / groups channels, and so on.
    Then the epilogue: relu, or add, which adds `other`, of y's shape.
    (Deep learning's convolution does not flip its kernel: elsewhere this is called a cross-correlation.)
    """
    rows = window_axis(x.shape[1], w.shape[0], strides[0], padding, dilation_rate[0])
    columns = window_axis(x.shape[2], w.shape[1], strides[1], padding, dilation_rate[1])
    image, inside = padded(x, rows, columns), padded(np.ones((1, *x.shape[1:3], 1), bool), rows, columns)
    channels, filters = w.shape[2], w.shape[3] // groups
    y = np.zeros((x.shape[0], rows.outputs, columns.outputs, w.shape[3]), np.result_type(x, w))
    for g in range(groups):
        of_group = slice(g * filters, (g + 1) * filters)
        for p in range(w.shape[0]):
            for q in range(w.shape[1]):
                place = slice(None), rows.at(p), columns.at(q)
                pixels = image[place][..., g * channels : (g + 1) * channels]
                y[..., of_group] += np.where(inside[place], pixels @ w[p, q, :, of_group], 0)
    if bias is not None:
        y = y + bias
    if epilogue == "relu":
        return np.where(np.real(y) > 0, y, 0)
    return y if other is None else y + other
