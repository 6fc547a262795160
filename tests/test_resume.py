"""Checkpoints: a `fit` that was stopped anywhere ends with the same bits as one that never was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers, saving
from fastnn.callbacks import BackupAndRestore, Callback, ModelCheckpoint
from fastnn.text import RandomWindows
from fastnn.utils import generator

EPOCHS = 4  # of 4 steps, the last one smaller


def data(samples: int = 35) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((samples, 10, 10, 1), dtype=np.float32), rng.integers(0, 3, samples)


def make(units: int = 6, activation: str = "relu", optimizer: Any = "adam") -> fastnn.Sequential:
    fastnn.set_seed(7)
    model = fastnn.Sequential(
        [
            layers.Conv2D(3, 3, activation="relu", input_shape=(10, 10, 1)),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(units, activation=activation),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Stopped(Exception):
    pass


class StopAt(Callback):
    """Ends `fit` as a kill would, after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stopped


class Halve(Callback):
    """Halves the learning rate every third step, and counts them itself: a callback with a state of its own."""

    def __init__(self) -> None:
        self.steps = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1
        if self.steps % 3 == 0:
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2

    def get_state(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def set_state(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


def train(folder: Path | None, stop: int = 0, epochs: int = EPOCHS, save_freq: Any = 1, **options: Any) -> Any:
    """The weights, the history and the next random key of one (perhaps resumed) run."""
    model = options.pop("model", None) or make()
    x, y = options.pop("data", None) or data()
    callbacks: list[Callback] = [Halve()]
    if stop:
        callbacks.append(StopAt(stop))
    if folder is not None:
        backup = {"delete_checkpoint": options.pop("delete_checkpoint", True), "seconds": options.pop("seconds", None)}
        callbacks.insert(0, BackupAndRestore(folder, save_freq=save_freq, **backup))
    fit = {"batch_size": 8, "validation_split": 0.1, "verbose": 0, **options}
    try:
        model.fit(x, y, epochs=epochs, callbacks=callbacks, **fit)
    except Stopped:
        assert stop
    return model.get_weights(), model.history.history, model.history.epoch, generator.next_key()


def assert_same_run(a: Any, b: Any) -> None:
    for x, y in zip(a[0], b[0], strict=True):
        np.testing.assert_array_equal(x, y)
    assert a[1:] == b[1:]


@pytest.fixture(scope="module")
def whole() -> Any:
    return train(None)


@pytest.mark.parametrize("stop", range(1, EPOCHS * 4 + 1))
def test_stopped_after_any_step(stop, whole, tmp_path):
    """Checkpoints after every step: the run goes on in the middle of an epoch."""
    train(tmp_path, stop=stop)
    assert os.listdir(tmp_path) == ["checkpoint.safetensors"]
    at = saving.read_checkpoint(tmp_path / "checkpoint.safetensors")["fit"]
    assert at["epoch"] * 4 + at["step"] == stop - 1  # the stop came before the save
    resumed = train(tmp_path)
    assert_same_run(whole, resumed)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("save_freq", ["epoch", 3])
@pytest.mark.parametrize("stop", [2, 4, 6, 11])
def test_steps_since_the_checkpoint_are_repeated(save_freq, stop, whole, tmp_path):
    train(tmp_path, stop=stop, save_freq=save_freq)
    assert_same_run(whole, train(tmp_path, save_freq=save_freq))


def test_stopped_again_and_again(whole, tmp_path):
    for step in range(1, EPOCHS * 4):
        train(tmp_path, stop=2)  # one step further each time
        at = saving.read_checkpoint(tmp_path / "checkpoint.safetensors")["fit"]
        assert at["epoch"] * 4 + at["step"] == step
    assert_same_run(whole, train(tmp_path))


@pytest.mark.parametrize("stop", [1, 2, 6])
def test_metrics_whose_state_has_the_shape_of_outputs(stop, tmp_path):
    x, labels = data()
    one_hot = fastnn.utils.to_categorical(labels, 3)

    def run(folder, stop=0):
        model = make()
        chosen = [fastnn.metrics.F1Score("macro"), fastnn.metrics.R2Score(), "accuracy"]
        model.compile("adam", loss="categorical_crossentropy", metrics=chosen)
        return train(folder, stop=stop, model=model, data=(x, one_hot))

    whole = run(None)
    run(tmp_path, stop=stop)
    resumed = run(tmp_path)
    assert_same_run(whole, resumed)
    assert set(resumed[1]) >= {"f1_score", "r2_score", "val_f1_score"}


def test_by_the_clock(whole, tmp_path):
    train(tmp_path, stop=3, save_freq="epoch", seconds=1e-6)
    assert saving.read_checkpoint(tmp_path / "checkpoint.safetensors")["fit"]["step"] == 2  # the third one stopped before
    assert_same_run(whole, train(tmp_path, save_freq="epoch", seconds=1e-6))


def test_threads_may_differ(whole, tmp_path):
    _core._serial_below(0)
    _core.set_num_threads(3)
    train(tmp_path, stop=6)
    _core.set_num_threads(2)
    assert_same_run(whole, train(tmp_path))


def test_more_epochs(whole, tmp_path):
    train(tmp_path, epochs=2, delete_checkpoint=False)
    state = saving.read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert (state["fit"]["epoch"], state["fit"]["step"], state["callbacks"]["Halve"]) == (2, 0, {"steps": 8})
    assert_same_run(whole, train(tmp_path))


def test_a_finished_run_does_nothing(whole, tmp_path):
    train(tmp_path, delete_checkpoint=False)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    assert_same_run(whole, train(tmp_path, delete_checkpoint=False))
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_a_run_that_a_callback_ended_stays_ended(tmp_path):
    class EndAfterTwo(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 1

    for _ in range(2):
        model = make()
        backup = BackupAndRestore(tmp_path, delete_checkpoint=False)
        assert model.fit(*data(), epochs=9, callbacks=[EndAfterTwo(), backup], verbose=0).epoch == [0, 1]


def test_the_checkpoint_is_a_model(tmp_path):
    train(tmp_path, stop=6)
    loaded = fastnn.load_model(tmp_path / "checkpoint.safetensors")
    assert int(loaded.optimizer.iterations) == 5
    assert loaded.predict(data()[0]).shape == (35, 3)


def test_infinite_numbers_survive(tmp_path):
    class Best(Callback):
        best = float("inf")

        def get_state(self) -> dict[str, Any]:
            return {"best": self.best, "worst": [float("nan"), {"class": 3}]}

        def set_state(self, state: dict[str, Any]) -> None:
            self.found = state

    for _ in range(2):
        best = Best()
        make().fit(*data(), callbacks=[best, BackupAndRestore(tmp_path, delete_checkpoint=False)], verbose=0)
    assert best.found["best"] == float("inf")
    assert np.isnan(best.found["worst"][0]) and best.found["worst"][1] == {"class": 3}


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"data": data(40)}, "samples=31 there and 36 here"),
            ({"batch_size": 4}, "batch_size=8 there and 4 here"),
            ({"shuffle": False}, "shuffle=True there and False here"),
            ({"model": lambda: make(units=5)}, r"model\.config\.layers\[5\]\.config\.units is 6 there and 5 here"),
            ({"model": lambda: make(activation="tanh")}, r"activation is 'relu' there and 'tanh' here"),
            ({"model": lambda: make(optimizer="sgd")}, r"compile\.optimizer\.class is 'optimizers\.Adam' there"),
        ],
    )
    def test_another_fit(self, options, words, tmp_path):
        train(tmp_path, stop=3)
        if callable(options.get("model")):
            options = {"model": options["model"]()}
        model = options.setdefault("model", make())
        before = model.get_weights()
        with pytest.raises(ValueError, match=rf"checkpoint\.safetensors: .*{words}.*remove the file to start anew"):
            train(tmp_path, **options)
        for x, y in zip(before, model.get_weights()):
            np.testing.assert_array_equal(x, y)

    def test_another_learning_rate_is_none(self, whole, tmp_path):
        """It is a Variable, which schedules change: the checkpoint's goes on."""
        train(tmp_path, stop=3)
        assert_same_run(whole, train(tmp_path, model=make(optimizer=fastnn.optimizers.Adam(0.5))))

    def test_other_callbacks(self, tmp_path):
        train(tmp_path, stop=3)
        with pytest.raises(ValueError, match="the state of Halve, which this fit lacks"):
            make().fit(*data(), batch_size=8, validation_split=0.1, callbacks=BackupAndRestore(tmp_path), verbose=0)

    def test_damaged_files(self, tmp_path):
        path = tmp_path / "checkpoint.safetensors"
        train(tmp_path, stop=3)
        good = path.read_bytes()
        for bad in (b"", good[:-1], good[: len(good) // 2], b"x" * 100):
            path.write_bytes(bad)
            with pytest.raises(ValueError, match=r"checkpoint\.safetensors: "):
                train(tmp_path)
        path.write_bytes(good)
        tensors, metadata = _core.read_safetensors(str(path))
        for state in ("[]", "{}", '{"fit":{},"callbacks":{}}', '{"fit":3,"callbacks":{}}', "{"):
            _core.write_safetensors(str(path), tensors, {**metadata, "fastnn.state": state})
            with pytest.raises(ValueError, match=r"checkpoint\.safetensors: "):
                train(tmp_path)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"save_freq": 0}, "save_freq=0; expected 'epoch' or a positive integer"),
            ({"save_freq": "batch"}, "save_freq='batch'"),
            ({"save_freq": True}, "save_freq=True"),
            ({"seconds": 0}, "seconds=0; expected a number > 0, or None"),
            ({"seconds": "30"}, "seconds='30'"),
        ],
    )
    def test_options(self, options, words, tmp_path):
        with pytest.raises(ValueError, match=words):
            BackupAndRestore(tmp_path, **options)

    def test_an_iterable(self, tmp_path):
        batches = [data(8)] * 3
        with pytest.raises(ValueError, match="beside an iterable of batches; expected arrays"):
            make().fit((b for b in batches), steps_per_epoch=3, callbacks=BackupAndRestore(tmp_path), verbose=0)
        assert os.listdir(tmp_path) == []

    def test_batches_of_a_checkpoint_of_arrays(self, tmp_path):
        train(tmp_path, stop=3)
        with pytest.raises(ValueError, match=r"checkpoint\.safetensors: .*remove the file to start anew"):
            fit_windows(tmp_path)

    def test_a_model_that_is_not_built(self, tmp_path):
        model = fastnn.Sequential([layers.Dense(1)])
        model.compile(loss="mse")
        with pytest.raises(ValueError, match="is not built and nothing of its batches is known yet; expected weights"):
            model.fit(Numbers(), steps_per_epoch=2, callbacks=BackupAndRestore(tmp_path), verbose=0)
        assert os.listdir(tmp_path) == []

    def test_windows_of_other_sizes(self, tmp_path):
        fit_windows(tmp_path, stop=3)
        for sizes, words in (
            ({"context": 2}, r"context=3; expected .*'context': 2"),
            ({"batch_size": 6}, "batch_size=5"),
            ({"tokens": 99}, "tokens=100"),
        ):
            with pytest.raises(ValueError, match=rf"checkpoint\.safetensors: RandomWindows: .*{words}.*remove the file"):
                fit_windows(tmp_path, **sizes)
        with pytest.raises(ValueError, match=r"checkpoint\.safetensors: .*remove the file to start anew"):
            train(tmp_path, model=tokens_model(), data=(np.zeros((9, 3), int), np.zeros((9, 3), int)))

    def test_a_folder_that_is_none(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="file"):
            train(tmp_path / "file")

    def test_a_full_disk_stops_with_the_old_checkpoint(self, tmp_path):
        child = subprocess.run([sys.executable, "-c", CHILD_WITH_FULL_DISK, str(tmp_path)], capture_output=True, text=True)
        assert child.returncode == 0, child.stderr
        assert os.listdir(tmp_path) == ["checkpoint.safetensors"]
        assert saving.read_checkpoint(tmp_path / "checkpoint.safetensors")["fit"]["epoch"] == 1


