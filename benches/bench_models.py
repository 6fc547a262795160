"""How long a model of many layers takes until its first step is done."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn import layers


def test_many_layers(benchmark: Any, small: bool) -> None:
    """A functional model of 200 layers: weights, trace, derivative, plan, and one step."""
    x, y = np.random.default_rng(0).random((32, 16), dtype=np.float32), np.zeros(32, np.int64)

    def run(count: int = 20 if small else 199) -> float:
        inputs = outputs = fastnn.Input((16,))
        for _ in range(count):
            outputs = layers.Dense(16, activation="tanh")(outputs)
        model = fastnn.Model(inputs, layers.Dense(3, activation="softmax")(outputs))
        model.compile("adam", "sparse_categorical_crossentropy")
        loss = model.train_on_batch(x, y)
        assert isinstance(loss, float)
        return loss

    assert np.isfinite(run())
    benchmark.pedantic(run, rounds=1 if small else 15)
