"""Convolutions, forward and backward, as layers have them: those of the MNIST network, those of a ResNet, and other kinds.

The table says how near each comes to what its operations and its bytes allow: the larger one of `of peak` and `of copy`. One
by Winograd's way may exceed the first: it multiplies less than is counted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from benches.op import adjoint, close, double, normal
from fastnn.reference import forward_ops

conv2d = forward_ops["conv2d"]


class Layer(NamedTuple):
    batch: int
    height: int
    width: int
    channels: int
    filters: int
    window: int = 3
    stride: int = 1
    padding: str = "same"
    dilation: int = 1
    groups: int = 1


shapes = pytest.mark.shapes(
    {
        "mnist-1": Layer(32, 28, 28, 1, 32, padding="valid"),
        "mnist-2": Layer(32, 13, 13, 32, 64, padding="valid"),
        "mnist-3": Layer(32, 5, 5, 64, 64, padding="valid"),
        "mnist-1-batch-1": Layer(1, 28, 28, 1, 32, padding="valid"),
        "mnist-2-batch-1": Layer(1, 13, 13, 32, 64, padding="valid"),
        "mnist-3-batch-1": Layer(1, 5, 5, 64, 64, padding="valid"),
        "resnet-32x32x3": Layer(32, 32, 32, 3, 32),
        "resnet-32x32x32": Layer(32, 32, 32, 32, 32),
        "resnet-16x16x64": Layer(32, 16, 16, 64, 64),
        "resnet-8x8x128": Layer(32, 8, 8, 128, 128),
        "resnet-strided-32x32x32": Layer(32, 32, 32, 32, 64, stride=2),
        "resnet-strided-16x16x64": Layer(32, 16, 16, 64, 128, stride=2),
        "resnet-1x1-strided-32x32x32": Layer(32, 32, 32, 32, 64, 1, stride=2),
        "resnet-1x1-strided-16x16x64": Layer(32, 16, 16, 64, 128, 1, stride=2),
        "1x1-28x28x64": Layer(4, 28, 28, 64, 64, 1),
        "same-28x28x64": Layer(4, 28, 28, 64, 64),
        "5x5-28x28x64": Layer(4, 28, 28, 64, 64, 5),
        "7x7-28x28x64": Layer(4, 28, 28, 64, 64, 7),
        "7x7-strided-112x112x3": Layer(4, 112, 112, 3, 64, 7, stride=2),
        "strided-28x28x64": Layer(4, 28, 28, 64, 128, stride=2),
        "dilated-28x28x64": Layer(4, 28, 28, 64, 64, dilation=2),
        "4-groups-28x28x64": Layer(4, 28, 28, 64, 64, groups=4),
    },
    small={
        "small": Layer(2, 6, 7, 3, 17, stride=2),
        "small-5x5": Layer(2, 7, 6, 3, 17, 5),
        "small-groups": Layer(2, 6, 7, 4, 6, dilation=2, groups=2),
    },
)


def _operands(layer: Layer) -> tuple[Any, Any, Any, dict[str, Any]]:
    options = {
        "strides": (layer.stride, layer.stride),
        "padding": layer.padding,
        "dilation_rate": (layer.dilation, layer.dilation),
        "groups": layer.groups,
    }
    x = normal(layer.batch, layer.height, layer.width, layer.channels)
    w = normal(layer.window, layer.window, layer.channels // layer.groups, layer.filters)
    return x, w, normal(layer.filters), options


@shapes
def test_conv2d(time_op: Any, shape: Layer) -> None:
    x, w, bias, options = _operands(shape)
    time_op("conv2d", [x, w, bias], close(conv2d(*double(x, w, bias), **options), terms=w[..., 0].size), **options)


@shapes
def test_conv2d_backward_input(time_op: Any, shape: Layer) -> None:
    x, w, _, options = _operands(shape)
    dy = normal(*conv2d(x, w, **options).shape)
    check = adjoint(lambda v: conv2d(v, w.astype("d"), **options), x.shape, dy)
    time_op("conv2d_backward_input", [dy, w], check, image_size=x.shape[1:3], **options)


@shapes
def test_conv2d_backward_kernel(time_op: Any, shape: Layer) -> None:
    x, w, _, options = _operands(shape)
    dy = normal(*conv2d(x, w, **options).shape)
    check = adjoint(lambda v: conv2d(x.astype("d"), v, **options), w.shape, dy)
    time_op("conv2d_backward_kernel", [x, dy], check, kernel_size=w.shape[:2], **options)
