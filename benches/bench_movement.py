"""Moving numbers, beside a copy and beside NumPy. Shapes are those of x."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import Array, close, normal

# attention: heads out of (batch, time, heads, head size), 128 bytes each. last: the last two axes exchanged, a row at a time
# against the grain. images: channels first to channels last.
ORDERS = {
    "attention": ((32, 64, 4, 32), (0, 2, 1, 3)),
    "last": ((128, 64, 64), (0, 2, 1)),
    "matrix": ((1024, 1024), (1, 0)),
    "images": ((32, 3, 64, 64), (0, 2, 3, 1)),
}
SMALL_ORDERS = {"small": ((2, 5, 3), (0, 2, 1))}


@pytest.mark.shapes(ORDERS, small=SMALL_ORDERS)
def test_transpose(time_op: Any, shape: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    x = normal(*shape[0])
    time_op("transpose", [x], close(x.transpose(shape[1])), axes=shape[1])


@pytest.mark.shapes(ORDERS, small=SMALL_ORDERS)
def test_numpy_transpose(measure: Any, shape: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    x = normal(*shape[0])
    measure(lambda: np.ascontiguousarray(x.transpose(shape[1])), 0, 2 * x.nbytes)


# gates: the four of an LSTM; channels: of a residual block's shortcut.
JOINS = {"gates": ((32, 64, 512), 4, 2), "channels": ((32, 28, 28, 64), 2, 3), "rows": ((4096, 256), 4, 0)}
SMALL_JOINS = {"small": ((2, 3, 8), 2, 2)}


def joined(shape: tuple[tuple[int, ...], int, int]) -> tuple[Array, list[Array], int]:
    x = normal(*shape[0])
    return x, [np.ascontiguousarray(part) for part in np.split(x, shape[1], shape[2])], shape[2]


@pytest.mark.shapes(JOINS, small=SMALL_JOINS)
def test_concatenate(time_op: Any, shape: tuple[tuple[int, ...], int, int]) -> None:
    x, parts, axis = joined(shape)
    time_op("concatenate", parts, close(x), axis=axis)


@pytest.mark.shapes(JOINS, small=SMALL_JOINS)
def test_numpy_concatenate(measure: Any, shape: tuple[tuple[int, ...], int, int]) -> None:
    x, parts, axis = joined(shape)
    measure(lambda: np.concatenate(parts, axis), 0, 2 * x.nbytes)


@pytest.mark.shapes(JOINS, small=SMALL_JOINS)
def test_split(time_op: Any, shape: tuple[tuple[int, ...], int, int]) -> None:
    x, parts, axis = joined(shape)
    time_op("split", [x], close(*parts), sizes=tuple(part.shape[axis] for part in parts), axis=axis)


IMAGES = {"images": (32, 56, 56, 64), "mnist": (32, 28, 28, 1)}
SMALL_IMAGES = {"small": (2, 5, 5, 3)}


@pytest.mark.shapes(IMAGES, small=SMALL_IMAGES)
def test_pad(time_op: Any, shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    time_op("pad", [x], close(np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])), paddings=(0, 0, 1, 1, 1, 1, 0, 0))


@pytest.mark.shapes(IMAGES, small=SMALL_IMAGES)
def test_numpy_pad(measure: Any, shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    measure(lambda: np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), 0, 2 * x.nbytes)


@pytest.mark.shapes(IMAGES, small=SMALL_IMAGES)
def test_upsample_nearest(time_op: Any, shape: tuple[int, ...]) -> None:
    b, h, w, c = shape
    x = normal(b, h, 1, w, 1, c)
    to = (b, h, 2, w, 2, c)
    time_op("broadcast_to", [x], close(np.broadcast_to(x, to)), shape=to)


@pytest.mark.shapes(IMAGES, small=SMALL_IMAGES)
def test_slice(time_op: Any, shape: tuple[int, ...]) -> None:
    """A crop, and every second pixel of it."""
    x = normal(*shape)
    cut = {"begin": (0, 1, 1), "end": (shape[0], shape[1] - 1, shape[2] - 1), "strides": (1, 2, 2)}
    time_op("slice", [x], close(x[:, 1:-1:2, 1:-1:2]), **cut)


@pytest.mark.shapes(IMAGES, small=SMALL_IMAGES)
def test_flip(time_op: Any, shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    time_op("slice", [x], close(x[:, :, ::-1]), begin=(0, 0, -1), end=(shape[0], shape[1], -(2**63)), strides=(1, 1, -1))
