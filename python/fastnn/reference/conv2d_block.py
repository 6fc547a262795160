"""Convolution, activation and max-pooling of images, channels last."""

from __future__ import annotations

from ._types import Array
from .conv2d import conv2d
from .elementwise import relu
from .pool2d import max_pool2d

__all__ = ["conv2d_block"]


def conv2d_block(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: str = "valid",
    activation: str = "none",
    pool_size: tuple[int, int] = (2, 2),
) -> tuple[Array, Array]:
    """Return activation(max over each window of conv2d(x, w, bias)), and the maximum's place in the window as uint8."""
    y, argmax = max_pool2d(conv2d(x, w, bias, strides=strides, padding=padding), pool_size=pool_size, strides=pool_size)
    return (relu(y) if activation == "relu" else y), argmax
