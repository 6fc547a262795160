"""Callbacks: code of yours between the steps of `fit`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.utils import check_number, unknown_name

if TYPE_CHECKING:
    from fastnn.training import Trainer

Logs = dict[str, float]

__all__ = ["BackupAndRestore", "Callback", "History", "ModelCheckpoint"]


class Callback:
    """Base class; every hook does nothing.

        on_train_begin(logs), on_train_end(logs)
        on_epoch_begin(epoch, logs), on_epoch_end(epoch, logs)                  epoch counts from 0
        on_train_batch_begin(batch, logs), on_train_batch_end(batch, logs)      batch too, anew in each epoch

    `logs` is a dict of floats: the loss and the metrics so far, at the end of an epoch those of the epoch and, with validation
    data, `val_...`. `self.model` is the model; setting `self.model.stop_training = True` ends training after the epoch.
    `self.params` has `epochs`, `steps` and `verbose`.

    Example:
        >>> class StopWhenGood(fastnn.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.model.stop_training = logs["loss"] < 0.1
        >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile(fastnn.optimizers.SGD(0.1), loss="mse")
        >>> history = model.fit(np.ones((8, 1)), np.ones((8, 1)), epochs=1000, callbacks=StopWhenGood(), verbose=0)
        >>> len(history.epoch) < 1000, history.history["loss"][-1] < 0.1
        (True, True)
    """

    model: Trainer
    params: dict[str, Any]
    last = False  # whether its hooks are called after those of the others

    def set_model(self, model: Trainer) -> None:
        """`fit` calls it first.

        Args:
            model: the model being trained.
        """
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """`fit` calls it second.

        Args:
            params: `epochs`, `steps` per epoch and `verbose`.
        """
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None: ...
    def on_train_end(self, logs: Logs | None = None) -> None: ...
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None: ...
    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint has to keep so that a resumed run goes on as if nothing had happened; the default is nothing.

        Returns:
            Numbers, strings, None, and lists and dicts of them.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes back what `get_state` returned, after `on_train_begin`, when a run is resumed.

        Args:
            state: tuples have become lists.
        """


class History(Callback):
    """What `fit` returns: `history["loss"]`, `history["val_accuracy"]`, ..., one number per epoch; `epoch` has their indices.

    Example:
        >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile("sgd", loss="mse")
        >>> history = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=3, validation_split=0.5, verbose=0)
        >>> sorted(history.history), history.epoch
        (['loss', 'val_loss'], [0, 1, 2])
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.history, self.epoch = {}, []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def get_state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "history": self.history}

    def set_state(self, state: dict[str, Any]) -> None:
        self.epoch, self.history = list(state["epoch"]), {name: list(values) for name, values in state["history"].items()}


class BackupAndRestore(Callback):
    """Keeps a checkpoint, and goes on from it when the same `fit` is started again: a run that was killed ends with the same
    bits as one that never was.

    The checkpoint `backup_dir/checkpoint.safetensors` has the model, the optimizer, the metrics, the random state, the history,
    what other callbacks return from `get_state`, and the position in the epoch. It is replaced in one step, so a kill at any
    moment leaves a whole one, and `fastnn.load_model` reads it too. The program has to do the same as the first time: the same
    model, data, batch size and callbacks; threads and `epochs` may differ. Each `fit` needs a folder of its own.

    Args:
        backup_dir: the folder; it is made where it does not exist.
        save_freq: `"epoch"`, or after how many steps to save besides.
        delete_checkpoint: whether to remove the checkpoint when `fit` has ended; if it stays, `fit` does nothing the next time.
        seconds: to save besides when the last time was so long ago; None for never. Keras saves at `save_freq` alone.

    Raises:
        ValueError: options outside their range; in `fit`, a checkpoint of another model or of other data, or a damaged one.
        OSError: in `fit`, a folder or file that cannot be written or read.

    Example:
        >>> import tempfile
        >>> def run(epochs, folder):
        ...     fastnn.set_seed(0)
        ...     model = fastnn.Sequential([layers.Dense(1, input_shape=(2,))])
        ...     model.compile(loss="mse")
        ...     backup = fastnn.callbacks.BackupAndRestore(folder, delete_checkpoint=False)
        ...     history = model.fit(np.ones((64, 2)), np.ones((64, 1)), epochs=epochs, callbacks=backup, verbose=0)
        ...     return model.get_weights()[0], len(history.epoch)
        >>> with tempfile.TemporaryDirectory() as once, tempfile.TemporaryDirectory() as twice:
        ...     whole, epochs = run(4, once)
        ...     part, _ = run(2, twice)
        ...     resumed, epochs = run(4, twice)
        >>> np.array_equal(whole, part), np.array_equal(whole, resumed), epochs
        (False, True, 4)
    """

    last = True  # so that a checkpoint has what the others did at the same moment

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: int | str = "epoch",
        delete_checkpoint: bool = True,
        seconds: float | None = 30.0,
    ) -> None:
        self.path = os.path.join(os.fspath(backup_dir), "checkpoint.safetensors")
        self.save_freq = _check_save_freq("BackupAndRestore", save_freq)
        self.delete_checkpoint = delete_checkpoint
        self.seconds = (
            None
            if seconds is None
            else check_number("BackupAndRestore", "seconds", seconds, 30.0, "a number > 0, or None", lambda s: s > 0.0)
        )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._steps, self._saved = 0, time.monotonic()
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        if os.path.lexists(self.path):
            self._restore()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._steps += 1
        by_steps = self.save_freq != "epoch" and self._steps % int(self.save_freq) == 0
        if by_steps or (self.seconds is not None and time.monotonic() - self._saved >= self.seconds):
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._save()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint and os.path.lexists(self.path):
            os.remove(self.path)

    def _others(self) -> dict[str, Callback]:
        """The callbacks of this fit by class, numbered where a class comes twice."""
        assert self.model._fit is not None
        named: dict[str, Callback] = {}
        for callback in self.model._fit.hooks.callbacks:
            name, number = type(callback).__name__, 1
            while name in named:
                number += 1
                name = f"{type(callback).__name__}_{number}"
            named[name] = callback
        return named

    def _save(self) -> None:
        from fastnn import saving

        assert self.model._fit is not None
        states = {name: callback.get_state() for name, callback in self._others().items()}
        state = {
            "fit": {**asdict(self.model._fit.position), "stopped": self.model.stop_training},
            "callbacks": {name: state for name, state in states.items() if state},
        }
        saving.save_checkpoint(self.model, self.path, state)
        self._saved = time.monotonic()

    def _restore(self) -> None:
        from fastnn import saving

        assert self.model._fit is not None
        at, others = self.model._fit.position, self._others()
        state = saving.read_checkpoint(self.path)
        fit: Any = state.get("fit")
        states: Any = state.get("callbacks")
        whole = isinstance(fit, dict) and isinstance(states, dict) and fit.keys() == asdict(at).keys() | {"stopped"}
        if not whole or any(type(fit[name]) is not type(value) or fit[name] < 0 for name, value in asdict(at).items()):
            raise ValueError(f"{self.path}: a state without its position; expected a whole one; remove the file to start anew")
        for name in ("samples", "batch_size", "shuffle"):
            if fit[name] != getattr(at, name):
                raise ValueError(
                    f"{self.path}: {name}={fit[name]} there and {getattr(at, name)} here; expected the same fit; remove the "
                    "file to start anew"
                )
        if strangers := states.keys() - others.keys():
            raise ValueError(
                f"{self.path}: the state of {', '.join(sorted(strangers))}, which this fit lacks; expected the same callbacks; "
                "pass them, or remove the file to start anew"
            )
        saving.restore_checkpoint(self.model, self.path)
        for name, value in fit.items():
            if name != "stopped":
                setattr(at, name, value)
        self.model.stop_training = fit["stopped"]
        for name, callback_state in states.items():
            others[name].set_state(callback_state)


class ModelCheckpoint(Callback):
    """Saves the model at the end of each epoch, or only when it is better than ever before.

    Args:
        filepath: ends in `.safetensors`; may name the epoch, from 1, and the logs: `"{epoch:02d}-{val_loss:.3f}.safetensors"`.
        monitor: the entry of the logs that says how good the model is.
        verbose: 1 to say so on standard error.
        save_best_only: whether to save only when `monitor` is better than ever before in this fit.
        save_weights_only: whether to save as `save_weights` does.
        mode: `"min"` or `"max"`, which is better; `"auto"` is `"max"` for accuracies and the like, else `"min"`.
        save_freq: `"epoch"`, or after how many steps to save instead.
        initial_value_threshold: what `monitor` has to be better than to begin with.

    Raises:
        ValueError: options outside their range; in `fit`, an entry that the logs lack.
        OSError: in `fit`, a file that cannot be written.

    Example:
        >>> import tempfile
        >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(1,))])
        >>> model.compile("sgd", loss="mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     best = fastnn.callbacks.ModelCheckpoint(f"{folder}/best.safetensors", monitor="loss", save_best_only=True)
        ...     history = model.fit(np.ones((8, 1)), np.ones((8, 1)), epochs=3, callbacks=best, verbose=0)
        ...     loss = fastnn.load_model(f"{folder}/best.safetensors").evaluate(np.ones((8, 1)), np.ones((8, 1)))
        >>> loss < min(history.history["loss"])  # of the epoch's last step, after which it was saved
        True
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | str = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        self.filepath = os.fspath(filepath)
        if not self.filepath.endswith(".safetensors"):
            raise ValueError(
                f"ModelCheckpoint: filepath={self.filepath!r}; expected a name that ends in .safetensors; pass for example "
                "'best.safetensors'"
            )
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"ModelCheckpoint: mode={mode!r}; expected 'auto', 'min' or 'max'; pass one of them")
        higher = ("acc", "accuracy", "auc", "precision", "recall", "f1")
        self.monitor, self.verbose = monitor, verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.mode = mode if mode != "auto" else "max" if any(part in higher for part in monitor.split("_")) else "min"
        self.save_freq = _check_save_freq("ModelCheckpoint", save_freq)
        self.best = initial_value_threshold
        self._steps = 0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._steps += 1
        if self.save_freq != "epoch" and self._steps % int(self.save_freq) == 0:
            assert self.model._fit is not None
            self._save(self.model._fit.position.epoch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only:
            if self.monitor not in logs:
                raise unknown_name("ModelCheckpoint: monitor", self.monitor, logs)
            value = logs[self.monitor]
            if self.best is not None and not (value > self.best if self.mode == "max" else value < self.best):
                return
            self.best = value
        try:
            path = self.filepath.format(epoch=epoch + 1, **logs)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"ModelCheckpoint: filepath={self.filepath!r} needs {error}; expected only epoch, {', '.join(logs)}; name those"
            ) from None
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"epoch {epoch + 1}: {format_logs(logs)}: saved {path}", file=sys.stderr)

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "steps": self._steps}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best, self._steps = state["best"], state["steps"]


