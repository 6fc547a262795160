"""Small helpers: seeds, one-hot labels, names that are nearly right."""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from fastnn.tracing import Array, rectangular

T = TypeVar("T")

__all__ = ["set_random_seed", "set_seed", "to_categorical"]


class _Generator:
    """Hands out (seed, stream) keys: one per initialiser, dropout layer or shuffled fit, in the order they ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self.seed = int.from_bytes(os.urandom(7), "little")
        self._stream = 0

    def reset(self, seed: int, stream: int = 0) -> None:
        with self._lock:
            self.seed, self._stream = seed, stream

    def state(self) -> tuple[int, int]:
        """What `reset` takes to go on from here."""
        with self._lock:
            return self.seed, self._stream

    def next_key(self) -> tuple[int, int]:
        if getattr(self._local, "paused", False):
            return 0, 0
        with self._lock:
            self._stream += 1
            return self.seed, self._stream - 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While it lasts this thread takes no numbers: for copies of layers, whose random state comes from elsewhere."""
        before, self._local.paused = getattr(self._local, "paused", False), True
        try:
            yield
        finally:
            self._local.paused = before


generator = _Generator()


def set_seed(seed: int) -> None:
    """Makes everything random from here on repeatable: initial weights, shuffling, dropout.

    Args:
        seed: 0 or greater, below 2**63. Without a call the seed comes from the operating system.

    Raises:
        ValueError: a seed outside that range.
        TypeError: no integer.

    Example:
        >>> fastnn.set_seed(0)
        >>> a = fastnn.initializers.GlorotUniform()((2, 3))
        >>> fastnn.set_seed(0)
        >>> np.array_equal(a, fastnn.initializers.GlorotUniform()((2, 3)))
        True
    """
    generator.reset(check_seed("set_seed", seed))


set_random_seed = set_seed


def to_categorical(labels: Any, num_classes: int | None = None) -> Array:
    """One-hot rows: `y[i, labels[i]] = 1`, everything else 0.

    Args:
        labels: integers of shape `(...)` or `(..., 1)`, none negative; floats that are whole pass too.
        num_classes: default the largest label plus 1.

    Returns:
        float32 of shape `(..., num_classes)`.

    Raises:
        ValueError: a label that is negative, not below `num_classes`, NaN or infinite; num_classes that is no positive integer.
        TypeError: labels with fractions, or that are no numbers.

    Example:
        >>> fastnn.utils.to_categorical([0, 2])
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    labels = rectangular("to_categorical: labels", labels)
    if labels.dtype.kind == "f":
        bad = labels[~(np.abs(labels) < 2.0**63)]  # NaN too
        if bad.size:
            raise ValueError(f"to_categorical: a label {bad[0]}; expected integers; check how the labels were made")
    if labels.dtype.kind not in "iub" and not (labels.dtype.kind == "f" and np.array_equal(labels, np.floor(labels))):
        raise TypeError(f"to_categorical: labels of dtype {labels.dtype}; expected integers; convert them with .astype")
    labels = labels.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        classes = int(labels.max(initial=-1)) + 1
    elif isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)) or num_classes < 1:
        raise ValueError(f"to_categorical: num_classes={num_classes!r}; expected a positive integer; pass for example 10")
    else:
        classes = int(num_classes)
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"to_categorical: labels from {labels.min()} to {labels.max()}; expected 0 <= label < {classes}; "
            "check the labels or num_classes"
        )
    return np.asarray(labels[..., None] == np.arange(classes), dtype=np.float32)


def check_seed(where: str, seed: Any) -> int:
    """`seed` as an int of at least 0 and below 2**63."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"{where}: seed={seed!r}; expected an integer; pass for example 0")
    if not 0 <= seed < 2**63:
        raise ValueError(f"{where}: seed={seed}; expected 0 <= seed < 2**63; pass for example 0")
    return int(seed)


def check_number(
    where: str,
    what: str,
    value: Any,
    example: object,
    expected: str = "a finite number",
    holds: Callable[[float], bool] = lambda value: True,
) -> float:
    """`value` as a finite float for which `holds` is true, as `expected` says in words."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not (number and np.isfinite(value) and holds(float(value))):
        raise ValueError(f"{where}: {what}={value!r}; expected {expected}; pass for example {example}")
    return float(value)


def unknown_name(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """The error for a name that does not exist, with the nearest ones that do."""
    names = sorted(known)
    lower = {n.lower(): n for n in names}
    near = [lower[m] for m in difflib.get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else "pass one of them, or an object"
    return ValueError(f"{kind}: {name!r} does not exist; expected one of {', '.join(names)}; {hint}")


def look_up(kind: str, name: str, table: Mapping[str, T]) -> T:
    """`table[name]`, or the error with the nearest names."""
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]


def look_up_class(kind: str, name: str, table: Mapping[str, type[T]]) -> type[T]:
    """`table[name]`, or the class of that very name, which Keras takes too: `"MeanSquaredError"`."""
    classes = {entry.__name__: entry for entry in table.values()}
    return classes[name] if name in classes else look_up(kind, name, table)
