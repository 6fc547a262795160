"""Recurrent networks: their kernels, and training a classifier of sequences. Shapes are (batch, time, channels, units)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from benches.op import close, double, normal
from fastnn import layers
from fastnn.reference import forward_ops

Shape = tuple[int, int, int, int]
GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}

sizes = pytest.mark.shapes(
    {"64x28x28-128": (64, 28, 28, 128), "32x64x128-256": (32, 64, 128, 256), "1x64x128-256": (1, 64, 128, 256)},
    small={"small": (3, 4, 5, 17)},
)
every_op = pytest.mark.parametrize("op", list(GATES))


def _weights(op: str, channels: int, units: int) -> list[Any]:
    width = GATES[op] * units
    bias = normal(2, width) if op == "gru" else normal(width)
    return [normal(channels, width) / np.float32(channels**0.5), normal(units, width) / np.float32(units**0.5), bias]


@every_op
@sizes
def test_forward(time_op: Any, op: str, shape: Shape) -> None:
    batch, time, channels, units = shape
    operands = [normal(batch, time, channels), *_weights(op, channels, units)]
    time_op(op, operands, close(*forward_ops[op](*double(*operands)), terms=64 * time))


@every_op
@sizes
def test_backward(time_op: Any, op: str, shape: Shape) -> None:
    """<dz, v> is the derivative of <dy, y> along a random change v of the sums, which is one of the bias where T is 1."""
    batch, time, channels, units = shape
    x, kernel, recurrent, bias = normal(batch, time, channels), *_weights(op, channels, units)
    exact, direction, dy = double(x, kernel, recurrent, bias), normal(GATES[op] * units), normal(batch, time, units)
    moved = np.zeros(bias.shape)
    (moved[0] if op == "gru" else moved)[...] = direction
    results = forward_ops[op](*exact)
    right = np.vdot(dy, np.imag(forward_ops[op](*exact[:3], exact[3] + 1e-100j * moved)[0]) / 1e-100)

    def check(gradients: list[Any]) -> None:
        left = np.vdot(gradients[0].sum(axis=(0, 1)), direction)
        assert abs(left - right) <= 1e-3 * np.linalg.norm(gradients[0]) * np.linalg.norm(direction)

    derivatives = results[4 if op == "lstm" else 3].astype(np.float32)
    states = [None] * (2 if op == "lstm" else 1)
    time_op(f"{op}_backward", [derivatives, recurrent, dy, *states], check)


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
@sizes
def test_train_step(measure: Any, small: bool, kind: str, shape: Shape) -> None:
    batch, time, channels, units = shape
    steps = 1 if small else 10
    x, y = normal(batch * steps, time, channels), np.arange(batch * steps) % 10
    fastnn.set_seed(0)
    model = fastnn.Sequential([getattr(layers, kind)(units, input_shape=(time, channels)), layers.Dense(10)])
    model.compile("adam", loss=fastnn.losses.SparseCategoricalCrossentropy(from_logits=True))

    def train(epochs: int = 1) -> None:
        model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)

    before = model.evaluate(x, y)
    train(epochs=3)
    assert model.evaluate(x, y) < before
    described = model._training_program(model._prepare(x, y, "bench")).function.describe(
        [[batch * steps, time, channels], [batch * steps], [batch]]
    )
    calls = {step["call"]: step for step in described["steps"]}.values()
    measure(
        train,
        steps * sum(call["flops"] for call in calls),
        steps * sum(call["bytes"] for call in calls),
        rounds=1 if small else 15,
        steps=steps,
        images=batch * steps,
    )