CHILD_WITH_FULL_DISK = """
import resource, sys
import numpy as np, fastnn
from fastnn import layers

class Fill(fastnn.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

model = fastnn.Sequential([layers.Dense(3, input_shape=(4,))])
model.compile(loss="mse")
try:
    model.fit(np.ones((8, 4)), np.ones((8, 3)), epochs=3, verbose=0,
              callbacks=[Fill(), fastnn.callbacks.BackupAndRestore(sys.argv[1])])
except OSError as error:
    sys.exit(0 if "checkpoint.safetensors" in str(error.filename) else repr(error))
sys.exit("written")
"""


# ---- Batches that know where they are ----------------------------------------------------------------------------------------


def tokens_model() -> fastnn.Sequential:
    fastnn.set_seed(7)
    model = fastnn.Sequential([layers.Embedding(9, 4), layers.Dropout(0.2), layers.Dense(9)])
    model.build((None, 3))
    loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(fastnn.optimizers.AdamW(0.01), loss, metrics=["accuracy"])
    return model


def fit_windows(folder: Path | None, stop: int = 0, tokens: int = 100, context: int = 3, batch_size: int = 5) -> Any:
    """Weights and history of a (perhaps resumed) run of three epochs of four steps."""
    model = tokens_model()
    windows = RandomWindows(np.random.default_rng(0).integers(0, 9, tokens), context, batch_size)
    callbacks: list[Callback] = [BackupAndRestore(folder, save_freq=1)] if folder else []
    try:
        model.fit(windows, steps_per_epoch=4, epochs=3, callbacks=[*callbacks, StopAt(stop)], verbose=0)
    except Stopped:
        assert stop
    return model.get_weights(), model.history.history, next(windows)[0].tolist()


