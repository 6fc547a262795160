from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from harness import EXACT, Case, Refused, array, check, integers, normal

CASES = [
    *(
        Case("reshape", [normal(*shape)], {"shape": to}, EXACT)
        for shape, to in [
            ((6,), (2, 3)),
            ((2, 3), (6,)),
            ((2, 3, 4), (4, -1)),
            ((2, 3, 4), (-1,)),
            ((2, 3, 4), (2, -1)),
            ((1,), ()),
            ((), (1, 1)),
            ((17, 16), (16, 17)),
            ((0, 3, 4), (0, -1)),
            ((0, 3), (5, 0)),
            ((2, 3, 4), (2, 3, 4)),
            ((130, 120), (-1, 26)),
        ]
    ),
    *(
        Case("reshape", [integers(0, 2, 4, 6, dtype=dtype)], {"shape": (3, -1)})
        for dtype in ("int32", "int64", "uint8", "bool")
    ),
]

REFUSED = [
    Refused("reshape", [array(2, 3)], {"shape": (4, 2)}, ValueError, "`x` has shape (2, 3) and shape=(4, 2)"),
    Refused("reshape", [array(2, 3)], {"shape": (4, -1)}, ValueError, "shape=(4, -1)"),
    Refused("reshape", [array(2, 3)], {"shape": (-1, -1)}, ValueError, "at most one -1"),
    Refused("reshape", [array(2, 3)], {"shape": (-2, 3)}, ValueError, "shape=(-2, 3)"),
    Refused("reshape", [array(2, 3)], {}, TypeError, "attribute 'shape' is missing"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reshape(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_reshape_refuses(refused: Any) -> None:
    refused.check()


def test_a_single_length() -> None:
    np.testing.assert_array_equal(fastnn.ops.reshape(np.ones((2, 3)), -1), np.ones(6))
    flat = fastnn.function(lambda x: fastnn.ops.reshape(x, x.shape[0] * 3), shapes=[("batch", 3)])
    assert flat(np.ones((4, 3))).shape == (12,)
