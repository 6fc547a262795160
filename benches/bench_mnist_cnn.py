"""Training the README's network through `model.fit`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from benches.cnn import mnist_cnn
from benches.peers import protocol


@pytest.mark.parametrize("batch_size", [32, 128], ids="batch-{}".format)
def test_fit(measure: Any, small: bool, batch_size: int) -> None:
    images = 2 * batch_size if small else 4096
    x, y, _, _ = protocol.mnist(images)
    fastnn.set_seed(0)
    model = mnist_cnn(fastnn)

    def train(epochs: int = 1) -> list[float]:
        return model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0).history["loss"]  # type: ignore[no-any-return]

    losses = train(epochs=3)
    assert np.log(10) < 1.2 * losses[0] < 4 * np.log(10)  # an untrained network knows nothing of ten classes
    assert losses[2] < losses[0]

    program = model._training_program(x, y)
    steps = program.describe([[images, 28, 28, 1], [images], [batch_size]])["steps"]
    calls = {step["call"]: step for step in steps}.values()
    count = images // batch_size
    measure(
        train,
        count * sum(call["flops"] for call in calls),
        count * sum(call["bytes"] for call in calls),
        rounds=1 if small else 15,
        images=images,
    )
