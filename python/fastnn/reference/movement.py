"""Numbers in other places."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["broadcast_to", "concatenate", "pad", "slice", "split", "transpose"]


def transpose(x: Array, *, axes: tuple[int, ...] | None = None) -> Array:
    """Return x with its axes in another order, reversed by default."""
    return np.array(np.transpose(x, axes), order="C")


def broadcast_to(x: Array, *, shape: tuple[int, ...]) -> Array:
    """Return x stretched to a shape."""
    return np.array(np.broadcast_to(x, shape))


def slice(
    x: Array, *, begin: tuple[int, ...], end: tuple[int, ...], strides: tuple[int, ...] = (), drop: tuple[int, ...] = ()
) -> Array:
    """Return x[begin:end:strides] of the first axes, where those of `drop` are x[begin]."""
    steps = strides or (1,) * len(begin)
    return np.array(x[tuple(b if i in drop else np.s_[b:e:s] for i, (b, e, s) in enumerate(zip(begin, end, steps)))])


def pad(x: Array, *, paddings: tuple[int, ...], mode: str = "constant", value: float = 0.0) -> Array:
    """Return x with a border; `paddings` are the elements before and after each axis, in turns."""
    pairs = list(zip(paddings[::2], paddings[1::2]))
    return np.pad(x, pairs, constant_values=value) if mode == "constant" else np.pad(x, pairs, mode=mode)  # type: ignore[call-overload]


def concatenate(*xs: Array, axis: int = 0) -> Array:
    """Return the arrays one behind the other along an axis."""
    return np.concatenate(xs, axis)


def split(x: Array, *, sizes: tuple[int, ...], axis: int = 0) -> tuple[Array, ...]:
    """Return x in parts of these sizes along an axis."""
    return tuple(np.array(part) for part in np.split(x, np.cumsum(sizes)[:-1], axis))
