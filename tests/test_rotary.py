from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import ops
from harness import Case, Operand, Refused, array, check, given, normal


def bound(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """In units of eps of the length of a pair. Frequencies are rounded in float64, and multiplied by the place."""
    x = operands[0]
    places = 1 + x.shape[1] + (0 if operands[1] is None else np.max(np.abs(operands[1]), initial=0))
    return [(4 + 2 * places) * np.sqrt(2) * np.max(np.abs(x), axis=-1, keepdims=True, initial=0.0)]


def case(shape: tuple[int, ...], positions: Operand | None = None, **attributes: Any) -> Case:
    return Case("rotary", [normal(*shape), positions], attributes, bound)


CASES = [
    *(case((2, 3, 2, size), interleaved=pairs) for size in (2, 4, 6, 14, 16, 18, 30, 32, 34, 64) for pairs in (False, True)),
    *(case(shape) for shape in [(0, 3, 2, 4), (2, 0, 2, 4), (2, 3, 0, 4), (2, 3, 2, 0)]),
    *(case((1, 3, 1, 4), interleaved=pairs, reverse=reverse) for pairs in (False, True) for reverse in (False, True)),
    case((2, 5, 2, 8), given([7, 1000], "int64")),
    case((2, 5, 2, 8), given([-3, 0], "int32"), interleaved=True, base=500.0),
    case((2, 5, 2, 8), given([10**6, 2**31 - 9], "int64"), reverse=True),
    case((3, 130, 4, 34), base=100.0),
    case((3, 130, 4, 34), given([0, 5, 5], "int32"), interleaved=True),
]  # fmt: skip

X = array(2, 3, 4, 6)
REFUSED = [
    Refused("rotary", [array(2, 3, 6)], {}, ValueError, "`x` has shape (2, 3, 6); expected 4 axes"),
    Refused("rotary", [array(2, 3, 4, 5)], {}, ValueError, "expected an even last axis"),
    Refused("rotary", [X], {"base": 0.0}, ValueError, "base=0"),
    Refused("rotary", [X], {"base": float("nan")}, ValueError, "base=nan"),
    Refused("rotary", [X, np.zeros(3, np.int64)], {}, ValueError, "`positions` has shape (3,); expected (2,)"),
    Refused("rotary", [X, array(2)], {}, TypeError, "`positions` is float32"),
    Refused("rotary", [X.astype(np.int64)], {}, TypeError, "`x` is int64"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rotary(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_rotary_refuses(refused: Any) -> None:
    refused.check()


@pytest.mark.parametrize("interleaved", [False, True])
def test_products_depend_on_the_distance_alone(interleaved: bool) -> None:
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 1, 1, 1, 32))

    def product(at: int, to: int) -> float:
        turned = [ops.rotary(x, np.array([place]), interleaved=interleaved) for x, place in ((q, at), (k, to))]
        return float(np.sum(turned[0] * turned[1]))

    assert abs(product(3, 8) - product(100_003, 100_008)) < 1e-8
    assert abs(product(3, 8) - product(3, 9)) > 1e-3
    np.testing.assert_allclose(ops.rotary(ops.rotary(q), reverse=True), q, rtol=1e-14)


@pytest.mark.parametrize("interleaved", [False, True])
def test_floats_are_turned_right_at_far_places(interleaved: bool) -> None:
    x = np.random.default_rng(0).standard_normal((1, 500, 2, 32)).astype(np.float32)
    for place in (0, 10**4, 10**6, 10**9):
        options = {"positions": np.array([place]), "interleaved": interleaved}
        wide = ops.rotary(x.astype(np.float64), **options)
        assert np.max(np.abs(ops.rotary(x, **options) - wide)) <= 6 * np.finfo(np.float32).eps * np.max(np.abs(x))
