"""Fully connected layers, forward and backward. Shapes are (rows, inputs, units)."""

from __future__ import annotations

from typing import Any

import pytest

from benches.op import close, double, normal, random

shapes = pytest.mark.shapes(
    {
        "mnist-576x64": (32, 576, 64),
        "mnist-64x10": (32, 64, 10),
        "wide-128x512": (768, 128, 512),
        "square-1024": (1024, 1024, 1024),
    },
    small={"small": (3, 33, 17)},
)


@shapes
def test_dense(time_op: Any, shape: tuple[int, int, int]) -> None:
    rows, C, U = shape
    x, w, bias = normal(rows, C), normal(C, U), normal(U)
    X, W, B = double(x, w, bias)
    time_op("dense", [x, w, bias], close(X @ W + B, terms=C))


@pytest.mark.shapes({"32x784x512": (32, 784, 512), "1024x784x512": (1024, 784, 512)}, small={"small": (16, 64, 256)})
def test_dense_of_mostly_zeros(time_op: Any, shape: tuple[int, int, int]) -> None:
    """A fifth of x is not 0, as of MNIST."""
    rows, C, U = shape
    x, w, bias = normal(rows, C) * (random.random((rows, C)) < 0.2).astype("f"), normal(C, U), normal(U)
    X, W, B = double(x, w, bias)
    time_op("dense", [x, w, bias], close(X @ W + B, terms=C))


@shapes
def test_dense_backward_input(time_op: Any, shape: tuple[int, int, int]) -> None:
    rows, C, U = shape
    dy, w = normal(rows, U), normal(C, U)
    DY, W = double(dy, w)
    time_op("dense_backward_input", [dy, w], close(DY @ W.T, terms=U))


@shapes
def test_dense_backward_kernel(time_op: Any, shape: tuple[int, int, int]) -> None:
    rows, C, U = shape
    x, dy = normal(rows, C), normal(rows, U)
    X, DY = double(x, dy)
    time_op("dense_backward_kernel", [x, dy], close(X.T @ DY, terms=rows))
