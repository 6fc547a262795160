"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn.layers.convolutional import check_padding
from fastnn.layers.layer import Layer, check_size, check_sizes
from fastnn.ops.pool2d import as_image


class _Pooling2D(Layer):
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

    def get_config(self) -> dict[str, Any]:
        return {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            **super().get_config(),
        }


class MaxPooling2D(_Pooling2D):
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

    def call(self, x: Any, training: bool) -> Any:
        return ops.max_pool2d(x, pool_size=self.pool_size, strides=self.strides, padding=self.padding)


class AveragePooling2D(_Pooling2D):
    """The mean of each window, channel by channel; see `fastnn.ops.average_pool2d`. Padding does not count.

    Args:
        pool_size: height and width of the window in pixels; one int for both.
        strides: steps of the window; default `pool_size`.
        padding: `"valid"` or `"same"`.

    Input shape `(batch, height, width, channels)`, output shape `(batch, OH, OW, channels)`.

    Raises:
        ValueError: sizes that are no positive integers; when called, an input without 4 axes or smaller than the window.

    Example:
        >>> layers.AveragePooling2D()(np.arange(16.0).reshape(1, 4, 4, 1)).ravel()
        array([ 2.5,  4.5, 10.5, 12.5], dtype=float32)
    """

    def call(self, x: Any, training: bool) -> Any:
        return ops.average_pool2d(x, pool_size=self.pool_size, strides=self.strides, padding=self.padding)


class _Pooling1D(Layer):
    def __init__(
        self,
        pool_size: int = 2,
        strides: int | None = None,
        padding: str = "valid",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.pool_size = check_size(self.name, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else check_size(self.name, "strides", strides)
        self.padding = check_padding(self.name, padding)

    def get_config(self) -> dict[str, Any]:
        return {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            **super().get_config(),
        }


class MaxPooling1D(_Pooling1D):
    """The largest value of each window along time; see `fastnn.ops.max_pool1d`.

    Args:
        pool_size: length of the window.
        strides: its step; default `pool_size`.
        padding: `"valid"` or `"same"`.

    Input shape `(batch, time, channels)`, output shape `(batch, steps, channels)`.

    Raises:
        ValueError: sizes that are no positive integers; when called, an input without 3 axes or shorter than the window.

    Example:
        >>> layers.MaxPooling1D()(np.array([1.0, 5.0, 2.0, 3.0]).reshape(1, 4, 1)).ravel()
        array([5., 3.], dtype=float32)
    """

    def call(self, x: Any, training: bool) -> Any:
        return ops.max_pool1d(x, pool_size=self.pool_size, strides=self.strides, padding=self.padding)


class AveragePooling1D(_Pooling1D):
    """The mean of each window along time; see `fastnn.ops.average_pool1d`. Padding does not count.

    Args:
        pool_size: length of the window.
        strides: its step; default `pool_size`.
        padding: `"valid"` or `"same"`.

    Input shape `(batch, time, channels)`, output shape `(batch, steps, channels)`.

    Raises:
        ValueError: sizes that are no positive integers; when called, an input without 3 axes or shorter than the window.

    Example:
        >>> layers.AveragePooling1D()(np.array([1.0, 5.0, 2.0, 3.0]).reshape(1, 4, 1)).ravel()
        array([3. , 2.5], dtype=float32)
    """

    def call(self, x: Any, training: bool) -> Any:
        return ops.average_pool1d(x, pool_size=self.pool_size, strides=self.strides, padding=self.padding)


class _GlobalPooling(Layer):
    def __init__(self, keepdims: bool = False, *, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)
        if not isinstance(keepdims, bool):
            raise TypeError(f"{self.name}: keepdims={keepdims!r}; expected True or False; pass one of them")
        self.keepdims = keepdims

    def get_config(self) -> dict[str, Any]:
        return {"keepdims": self.keepdims, **super().get_config()}


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel over the whole image.

    Args:
        keepdims: keep height and width, with length 1.

    Input shape `(batch, height, width, channels)`, output shape `(batch, channels)`, or `(batch, 1, 1, channels)`.

    Raises:
        ValueError: when called, an input without 4 axes.

    Example:
        >>> layers.GlobalAveragePooling2D()(np.arange(8.0).reshape(1, 2, 2, 2))
        array([[3., 4.]], dtype=float32)
    """

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 4, "(batch, height, width, channels)")
        return ops.mean(x, axes=(1, 2), keepdims=self.keepdims)


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest value of each channel over the whole image; see `fastnn.ops.global_max_pool2d`.

    Args:
        keepdims: keep height and width, with length 1.

    Input shape `(batch, height, width, channels)`, output shape `(batch, channels)`, or `(batch, 1, 1, channels)`.

    Raises:
        ValueError: when called, an input without 4 axes.

    Example:
        >>> layers.GlobalMaxPooling2D()(np.arange(8.0).reshape(1, 2, 2, 2))
        array([[6., 7.]], dtype=float32)
    """

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 4, "(batch, height, width, channels)")
        return ops.global_max_pool2d(x, keepdims=self.keepdims)


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of each channel over time.

    Args:
        keepdims: keep time, with length 1.

    Input shape `(batch, time, channels)`, output shape `(batch, channels)`, or `(batch, 1, channels)`.

    Raises:
        ValueError: when called, an input without 3 axes.

    Example:
        >>> layers.GlobalAveragePooling1D()(np.arange(4.0).reshape(1, 2, 2))
        array([[1., 2.]], dtype=float32)
    """

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 3, "(batch, time, channels)")
        return ops.mean(x, axes=1, keepdims=self.keepdims)


class GlobalMaxPooling1D(_GlobalPooling):
    """The largest value of each channel over time.

    Args:
        keepdims: keep time, with length 1.

    Input shape `(batch, time, channels)`, output shape `(batch, channels)`, or `(batch, 1, channels)`.

    Raises:
        ValueError: when called, an input without 3 axes.

    Example:
        >>> layers.GlobalMaxPooling1D()(np.arange(4.0).reshape(1, 2, 2))
        array([[2., 3.]], dtype=float32)
    """

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 3, "(batch, time, channels)")
        y = ops.global_max_pool2d(as_image(self.name, x), keepdims=False)
        return ops.reshape(y, (y.shape[0], 1, y.shape[1])) if self.keepdims else y
