"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn.layers.convolutional import check_padding
from fastnn.layers.layer import Layer, check_sizes


class MaxPooling2D(Layer):
    """The largest value of each window, channel by channel; see `fastnn.ops.max_pool2d`.

    Args:
        pool_size: height and width of the window in pixels; one int for both.
        strides: steps of the window; default `pool_size`.
        padding: `"valid"` or `"same"`.

    Input shape `(batch, height, width, channels)`, output shape `(batch, OH, OW, channels)`.

    Raises:
        ValueError: sizes that are no positive integers; when called, an input without 4 axes or smaller than the window.

    Example:
        >>> layers.MaxPooling2D()(np.arange(16.0).reshape(1, 4, 4, 1)).ravel()
        array([ 5.,  7., 13., 15.], dtype=float32)
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.pool_size = check_sizes(self.name, "pool_size", pool_size, 2)
        self.strides = self.pool_size if strides is None else check_sizes(self.name, "strides", strides, 2)
        self.padding = check_padding(self.name, padding)

    def call(self, x: Any, training: bool) -> Any:
        return ops.max_pool2d(
            x,
            pool_size=self.pool_size,
            strides=self.strides,
            padding=self.padding,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            **super().get_config(),
        }
