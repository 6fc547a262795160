"""Looking for NaN and infinity."""

from __future__ import annotations

from typing import Any

import pytest

from benches.op import close, normal


@pytest.mark.shapes({"loss": (), "1M": (1_000_000,)}, small={"small": (17,)})
def test_check_finite(time_op: Any, shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    time_op("check_finite", [x], close(x))
