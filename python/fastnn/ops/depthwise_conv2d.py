"""Convolution of each channel by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.elementwise import multiply
from fastnn.ops.pool2d import shape_of
from fastnn.ops.reshape import reshape
from fastnn.tracing import Tensor, TensorLike, apply


def depthwise_conv2d(
    x: TensorLike,
    w: TensorLike,
    bias: TensorLike | None = None,
    *,
    strides: Sequence[int] = (1, 1),
    padding: str = "valid",
    dilation_rate: Sequence[int] = (1, 1),
) -> Any:
    """`y[b, i, j, c M + m] = bias[c M + m] + sum over p, q of x[b, i SH + p DH - top, j SW + q DW - left, c] w[p, q, c, m]`.

    Args:
        x: float array of shape `(batch, height, width, channels)`.
        w: shape `(KH, KW, channels, M)`: `M` filters for each channel, as in Keras.
        bias: shape `(channels * M,)`, or None.
        strides: `(SH, SW)`, as for `conv2d`.
        padding: `"valid"`, `"same"` or `"causal"`, as for `conv2d`.
        dilation_rate: `(DH, DW)`, as for `conv2d`.

    Returns:
        Shape `(batch, OH, OW, channels * M)`, sizes as for `conv2d`.

    Raises:
        ValueError, TypeError: as `conv2d`.

    Source:
        Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017, arXiv:1610.02357.

    Example:
        >>> ops.depthwise_conv2d(np.ones((1, 2, 2, 2)), np.arange(8.0).reshape(2, 2, 2, 1)).ravel()
        array([12., 16.])
    """
    KH, KW, channels, multiplier = shape_of("depthwise_conv2d", "w", w, "KH, KW, channels, M")
    batch, height, width, last = shape_of("depthwise_conv2d", "x", x, "batch, height, width, channels")
    if multiplier != 1 and last == channels:
        # The kernel has one window per channel: every channel M times.
        ones = np.ones(int(multiplier), str(x.dtype))  # type: ignore[union-attr]
        x = reshape(multiply(reshape(x, (batch, height, width, channels, 1)), ones), (batch, height, width, -1))
        w = reshape(w, (KH, KW, -1, 1))
    return apply("depthwise_conv2d", [x, w, bias], strides=strides, padding=padding, dilation_rate=dilation_rate)


@vjp("depthwise_conv2d")
def _depthwise_conv2d(node: Node, dy: Tensor) -> Cotangents:
    x, w, bias = [*node.inputs, None][:3]
    assert x is not None and w is not None
    dx = apply("depthwise_conv2d_backward_input", [dy, w], image_size=x.shape[1:3], **node.attributes)
    dw = apply("depthwise_conv2d_backward_kernel", [x, dy], kernel_size=w.shape[:2], **node.attributes)
    dbias = None if bias is None else apply("sum", [dy], axes=(0, 1, 2))
    return dx, dw, dbias


def _window(node: Node) -> dict[str, Any]:
    return {name: node.attributes[name] for name in ("strides", "padding", "dilation_rate")}


@vjp("depthwise_conv2d_backward_input")
def _depthwise_conv2d_backward_input(node: Node, ddx: Tensor) -> Cotangents:
    dy, w = node.inputs
    assert w is not None
    return (
        apply("depthwise_conv2d", [ddx, w], **_window(node)),
        apply("depthwise_conv2d_backward_kernel", [ddx, dy], kernel_size=w.shape[:2], **_window(node)),
    )


@vjp("depthwise_conv2d_backward_kernel")
def _depthwise_conv2d_backward_kernel(node: Node, ddw: Tensor) -> Cotangents:
    x, dy = node.inputs
    assert x is not None
    return (
        apply("depthwise_conv2d_backward_input", [dy, ddw], image_size=x.shape[1:3], **_window(node)),
        apply("depthwise_conv2d", [x, ddw], **_window(node)),
    )
