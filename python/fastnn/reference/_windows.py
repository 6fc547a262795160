"""Where the windows of a convolution or pooling lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._types import Array


@dataclass(frozen=True)
class WindowAxis:
    """One axis of an image under sliding windows: `outputs` windows, `stride` apart, of taps that are `dilation` apart."""

    stride: int
    outputs: int
    before: int  # padding
    after: int
    dilation: int = 1

    def at(self, tap: int) -> slice:
        """Return the places of the padded axis that this tap of each window sees."""
        first = tap * self.dilation
        return slice(first, first + (self.outputs - 1) * self.stride + 1, self.stride)


def window_axis(length: int, size: int, stride: int, padding: str, dilation: int = 1) -> WindowAxis:
    """Return the windows on an axis: only whole ones ("valid"), or ceil(length / stride) of them ("same", "causal").

    "ceil" has one window more than "valid" where whole ones leave values over, unless it would begin outside. "same" pads as
    TensorFlow and Keras do, with the smaller half first; "causal" first of all.
    """
    reach = (size - 1) * dilation + 1
    if padding == "valid":
        return WindowAxis(stride, (length - reach) // stride + 1, 0, 0, dilation)
    if padding == "ceil":
        starts = [0, *(start for start in range(stride, length, stride) if start - stride + reach < length)]
        outputs = len(starts) if length else 0
        return WindowAxis(stride, outputs, 0, max(starts[-1] + reach - length, 0), dilation)
    outputs = -(-length // stride)
    total = max((outputs - 1) * stride + reach - length, 0)
    if padding == "causal":
        return WindowAxis(stride, outputs, reach - 1, max(total - reach + 1, 0), dilation)
    return WindowAxis(stride, outputs, total // 2, total - total // 2, dilation)


def padded(x: Array, rows: WindowAxis, columns: WindowAxis) -> Array:
    """Return the images (B, H, W, C) with zeros around them."""
    return np.pad(x, ((0, 0), (rows.before, rows.after), (columns.before, columns.after), (0, 0)))
