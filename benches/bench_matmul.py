"""Matrix products. Shapes are (batch, M, N, K)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, double, normal


@pytest.mark.parametrize("transpose_b", [False, True], ids=["b", "bt"])
@pytest.mark.parametrize("transpose_a", [False, True], ids=["a", "at"])
@pytest.mark.shapes(
    {
        "square-64": (1, 64, 64, 64),
        "square-256": (1, 256, 256, 256),
        "square-512": (1, 512, 512, 512),
        "attention-24x128": (24, 128, 128, 32),
        "scores-128x64": (128, 64, 64, 32),
        "values-128x64": (128, 64, 32, 64),
        "tiny-4096x8": (4096, 8, 8, 8),
    },
    small={"small": (2, 5, 17, 33)},
)
def test_matmul(time_op: Any, shape: tuple[int, int, int, int], transpose_a: bool, transpose_b: bool) -> None:
    batch, M, N, K = shape
    a = normal(batch, K, M) if transpose_a else normal(batch, M, K)
    b = normal(batch, N, K) if transpose_b else normal(batch, K, N)
    A, B = double(a, b)
    c = (A.swapaxes(1, 2) if transpose_a else A) @ (B.swapaxes(1, 2) if transpose_b else B)
    time_op("matmul", [a, b], close(c, terms=K), transpose_a=transpose_a, transpose_b=transpose_b)


@pytest.mark.shapes(
    {
        "square-512": (1, 512, 512, 512),
        "scores-128x64": (128, 64, 64, 32),
        "values-128x64": (128, 64, 32, 64),
        "tiny-4096x8": (4096, 8, 8, 8),
    },
    small={"small": (2, 5, 17, 33)},
)
def test_numpy_matmul(measure: Any, shape: tuple[int, int, int, int]) -> None:
    """NumPy's, whose threads are its BLAS's own."""
    batch, M, N, K = shape
    a, b = normal(batch, M, K), normal(batch, K, N)
    measure(lambda: np.matmul(a, b), 2 * batch * M * N * K, 4 * batch * (M * K + K * N + M * N))
