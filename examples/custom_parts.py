"""A layer, a loss, a metric and an activation of one's own, written with fastnn.ops, trained and saved like any other.

python examples/custom_parts.py
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

import numpy as np

import fastnn
from fastnn import layers, ops

parser = argparse.ArgumentParser(description="Fit a curve with parts of one's own.")
parser.add_argument("--epochs", type=int, default=60)
arguments = parser.parse_args()


class Fourier(layers.Layer):
    """Sines and cosines of learnt frequencies."""

    def __init__(self, count: int, **options: Any) -> None:
        super().__init__(**options)
        self.count = count

    def build(self, input_shape: Any) -> None:
        spread = fastnn.initializers.RandomUniform(0.5, 8.0)
        self.frequencies = self.add_weight("frequencies", (input_shape[-1], self.count), spread)

    def call(self, x: Any) -> Any:
        angle = ops.matmul(x, self.frequencies)
        return ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"count": self.count, **super().get_config()}


class Tolerant(fastnn.losses.Loss):
    """Squared errors, of which those below a tolerance are free."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(ops.relu(ops.abs(y_pred - y_true) - 0.02)), axes=-1)


class Worst(fastnn.metrics.Metric):
    """The share of errors above 0.1."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.cast(ops.greater(ops.abs(y_pred - y_true), 0.1), "float32"), axes=-1)


def bump(x: Any) -> Any:
    return ops.exp(-ops.square(x))


x = np.linspace(-2, 2, 1000, dtype=np.float32)[:, None]
y = np.sin(5 * x) + 0.3 * np.cos(11 * x)

fastnn.set_seed(0)
model = fastnn.Sequential([Fourier(24, input_shape=(1,)), layers.Dense(32, activation=bump), layers.Dense(1)])
model.compile(fastnn.optimizers.Adam(0.01), loss=Tolerant(), metrics=[Worst("worst")])
model.fit(x, y, batch_size=50, epochs=arguments.epochs, verbose=0)

with tempfile.TemporaryDirectory() as folder:
    model.save(f"{folder}/curve.safetensors")
    parts = {"Fourier": Fourier, "Tolerant": Tolerant, "Worst": Worst, "bump": bump}
    model = fastnn.load_model(f"{folder}/curve.safetensors", custom_objects=parts)
loss, worst = model.evaluate(x, y)
print(f"errors above 0.1: {worst:.4f} of all (loss {loss:.6f})")
