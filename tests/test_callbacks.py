"""Callbacks that watch training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers


def line(rate: float = 0.1) -> fastnn.Sequential:
    model = fastnn.Sequential([layers.Dense(1, kernel_initializer="zeros", input_shape=(2,))])
    model.compile(fastnn.optimizers.SGD(rate), "mse")
    return model


X = np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)
Y = X @ np.array([[1.0], [-2.0]], np.float32)


def fed(callback: callbacks.Callback, values: list[float], name: str = "val_loss") -> list[int]:
    """The epochs that training would take if the logs had these values."""
    model = line()
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.set_weights([np.full((2, 1), epoch), [0.0]])
        callback.on_epoch_end(epoch, {name: value})
        if model.stop_training:
            break
    callback.on_train_end()
    return [epoch, int(model.get_weights()[0][0, 0])]


class TestEarlyStopping:
    @pytest.mark.parametrize(
        ("options", "values", "last"),
        [
            ({"patience": 2}, [3, 2, 2.5, 2.4, 1], 3),
            ({"patience": 0}, [3, 2, 2.5, 1], 2),
            ({"patience": 1, "min_delta": 0.5}, [3, 2.8, 1], 1),
            ({"patience": 2, "monitor": "val_accuracy"}, [0.5, 0.6, 0.6, 0.1, 0.9], 3),
            ({"patience": 1, "mode": "max"}, [3, 2, 1], 1),
            ({"patience": 2, "baseline": 1.0}, [3, 2, 1.5], 1),
            ({"patience": 1, "start_from_epoch": 2}, [1, 2, 3, 4, 5], 3),
            ({"patience": 1}, [4, 3, 2, 1], 3),
        ],
    )
    def test_when(self, options, values, last):
        name = options.get("monitor", "val_loss")
        assert fed(callbacks.EarlyStopping(**options), values, name)[0] == last

    def test_the_best_weights_come_back(self):
        stop = callbacks.EarlyStopping(patience=2, restore_best_weights=True)
        assert fed(stop, [3, 1, 2, 2.5]) == [3, 1]
        assert (stop.best, stop.best_epoch, stop.stopped_epoch) == (1, 1, 3)
        assert fed(callbacks.EarlyStopping(patience=9, restore_best_weights=True), [3, 1, 2]) == [2, 1]  # at the end too

    def test_in_fit(self, capsys):
        model = line(rate=0.2)
        stop = callbacks.EarlyStopping(monitor="loss", min_delta=0.01, patience=1, verbose=1)
        history = model.fit(X, Y, epochs=200, callbacks=stop, verbose=0)
        assert 3 < len(history.epoch) < 50
        assert "stopping" in capsys.readouterr().err

    def test_state(self):
        stop, again = callbacks.EarlyStopping(patience=2), callbacks.EarlyStopping(patience=2)
        fed(stop, [3, 2, 2.5])
        again.on_train_begin()
        again.set_state(stop.get_state())
        again.set_model(line())
        again.on_epoch_end(3, {"val_loss": 2.1})
        assert again.model.stop_training
        keeping = callbacks.EarlyStopping(restore_best_weights=True)
        fed(keeping, [1.0])
        with pytest.raises(ValueError, match="expected one of the two"):
            keeping.get_state()

    def test_with_checkpoints(self, tmp_path):
        for epochs in (2, 30):
            stop = callbacks.EarlyStopping(monitor="loss", min_delta=10.0, patience=4)
            backup = callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
            history = line().fit(X, Y, epochs=epochs, callbacks=[stop, backup], verbose=0)
        assert history.epoch == [0, 1, 2, 3, 4]


class TestLearningRates:
    def test_reduce_on_plateau(self):
        reduce = callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=2, cooldown=1, min_lr=0.03)
        model = line(0.1)
        reduce.set_model(model)
        reduce.on_train_begin()
        rates = []
        for epoch in range(10):
            reduce.on_epoch_end(epoch, {"loss": 1.0})
            rates.append(round(float(model.optimizer.learning_rate), 4))
        assert rates == [0.1, 0.1, 0.05, 0.05, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03]  # as Keras counts

    def test_schedule_is_resumed(self, tmp_path):
        class Stop(callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                if int(self.model.optimizer.iterations) == 6:
                    raise KeyboardInterrupt

        def run(*extra: callbacks.Callback) -> Any:
            fastnn.set_seed(0)
            model = line()
            halve = callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
            return model, model.fit(X, Y, batch_size=8, epochs=3, callbacks=[halve, *extra], verbose=0)

        model, whole = run()
        with pytest.raises(KeyboardInterrupt):
            run(Stop(), callbacks.BackupAndRestore(tmp_path, save_freq=1))
        again, resumed = run(callbacks.BackupAndRestore(tmp_path, save_freq=1))
        assert resumed.history == whole.history
        np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])
        assert whole.history["learning_rate"] == pytest.approx([0.05, 0.025, 0.0125])

    def test_a_rate_that_is_none(self):
        with pytest.raises(ValueError, match="learning_rate=-1"):
            line().fit(X, Y, callbacks=callbacks.LearningRateScheduler(lambda epoch, rate: -1), verbose=0)


class TestCSVLogger:
    def test_rows(self, tmp_path):
        path = tmp_path / "log.csv"
        history = line().fit(X, Y, epochs=2, callbacks=callbacks.CSVLogger(path, separator=";"), verbose=0).history
        assert path.read_text().splitlines() == ["epoch;loss", f"0;{history['loss'][0]}", f"1;{history['loss'][1]}"]
        line().fit(X, Y, epochs=1, callbacks=callbacks.CSVLogger(path, separator=";", append=True), verbose=0)
        assert len(path.read_text().splitlines()) == 4
        line().fit(X, Y, epochs=1, callbacks=callbacks.CSVLogger(path), verbose=0)
        assert len(path.read_text().splitlines()) == 2

    def test_resumed(self, tmp_path):
        path = tmp_path / "log.csv"

        class Stop(callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                if epoch == 2:
                    raise KeyboardInterrupt

        def run(*extra: callbacks.Callback) -> None:
            fastnn.set_seed(0)
            line().fit(X, Y, epochs=4, callbacks=[callbacks.CSVLogger(path), *extra], verbose=0)

        run()
        whole = path.read_text()
        with pytest.raises(KeyboardInterrupt):
            run(Stop(), callbacks.BackupAndRestore(tmp_path / "backup"))
        run(callbacks.BackupAndRestore(tmp_path / "backup"))
        assert path.read_text() == whole

    def test_a_fit_that_is_refused_leaves_the_table(self, tmp_path):
        path = tmp_path / "log.csv"
        logger = [callbacks.CSVLogger(path), callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)]
        line().fit(X, Y, epochs=2, callbacks=logger, verbose=0)
        before = path.read_text()
        with pytest.raises(ValueError, match="batch_size=32 there and 8 here"):
            line().fit(X, Y, epochs=3, batch_size=8, callbacks=logger, verbose=0)
        assert path.read_text() == before

    def test_no_folder(self, tmp_path: Path):
        model = line()
        with pytest.raises(FileNotFoundError):
            model.fit(X, Y, callbacks=callbacks.CSVLogger(tmp_path / "none" / "log.csv"), verbose=0)
        assert int(model.optimizer.iterations) == 0


class TestTerminateOnNaN:
    def test_it_ends_with_the_last_whole_step(self):
        x = X.copy()
        x[20] = np.nan
        model, other = line(), line()
        history = model.fit(x, Y, batch_size=8, epochs=5, shuffle=False, callbacks=callbacks.TerminateOnNaN(), verbose=0)
        assert history.epoch == [] and int(model.optimizer.iterations) == 2
        other.fit(X[:16], Y[:16], batch_size=8, shuffle=False, verbose=0)
        np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])
        with pytest.raises(ValueError, match=r"epoch 1, batch 2: .*not finite"):
            line().fit(x, Y, batch_size=8, shuffle=False, verbose=0)

    def test_other_errors_stay_errors(self):
        model = fastnn.Sequential([layers.Dense(3, activation="softmax", input_shape=(2,))])
        model.compile("sgd", "sparse_categorical_crossentropy")
        with pytest.raises(ValueError, match="label"):
            model.fit(X, np.full(32, 7), callbacks=callbacks.TerminateOnNaN(), verbose=0)


def test_lambda_callback_hears_everything():
    heard: list[str] = []
    hooks = [name for name in dir(callbacks.Callback) if name.startswith("on_")]
    callback = callbacks.LambdaCallback(**{hook: lambda *_, hook=hook: heard.append(hook) for hook in hooks})
    line().fit(X, Y, batch_size=16, epochs=1, callbacks=callback, verbose=0)
    batch = ["on_train_batch_begin", "on_train_batch_end"]
    assert heard == ["on_train_begin", "on_epoch_begin", *batch, *batch, "on_epoch_end", "on_train_end"]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: callbacks.EarlyStopping(patience=-1), ValueError, "patience=-1; expected an integer >= 0"),
        (lambda: callbacks.EarlyStopping(mode="up"), ValueError, "mode='up'"),
        (lambda: callbacks.EarlyStopping(min_delta=-0.1), ValueError, "min_delta=-0.1"),
        (lambda: callbacks.ReduceLROnPlateau(factor=1.0), ValueError, "factor=1.0; expected a number > 0 and < 1"),
        (lambda: callbacks.ReduceLROnPlateau(cooldown=1.5), ValueError, "cooldown=1.5"),
        (lambda: callbacks.LearningRateScheduler(0.1), TypeError, "expected a function"),
        (lambda: callbacks.LambdaCallback(on_epoch_end=3), TypeError, "on_epoch_end=3; expected a function"),
    ],
)
def test_bad_options(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("kind", [callbacks.EarlyStopping, callbacks.ReduceLROnPlateau])
def test_unknown_logs(kind):
    with pytest.raises(ValueError, match=r"'val_loss' does not exist; expected one of .*loss"):
        line().fit(X, Y, callbacks=kind(), verbose=0)


def test_a_callback_that_raises_leaves_whole_steps():
    class Broken(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 1:
                raise RuntimeError("mine")

    model, other = line(), line()
    with pytest.raises(RuntimeError, match=r"^mine$"):
        model.fit(X, Y, batch_size=8, shuffle=False, callbacks=Broken(), verbose=0)
    other.fit(X[:16], Y[:16], batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])
    model.fit(X, Y, verbose=0)  # and can be trained further
