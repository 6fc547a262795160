"""Convolutions, forward and backward.

Shapes are (batch, height, width, channels, filters, stride, padding, dilation, groups), window 3 x 3.
"""

from __future__ import annotations

from typing import Any

import pytest

from benches.op import adjoint, close, double, normal
from fastnn.reference import forward_ops

Shape = tuple[int, int, int, int, int, int, str, int, int]
conv2d = forward_ops["conv2d"]

shapes = pytest.mark.shapes(
    {
        "mnist-1": (32, 28, 28, 1, 32, 1, "valid", 1, 1),
        "mnist-2": (32, 13, 13, 32, 64, 1, "valid", 1, 1),
        "mnist-3": (32, 5, 5, 64, 64, 1, "valid", 1, 1),
        "mnist-2-batch-1": (1, 13, 13, 32, 64, 1, "valid", 1, 1),
        "same-28x28x64": (4, 28, 28, 64, 64, 1, "same", 1, 1),
        "strided-28x28x64": (4, 28, 28, 64, 128, 2, "same", 1, 1),
        "dilated-28x28x64": (4, 28, 28, 64, 64, 1, "same", 2, 1),
        "4-groups-28x28x64": (4, 28, 28, 64, 64, 1, "same", 1, 4),
    },
    small={"small": (2, 6, 7, 3, 17, 2, "same", 1, 1), "small-groups": (2, 6, 7, 4, 6, 1, "same", 2, 2)},
)


def _operands(shape: Shape) -> tuple[Any, Any, Any, dict[str, Any]]:
    batch, H, W, C, F, stride, padding, dilation, groups = shape
    options = {"strides": (stride, stride), "padding": padding, "dilation_rate": (dilation, dilation), "groups": groups}
    return normal(batch, H, W, C), normal(3, 3, C // groups, F), normal(F), options


@shapes
def test_conv2d(time_op: Any, shape: Shape) -> None:
    x, w, bias, options = _operands(shape)
    time_op("conv2d", [x, w, bias], close(conv2d(*double(x, w, bias), **options), terms=w[..., 0].size), **options)


@shapes
def test_conv2d_backward_input(time_op: Any, shape: Shape) -> None:
    x, w, _, options = _operands(shape)
    dy = normal(*conv2d(x, w, **options).shape)
    check = adjoint(lambda v: conv2d(v, w.astype("d"), **options), x.shape, dy)
    time_op("conv2d_backward_input", [dy, w], check, image_size=x.shape[1:3], **options)


@shapes
def test_conv2d_backward_kernel(time_op: Any, shape: Shape) -> None:
    x, w, _, options = _operands(shape)
    dy = normal(*conv2d(x, w, **options).shape)
    check = adjoint(lambda v: conv2d(x.astype("d"), v, **options), w.shape, dy)
    time_op("conv2d_backward_kernel", [x, dy], check, kernel_size=(3, 3), **options)