@pytest.mark.parametrize("stop", range(1, 13))
def test_random_windows_go_on(stop: int, tmp_path: Path) -> None:
    whole = fit_windows(None)
    fit_windows(tmp_path, stop)
    assert_same_run(fit_windows(tmp_path), whole)


class Numbers:
    """An iterator of one's own."""

    def __init__(self) -> None:
        self.made = 0

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        self.made += 1
        return tuple(np.random.default_rng(self.made).random((8, n)) for n in (2, 1))

    def get_state(self) -> dict[str, Any]:
        return {"made": self.made}

    def set_state(self, state: dict[str, Any]) -> None:
        self.made = state["made"]


def test_an_iterator_of_ones_own_goes_on(tmp_path: Path) -> None:
    weights = []
    for folder, stops in ((tmp_path / "whole", [0]), (tmp_path / "parts", [2, 3, 0])):
        for stop in stops:
            fastnn.set_seed(1)
            model = fastnn.Sequential([layers.Dense(1, input_shape=(2,))])
            model.compile("adam", loss="mse")
            backup = BackupAndRestore(folder, save_freq=1)
            try:
                model.fit(Numbers(), steps_per_epoch=5, epochs=2, callbacks=[backup, StopAt(stop)], verbose=0)
            except Stopped:
                assert stop
        weights.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights))


