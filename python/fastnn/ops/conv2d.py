"""Convolutions over one and two axes, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.depthwise_conv2d import depthwise_conv2d
from fastnn.ops.pool2d import as_image, as_sequence, shape_of
from fastnn.ops.reshape import reshape
from fastnn.tracing import Tensor, TensorLike, apply


def conv2d(
    x: TensorLike,
    w: TensorLike,
    bias: TensorLike | None = None,
    other: TensorLike | None = None,
    *,
    strides: Sequence[int] = (1, 1),
    padding: str = "valid",
    dilation_rate: Sequence[int] = (1, 1),
    groups: int = 1,
    epilogue: str = "",
) -> Any:
    """`y[b, i, j, f] = bias[f] + sum over p, q, c of x[b, i SH + p DH - top, j SW + q DW - left, c] w[p, q, c, f]`.

    A cross-correlation, as everywhere in neural networks: the window is not flipped. With groups the first `filters / groups`
    filters read the first `channels / groups` channels, and so on; for as many groups as channels `depthwise_conv2d` is faster.
    As with `dense`, a program that is planned finds epilogues by itself.

    Args:
        x: float array of shape `(batch, height, width, channels)`.
        w: shape `(KH, KW, channels / groups, filters)`, Keras's layout. PyTorch's is `(filters, channels / groups, KH, KW)`.
        bias: shape `(filters,)`, or None.
        other: of the result's shape where `epilogue` is "add", else None.
        strides: `(SH, SW)`, the steps of the window in pixels.
        padding: `"valid"`: the window stays inside the image; `"same"`: zeros around it, so that the result has
            `ceil(size / stride)` pixels, the smaller half of the padding at the top and left (as Keras; PyTorch pads evenly);
            `"causal"`: as many pixels, all of the padding at the top and left.
        dilation_rate: `(DH, DW)`, the distance of the window's taps in pixels. Along one axis it or the stride is 1.
        groups: divides channels and filters.
        epilogue: "relu", "add", which adds `other`, or "" for none.

    Returns:
        Shape `(batch, OH, OW, filters)`, x's dtype; with `"valid"` `OH = floor((height - R) / SH) + 1`, where
        `R = (KH - 1) DH + 1`, OW likewise.

    Raises:
        ValueError: shapes that do not fit, a window larger than the image, another word for padding, groups that do not divide
            channels and filters, a stride and a dilation that are both above 1, an unknown epilogue, `other` without one that
            takes it.
        TypeError: the dtypes differ.

    Example:
        >>> ops.conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)))[0, :, :, 0]
        array([[4., 4.],
               [4., 4.]])
    """
    return apply(
        "conv2d",
        [x, w, bias, other],
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        groups=groups,
        epilogue=epilogue,
    )


def conv1d(
    x: TensorLike,
    w: TensorLike,
    bias: TensorLike | None = None,
    *,
    strides: int = 1,
    padding: str = "valid",
    dilation_rate: int = 1,
    groups: int = 1,
) -> Any:
    """`y[b, t, f] = bias[f] + sum over k, c of x[b, t S + k D - before, c] w[k, c, f]`: conv2d along one axis.

    Args:
        x: float array of shape `(batch, time, channels)`.
        w: shape `(K, channels / groups, filters)`.
        bias: shape `(filters,)`, or None.
        strides: `S`, the step of the window.
        padding: `"valid"`, `"same"`, or `"causal"`, where y at time t sees nothing of x after it.
        dilation_rate: `D`, the distance of the window's taps.
        groups: divides channels and filters.

    Returns:
        Shape `(batch, steps, filters)`.

    Raises:
        ValueError, TypeError: as `conv2d`.

    Example:
        >>> x, w = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1), np.array([1.0, 1.0]).reshape(2, 1, 1)
        >>> ops.conv1d(x, w).ravel(), ops.conv1d(x, w, padding="causal").ravel()
        (array([3., 5.]), array([1., 3., 5.]))
    """
    image = as_image("conv1d", x)
    kernel = reshape(w, (1, *shape_of("conv1d", "w", w, "K, channels / groups, filters")))
    y = conv2d(
        image,
        kernel,
        bias,
        strides=(1, strides),
        padding=padding,
        dilation_rate=(1, dilation_rate),
        groups=groups,
    )
    return as_sequence(y)


def conv2d_transpose(
    x: TensorLike,
    w: TensorLike,
    bias: TensorLike | None = None,
    *,
    strides: Sequence[int] = (1, 1),
    padding: str = "valid",
    output_padding: Sequence[int] | None = None,
    dilation_rate: Sequence[int] = (1, 1),
) -> Any:
    """The transpose of `conv2d`, which is its gradient by the image: every pixel of x adds a window of w to y.

    `y[b, i SH + p DH - top, j SW + q DW - left, f] += x[b, i, j, c] w[p, q, f, c]`, plus `bias[f]`.

    Args:
        x: float array of shape `(batch, height, width, channels)`.
        w: shape `(KH, KW, filters, channels)`, as in Keras.
        bias: shape `(filters,)`, or None.
        strides: `(SH, SW)`, the distance of the windows in y.
        padding: `"valid"` or `"same"`, of the convolution that this is the transpose of.
        output_padding: how many rows and columns of y no window need reach, below the strides; default as in Returns.
        dilation_rate: `(DH, DW)`, the distance of the window's taps. Along one axis it or the stride is 1.

    Returns:
        Shape `(batch, OH, OW, filters)`. With `R = (KH - 1) DH + 1` and `"valid"`, `OH = (height - 1) SH + R`, plus
        `max(SH - R, 0)` or the output_padding; with `"same"`, `OH = height SH`, or `(height - 1) SH + R mod 2` plus the
        output_padding. OW likewise; these are Keras's rules.

    Raises:
        ValueError: shapes that do not fit; with `"same"` an output_padding that makes an image of which the convolution has
            another number of outputs than x has pixels.
        TypeError: the dtypes differ.

    Source:
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.

    Example:
        >>> x = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)
        >>> ops.conv2d_transpose(x, np.ones((1, 2, 1, 1)), strides=(1, 2)).ravel()
        array([1., 1., 2., 2.])
    """
    image = shape_of("conv2d_transpose", "x", x, "batch, height, width, channels")[1:3]
    window = shape_of("conv2d_transpose", "w", w, "KH, KW, filters, channels")[:2]
    if padding not in ("valid", "same"):
        raise ValueError(f"conv2d_transpose: padding={padding!r}; expected 'valid' or 'same'; pass one of them")
    pairs = {"strides": strides, "dilation_rate": dilation_rate, "output_padding": output_padding}
    for what, pair in pairs.items():
        if pair is None and what == "output_padding":
            continue
        least = 0 if what == "output_padding" else 1
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(n, int) and n >= least for n in pair)):
            raise ValueError(
                f"conv2d_transpose: {what}={pair!r}; expected two integers of at least {least}, (vertical, horizontal); pass "
                f"for example {what}=(1, 1)"
            )
    size = []
    for axis in (0, 1):
        step, reach = strides[axis], (int(window[axis]) - 1) * dilation_rate[axis] + 1
        extra = None if output_padding is None else output_padding[axis]
        if extra is not None and extra >= step:
            raise ValueError(
                f"conv2d_transpose: output_padding={tuple(output_padding or ())} with strides={tuple(strides)}; expected less "
                "than the stride, because a further row would begin a further window; pass a smaller one"
            )
        size.append(_transposed(int(image[axis]), reach, step, padding, extra))
    y = apply("conv2d_backward_input", [x, w], image_size=size, strides=strides, padding=padding, dilation_rate=dilation_rate)
    return y if bias is None else y + bias


def _transposed(length: int, reach: int, step: int, padding: str, extra: int | None) -> int:
    """The length of an image of which a convolution has `length` outputs: one of up to `step` such lengths."""
    if padding == "valid":
        return (length - 1) * step + reach + (max(step - reach, 0) if extra is None else extra)
    if extra is None:
        return length * step
    image = (length - 1) * step + reach % 2 + extra
    if -(-image // step) != length or image < 1:
        raise ValueError(
            f"conv2d_transpose: output_padding={extra} makes an image of {image}, of which a convolution with a stride of "
            f"{step} and padding='same' has {-(-image // step)} outputs; expected {length}, the size of x; pass "
            "output_padding=None or another one"
        )
    return image


def separable_conv2d(
    x: TensorLike,
    depthwise_kernel: TensorLike,
    pointwise_kernel: TensorLike,
    bias: TensorLike | None = None,
    *,
    strides: Sequence[int] = (1, 1),
    padding: str = "valid",
    dilation_rate: Sequence[int] = (1, 1),
) -> Any:
    """`conv2d(depthwise_conv2d(x, depthwise_kernel), pointwise_kernel, bias)`: first over space, then over channels.

    Args:
        x: float array of shape `(batch, height, width, channels)`.
        depthwise_kernel: shape `(KH, KW, channels, multiplier)`.
        pointwise_kernel: shape `(1, 1, channels * multiplier, filters)`.
        bias: shape `(filters,)`, or None.
        strides: of the first, as for `conv2d`.
        padding: likewise.
        dilation_rate: likewise.

    Returns:
        Shape `(batch, OH, OW, filters)`, sizes as for `conv2d`.

    Raises:
        ValueError, TypeError: as `conv2d`.

    Source:
        Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017, arXiv:1610.02357.

    Example:
        >>> ops.separable_conv2d(np.ones((1, 3, 3, 2)), np.ones((2, 2, 2, 1)), np.ones((1, 1, 2, 1)))[0, :, :, 0]
        array([[8., 8.],
               [8., 8.]])
    """
    y = depthwise_conv2d(x, depthwise_kernel, strides=strides, padding=padding, dilation_rate=dilation_rate)
    return conv2d(y, pointwise_kernel, bias)


@vjp("conv2d")
def _conv2d(node: Node, dy: Tensor) -> Cotangents:
    x, w, bias, other = [*node.inputs, None, None][:4]
    assert x is not None and w is not None
    options = _window(node)
    if node.attributes["epilogue"] == "relu":
        dy = apply("relu_backward", [dy, node.outputs[0]])
    dx = apply("conv2d_backward_input", [dy, w], image_size=x.shape[1:3], **options)
    dw = apply("conv2d_backward_kernel", [x, dy], kernel_size=w.shape[:2], **options)
    dbias = None if bias is None else apply("sum", [dy], axes=(0, 1, 2))
    return dx, dw, dbias, None if other is None else dy


def _window(node: Node) -> dict[str, Any]:
    return {name: node.attributes[name] for name in ("strides", "padding", "dilation_rate", "groups")}


@vjp("conv2d_backward_input")
def _conv2d_backward_input(node: Node, ddx: Tensor) -> Cotangents:
    if epilogue := node.attributes["epilogue"]:
        raise ValueError(
            f"op 'conv2d_backward_input' has no derivative with epilogue={epilogue!r}; use the op {epilogue!r} itself"
        )
    dy, w = node.inputs[:2]
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