def _check_save_freq(where: str, save_freq: Any) -> int | str:
    whole = isinstance(save_freq, (int, np.integer)) and not isinstance(save_freq, bool) and save_freq >= 1
    if not whole and save_freq != "epoch":
        raise ValueError(f"{where}: save_freq={save_freq!r}; expected 'epoch' or a positive integer; pass a number of steps")
    return int(save_freq) if whole else "epoch"


def format_logs(logs: Logs) -> str:
    """`loss: 0.1234 - accuracy: 0.9876`."""
    return " - ".join(f"{name}: {value:.4f}" for name, value in logs.items())


class Progress(Callback):
    """What `verbose` shows on standard error: 1 a progress bar (with tqdm, else as 2), 2 one line per epoch."""

    _REFRESH = 0.1  # seconds between two looks at the metrics
    _REFRESH_IN_A_FILE = 10.0  # where each is another line

    def __init__(self, verbose: int) -> None:
        self._bars = verbose == 1
        self._bar: Any = None
        self._shown = 0.0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self._bars:
            try:
                import tqdm  # noqa: F401
            except ImportError:
                self._bars = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._started = time.perf_counter()
        self._epoch = f"Epoch {epoch + 1}/{self.params['epochs']}"
        if self._bars:
            from tqdm import tqdm

            self._bar = tqdm(total=self.params["steps"], desc=self._epoch, unit="step", leave=True, file=sys.stderr)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._shown >= (self._REFRESH if sys.stderr.isatty() else self._REFRESH_IN_A_FILE):
            self._shown = now
            self._bar.n = batch + 1
            self._bar.set_postfix_str(format_logs(self.model.metrics_so_far()))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._bar is not None:
            self._bar.n = self.params["steps"]
            self._bar.set_postfix_str(format_logs(logs or {}))
            self.close()
        else:
            seconds = time.perf_counter() - self._started
            print(f"{self._epoch} - {seconds:.1f} s - {format_logs(logs or {})}", file=sys.stderr)

    def close(self) -> None:
        """Ends a bar that is still open, also when training was interrupted."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class CallbackList:
    """Calls the hooks of many callbacks. Batch hooks that nobody overrides cost nothing."""

    def __init__(self, callbacks: Sequence[Callback], model: Trainer, params: dict[str, Any]) -> None:
        self.callbacks = sorted(callbacks, key=lambda callback: getattr(callback, "last", False))
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"callbacks: {callback!r}; expected objects of a subclass of fastnn.callbacks.Callback; pass instances"
                )
            for name in dir(type(callback)):
                if name.startswith("on_") and not hasattr(Callback, name):
                    hooks = [hook for hook in dir(Callback) if hook.startswith("on_")]
                    raise unknown_name(f"callback {type(callback).__name__}, hook", name, hooks)
            callback.set_model(model)
            callback.set_params(params)
        self.on_batch_begin = self._overridden("on_train_batch_begin")
        self.on_batch_end = self._overridden("on_train_batch_end")

    def _overridden(self, hook: str) -> list[tuple[Callable[..., None], bool]]:
        """The bound hooks, each with whether it wants logs (reading metrics costs microseconds, our own bar reads its own)."""
        return [
            (getattr(c, hook), not isinstance(c, (Progress, BackupAndRestore)))
            for c in self.callbacks
            if getattr(type(c), hook) is not getattr(Callback, hook)
        ]

    def call(self, hook: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*args)