class TestModelCheckpoint:
    def fit(self, callback: Callback, epochs: int = 3, **options: Any) -> fastnn.Sequential:
        model = make()
        model.fit(*data(), batch_size=8, epochs=epochs, callbacks=callback, validation_split=0.1, verbose=0, **options)
        return model

    def test_every_epoch(self, tmp_path, capsys):
        model = self.fit(ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.2f}.safetensors", verbose=1))
        losses = model.history.history["val_loss"]
        assert sorted(os.listdir(tmp_path)) == [f"{i + 1:02d}-{loss:.2f}.safetensors" for i, loss in enumerate(losses)]
        last = fastnn.load_model(tmp_path / sorted(os.listdir(tmp_path))[-1])
        np.testing.assert_array_equal(last.get_weights()[0], model.get_weights()[0])
        assert capsys.readouterr().err.count("saved") == 3

    @pytest.mark.parametrize(
        ("monitor", "values", "kept"),
        [
            ("val_loss", [3.0, 1.0, 2.0], [0, 1]),
            ("val_accuracy", [0.1, 0.3, 0.3], [0, 1]),
            ("loss", [1.0, 1.0, 0.5], [0, 2]),
            ("top_k_categorical_accuracy", [0.2, 0.1, 0.3], [0, 2]),
        ],
    )
    def test_the_best(self, monitor, values, kept, tmp_path):
        callback = ModelCheckpoint(tmp_path / "{epoch}.safetensors", monitor=monitor, save_best_only=True)
        callback.set_model(make())
        for epoch, value in enumerate(values):
            callback.on_epoch_end(epoch, {monitor: value})
        assert sorted(os.listdir(tmp_path)) == [f"{epoch + 1}.safetensors" for epoch in kept]

    def test_better_than_a_threshold_and_resumed(self, tmp_path):
        callback = ModelCheckpoint(
            tmp_path / "{epoch}.safetensors", monitor="loss", save_best_only=True, initial_value_threshold=1.0
        )
        callback.set_model(make())
        callback.on_epoch_end(0, {"loss": 2.0})
        callback.on_epoch_end(1, {"loss": 0.5})
        again = ModelCheckpoint(tmp_path / "{epoch}.safetensors", monitor="loss", save_best_only=True)
        again.set_model(make())
        again.set_state(callback.get_state())
        again.on_epoch_end(2, {"loss": 0.7})
        assert os.listdir(tmp_path) == ["2.safetensors"]

    def test_weights_alone_every_few_steps(self, tmp_path):
        model = self.fit(ModelCheckpoint(tmp_path / "weights.safetensors", save_weights_only=True, save_freq=2), epochs=1)
        other = make()
        other.load_weights(tmp_path / "weights.safetensors")
        np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])  # 4 steps: saved after the last

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"filepath": "best.keras"}, r"ends in \.safetensors"),
            ({"mode": "best"}, "mode='best'; expected 'auto', 'min' or 'max'"),
            ({"save_freq": -1}, "save_freq=-1"),
        ],
    )
    def test_bad_options(self, options, words):
        with pytest.raises(ValueError, match=words):
            ModelCheckpoint(**{"filepath": "best.safetensors", **options})

    def test_unknown_logs(self, tmp_path):
        with pytest.raises(ValueError, match=r"'val_los' does not exist; .*did you mean 'val_loss'"):
            self.fit(ModelCheckpoint(tmp_path / "a.safetensors", monitor="val_los", save_best_only=True))
        with pytest.raises(ValueError, match=r"needs 'colour'; expected only epoch, loss, accuracy, val_loss, val_accuracy"):
            self.fit(ModelCheckpoint(tmp_path / "{colour}.safetensors"))
        assert os.listdir(tmp_path) == []
