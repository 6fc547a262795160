"""Normalisations, forward and backward. Shapes are (batch, height, width, channels) of ResNets, (rows, channels) of GPTs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import Check, close, double, normal
from fastnn.reference import forward_ops

Shape = tuple[int, ...]

images = pytest.mark.shapes(
    {"56x56x64": (8, 56, 56, 64), "14x14x256": (8, 14, 14, 256), "dense-512": (32, 512)}, small={"small": (2, 5, 4, 17)}
)
rows = pytest.mark.shapes({"gpt-768": (1024, 768), "small-64": (4096, 64)}, small={"small": (7, 17)})


def _weights(shape: Shape) -> tuple[Any, Any]:
    return normal(shape[-1]), normal(shape[-1])


def _derivative(op: str, operands: list[Any], dy: Any, options: dict[str, Any]) -> Check:
    """<dx, v> is the derivative of <dy, y> along a random v, by the complex step; dgamma likewise."""
    exact = double(*operands)
    directions = double(normal(*operands[0].shape), normal(operands[0].shape[-1]))

    def check(results: list[Any]) -> None:
        for i, direction in enumerate(directions):
            moved = [a + 1e-100j * direction if i == j else a for j, a in enumerate(exact)]
            y = forward_ops[op](*moved, **options)[0]
            right = np.vdot(dy.astype("d"), np.imag(y) / 1e-100)
            left = np.vdot(results[i].astype("d"), direction)
            assert abs(left - right) <= 1e-4 * np.linalg.norm(results[i]) * np.linalg.norm(direction)

    return check


def _backward(time_op: Any, op: str, shape: Shape, **options: Any) -> None:
    x, (gamma, beta), dy = normal(*shape), _weights(shape), normal(*shape)
    operands = [x, gamma] if op == "rms_norm" else [x, gamma, beta]
    _, *statistics = (s.astype("f") for s in forward_ops[op](*double(*operands), **options))
    time_op(f"{op}_backward", [dy, x, gamma, *statistics], _derivative(op, operands, dy, options), **options)


@images
def test_batch_norm(time_op: Any, shape: Shape) -> None:
    operands = [normal(*shape), *_weights(shape)]
    time_op("batch_norm", operands, close(*forward_ops["batch_norm"](*double(*operands)), terms=64))


@images
def test_batch_norm_backward(time_op: Any, shape: Shape) -> None:
    _backward(time_op, "batch_norm", shape)


@images
def test_batch_norm_inference(time_op: Any, shape: Shape) -> None:
    gamma, beta = _weights(shape)
    operands = [normal(*shape), normal(shape[-1]), np.square(normal(shape[-1])) + np.float32(0.5), gamma, beta]
    time_op("batch_norm_inference", operands, close(forward_ops["batch_norm_inference"](*double(*operands)), terms=8))


@images
def test_group_norm(time_op: Any, shape: Shape) -> None:
    operands, groups = [normal(*shape), *_weights(shape)], 32 if shape[-1] % 32 == 0 else 1
    time_op(
        "group_norm", operands, close(*forward_ops["group_norm"](*double(*operands), groups=groups), terms=64), groups=groups
    )


@images
def test_group_norm_backward(time_op: Any, shape: Shape) -> None:
    _backward(time_op, "group_norm", shape, groups=32 if shape[-1] % 32 == 0 else 1)


@rows
def test_layer_norm(time_op: Any, shape: Shape) -> None:
    operands = [normal(*shape), *_weights(shape)]
    time_op("layer_norm", operands, close(*forward_ops["layer_norm"](*double(*operands)), terms=64))


@rows
def test_layer_norm_backward(time_op: Any, shape: Shape) -> None:
    _backward(time_op, "layer_norm", shape)


@rows
def test_rms_norm(time_op: Any, shape: Shape) -> None:
    operands = [normal(*shape), _weights(shape)[0]]
    time_op("rms_norm", operands, close(*forward_ops["rms_norm"](*double(*operands)), terms=64))


@rows
def test_rms_norm_backward(time_op: Any, shape: Shape) -> None:
    _backward(time_op, "rms_norm", shape)
