"""Moving averages of weights, against the weights of the same training without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers
from fastnn.callbacks import BackupAndRestore, Callback

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 5)).astype(np.float32)
Y = rng.standard_normal((40, 2)).astype(np.float32)


class Record(Callback):
    def __init__(self, stop: int = 0) -> None:
        self.weights: list[Any] = []
        self.stop = stop

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.weights.append(self.model.get_weights())
        if len(self.weights) == self.stop:
            raise KeyboardInterrupt


def make(**options: Any) -> Any:
    fastnn.set_seed(1)
    model = fastnn.Sequential([layers.Dense(3, "tanh", input_shape=(5,)), layers.Dense(2)])
    model.compile(optimizers.Adam(0.05, **options), "mse")
    return model


def fit(model: Any, *callbacks: Callback) -> Any:
    model.fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=list(callbacks))
    return model.get_weights()


def test_the_end_of_fit_writes_them() -> None:
    plain, seen = Record(), Record()
    fit(make(), plain)
    found = fit(make(use_ema=True, ema_momentum=0.8), seen)
    for i, weight in enumerate(found):
        average = plain.weights[0][i].astype(np.float64)
        for weights in plain.weights[1:]:
            average = 0.8 * average + 0.2 * weights[i]
        np.testing.assert_allclose(weight, average, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal([w[i] for w in seen.weights], [w[i] for w in plain.weights])


def test_overwriting() -> None:
    """Every third update starts from the average; with momentum 1 that is the weight after the first one."""
    seen = Record()
    fit(make(use_ema=True, ema_momentum=1.0, ema_overwrite_frequency=3), seen)
    for step in range(2, 15, 3):
        np.testing.assert_array_equal(seen.weights[step][0], seen.weights[0][0])
    assert not np.array_equal(seen.weights[3][0], seen.weights[0][0])


def test_with_accumulation() -> None:
    """The average is of updates, not of steps."""
    many = make(use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=5)
    found = fit(many)
    one = make(use_ema=True, ema_momentum=0.5)
    one.fit(X, Y, batch_size=40, epochs=3, verbose=0)
    for a, b in zip(found, one.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_resume(tmp_path: Path) -> None:
    options = {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 4}
    whole = fit(make(**options))
    with pytest.raises(KeyboardInterrupt):
        fit(make(**options), BackupAndRestore(tmp_path, save_freq=1), Record(stop=7))
    for a, b in zip(whole, fit(make(**options), BackupAndRestore(tmp_path, save_freq=1)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_to_write() -> None:
    model = make(use_ema=True)
    before = model.get_weights()
    model.optimizer.finalize_variable_values(model.trainable_variables)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.train_on_batch(X, Y)
    with pytest.raises(ValueError, match="finalize_variable_values of other variables"):
        model.optimizer.finalize_variable_values(model.trainable_variables[:1])


def test_configuration() -> None:
    optimizer = optimizers.SGD(use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=7)
    config = optimizers.SGD.from_config(optimizer.get_config()).get_config()
    assert (config["use_ema"], config["ema_momentum"], config["ema_overwrite_frequency"]) == (True, 0.5, 7)
    assert not [key for key in optimizers.SGD().get_config() if "ema" in key]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"use_ema": 1}, TypeError, "use_ema=1; expected True or False"),
        ({"use_ema": True, "ema_momentum": 1.5}, ValueError, "ema_momentum=1.5"),
        ({"use_ema": True, "ema_overwrite_frequency": 0}, ValueError, "ema_overwrite_frequency=0"),
        ({"ema_momentum": 0.5}, ValueError, "without use_ema"),
    ],
)
def test_bad_input(options: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        optimizers.Adam(**options)
