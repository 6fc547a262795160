"""Attention. Shapes are (batch, queries, heads, key heads, size)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, double, normal
from fastnn import kernels
from fastnn.reference import forward_ops

Shape = tuple[int, int, int, int, int]
SHAPES = {
    "gpt-64": (12, 64, 4, 4, 32),
    "vit-50": (32, 50, 4, 4, 32),
    "long-2048": (1, 2048, 8, 8, 64),
    "grouped-512": (4, 512, 8, 2, 64),
}
SMALL = {"small": (2, 17, 4, 2, 5)}


def operands(shape: Shape) -> list[Any]:
    B, T, NH, KV, HS = shape
    return [normal(B, T, NH, HS), normal(B, T, KV, HS), normal(B, T, KV, HS)]


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "all"])
@pytest.mark.shapes(SHAPES, small=SMALL)
def test_attention(time_op: Any, shape: Shape, causal: bool) -> None:
    arrays = operands(shape)
    y, lse = forward_ops["attention"](*double(*arrays), causal=causal)
    time_op("attention", arrays, close(y, lse, terms=shape[4]), causal=causal)


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "all"])
@pytest.mark.shapes(SHAPES, small=SMALL)
def test_attention_backward(time_op: Any, shape: Shape, causal: bool) -> None:
    arrays = operands(shape)
    y, lse = kernels.attention(*arrays, causal=causal)
    dy = normal(*y.shape)
    wide = double(dy, *arrays)
    right = kernels.attention_backward(*wide, *kernels.attention(*wide[1:], causal=causal), causal=causal)
    time_op("attention_backward", [dy, *arrays, y, lse], close(*right, terms=shape[1]), causal=causal)


@pytest.mark.shapes({"after-1023": (1, 1024, 8, 2, 64)}, small=SMALL)
def test_one_more_token(time_op: Any, shape: Shape) -> None:
    """A query behind a cache of keys and values."""
    query, key, value = operands(shape)
    y, lse = forward_ops["attention"](*double(query[:, -1:], key, value), causal=True)
    time_op("attention", [np.ascontiguousarray(query[:, -1:]), key, value], close(y, lse, terms=shape[4]), causal=True)
