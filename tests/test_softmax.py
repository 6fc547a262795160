from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import ops
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


def logarithms(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """y = (x - max) - log(sum of n exponentials)."""
    return [8 + operands[0].shape[-1] + 4 * np.abs(oracle[0])]


def differences(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """dx = dy - e^y sum of dy."""
    dy, y = operands
    terms = np.exp(y) * np.sum(np.abs(dy), axis=-1, keepdims=True)
    return [2 * np.abs(dy) + (y.shape[-1] + 8 + 2 * np.abs(y)) * terms]


ODD = np.zeros((5, 21))
ODD[0, 3], ODD[1, 20], ODD[2, 7], ODD[3] = np.nan, np.inf, -np.inf, -np.inf

CASES = [
    *(Case("softmax", [normal(*s)], bound=exponents, differentiable=[] if s == (1,) else None) for s in SHAPES),
    *(Case("softmax", [normal(*s)], bound=exponents) for s in [(0, 5), (2, 0)]),
    Case("softmax", [uniform(-80, 80, 9, 33)], bound=exponents, note="wide"),
    Case("softmax", [uniform(-1e30, -0.9e30, 9, 33)], bound=exponents, differentiable=[], note="far-below-zero"),
    Case("softmax", [uniform(1000, 1010, 9, 33)], bound=exponents, note="would-overflow"),
    Case("softmax", [given(ODD)], bound=ulps(32), nonfinite="same"),
    *(Case("log_softmax", [normal(*s)], bound=logarithms, differentiable=[] if s == (1,) else None) for s in SHAPES),
    *(Case("log_softmax", [normal(*s)], bound=logarithms) for s in [(0, 5), (2, 0)]),
    Case("log_softmax", [uniform(-300, 300, 9, 33)], bound=logarithms, note="wide"),
    Case("log_softmax", [given(ODD)], bound=logarithms, nonfinite="same"),
    *(Case("log_softmax_backward", [normal(*s), uniform(-9, 0, *s)], bound=differences) for s in [*SHAPES, (0, 5), (2, 0)]),
    *(Case("softmax_backward", [normal(*s), probabilities(*s)], bound=dots) for s in [*SHAPES, (0, 5), (2, 0)]),
]

BOTH = ("softmax", "log_softmax")

REFUSED = [
    *(Refused(op, [array()], {}, ValueError, "`x`") for op in BOTH),
    *(Refused(op, [array(2, 3, dtype="int32")], {}, TypeError, "`x` is int32") for op in BOTH),
    *(Refused(f"{op}_backward", [array(2, 3), array(2, 4)], {}, ValueError, "(2, 4)") for op in BOTH),
    *(Refused(f"{op}_backward", [array(2, 3), array(2, 3, dtype="float64")], {}, TypeError, "float64") for op in BOTH),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_softmax(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_softmax_refuses(refused: Any) -> None:
    refused.check()


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_over_another_axis(axis: int) -> None:
    x, u = np.random.default_rng(9).standard_normal((2, 4, 5, 3))
    x *= 100
    moved = np.moveaxis(x, axis, -1)
    for f in (ops.softmax, ops.log_softmax):
        np.testing.assert_allclose(f(x, axis), np.moveaxis(f(moved.copy()), -1, axis), rtol=1e-12, atol=1e-15)
        gradient = fastnn.grad(lambda x, axis, u, f=f: ops.sum(f(x, axis) * u))
        expected = np.moveaxis(gradient(moved.copy(), -1, np.moveaxis(u, axis, -1).copy()), -1, axis)
        np.testing.assert_allclose(gradient(x, axis, u), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("op", [ops.softmax, ops.log_softmax])
def test_an_axis_that_is_none(op: Any) -> None:
    with pytest.raises(ValueError, match=r"softmax: axis=2 for 2 axes; expected -2 to 1; "):
        op(np.ones((2, 3)), 2)
    with pytest.raises(TypeError, match=r"softmax: axis='last'; expected an integer; "):
        op(np.ones((2, 3)), "last")
