"""Elements by number: a batch out of a data set, and embeddings. Shapes are (rows, columns, batch)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, positive, random


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.shapes({"mnist-32": (60_000, 784, 32), "mnist-128": (60_000, 784, 128)}, small={"small": (9, 17, 5)})
def test_gather_rows(time_op: Any, shape: tuple[int, int, int], dtype: str) -> None:
    rows, columns, batch = shape
    x = (200 * positive(rows, columns)).astype(dtype)
    indices = random.integers(0, rows, batch)
    time_op("gather_rows", [x, indices], close(x[indices].astype("f")), dtype="float32")


# Characters, and words, 64 tokens of 32 texts.
tables = pytest.mark.shapes({"chars": (65, 128, 2048), "words": (20_000, 128, 2048)}, small={"small": (9, 17, 5)})


@tables
def test_take(time_op: Any, shape: tuple[int, int, int]) -> None:
    rows, columns, n = shape
    x, indices = positive(rows, columns), random.integers(0, rows, n)
    time_op("take", [x, indices], close(x[indices]), axis=0)


@tables
def test_numpy_take(measure: Any, shape: tuple[int, int, int]) -> None:
    rows, columns, n = shape
    x, indices = positive(rows, columns), random.integers(0, rows, n)
    measure(lambda: np.take(x, indices, 0), 0, 8 * n * columns)


@tables
def test_take_backward(time_op: Any, shape: tuple[int, int, int]) -> None:
    rows, columns, n = shape
    dy, x, indices = positive(n, columns), positive(rows, columns), random.integers(0, rows, n)
    dx = np.zeros((rows, columns))
    np.add.at(dx, indices, dy.astype(np.float64))
    time_op("take_backward", [dy, indices, x], close(dx, terms=n), axis=0)


@tables
def test_numpy_take_backward(measure: Any, shape: tuple[int, int, int]) -> None:
    rows, columns, n = shape
    dy, indices = positive(n, columns), random.integers(0, rows, n)

    def run() -> None:
        np.add.at(np.zeros((rows, columns), np.float32), indices, dy)

    measure(run, n * columns, 12 * n * columns + 4 * rows * columns)


@tables
def test_one_hot(time_op: Any, shape: tuple[int, int, int]) -> None:
    rows, _, n = shape
    indices = random.integers(0, rows, n)
    time_op("one_hot", [indices], close(np.eye(rows, dtype=np.float32)[indices]), num_classes=rows)
