"""What the commands that train have in common: messages on standard error, and Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from importlib.util import find_spec
from typing import Any

from fastnn.callbacks import Callback
from fastnn.callbacks.base import Logs


class Interruption(Callback):
    """Ctrl-C stops the run, if need be one step later.

    Python drops what is raised in a destructor or in the callback of a weak reference, a KeyboardInterrupt too, and progress
    bars have both.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> Interruption:
        # Only the main thread may set handlers; a program that has its own keeps it.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, *signal_and_frame: object) -> None:
        self._asked = True
        raise KeyboardInterrupt

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._asked:
            raise KeyboardInterrupt


def check_extras() -> bool:
    """Says before the training what will be missing; returns whether pictures can be drawn."""
    missing = [name for name in ("tqdm", "matplotlib") if find_spec(name) is None]
    lost = {"tqdm": "no live progress bar", "matplotlib": "no pictures"}
    if missing:
        say(
            f"{' and '.join(lost[name] for name in missing)}: {' and '.join(missing)} not installed; "
            "in a checkout of fastnn, pip install '.[cli]' brings what is missing"
        )
    return "matplotlib" not in missing


def say_no_pictures(error: ImportError) -> None:
    """Says why none is drawn."""
    say(f"no pictures: matplotlib cannot be used ({error}); in a checkout of fastnn, pip install '.[cli]' brings it")


def count(number: int, noun: str) -> str:
    """A number of things: `1 epoch`, `2,000 epochs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def say(message: str) -> None:
    """A line for the user, on standard error."""
    print(f"fastnn: {message}", file=sys.stderr)
