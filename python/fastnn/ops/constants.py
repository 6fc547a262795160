"""Arrays of numbers that are known beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.ops.movement import broadcast_to
from fastnn.tracing import Dim


def full(shape: Dim | Sequence[Dim], fill_value: float, dtype: str = "float32") -> Any:
    """An array that holds one number.

    Args:
        shape: ints and symbolic extents, or a single one.
        fill_value: a Python number.
        dtype: its name.

    Returns:
        An array of this shape and dtype.

    Raises:
        ValueError: a negative length. TypeError: a number that the dtype does not hold.

    Example:
        >>> ops.full((2, 2), 7, "int64")
        array([[7, 7],
               [7, 7]])
    """
    if dtype not in ("float32", "float64", "int32", "int64", "uint8", "bool"):
        raise TypeError(f"full: dtype={dtype!r}; expected float32, float64, int32, int64, uint8 or bool; choose one")
    number = np.asarray(fill_value)
    with np.errstate(over="ignore", invalid="ignore"):
        value = number.astype(dtype)
    if number.ndim or number.dtype.kind not in "fiub" or (np.dtype(dtype).kind != "f" and value != number):
        raise TypeError(
            f"full: fill_value={fill_value!r} in {dtype}; expected a number that the dtype holds; choose another dtype"
        )
    return broadcast_to(value, shape)


def zeros(shape: Dim | Sequence[Dim], dtype: str = "float32") -> Any:
    """An array of zeros; see `full`.

    Args:
        shape: ints and symbolic extents, or a single one.
        dtype: its name.

    Example:
        >>> ops.zeros(3)
        array([0., 0., 0.], dtype=float32)
    """
    return full(shape, 0, dtype)


def ones(shape: Dim | Sequence[Dim], dtype: str = "float32") -> Any:
    """An array of ones; see `full`.

    Args:
        shape: ints and symbolic extents, or a single one.
        dtype: its name.

    Example:
        >>> ops.ones((1, 2))
        array([[1., 1.]], dtype=float32)
    """
    return full(shape, 1, dtype)


def arange(start: int | float, stop: int | float | None = None, step: int | float = 1, dtype: str | None = None) -> Any:
    """The numbers `start`, `start + step`, ... before `stop`. Lengths of symbolic axes have no number to count to.

    Args:
        start: the first; with no `stop`, that is `stop`, and the first is 0.
        stop: where they end, not included.
        step: from each to the next.
        dtype: default int64, or float32 where one of the others is a float.

    Returns:
        An array of shape `(n,)`.

    Raises:
        TypeError: no numbers. ValueError: a step of 0.

    Example:
        >>> ops.arange(4)
        array([0, 1, 2, 3])
    """
    numbers = [n for n in (start, stop, step) if n is not None]
    if any(isinstance(n, bool) or not isinstance(n, (int, float, np.integer, np.floating)) for n in numbers):
        raise TypeError(f"arange: start={start}, stop={stop}, step={step}; expected numbers; give a symbolic axis a length")
    if step == 0 or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f"arange: start={start}, stop={stop}, step={step}; expected finite numbers, and not 0 as the step; pass step=1"
        )
    dtype = dtype or ("float32" if any(isinstance(n, (float, np.floating)) for n in numbers) else "int64")
    first, behind = (0, start) if stop is None else (start, stop)
    return broadcast_to(np.arange(first, behind, step).astype(dtype), max(math.ceil((behind - first) / step), 0))
