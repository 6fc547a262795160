"""Pooling over windows of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
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
        padding: `"valid"`, or `"same"`, where pixels outside the image count as absent.

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


@vjp("max_pool2d")
def _max_pool2d(node: Node, dy: Tensor, _: Tensor | None) -> Cotangents:
    (x,) = node.inputs
    assert x is not None
    return (apply("max_pool2d_backward", [dy, node.outputs[1]], image_size=x.shape[1:3], **node.attributes),)
