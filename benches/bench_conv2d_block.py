"""Convolution, bias, relu and 2 x 2 max-pool as one op. Shapes are (batch, height, width, channels, filters), kernel 3 x 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import adjoint, close, double, normal
from fastnn.reference import forward_ops

Shape = tuple[int, int, int, int, int]
block, conv2d = forward_ops["conv2d_block"], forward_ops["conv2d"]

shapes = pytest.mark.shapes(
    {"mnist-1": (32, 28, 28, 1, 32), "mnist-2": (32, 13, 13, 32, 64), "28x28x64": (4, 28, 28, 64, 64)},
    small={"small": (2, 7, 6, 3, 17)},
)


def _operands(shape: Shape) -> tuple[Any, Any, Any]:
    batch, H, W, C, F = shape
    return normal(batch, H, W, C), normal(3, 3, C, F), normal(F)


def _winners(y: Any, argmax: Any) -> Any:
    """The outputs of the convolution that won: what both gradients are sums over."""
    batch, height, width, filters = argmax.shape
    windows = y[:, : height * 2, : width * 2].reshape(batch, height, 2, width, 2, filters)
    windows = windows.transpose(0, 1, 3, 5, 2, 4).reshape(*argmax.shape, 4)
    return np.take_along_axis(windows, argmax[..., None].astype(int), -1)[..., 0]


@shapes
def test_conv2d_block(time_op: Any, shape: Shape) -> None:
    x, w, bias = _operands(shape)
    y, argmax = block(*double(x, w, bias), activation="relu")
    time_op("conv2d_block", [x, w, bias], close(y, argmax, terms=w[..., 0].size), activation="relu")


@shapes
def test_conv2d_block_backward_input(time_op: Any, shape: Shape) -> None:
    x, w, _ = _operands(shape)
    _, argmax = block(x, w)
    g = normal(*argmax.shape)
    check = adjoint(lambda v: _winners(conv2d(v, w.astype("d")), argmax), x.shape, g)
    time_op("conv2d_block_backward_input", [g, argmax, w], check, image_size=x.shape[1:3])


@shapes
def test_conv2d_block_backward_kernel(time_op: Any, shape: Shape) -> None:
    x, w, _ = _operands(shape)
    _, argmax = block(x, w)
    g = normal(*argmax.shape)
    check = adjoint(lambda v: _winners(conv2d(x.astype("d"), v), argmax), w.shape, g)
    time_op("conv2d_block_backward_kernel", [x, g, argmax], check, kernel_size=(3, 3))
