"""Gathering a batch out of a data set. Shapes are (rows, columns, batch)."""

from __future__ import annotations

from typing import Any

import pytest

from benches.op import close, positive, random


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.shapes({"mnist-32": (60_000, 784, 32), "mnist-128": (60_000, 784, 128)}, small={"small": (9, 17, 5)})
def test_gather_rows(time_op: Any, shape: tuple[int, int, int], dtype: str) -> None:
    rows, columns, batch = shape
    x = (200 * positive(rows, columns)).astype(dtype)
    indices = random.integers(0, rows, batch)
    time_op("gather_rows", [x, indices], close(x[indices].astype("f")), dtype="float32")
