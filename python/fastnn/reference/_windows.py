"""Where the windows of a convolution or pooling lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._types import Array


@dataclass(frozen=True)
class WindowAxis:
    """One axis of an image under sliding windows: `outputs` windows of `size`, `stride` apart."""

    size: int
    stride: int
    outputs: int
    before: int  # padding
    after: int

    def at(self, offset: int) -> slice:
        """Return the places of the padded axis that stand `offset` into each window."""
        return slice(offset, offset + (self.outputs - 1) * self.stride + 1, self.stride)


def window_axis(length: int, size: int, stride: int, padding: str) -> WindowAxis:
    """Return the windows on an axis: only whole ones ("valid"), or ceil(length / stride) of them ("same").

    "same" pads as TensorFlow and Keras do, with the smaller half first.
    """
    if padding == "valid":
        return WindowAxis(size, stride, (length - size) // stride + 1, 0, 0)
    outputs = -(-length // stride)
    total = max((outputs - 1) * stride + size - length, 0)
    return WindowAxis(size, stride, outputs, total // 2, total - total // 2)


def padded(x: Array, rows: WindowAxis, columns: WindowAxis) -> Array:
    """Return the images (B, H, W, C) with zeros around them."""
    return np.pad(x, ((0, 0), (rows.before, rows.after), (columns.before, columns.after), (0, 0)))
