"""From what users pass as data to what programs read.

A program of a model reads arrays of whole data sets, inputs then targets then weights of samples, and a vector of rows: the
batch. Arrays are passed as they are and batches are slices of a shuffled order; batches of an iterable are small data sets of
their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.tracing import Array, dtype_name, rectangular

# What programs read as it is, casting each batch while they gather it; anything else is converted once.
_NATIVE = ("float32", "float64", "int32", "int64", "uint8", "bool")


@dataclass(frozen=True)
class Data:
    """Arrays with one row per sample, as programs read them."""

    inputs: list[Array]
    targets: list[Array]
    weights: list[Array]  # of samples: none, or for each output one vector of float32

    @property
    def arrays(self) -> list[Array]:
        """All of them, in the order of a program's inputs."""
        return [*self.inputs, *self.targets, *self.weights]

    @property
    def samples(self) -> int:
        """The number of rows."""
        return len(self.inputs[0])

    @property
    def kind(self) -> tuple[Any, ...]:
        """What a program depends on: dtypes and the shapes of samples."""
        parts = (self.inputs, self.targets, self.weights)
        return tuple(tuple((dtype_name(a.dtype), a.shape[1:]) for a in part) for part in parts)

    def rows(self, begin: int, end: int | None) -> Data:
        """The samples of a range."""
        return Data(*([a[begin:end] for a in part] for part in (self.inputs, self.targets, self.weights)))


class ArrayBatches:
    """The batches of arrays, in an order that is drawn anew for each epoch.

    Args:
        data: the arrays.
        batch_size: rows per batch; the last one has what is left.
        steps: how many batches an epoch has at most.
    """

    def __init__(self, data: Data, batch_size: int, steps: int | None = None) -> None:
        self.data = data
        self.samples = data.samples
        self.steps: int | None = -(-data.samples // batch_size) if steps is None else steps
        self._batch_size = batch_size
        self._arrays = data.arrays
        self._order = np.arange(data.samples, dtype=np.int64)

    def begin_epoch(self, key: tuple[int, int, int] | None) -> None:
        """Shuffles by a random key, or keeps the order."""
        if key is not None:
            self._order = _core.random_permutation(*key, self.samples)

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint has to keep beside the epoch, the step and the key: nothing."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes that back."""

    def batch(self, step: int) -> tuple[Data, list[Array]]:
        """The data set and what the program is run on."""
        rows = self._order[step * self._batch_size : (step + 1) * self._batch_size]
        return self.data, [*self._arrays, rows]


class IterableBatches:
    """The batches of an iterable: `(x, y)` or `(x, y, sample_weight)`.

    Args:
        where: for errors.
        batches: an iterable that begins anew for each epoch, or an iterator, of which each epoch takes the next `steps`.
        steps: how many batches an epoch has; None for as many as there are.
        prepare: makes Data of one batch.
    """

    samples = 0  # unknown

    def __init__(self, where: str, batches: Iterable[Any], steps: int | None, prepare: Callable[..., Data]) -> None:
        self.steps = steps
        self._where = where
        self._batches = batches
        self._prepare = prepare
        self._iterator: Iterator[Any] | None = None
        if steps is None and iter(batches) is batches:
            raise ValueError(
                f"{where}: an iterator without steps_per_epoch; expected to know where an epoch ends; pass steps_per_epoch, or "
                "an iterable that begins anew each time"
            )

    def begin_epoch(self, key: tuple[int, int, int] | None) -> None:
        """Begins anew where the iterable can."""
        if self._iterator is None or iter(self._batches) is not self._batches:
            self._iterator = iter(self._batches)

    def get_state(self) -> dict[str, Any] | None:
        """Where an iterator is that can say it; None of another, and of what begins anew."""
        known = iter(self._batches) is self._batches and hasattr(self._batches, "set_state")
        return self._batches.get_state() if known and hasattr(self._batches, "get_state") else None

    def set_state(self, state: dict[str, Any]) -> None:
        """Moves such an iterator there."""
        self._batches.set_state(state)  # type: ignore[attr-defined]

    def batch(self, step: int) -> tuple[Data, list[Array]] | None:
        """The next batch; None where there is none and none has to be."""
        assert self._iterator is not None
        try:
            parts = next(self._iterator)
        except StopIteration:
            if self.steps is None and step > 0:
                return None
            expected = "at least one" if self.steps is None else str(self.steps)
            raise ValueError(
                f"{self._where}: the batches ended after {step}; expected {expected} in each epoch; pass an iterable that "
                "begins anew, or a smaller steps_per_epoch"
            ) from None
        if not isinstance(parts, (tuple, list)) or len(parts) not in (2, 3):
            raise ValueError(
                f"{self._where}: batch {step} is {type(parts).__name__}; expected (x, y) or (x, y, sample_weight); yield tuples"
            )
        data = self._prepare(*parts)
        return data, [*data.arrays, np.arange(data.samples, dtype=np.int64)]


def is_iterable_of_batches(x: Any) -> bool:
    """Whether it is an iterable of batches and no data."""
    return isinstance(x, Iterable) and not hasattr(x, "__array__") and not isinstance(x, (list, tuple, Mapping, str, bytes))


def numeric(where: str, array: Any) -> Array:
    """A C-contiguous array of a dtype that programs read, without a copy where it is one."""
    array = rectangular(where, array)
    if dtype_name(array.dtype) in _NATIVE and array.dtype.isnative:
        return array if array.ndim == 0 or array.flags.c_contiguous else np.ascontiguousarray(array)
    if array.dtype.kind in "iu":
        return np.ascontiguousarray(array, np.int64)
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, np.float32)
    raise TypeError(f"{where}: dtype {array.dtype}; expected numbers; convert the array with .astype('float32')")


def sample_weights(where: str, weights: Any, samples: int) -> Array:
    """One float32 for each sample."""
    array = numeric(where, weights).astype(np.float32)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (samples,):
        raise ValueError(f"{where}: shape {array.shape}; expected ({samples},), one weight per sample; reshape it")
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(f"{where}: a weight that is negative or not finite; expected numbers >= 0; check how they were made")
    return array


def class_weights(where: str, class_weight: Mapping[int, float], targets: Array) -> Array:
    """The weight of each sample's class; 1 for classes without one."""
    if not isinstance(class_weight, Mapping) or not class_weight:
        raise TypeError(
            f"{where}: class_weight={class_weight!r}; expected a dict of class and weight; pass for example {{0: 1.0, 1: 5.0}}"
        )
    labels = targets
    if targets.ndim == 2 and targets.shape[1] > 1:
        labels = targets.argmax(axis=1)
    elif targets.ndim == 2:
        labels = targets[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"{where}: class_weight for targets of shape {targets.shape}; expected one class per sample; pass sample_weight"
        )
    labels = labels.astype(np.int64)
    keys = list(class_weight)
    if not all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k >= 0 for k in keys):
        raise ValueError(
            f"{where}: class_weight of {keys}; expected classes, integers >= 0; pass for example {{0: 1.0, 1: 5.0}}"
        )
    table = np.ones(max(int(max(keys)), int(labels.max(initial=0))) + 1, np.float32)
    for label, weight in class_weight.items():
        table[label] = weight
    return sample_weights(where, table[np.maximum(labels, 0)], len(targets))


def shape_text(shape: Sequence[Any]) -> str:
    """A shape for errors: `(None, 28, 28)`."""
    inner = ", ".join(str(d) for d in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
