"""Elementwise ops: arithmetic, functions, their derivatives, casts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benches.op import close, double, normal, positive
from fastnn.reference import forward_ops

# mnist: what the first convolution of the README's network makes of a batch of 32.
shapes = pytest.mark.shapes({"mnist": (32, 26, 26, 32), "1k": (1000,), "4M": (4_000_000,)}, small={"small": (3, 5, 17)})
BACKWARD: dict[str, Callable[[Any, Any], Any]] = {
    "relu_backward": lambda dy, y: np.where(y > 0, dy, 0),
    "sigmoid_backward": lambda dy, y: dy * y * (1 - y),
    "tanh_backward": lambda dy, y: dy * (1 - y * y),
    "silu_backward": lambda dy, x: dy * (1 + x / (1 + np.exp(x))) / (1 + np.exp(-x)),
    "leaky_relu_backward": lambda dy, x: np.where(x > 0, dy, 0.2 * dy),
}
FUNCTIONS = ["relu", "sigmoid", "tanh", "exp", "log", "sqrt", "square", "gelu", "silu", "mish", "softplus", "elu", "leaky_relu"]
FUNCTIONS += ["relu6", "hard_silu", "expm1", "log1p", "erf", "sin", "rsqrt", "floor"]


@pytest.mark.parametrize("op", FUNCTIONS)
@shapes
def test_function(time_op: Any, shape: tuple[int, ...], op: str) -> None:
    x = positive(*shape) if op in ("log", "log1p", "sqrt", "rsqrt") else normal(*shape)
    time_op(op, [x], close(forward_ops[op](*double(x))))


@shapes
def test_gelu_by_a_tanh(time_op: Any, shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    time_op("gelu", [x], close(forward_ops["gelu"](*double(x), approximate=True)), approximate=True)


@pytest.mark.parametrize("op", BACKWARD)
@shapes
def test_backward(time_op: Any, shape: tuple[int, ...], op: str) -> None:
    dy, y = normal(*shape), normal(*shape)
    time_op(op, [dy, y], close(BACKWARD[op](*double(dy, y)), terms=32))


@pytest.mark.parametrize("op", ["add", "multiply", "divide", "maximum", "sigmoid_cross_entropy"])
@shapes
def test_of_two(time_op: Any, shape: tuple[int, ...], op: str) -> None:
    a, b = normal(*shape), positive(*shape)
    time_op(op, [a, b], close(forward_ops[op](*double(a, b)), terms=32))


@shapes
def test_power(time_op: Any, shape: tuple[int, ...]) -> None:
    a, b = positive(*shape), normal(*shape)
    time_op("power", [a, b], close(np.power(*double(a, b))))


@shapes
def test_prelu_per_channel(time_op: Any, shape: tuple[int, ...]) -> None:
    x, alpha = normal(*shape), normal(shape[-1])
    time_op("prelu", [x, alpha], close(forward_ops["prelu"](*double(x, alpha))))


@shapes
def test_less(time_op: Any, shape: tuple[int, ...]) -> None:
    a, b = normal(*shape), normal(*shape)
    time_op("less", [a, b], close(a < b))


@shapes
def test_where(time_op: Any, shape: tuple[int, ...]) -> None:
    condition, a, b = normal(*shape) > 0, normal(*shape), normal(*shape)
    time_op("where", [condition, a, b], close(np.where(condition, a, b).astype(np.float64)))


@shapes
def test_add_of_a_row(time_op: Any, shape: tuple[int, ...]) -> None:
    a, b = normal(*shape), normal(shape[-1])
    time_op("add", [a, b], close(np.add(*double(a, b))))


@shapes
def test_cast_of_bytes(time_op: Any, shape: tuple[int, ...]) -> None:
    x = (255 * positive(*shape) / 1.1).astype(np.uint8)
    time_op("cast", [x], close(x.astype(np.float32)), dtype="float32")
