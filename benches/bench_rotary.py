"""Rotary position embedding. Shapes are (batch, time, heads, size)."""

from __future__ import annotations

from typing import Any

import pytest

from benches.op import close, double, normal
from fastnn.reference import forward_ops


@pytest.mark.parametrize("interleaved", [False, True], ids=["halves", "interleaved"])
@pytest.mark.shapes({"gpt-64": (12, 64, 4, 32), "long-2048": (1, 2048, 8, 64)}, small={"small": (2, 3, 2, 6)})
def test_rotary(time_op: Any, shape: tuple[int, int, int, int], interleaved: bool) -> None:
    x = normal(*shape)
    time_op("rotary", [x], close(forward_ops["rotary"](*double(x), interleaved=interleaved)), interleaved=interleaved)
