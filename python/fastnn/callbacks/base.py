"""The base of callbacks, the history, the progress bar, and the list that `fit` calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastnn.utils import unknown_name

if TYPE_CHECKING:
    from fastnn.training import Trainer

Logs = dict[str, float]


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
    wants_logs = True  # of batches: reading metrics costs microseconds
    ends_quietly = False  # whether a loss that is not finite ends `fit` without an error

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


def format_logs(logs: Logs) -> str:
    """`loss: 0.1234 - accuracy: 0.9876`."""
    return " - ".join(f"{name}: {value:.4f}" for name, value in logs.items())


class Progress(Callback):
    """What `verbose` shows on standard error: 1 a progress bar (with tqdm, else as 2), 2 one line per epoch."""

    wants_logs = False  # it reads its own, now and then
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
        self.ends_quietly = any(callback.ends_quietly for callback in self.callbacks)
        self.on_batch_begin = self._overridden("on_train_batch_begin")
        self.on_batch_end = self._overridden("on_train_batch_end")

    def _overridden(self, hook: str) -> list[tuple[Callable[..., None], bool]]:
        """The bound hooks, each with whether it wants logs."""
        return [
            (getattr(c, hook), c.wants_logs)
            for c in self.callbacks
            if getattr(type(c), hook) is not getattr(Callback, hook) or hook in vars(c)
        ]

    def call(self, hook: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*args)
