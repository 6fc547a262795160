"""Two-dimensional convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def conv2d(
    x: TensorLike,
    w: TensorLike,
    bias: TensorLike | None = None,
    *,
    strides: Sequence[int] = (1, 1),
    padding: str = "valid",
) -> Any:
    """`y[b, i, j, f] = bias[f] + sum over p, q, c of x[b, i SH + p - top, j SW + q - left, c] w[p, q, c, f]`.

    A cross-correlation, as everywhere in neural networks: the window is not flipped.

    Args:
        x: float array of shape `(batch, height, width, channels)`.
        w: shape `(KH, KW, channels, filters)`, Keras's layout. PyTorch's is `(filters, channels, KH, KW)`.
        bias: shape `(filters,)`, or None.
        strides: `(SH, SW)`, the steps of the window in pixels.
        padding: `"valid"`: the window stays inside the image; `"same"`: zeros around it, so that the result has
            `ceil(size / stride)` pixels, the smaller half of the padding at the top and left (as Keras; PyTorch pads evenly).

    Returns:
        Shape `(batch, OH, OW, filters)`, x's dtype; with `"valid"` `OH = floor((height - KH) / SH) + 1`, OW likewise.

    Raises:
        ValueError: shapes that do not fit, a window larger than the image, another word for padding.
        TypeError: the dtypes differ.

    Example:
        >>> ops.conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)))[0, :, :, 0]
        array([[4., 4.],
               [4., 4.]])
    """
    return apply("conv2d", [x, w, bias], strides=strides, padding=padding)


@vjp("conv2d")
def _conv2d(node: Node, dy: Tensor) -> Cotangents:
    x, w, bias = [*node.inputs, None][:3]
    assert x is not None and w is not None
    options = node.attributes
    dx = apply("conv2d_backward_input", [dy, w], image_size=x.shape[1:3], **options)
    dw = apply("conv2d_backward_kernel", [x, dy], kernel_size=w.shape[:2], **options)
    dbias = None if bias is None else apply("sum", [dy], axes=(0, 1, 2))
    return dx, dw, dbias


def _window(node: Node) -> dict[str, Any]:
    return {name: node.attributes[name] for name in ("strides", "padding")}


@vjp("conv2d_backward_input")
def _conv2d_backward_input(node: Node, ddx: Tensor) -> Cotangents:
    dy, w = node.inputs
    assert w is not None
    # dx is linear in dy (the transpose of the convolution) and in w.
    return (
        apply("conv2d", [ddx, w], **_window(node)),
        apply("conv2d_backward_kernel", [ddx, dy], kernel_size=w.shape[:2], **_window(node)),
    )


@vjp("conv2d_backward_kernel")
def _conv2d_backward_kernel(node: Node, ddw: Tensor) -> Cotangents:
    x, dy = node.inputs
    assert x is not None
    return (
        apply("conv2d_backward_input", [dy, ddw], image_size=x.shape[1:3], **_window(node)),
        apply("conv2d", [x, ddw], **_window(node)),
    )
