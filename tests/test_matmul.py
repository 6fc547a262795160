from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from fastnn import _core
from harness import Case, Refused, array, check, normal, roundings


def case(batch: tuple[int, ...], m: int, n: int, k: int, transpose_a: bool, transpose_b: bool) -> Case:
    a = (k, m) if transpose_a else (m, k)
    b = (n, k) if transpose_b else (k, n)
    attributes = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    return Case("matmul", [normal(*batch, *a), normal(*batch, *b)], attributes, roundings(k + 1))


def stretched(a: tuple[int, ...], b: tuple[int, ...], transpose_a: bool, transpose_b: bool) -> Case:
    """Leading axes that broadcast."""
    attributes = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    left = normal(*a, 5, 4) if transpose_a else normal(*a, 4, 5)
    right = normal(*b, 6, 5) if transpose_b else normal(*b, 5, 6)
    return Case("matmul", [left, right], attributes, roundings(6))


TRANSPOSES = list(product([False, True], repeat=2))
SIZES = [(1, 1, 1), (2, 3, 4), (5, 17, 7), (15, 8, 16), (59, 67, 33)]

CASES = [
    *(case((), *size, ta, tb) for size in SIZES for ta, tb in TRANSPOSES),
    *(case((3,), 4, 5, 6, ta, tb) for ta, tb in TRANSPOSES),
    *(case((2, 3), 7, 9, 5, ta, tb) for ta, tb in TRANSPOSES),
    *(
        case(batch, m, n, k, ta, tb)
        for batch, m, n, k in [((0,), 3, 4, 5), ((2,), 0, 4, 5), ((), 3, 0, 5), ((), 3, 4, 0)]
        for ta, tb in TRANSPOSES
    ),
    *(case((20,), 9, 8, 7, ta, tb) for ta, tb in TRANSPOSES),  # several matrices a task
    *(case((9,), 75, 66, 5, ta, tb) for ta, tb in TRANSPOSES),  # several tasks a matrix
    *(
        stretched(a, b, ta, tb)
        for a, b in [
            ((3,), ()),
            ((), (3,)),
            ((2, 3), (3,)),
            ((2, 1), (1, 3)),
            ((2, 3, 1), (2, 1, 4)),
            ((1,), (1, 1)),
            ((0,), (1,)),
            ((5, 1, 2), (3, 2)),
        ]
        for ta, tb in TRANSPOSES
    ),
    case((), 120, 140, 300, False, True),
    case((), 75, 70, 300, True, False),  # many k of a transposed a: copied in chunks
    case((3,), 20, 33, 257, True, False),
    case((), 1, 1, 256, True, False),
    *(case((), 131, 140, 1030, ta, tb) for ta, tb in TRANSPOSES),  # packed first: pieces of K, an edge of a panel
    *(case((), 131, 144, 1030, ta, tb) for ta, tb in TRANSPOSES),  # an edge of whole vectors
    case((), 300, 40, 1030, True, False),  # tasks of rows that pack the same panel
    *(case((), 131, 140, 1024, ta, tb) for ta, tb in TRANSPOSES),  # rows of A a multiple of 4 KB apart
    *(case((), 850, 200, 33, ta, tb) for ta, tb in TRANSPOSES),  # and more than one task of everything
    # Few rows: B is read where it lies, or a transposed one turned; pieces of K, edges of panels and of tiles.
    *(
        case((), m, n, k, False, tb)
        for m, n, k in [(1, 256, 5), (3, 600, 70), (4, 530, 1030), (29, 600, 530), (7, 70, 40), (12, 100, 515), (31, 130, 70)]
        for tb in (False, True)
    ),
    *(
        case((), m, n, k, False, True)
        for m, n, k in [(24, 64, 32), (64, 300, 1029), (48, 533, 33), (32, 80, 1024), (30, 300, 500)]
    ),
    case((), 410, 70, 1100, True, False),  # turned: more rows than columns
    case((), 300, 140, 2100, True, False),
    case((), 28, 1200, 500, True, False),  # a narrow A, read where it lies
    case((), 30, 530, 2100, True, False),
    Case("matmul", [normal(3, 4), normal(4, 5)], bound=roundings(5)),
]

REFUSED = [
    Refused("matmul", [array(2, 3), array(4, 5)], {}, ValueError, "`a` has shape (2, 3) and `b` (4, 5)"),
    Refused("matmul", [array(2, 3), array(3, 5)], {"transpose_a": True}, ValueError, "(a transposed)"),
    Refused("matmul", [array(2, 3), array(3, 5)], {"transpose_b": True}, ValueError, "(b transposed)"),
    Refused("matmul", [array(2, 2, 3), array(3, 3, 5)], {}, ValueError, "shapes (2,) and (3,) do not broadcast"),
    Refused("matmul", [array(3), array(3, 5)], {}, ValueError, "`a`"),
    Refused("matmul", [array(2, 3), array(3, 5, dtype="float64")], {}, TypeError, "`b` is float64 and `a` is float32"),
    Refused("matmul", [array(2, 3, dtype="uint8"), array(3, 5)], {}, TypeError, "`a` is uint8"),
    Refused("matmul", [array(2, 3), array(3, 5)], {"transpose_a": 1}, TypeError, "transpose_a=1"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matmul(case: Case) -> None:
    check(case)


# Where one processor multiplies what lies there and another a copy: few rows of a large B, gradients of short and longer rows.
EITHER_WAY = [
    *(
        case((), m, n, k, False, False)
        for m, n, k in [(29, 600, 530), (56, 261, 1030), (200, 300, 97), (300, 280, 600), (131, 140, 1030)]
    ),
    *(case((), m, n, k, True, False) for m, n, k in [(28, 1200, 500), (100, 270, 1100), (300, 140, 1100), (256, 300, 530)]),
]


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("case", EITHER_WAY, ids=str)
def test_distant_rows_are_read_or_copied(case: Case, reads: bool) -> None:
    found = _core._reads_distant_rows()
    _core._use_distant_rows(reads)
    try:
        check(case)
    finally:
        _core._use_distant_rows(found)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_matmul_refuses(refused: Any) -> None:
    refused.check()
