"""Cumulative sums. Shapes are (rows, columns)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, double, normal

Shape = tuple[int, int]
shapes = pytest.mark.shapes({"classes": (256, 1000), "wide": (1000, 4096)}, small={"small": (5, 17)})


@pytest.mark.parametrize("axis", [0, 1])
@shapes
def test_cumsum(time_op: Any, shape: Shape, axis: int) -> None:
    x = normal(*shape)
    time_op("cumsum", [x], close(np.cumsum(double(x)[0], axis), terms=shape[axis]), axis=axis)
