"""Callbacks that watch the logs: they end training, change the learning rate, write a table."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable
from typing import Any

from fastnn.callbacks.base import Callback, Logs
from fastnn.callbacks.options import better, check_count, check_mode, monitored
from fastnn.utils import check_number


class LambdaCallback(Callback):
    """Hooks given as functions.

    Args:
        on_epoch_begin, on_epoch_end: functions `(epoch, logs)`.
        on_train_begin, on_train_end: functions `(logs)`.
        on_train_batch_begin, on_train_batch_end: functions `(batch, logs)`.

    Raises:
        TypeError: something that is no function.

    Example:
        >>> losses = []
        >>> keep = fastnn.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
        >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile("sgd", loss="mse")
        >>> history = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=3, callbacks=keep, verbose=0)
        >>> losses == history.history["loss"]
        True
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
    ) -> None:
        hooks = {name: hook for name, hook in locals().items() if name.startswith("on_") and hook is not None}
        for name, hook in hooks.items():
            if not callable(hook):
                raise TypeError(
                    f"LambdaCallback: {name}={hook!r}; expected a function; pass for example lambda epoch, logs: ..."
                )
            setattr(self, name, hook)


class EarlyStopping(Callback):
    """Ends training when a number has not become better for a while.

    Args:
        monitor: the entry of the logs to watch.
        min_delta: how much better counts as better, at least 0.
        patience: epochs without an improvement that are waited for.
        verbose: 1 to say on standard error when it ends training.
        mode: `"min"` or `"max"`, which is better; `"auto"` is `"max"` for accuracies and the like, else `"min"`.
        baseline: what has to be improved on to begin with.
        restore_best_weights: whether to go back to the weights of the best epoch, at the end of training.
        start_from_epoch: the epochs before it do not count.

    Raises:
        ValueError: options outside their range; in `fit`, an entry that the logs lack.

    Example:
        >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(fastnn.optimizers.SGD(0.5), loss="mse")
        >>> stop = fastnn.callbacks.EarlyStopping(monitor="loss", patience=2)
        >>> history = model.fit(np.zeros((4, 1)), np.zeros((4, 1)), epochs=50, callbacks=stop, verbose=0)
        >>> len(history.epoch)  # the first is as good as the others
        3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self.monitor, self.verbose, self.baseline = monitor, verbose, baseline
        self.min_delta = check_number("EarlyStopping", "min_delta", min_delta, 0.001, "a number >= 0", lambda d: d >= 0.0)
        self.patience = check_count("EarlyStopping", "patience", patience)
        self.mode = check_mode("EarlyStopping", mode, monitor)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = check_count("EarlyStopping", "start_from_epoch", start_from_epoch)
        self._begin()

    def _begin(self) -> None:
        self.best, self.best_epoch, self.wait, self.stopped_epoch = self.baseline, 0, 0, 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = monitored("EarlyStopping", self.monitor, logs)
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        if better(value, self.best, self.mode, self.min_delta):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            return
        self.wait += 1
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            if self.verbose:
                print(f"epoch {epoch + 1}: {self.monitor} was best in epoch {self.best_epoch + 1}: stopping", file=sys.stderr)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)

    def get_state(self) -> dict[str, Any]:
        if self.best_weights is not None:
            raise ValueError(
                "EarlyStopping: restore_best_weights beside a checkpoint; expected one of the two, because the best weights "
                "are kept in memory alone; use ModelCheckpoint(save_best_only=True) for them"
            )
        names = ("best", "best_epoch", "wait", "stopped_epoch")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class ReduceLROnPlateau(Callback):
    """Lowers the learning rate when a number has not become better for a while.

    Args:
        monitor: the entry of the logs to watch.
        factor: what the rate is multiplied by, above 0 and below 1.
        patience: epochs without an improvement before that.
        verbose: 1 to say so on standard error.
        mode: as for `EarlyStopping`.
        min_delta: how much better counts as better, at least 0.
        cooldown: epochs after a reduction that do not count.
        min_lr: the lowest rate.

    Raises:
        ValueError: options outside their range; in `fit`, an entry that the logs lack.

    Example:
        >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(fastnn.optimizers.SGD(0.5), loss="mse")
        >>> reduce = fastnn.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1)
        >>> history = model.fit(np.zeros((4, 1)), np.zeros((4, 1)), epochs=3, callbacks=reduce, verbose=0)
        >>> float(model.optimizer.learning_rate), history.history["learning_rate"]
        (0.125, [0.5, 0.5, 0.25])
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        where = "ReduceLROnPlateau"
        self.monitor, self.verbose = monitor, verbose
        self.factor = check_number(where, "factor", factor, 0.1, "a number > 0 and < 1", lambda f: 0.0 < f < 1.0)
        self.patience, self.cooldown = check_count(where, "patience", patience), check_count(where, "cooldown", cooldown)
        self.mode = check_mode(where, mode, monitor)
        self.min_delta = check_number(where, "min_delta", min_delta, 1e-4, "a number >= 0", lambda d: d >= 0.0)
        self.min_lr = check_number(where, "min_lr", min_lr, 0.0, "a number >= 0", lambda r: r >= 0.0)
        self._begin()

    def _begin(self) -> None:
        self.best: float | None = None
        self.wait, self.cooling = 0, 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = monitored("ReduceLROnPlateau", self.monitor, logs)
        rate = float(self.model.optimizer.learning_rate)
        if logs is not None:
            logs["learning_rate"] = rate
        if self.cooling:
            self.cooling, self.wait = self.cooling - 1, 0
        if better(value, self.best, self.mode, self.min_delta):
            self.best, self.wait = value, 0
        elif not self.cooling:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                self.model.optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self.cooling, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"epoch {epoch + 1}: learning rate {max(rate * self.factor, self.min_lr):g}", file=sys.stderr)

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooling": self.cooling}

    def set_state(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch.

    Args:
        schedule: a function `(epoch, rate) -> rate`, epochs counted from 0.
        verbose: 1 to say so on standard error.

    Raises:
        TypeError: no function. ValueError: in `fit`, a rate that is no finite number of at least 0.

    Example:
        >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(fastnn.optimizers.SGD(1.0), loss="mse")
        >>> halve = fastnn.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        >>> history = model.fit(np.zeros((4, 1)), np.zeros((4, 1)), epochs=2, callbacks=halve, verbose=0)
        >>> history.history["learning_rate"]
        [0.5, 0.25]
    """

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler: schedule={schedule!r}; expected a function (epoch, rate); pass one")
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        assert self.model._fit is not None
        if self.model._fit.position.step:
            return  # of an epoch that goes on after a resume, whose rate is set
        self.model.optimizer.learning_rate = self.schedule(epoch, float(self.model.optimizer.learning_rate))
        if self.verbose:
            print(f"epoch {epoch + 1}: learning rate {float(self.model.optimizer.learning_rate):g}", file=sys.stderr)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class CSVLogger(Callback):
    """Writes the logs of each epoch into a table, at once.

    Args:
        filename: the file. A run that is resumed from a checkpoint goes on where it was.
        separator: between the columns.
        append: whether to go on behind what the file has.

    Raises:
        OSError: in `fit`, a file that cannot be written.

    Example:
        >>> import tempfile
        >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile("sgd", loss="mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     logger = fastnn.callbacks.CSVLogger(f"{folder}/log.csv")
        ...     history = model.fit(np.zeros((4, 1)), np.zeros((4, 1)), epochs=2, callbacks=logger, verbose=0)
        ...     with open(f"{folder}/log.csv") as file:
        ...         print(file.read(), end="")
        epoch,loss
        0,0.0
        1,0.0
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self._columns: list[str] = []
        self._begun = append  # until the first row an earlier table stays: `fit` may still fail

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._columns, self._begun = [], self.append
        with open(self.filename, "a+", newline="", encoding="utf-8") as file:  # fails now or never
            if self.append:
                file.seek(0)
                self._columns = next(csv.reader(file, delimiter=self.separator), [])

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        row: dict[str, Any] = {"epoch": epoch, **(logs or {})}
        with open(self.filename, "a" if self._begun else "w", newline="", encoding="utf-8") as file:
            self._begun = True
            writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
            if not self._columns:
                self._columns = list(row)
                writer.writerow(self._columns)
            writer.writerow([row.get(column, "") for column in self._columns])

    def get_state(self) -> dict[str, Any]:
        if not self._begun:
            return {"columns": [], "text": ""}
        with open(self.filename, newline="", encoding="utf-8") as file:
            return {"columns": self._columns, "text": file.read()}

    def set_state(self, state: dict[str, Any]) -> None:
        self._columns, self._begun = list(state["columns"]), True
        with open(self.filename, "w", newline="", encoding="utf-8") as file:
            file.write(state["text"])


class TerminateOnNaN(Callback):
    """Ends training without an error when the loss is no longer finite; the weights are those of the last whole step.

    A loss that is not finite changes no weight in any case, and `fit` raises ValueError for it. With this callback `fit`
    returns instead, as in Keras.

    Example:
        >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile("sgd", loss="mse")
        >>> x = np.array([[1.0], [np.nan]])
        >>> stop = fastnn.callbacks.TerminateOnNaN()
        >>> history = model.fit(x, x, epochs=3, callbacks=stop, verbose=0)
        >>> len(history.epoch)
        0
    """

    ends_quietly = True
