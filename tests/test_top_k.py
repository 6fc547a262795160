from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, kernels
from harness import EXACT, Case, Refused, array, assert_house_form, check, distinct, given, integers, normal

SHAPES = [(1,), (5,), (3, 7), (2, 3, 10), (300, 33), (4, 5000), (0, 4)]


def places(rows: int, n: int, k: int) -> Any:
    rng = np.random.default_rng(8)
    return given(np.array([rng.permutation(n)[:k] for _ in range(rows)]).reshape(rows, k), "int64")


ODD = np.random.default_rng(2).choice([np.nan, np.inf, -np.inf, 1.0, -0.0, 0.0], (40, 19))

CASES = [
    *(
        Case("top_k", [distinct(*s)], {"k": k}, EXACT)
        for s in SHAPES
        for k in sorted({1, 2, 3, s[-1] // 2, s[-1]})
        if 0 < k <= s[-1]
    ),
    *(Case("top_k", [integers(-9, 9, 7, 41, dtype=dtype)], {"k": k}) for dtype in ("int32", "int64") for k in (1, 5, 41)),
    *(Case("top_k", [given(np.arange(6 * 35).reshape(6, 35) % 4)], {"k": k}, EXACT, note="ties") for k in (1, 9, 35)),
    *(Case("top_k", [given(ODD)], {"k": k}, EXACT, nonfinite="same", note="odd") for k in (3, 19)),
    *(
        Case("top_k_backward", [normal(rows, k), places(rows, n, k), normal(rows, n)], bound=EXACT)
        for rows, n, k in [(1, 1, 1), (3, 7, 2), (3, 7, 7), (200, 300, 5), (0, 4, 2)]
    ),
]

X, P = array(2, 5), np.zeros((2, 3), np.int64)

REFUSED = [
    *(Refused("top_k", [array(2, 3)], {"k": k}, ValueError, f"k={k}") for k in (0, 4)),
    Refused("top_k", [array()], {"k": 1}, ValueError, "single number"),
    Refused("top_k", [array(2, 3)], {}, TypeError, "attribute 'k' is missing"),
    Refused("top_k", [array(2, 3, dtype="bool")], {"k": 1}, TypeError, "`x` is bool"),
    Refused("top_k_backward", [array(2, 3), array(2, 3), X], {}, TypeError, "`indices` is float32"),
    Refused("top_k_backward", [array(2, 3), P, array(2, 5, dtype="float64")], {}, TypeError, "`x` is float64"),
    Refused("top_k_backward", [array(2, 4), P, X], {}, ValueError, "`indices` has shape (2, 3)"),
    Refused("top_k_backward", [array(2, 3), P, array(4, 5)], {}, ValueError, "`dvalues` has shape (2, 3)"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_top_k(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_top_k_refuses(refused: Any) -> None:
    refused.check()


@pytest.mark.parametrize("bad", [-1, 5])
def test_indices_out_of_range_are_reported(bad: int) -> None:
    _core._serial_below(0)
    indices = np.zeros((5000, 3), np.int64)
    indices[1234, 1] = bad
    indices[4321, 0] = 7
    with pytest.raises(ValueError, match=f"index {bad} at position {1234 * 3 + 1}") as caught:
        kernels.top_k_backward(np.ones((5000, 3)), indices, np.ones((5000, 5)))
    assert_house_form(str(caught.value), "top_k_backward")


def test_more_than_a_symbolic_row_has_is_refused_when_it_is_known() -> None:
    first = fastnn.function(lambda x: fastnn.ops.top_k(x, 3), shapes=[("n",)])
    values, indices = first(np.array([1.0, 3.0, 2.0, 5.0]))
    assert np.array_equal(values, [5.0, 3.0, 2.0]) and np.array_equal(indices, [3, 1, 2])
    with pytest.raises(ValueError, match="k=3 for `x` of shape \\(2,\\)"):
        first(np.ones(2))
