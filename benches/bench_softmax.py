"""Softmax and its logarithm over the last axis. Shapes are (rows, classes)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, double, normal
from fastnn.reference import forward_ops

Shape = tuple[int, int]
shapes = pytest.mark.shapes({"mnist": (32, 10), "attention": (3072, 64), "classes": (256, 1000)}, small={"small": (3, 17)})


@shapes
def test_softmax(time_op: Any, shape: Shape) -> None:
    x = normal(*shape)
    time_op("softmax", [x], close(forward_ops["softmax"](*double(x))))


@shapes
def test_softmax_backward(time_op: Any, shape: Shape) -> None:
    dy, y = normal(*shape), forward_ops["softmax"](normal(*shape))
    DY, Y = double(dy, y)
    time_op("softmax_backward", [dy, y], close(Y * (DY - (DY * Y).sum(-1, keepdims=True)), terms=32))


@shapes
def test_log_softmax(time_op: Any, shape: Shape) -> None:
    x = normal(*shape)
    time_op("log_softmax", [x], close(forward_ops["log_softmax"](*double(x))))


@shapes
def test_log_softmax_backward(time_op: Any, shape: Shape) -> None:
    dy, y = normal(*shape), forward_ops["log_softmax"](normal(*shape))
    DY, Y = double(dy, y)
    time_op("log_softmax_backward", [dy, y], close(DY - np.exp(Y) * DY.sum(-1, keepdims=True), terms=32))
