from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from harness import EXACT, Case, Refused, array, check, integers, normal, roundings

SHAPES = [
    (1,),
    (17,),
    (3, 16),
    (5, 7),
    (2, 3, 5),
    (4, 33, 2),
    (3, 1, 4),
    (200, 300),
    (40000,),
    (2, 50, 700),
    (0,),
    (0, 3),
    (3, 0),
]

CASES = [
    Case(
        "cumsum",
        [normal(*shape)],
        {"axis": axis, "exclusive": exclusive, "reverse": reverse},
        roundings(shape[axis]),
        [] if exclusive and shape[axis] == 1 else None,  # of one number exclusively: always 0
    )
    for shape in SHAPES
    for axis in range(-1, len(shape) - 1)
    for exclusive, reverse in product((False, True), repeat=2)
]
CASES += [
    Case("cumsum", [integers(-99, 99, 40, 17, dtype=dtype)], {"axis": axis, "exclusive": axis == 0}, EXACT)
    for dtype in ("int32", "int64")
    for axis in (0, 1)
]
CASES.append(Case("cumsum", [normal(3, 4)], bound=roundings(4), note="defaults"))

REFUSED = [
    Refused("cumsum", [array()], {}, ValueError, "single number"),
    Refused("cumsum", [array(2, 3)], {"axis": 2}, ValueError, "axis=2"),
    Refused("cumsum", [array(2, 3, dtype="bool")], {}, TypeError, "`x` is bool"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cumsum(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_cumsum_refuses(refused: Any) -> None:
    refused.check()
