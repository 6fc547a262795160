from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness import Case, Refused, array, check, given, normal, probabilities, ulps, uniform

SHAPES = [
    (1,),
    (3,),
    (2, 3),
    (5, 7),
    (4, 8),
    (4, 9),
    (3, 15),
    (3, 16),
    (3, 17),
    (2, 33),
    (2, 3, 10),
    (1, 1000),
    (700, 10),
    (90, 257),
]


def exponents(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """y is e^(x - max) over a sum of n such: the difference is rounded, and its error grows with it."""
    (x,) = operands
    span = np.max(x, axis=-1, keepdims=True, initial=-np.inf) - x
    return [(8 + x.shape[-1] + 2 * span + 2 * np.sum(oracle[0] * span, axis=-1, keepdims=True)) * oracle[0]]


def dots(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """dx = y (dy - sum of dy y): n roundings in the sum."""
    dy, y = operands
    n = y.shape[-1]
    return [np.abs(y) * (2 * np.abs(dy) + (n + 2) * np.sum(np.abs(dy * y), axis=-1, keepdims=True))]


ODD = np.zeros((5, 21))
ODD[0, 3], ODD[1, 20], ODD[2, 7], ODD[3] = np.nan, np.inf, -np.inf, -np.inf

CASES = [
    *(Case("softmax", [normal(*s)], bound=exponents, differentiable=[] if s == (1,) else None) for s in SHAPES),
    *(Case("softmax", [normal(*s)], bound=exponents) for s in [(0, 5), (2, 0)]),
    Case("softmax", [uniform(-80, 80, 9, 33)], bound=exponents, note="wide"),
    Case("softmax", [uniform(-1e30, -0.9e30, 9, 33)], bound=exponents, differentiable=[], note="far-below-zero"),
    Case("softmax", [uniform(1000, 1010, 9, 33)], bound=exponents, note="would-overflow"),
    Case("softmax", [given(ODD)], bound=ulps(32), nonfinite="same"),
    *(Case("softmax_backward", [normal(*s), probabilities(*s)], bound=dots) for s in [*SHAPES, (0, 5), (2, 0)]),
]

REFUSED = [
    Refused("softmax", [array()], {}, ValueError, "`x`"),
    Refused("softmax", [array(2, 3, dtype="int32")], {}, TypeError, "`x` is int32"),
    Refused("softmax_backward", [array(2, 3), array(2, 4)], {}, ValueError, "(2, 4)"),
    Refused("softmax_backward", [array(2, 3), array(2, 3, dtype="float64")], {}, TypeError, "float64"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_softmax(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_softmax_refuses(refused: Any) -> None:
    refused.check()
