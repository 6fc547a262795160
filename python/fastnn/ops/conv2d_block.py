"""Convolution, bias, activation and max-pooling in one op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def conv2d_block(
    x: TensorLike,
    w: TensorLike,
    bias: TensorLike | None = None,
    *,
    strides: Sequence[int] = (1, 1),
    padding: str = "valid",
    activation: str = "none",
    pool_size: Sequence[int] = (2, 2),
) -> Any:
    """`max_pool2d(activation(conv2d(x, w, bias)))` over windows that touch and do not overlap.

    Traces make it of the three by themselves. Its results are the same; outputs that no window sees are never computed, and
    the gradients are sums over the windows' winners only.

    Args:
        x: float array of shape `(batch, height, width, channels)`.
        w: shape `(KH, KW, channels, filters)`.
        bias: shape `(filters,)`, or None.
        strides: of the convolution.
        padding: of the convolution, `"valid"` or `"same"`.
        activation: `"none"` or `"relu"`.
        pool_size: height `PH` and width `PW` of the pool's window, which are also its strides; at most 256 pixels.

    Returns:
        Shape `(batch, OH // PH, OW // PW, filters)` for a convolution of `(OH, OW)` outputs.

    Raises:
        ValueError: shapes that do not fit, a window larger than what it moves over. TypeError: the dtypes differ.

    Example:
        >>> import fastnn, numpy as np
        >>> x = np.arange(9.0).reshape(1, 3, 3, 1)
        >>> fastnn.ops.conv2d_block(x, np.ones((2, 2, 1, 1)), activation="relu").ravel()
        array([24.])
    """
    y, _ = apply(
        "conv2d_block",
        [x, w, bias],
        outputs=2,
        strides=strides,
        padding=padding,
        activation=activation,
        pool_size=pool_size,
    )
    return y


@vjp("conv2d_block")
def _conv2d_block(node: Node, dy: Tensor, _: Tensor | None) -> Cotangents:
    x, w, bias = [*node.inputs, None][:3]
    y, argmax = node.outputs
    assert x is not None and w is not None
    options = {name: node.attributes[name] for name in ("strides", "padding", "pool_size")}
    # The activation came after the maximum, so its derivative is applied to one value per window.
    g = apply("relu_backward", [dy, y]) if node.attributes["activation"] == "relu" else dy
    dx = apply("conv2d_block_backward_input", [g, argmax, w], image_size=x.shape[1:3], **options)
    dw = apply("conv2d_block_backward_kernel", [x, g, argmax], kernel_size=w.shape[:2], **options)
    dbias = None if bias is None else apply("sum", [g], axes=(0, 1, 2))
    return dx, dw, dbias
