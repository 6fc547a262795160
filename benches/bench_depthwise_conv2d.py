"""Depthwise convolutions, forward and backward. Shapes are (batch, height, width, channels, stride), window 3 x 3, padded."""

from __future__ import annotations

from typing import Any

import pytest

from benches.op import adjoint, close, double, normal
from fastnn.reference import forward_ops

Shape = tuple[int, int, int, int, int]
depthwise = forward_ops["depthwise_conv2d"]

shapes = pytest.mark.shapes(
    {"56x56x64": (8, 56, 56, 64, 1), "56x56x64-strided": (8, 56, 56, 64, 2), "14x14x256": (8, 14, 14, 256, 1)},
    small={"small": (2, 6, 7, 17, 2)},
)


def _operands(shape: Shape) -> tuple[Any, Any, dict[str, Any]]:
    batch, H, W, C, stride = shape
    return normal(batch, H, W, C), normal(3, 3, C, 1), {"strides": (stride, stride), "padding": "same"}


@shapes
def test_depthwise_conv2d(time_op: Any, shape: Shape) -> None:
    x, w, options = _operands(shape)
    time_op("depthwise_conv2d", [x, w], close(depthwise(*double(x, w), **options), terms=9), **options)


@shapes
def test_depthwise_conv2d_backward_input(time_op: Any, shape: Shape) -> None:
    x, w, options = _operands(shape)
    dy = normal(*depthwise(x, w, **options).shape)
    check = adjoint(lambda v: depthwise(v, w.astype("d"), **options), x.shape, dy)
    time_op("depthwise_conv2d_backward_input", [dy, w], check, image_size=x.shape[1:3], **options)


@shapes
def test_depthwise_conv2d_backward_kernel(time_op: Any, shape: Shape) -> None:
    x, w, options = _operands(shape)
    dy = normal(*depthwise(x, w, **options).shape)
    check = adjoint(lambda v: depthwise(x.astype("d"), v, **options), w.shape, dy)
    time_op("depthwise_conv2d_backward_kernel", [x, dy], check, kernel_size=(3, 3), **options)
