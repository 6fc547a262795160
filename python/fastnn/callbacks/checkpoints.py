"""Callbacks that write models into files."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from typing import Any

from fastnn.callbacks.base import Callback, Logs, format_logs
from fastnn.callbacks.options import better, check_mode, check_save_freq, monitored
from fastnn.utils import check_number


class BackupAndRestore(Callback):
    """Keeps a checkpoint, and goes on from it when the same `fit` is started again: a run that was killed ends with the same
    bits as one that never was.

    The checkpoint `backup_dir/checkpoint.safetensors` has the model, the optimizer, the metrics, the random state, the history,
    what other callbacks return from `get_state`, and the position in the epoch. It is replaced in one step, so a kill at any
    moment leaves a whole one, and `fastnn.load_model` reads it too. The program has to do the same as the first time: the same
    model, data, batch size and callbacks; threads and `epochs` may differ. Each `fit` needs a folder of its own.

    Batches instead of arrays have to be an iterator that knows where it is, such as `fastnn.text.RandomWindows`: its
    `get_state()` returns numbers and strings in a dict, and `set_state(state)` takes them back.

    Args:
        backup_dir: the folder; it is made where it does not exist.
        save_freq: `"epoch"`, or after how many steps to save besides.
        delete_checkpoint: whether to remove the checkpoint when `fit` has ended; if it stays, `fit` does nothing the next time.
        seconds: to save besides when the last time was so long ago; None for never. Keras saves at `save_freq` alone.

    Raises:
        ValueError: options outside their range; in `fit`, a checkpoint of another model or of other data, or a damaged one, and
            another iterable of batches.
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
    wants_logs = False

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: int | str = "epoch",
        *,
        delete_checkpoint: bool = True,
        seconds: float | None = 30.0,
    ) -> None:
        self.path = os.path.join(os.fspath(backup_dir), "checkpoint.safetensors")
        self.save_freq = check_save_freq("BackupAndRestore", save_freq)
        self.delete_checkpoint = delete_checkpoint
        self.seconds = (
            None
            if seconds is None
            else check_number("BackupAndRestore", "seconds", seconds, 30.0, "a number > 0, or None", lambda s: s > 0.0)
        )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        assert self.model._fit is not None
        if self.model._fit.batches.get_state() is None:
            raise ValueError(
                "BackupAndRestore: beside an iterable of batches; expected arrays, or an iterator with get_state and "
                "set_state, because nobody knows how to go on in the middle of another; pass arrays or "
                "fastnn.text.RandomWindows, or save with ModelCheckpoint"
            )
        if not self.model.built:  # which arrays would have done
            raise ValueError(
                f"BackupAndRestore: {self.model.name} is not built and nothing of its batches is known yet; expected weights "
                "to keep; call build with the shape of a batch"
            )
        if not self.model.optimizer.built:  # likewise
            self.model.optimizer.build(self.model.trainable_variables)
        self._steps, self._saved = 0, time.monotonic()
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        if os.path.lexists(self.path):
            self._restore()
        else:
            self._save()  # so that a kill before the first epoch's end is resumed too, and a full disk shows at once

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
            "batches": self.model._fit.batches.get_state(),
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
        here, there = self.model._fit.batches.get_state(), state.get("batches", {})
        if not isinstance(there, dict) or bool(there) != bool(here):
            raise ValueError(
                f"{self.path}: batches at {there!r} there and {here!r} here; expected the same fit; remove the file to start "
                "anew"
            )
        if there:
            try:
                self.model._fit.batches.set_state(there)
            except ValueError as error:
                raise ValueError(f"{self.path}: {error}; or remove the file to start anew") from None
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
        self.monitor, self.verbose = monitor, verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.mode = check_mode("ModelCheckpoint", mode, monitor)
        self.save_freq = check_save_freq("ModelCheckpoint", save_freq)
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
            value = monitored("ModelCheckpoint", self.monitor, logs)
            if not better(value, self.best, self.mode):
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
