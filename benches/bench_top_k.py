"""The largest numbers of rows. Shapes are (rows, columns)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, double, normal

Shape = tuple[int, int]
# tokens: one step of generation with a vocabulary.
shapes = pytest.mark.shapes({"classes": (256, 1000), "tokens": (1, 50257)}, small={"small": (5, 17)})


@pytest.mark.parametrize("k", [1, 5, 17])
@shapes
def test_top_k(time_op: Any, shape: Shape, k: int) -> None:
    x = normal(*shape)
    order = np.argsort(-x, axis=-1, kind="stable")[:, :k]
    time_op("top_k", [x], close(np.take_along_axis(double(x)[0], order, -1), order), k=k)
