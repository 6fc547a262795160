"""Pooling by windows of 2 x 2, forward and backward. Shapes are images (batch, height, width, channels)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import adjoint, close, normal
from fastnn.reference import forward_ops

Shape = tuple[int, int, int, int]

shapes = pytest.mark.shapes(
    {"mnist-1": (32, 26, 26, 32), "mnist-2": (32, 11, 11, 64), "56x56x64": (4, 56, 56, 64)},
    small={"small": (2, 5, 4, 17)},
)


@shapes
def test_max_pool2d(time_op: Any, shape: Shape) -> None:
    x = normal(*shape)
    time_op("max_pool2d", [x], close(*forward_ops["max_pool2d"](x)))


@shapes
def test_max_pool2d_backward(time_op: Any, shape: Shape) -> None:
    batch, H, W, C = shape
    _, winner = forward_ops["max_pool2d"](normal(*shape))
    dy = normal(*winner.shape)

    def pick(v: Any) -> Any:
        windows = v[:, : H // 2 * 2, : W // 2 * 2].reshape(batch, H // 2, 2, W // 2, 2, C)
        windows = windows.transpose(0, 1, 3, 5, 2, 4).reshape(*winner.shape, 4)
        return np.take_along_axis(windows, winner[..., None].astype(int), -1)[..., 0]

    time_op("max_pool2d_backward", [dy, winner], adjoint(pick, shape, dy), image_size=(H, W))


@shapes
def test_average_pool2d(time_op: Any, shape: Shape) -> None:
    x = normal(*shape)
    time_op("average_pool2d", [x], close(forward_ops["average_pool2d"](x.astype("d"))))


@shapes
def test_average_pool2d_backward(time_op: Any, shape: Shape) -> None:
    dy = normal(*forward_ops["average_pool2d"](normal(*shape)).shape)
    time_op("average_pool2d_backward", [dy], adjoint(forward_ops["average_pool2d"], shape, dy), image_size=shape[1:3])
