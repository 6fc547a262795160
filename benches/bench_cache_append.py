"""New rows in a cache of keys or values. Shapes are (batch, context, features)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, normal

Shape = tuple[int, int, int]


@pytest.mark.shapes({"chars": (1, 64, 128), "gpt2": (1, 1024, 768), "batch-32": (32, 256, 128)}, small={"small": (2, 5, 17)})
def test_cache_append(time_op: Any, shape: Shape) -> None:
    batch, context, features = shape
    cache, rows = normal(*shape), normal(batch, 1, features)
    y = cache.copy()
    y[:, context // 2] = rows[:, 0]
    time_op("cache_append", [cache, rows, np.full(batch, context // 2)], close(y))
