"""Dropout, and random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, normal
from fastnn.reference import forward_ops


@pytest.mark.shapes({"64": (32, 64), "mnist": (32, 13, 13, 32), "4M": (4_000_000,)}, small={"small": (3, 17)})
def test_dropout(time_op: Any, shape: tuple[int, ...]) -> None:
    x, state = normal(*shape), np.array([7, 3])
    time_op("dropout", [x, state], close(forward_ops["dropout"](x.astype("d"), state, rate=0.25)), rate=0.25)


@pytest.mark.shapes({"64": (32, 64), "mnist": (32, 13, 13, 32), "4M": (4_000_000,)}, small={"small": (3, 17)})
def test_random_uniform(time_op: Any, shape: tuple[int, ...]) -> None:
    x, state = normal(*shape), np.array([7, 3])
    time_op("random_uniform", [x, state], close(forward_ops["random_uniform"](x.astype("d"), state)))
