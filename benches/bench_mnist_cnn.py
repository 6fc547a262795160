"""Training the README's network through `model.fit`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from benches.networks import mnist_cnn
from benches.peers import protocol


@pytest.mark.parametrize("batch_size", [32, 128], ids="batch-{}".format)
def test_fit(measure: Any, small: bool, batch_size: int) -> None:
    images = 2 * batch_size if small else 4096
    x, y, _, _ = protocol.mnist(images)
    fastnn.set_seed(0)
    model = mnist_cnn(fastnn)

    def train(epochs: int = 1) -> None:
        model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)

    before = model.evaluate(x, y, return_dict=True)["loss"]
    assert abs(before - np.log(10)) < 0.5  # an untrained network knows nothing of ten classes
    train(epochs=3)
    assert model.evaluate(x, y, return_dict=True)["loss"] < before - 0.05

    program = model._training_program(model._prepare(x, y, "bench"))
    steps = program.function.describe([[images, 28, 28, 1], [images], [batch_size]])["steps"]
    calls = {step["call"]: step for step in steps}.values()
    count = images // batch_size
    measure(
        train,
        count * sum(call["flops"] for call in calls),
        count * sum(call["bytes"] for call in calls),
        rounds=1 if small else 15,
        steps=count,
        images=images,
    )
