"""Gradient accumulation: several steps make one update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops, optimizers
from fastnn.callbacks import BackupAndRestore, Callback

rng = np.random.default_rng(0)
X = rng.standard_normal((48, 5)).astype(np.float32)
Y = rng.standard_normal((48, 2)).astype(np.float32)

MAKE: dict[str, Any] = {
    "sgd": lambda **o: optimizers.SGD(0.1, momentum=0.5, weight_decay=0.1, **o),
    "adam": lambda **o: optimizers.Adam(0.01, clipnorm=0.3, **o),
    "adamw": lambda **o: optimizers.AdamW(0.01, **o),
    "rmsprop": lambda **o: optimizers.RMSprop(0.01, centered=True, **o),
    "adagrad": lambda **o: optimizers.Adagrad(0.1, **o),
    "lion": lambda **o: optimizers.Lion(0.01, global_clipnorm=0.1, **o),
    "muon": lambda **o: optimizers.Muon(0.01, **o),
    "schedule": lambda **o: optimizers.SGD(fastnn.optimizers.schedules.ExponentialDecay(0.5, 1, 0.7), **o),
}


def make(optimizer: Any) -> Any:
    fastnn.set_seed(2)
    model = fastnn.Sequential(
        [layers.Dense(4, "tanh", input_shape=(5,)), layers.Dropout(0.0), layers.Dense(2, kernel_regularizer="l2")]
    )
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("steps", [2, 3])
def test_equals_larger_batches(name: str, steps: int) -> None:
    many, one = make(MAKE[name](gradient_accumulation_steps=steps)), make(MAKE[name]())
    options = {"epochs": 2, "shuffle": False, "verbose": 0}
    many.fit(X, Y, batch_size=8, **options)
    one.fit(X, Y, batch_size=8 * steps, **options)
    for a, b in zip(many.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert int(many.optimizer.iterations) == int(one.optimizer.iterations) == 2 * 6 // steps
    np.testing.assert_allclose(many.evaluate(X, Y), one.evaluate(X, Y), rtol=1e-4)


def test_steps_left_over_count_in_the_next_epoch() -> None:
    """5 steps an epoch, 3 to an update: after steps 3, 6 and 9; the weights change only then."""
    model = make(MAKE["sgd"](gradient_accumulation_steps=3))
    seen = [model.get_weights()[0]]

    class Watch(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(self.model.get_weights()[0])

    model.fit(X[:40], Y[:40], batch_size=8, epochs=2, verbose=0, callbacks=Watch())
    changed = [i for i in range(1, len(seen)) if not np.array_equal(seen[i], seen[i - 1])]
    assert changed == [3, 6, 9]
    assert int(model.optimizer.iterations) == 3


def test_on_batches() -> None:
    model, one = make(MAKE["adam"](gradient_accumulation_steps=2)), make(MAKE["adam"]())
    before = model.get_weights()
    model.train_on_batch(X[:24], Y[:24])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.train_on_batch(X[24:], Y[24:])
    one.train_on_batch(X, Y)
    for a, b in zip(model.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


class Stop(Exception):
    pass


class StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.left = step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stop


@pytest.mark.parametrize("name", ["sgd", "adam", "muon"])
@pytest.mark.parametrize("stop", [2, 3, 5, 8])
def test_resume_between_updates(name: str, stop: int, tmp_path: Path) -> None:
    def run(*callbacks: Callback) -> Any:
        model = make(MAKE[name](gradient_accumulation_steps=4))
        history = model.fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=list(callbacks)).history
        return model.get_weights(), history

    weights, history = run()
    with pytest.raises(Stop):
        run(BackupAndRestore(tmp_path, save_freq=1), StopAt(stop))
    again, found = run(BackupAndRestore(tmp_path, save_freq=1))
    assert found == history
    for a, b in zip(weights, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_saved_between_updates(tmp_path: Path) -> None:
    model = make(MAKE["adam"](gradient_accumulation_steps=3))
    model.train_on_batch(X[:8], Y[:8])
    model.save(tmp_path / "model.safetensors")
    copy = fastnn.load_model(tmp_path / "model.safetensors")
    for one in (model, copy):
        for start in (8, 16):
            one.train_on_batch(X[start : start + 8], Y[start : start + 8])
        assert int(one.optimizer.iterations) == 1
    for a, b in zip(model.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loop_of_ones_own() -> None:
    w, optimizer = fastnn.Variable(np.ones(2)), optimizers.SGD(1.0, gradient_accumulation_steps=2)

    def step(record: Any) -> Any:
        @fastnn.function
        def run(x: Any) -> Any:
            loss, gradients = fastnn.value_and_grad(lambda: ops.sum(w * x), variables=[w])()
            record(gradients, [w])
            return loss

        return run

    gather, update = step(optimizer.accumulate), step(optimizer.apply)
    for x in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]):
        (gather if optimizer.gathers else update)(np.array(x))
    np.testing.assert_array_equal(w.numpy(), [1 - 2 - 6, 1 - 3 - 7])
    update(np.array([1.0, 1.0]))  # without steps before it: the mean of one
    np.testing.assert_array_equal(w.numpy(), [-8, -10])


def test_configuration() -> None:
    for name, kind in MAKE.items():
        config = kind(gradient_accumulation_steps=5).get_config()
        assert type(kind()).from_config(config).gradient_accumulation_steps == 5, name
        assert "gradient_accumulation_steps" not in kind().get_config()


@pytest.mark.parametrize("steps", [1, 0, -2, 2.0, True, "2"])
def test_bad_input(steps: Any) -> None:
    with pytest.raises(ValueError, match=r"gradient_accumulation_steps=.*; expected an integer >= 2, or None; "):
        optimizers.Adam(gradient_accumulation_steps=steps)


def test_accumulate_without_the_option() -> None:
    with pytest.raises(ValueError, match="sgd: accumulate without gradient_accumulation_steps"):
        optimizers.SGD().accumulate([], [])
