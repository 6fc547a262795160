"""Options that callbacks have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.callbacks.base import Logs
from fastnn.utils import unknown_name


def monitored(where: str, monitor: str, logs: Logs | None) -> float:
    """The entry of the logs that a callback watches."""
    if monitor not in (logs or {}):
        raise unknown_name(f"{where}: monitor", monitor, logs or {})
    return (logs or {})[monitor]


def better(value: float, best: float | None, mode: str, by: float = 0.0) -> bool:
    """Whether a number is better than the best so far, by more than a margin."""
    if best is None:
        return True
    return value > best + by if mode == "max" else value < best - by


def check_mode(where: str, mode: str, monitor: str) -> str:
    """Which is better, "min" or "max"; "auto" looks at the name."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"{where}: mode={mode!r}; expected 'auto', 'min' or 'max'; pass one of them")
    higher = ("acc", "accuracy", "auc", "precision", "recall", "f1", "r2")
    return mode if mode != "auto" else "max" if any(part in higher for part in monitor.split("_")) else "min"


def check_count(where: str, what: str, value: Any) -> int:
    """`value` as an int of at least 0."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"{where}: {what}={value!r}; expected an integer >= 0; pass for example 3")
    return int(value)


def check_save_freq(where: str, save_freq: Any) -> int | str:
    """ "epoch", or a positive number of steps."""
    whole = isinstance(save_freq, (int, np.integer)) and not isinstance(save_freq, bool) and save_freq >= 1
    if not whole and save_freq != "epoch":
        raise ValueError(f"{where}: save_freq={save_freq!r}; expected 'epoch' or a positive integer; pass a number of steps")
    return int(save_freq) if whole else "epoch"
