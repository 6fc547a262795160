"""Pooling over windows of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.reshape import reshape
from fastnn.tracing import Tensor, TensorLike, apply


def max_pool2d(
    x: TensorLike,
    *,
    pool_size: Sequence[int] = (2, 2),
    strides: Sequence[int] | None = None,
    padding: str = "valid",
) -> Any:
    """`y[b, i, j, c] = max over p, q of x[b, i SH + p - top, j SW + q - left, c]`, the largest value of each window.

    Args:
        x: float array of shape `(batch, height, width, channels)`.
        pool_size: height and width of the window, at most 256 pixels in all.
        strides: `(SH, SW)`, the steps of the window; default `pool_size`.
        padding: `"valid"`, or `"same"`, where pixels outside the image count as absent, or `"ceil"`: as `"valid"`, but what
            whole windows leave over at the end has a window too, `OH = ceil((height - KH) / SH) + 1` unless it would begin
            outside (PyTorch's ceil_mode).

    Returns:
        Shape `(batch, OH, OW, channels)`, sizes as for `conv2d`. The gradient goes to the first of equal values in row-major
        order (PyTorch's choice too); NaN is larger than everything.

    Raises:
        ValueError: shapes that do not fit, a window larger than the image or than 256 pixels.

    Example:
        >>> ops.max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
        array([[ 5.,  7.],
               [13., 15.]])
    """
    y, _ = apply("max_pool2d", [x], outputs=2, pool_size=pool_size, strides=strides or pool_size, padding=padding)
    return y


def average_pool2d(
    x: TensorLike,
    *,
    pool_size: Sequence[int] = (2, 2),
    strides: Sequence[int] | None = None,
    padding: str = "valid",
) -> Any:
    """`y[b, i, j, c] = mean over p, q of x[b, i SH + p - top, j SW + q - left, c]`, the mean of each window.

    Args:
        x: float array of shape `(batch, height, width, channels)`.
        pool_size: height and width of the window.
        strides: `(SH, SW)`, the steps of the window; default `pool_size`.
        padding: `"valid"`, `"same"` or `"ceil"`, as for `max_pool2d`. Pixels outside the image do not count: the mean is over
            those inside (as Keras; PyTorch counts padding as zeros by default).

    Returns:
        Shape `(batch, OH, OW, channels)`, sizes as for `conv2d`.

    Raises:
        ValueError: shapes that do not fit, a window larger than the image.

    Example:
        >>> ops.average_pool2d(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
        array([[ 2.5,  4.5],
               [10.5, 12.5]])
    """
    return apply("average_pool2d", [x], pool_size=pool_size, strides=strides or pool_size, padding=padding)


def max_pool1d(x: TensorLike, *, pool_size: int = 2, strides: int | None = None, padding: str = "valid") -> Any:
    """`max_pool2d` along one axis.

    Args:
        x: float array of shape `(batch, time, channels)`.
        pool_size: length of the window, at most 256.
        strides: its step; default `pool_size`.
        padding: as for `max_pool2d`.

    Returns:
        Shape `(batch, steps, channels)`.

    Raises:
        ValueError: shapes that do not fit, a window longer than the sequence or than 256.

    Example:
        >>> ops.max_pool1d(np.array([1.0, 5.0, 2.0, 3.0]).reshape(1, 4, 1)).ravel()
        array([5., 3.])
    """
    return _along_one_axis("max_pool1d", max_pool2d, x, pool_size, strides, padding)


def average_pool1d(x: TensorLike, *, pool_size: int = 2, strides: int | None = None, padding: str = "valid") -> Any:
    """`average_pool2d` along one axis.

    Args:
        x: float array of shape `(batch, time, channels)`.
        pool_size: length of the window.
        strides: its step; default `pool_size`.
        padding: as for `average_pool2d`.

    Returns:
        Shape `(batch, steps, channels)`.

    Raises:
        ValueError: shapes that do not fit, a window longer than the sequence.

    Example:
        >>> ops.average_pool1d(np.array([1.0, 5.0, 2.0, 3.0]).reshape(1, 4, 1)).ravel()
        array([3. , 2.5])
    """
    return _along_one_axis("average_pool1d", average_pool2d, x, pool_size, strides, padding)


def _along_one_axis(where: str, pool: Any, x: Any, pool_size: int, strides: int | None, padding: str) -> Any:
    image = as_image(where, x)
    y = pool(image, pool_size=(1, pool_size), strides=None if strides is None else (1, strides), padding=padding)
    return as_sequence(y)


def shape_of(where: str, name: str, x: Any, axes: str) -> Any:
    """The shape of an operand that is read before the core sees it; it must have these axes."""
    if not hasattr(x, "shape"):
        raise TypeError(f"{where}: `{name}` is a {type(x).__name__}; expected an array; convert it with np.asarray")
    if len(x.shape) != axes.count(",") + 1:
        shape = ", ".join(map(str, x.shape))
        raise ValueError(f"{where}: `{name}` has shape ({shape}); expected {axes.count(',') + 1} axes, ({axes}); reshape it")
    return x.shape


def as_image(where: str, x: Any) -> Any:
    """`(batch, time, channels)` as images of one row; time lies along the rows, whose pixels are neighbours in memory."""
    batch, time, channels = shape_of(where, "x", x, "batch, time, channels")
    return reshape(x, (batch, 1, time, channels))


def as_sequence(y: Any) -> Any:
    """The inverse of `as_image`."""
    batch, _, time, channels = y.shape
    return reshape(y, (batch, time, channels))


def global_max_pool2d(x: TensorLike, *, keepdims: bool = False) -> Any:
    """The largest value of each channel of each image.

    Args:
        x: float array of shape `(batch, height, width, channels)`, height and width known.
        keepdims: keep them, with length 1.

    Returns:
        Shape `(batch, channels)`, or `(batch, 1, 1, channels)`. The gradient goes to the first of equal values.

    Raises:
        ValueError: an array without 4 axes, an image without pixels.

    Example:
        >>> ops.global_max_pool2d(np.arange(8.0).reshape(1, 2, 2, 2))
        array([[6., 7.]])
    """
    _, height, width, _ = shape_of("global_max_pool2d", "x", x, "batch, height, width, channels")
    y: Any = x
    # A window has 256 pixels at most. Along rows first, so that ties go to the first in row-major order.
    if height * width <= _MOST_PIXELS:
        y = max_pool2d(y, pool_size=(height, width))
    while y.shape[2] != 1:
        y = max_pool2d(y, pool_size=(1, min(y.shape[2], _MOST_PIXELS)), padding="same")
    while y.shape[1] != 1:
        y = max_pool2d(y, pool_size=(min(y.shape[1], _MOST_PIXELS), 1), padding="same")
    return y if keepdims else reshape(y, (y.shape[0], y.shape[3]))


_MOST_PIXELS = 256


@vjp("max_pool2d")
def _max_pool2d(node: Node, dy: Tensor, _: Tensor | None) -> Cotangents:
    (x,) = node.inputs
    assert x is not None
    return (apply("max_pool2d_backward", [dy, node.outputs[1]], image_size=x.shape[1:3], **node.attributes),)


@vjp("average_pool2d")
def _average_pool2d(node: Node, dy: Tensor) -> Cotangents:
    (x,) = node.inputs
    assert x is not None
    return (apply("average_pool2d_backward", [dy], image_size=x.shape[1:3], **node.attributes),)


@vjp("average_pool2d_backward")
def _average_pool2d_backward(node: Node, ddx: Tensor) -> Cotangents:
    return (apply("average_pool2d", [ddx], **{name: node.attributes[name] for name in ("pool_size", "strides", "padding")}),)
