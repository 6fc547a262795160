"""Keys and values of the tokens that a model has read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.tracing import Variable


class _Reading(threading.local):
    cache: KeyValueCache | None = None  # of the model that is being traced


_reading = _Reading()


def current_cache() -> KeyValueCache | None:
    """The cache that layers called in this thread fill and read, or None."""
    return _reading.cache


class KeyValueCache:
    """The keys and values of each layer of causal self-attention, Variables of shape `(batch, context, heads, size)`.

    While `reading` lasts, such a layer writes the keys and values of the tokens it gets behind those that are there, and its
    queries see them all; layers of positions count on. So text can be read in pieces, with the bits of reading it at once.

    Args:
        batch: how many texts.
        context: how many tokens of each fit.
    """

    def __init__(self, batch: int, context: int) -> None:
        self.batch, self.context = batch, context
        self.positions: Any = None  # of the first token that is read now, one for each text
        self._entries: dict[int, tuple[Any, Variable, Variable]] = {}  # id(layer) -> the layer, its keys and values

    @contextmanager
    def reading(self, positions: Any) -> Iterator[None]:
        """While it lasts, layers called in this thread read tokens that begin at these places.

        Args:
            positions: int32 or int64 `(batch,)`.
        """
        before, _reading.cache, self.positions = _reading.cache, self, positions
        try:
            yield
        finally:
            _reading.cache, self.positions = before, None

    def places(self, time: int) -> Any:
        """The places of the tokens that are read now: `(batch, time)`.

        Args:
            time: how many of each text.
        """
        return ops.expand_dims(self.positions, 1) + np.arange(time, dtype=str(self.positions.dtype))

    def append(self, layer: Any, keys: Any, values: Any) -> tuple[Any, Any]:
        """A layer's keys and values with the new ones, of which a run keeps both.

        Args:
            layer: whose they are.
            keys: `(batch, time, heads, size)`.
            values: likewise.

        Returns:
            Two tensors `(batch, context, heads, size)`.
        """
        if id(layer) not in self._entries:
            of = [
                (part, (self.batch, self.context, *x.shape[2:]), str(x.dtype))
                for part, x in (("keys", keys), ("values", values))
            ]
            made = [Variable(np.zeros(shape, dtype), name=f"{layer.name}/{part}", trainable=False) for part, shape, dtype in of]
            self._entries[id(layer)] = (layer, made[0], made[1])
        _, *cached = self._entries[id(layer)]
        for variable, new in zip(cached, (keys, values)):
            variable.assign(ops.cache_append(variable, new, self.positions))
        return cached[0], cached[1]
