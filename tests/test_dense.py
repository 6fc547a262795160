from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core
from harness import FLOATS, Bound, Case, Refused, array, check, forced, normal, roundings, sparse


def products(k: int) -> Bound:
    """One rounding per fused multiply-add, one for the bias, in the kernel and in the reference."""
    return roundings(k + 2)


# Rows, features, units. Vectors hold 16 floats or 8 doubles at most; a task has up to 56 rows and 64 columns.
SIZES = [
    (1, 1, 1),
    (2, 3, 5),
    (7, 13, 17),
    (3, 15, 15),
    (5, 16, 16),
    (4, 17, 31),
    (6, 8, 7),
    (14, 9, 33),
    (57, 64, 65),
    (130, 70, 131),
    (0, 5, 3),
    (3, 0, 4),
    (3, 4, 0),
    (300, 3, 10),
    (1, 257, 1),
    (420, 300, 150),  # packed first
]

SEVERAL_PIECES = [(190, 1029, 150), (190, 150, 1029)]  # of what is summed over: an epilogue comes after the last
FEW_ROWS = [(3, 530, 300), (30, 600, 530), (31, 530, 131)]
# Where most numbers are 0 their products are left out, of 64 columns and 64 of what is summed at a time.
MANY_ZEROS = [(16, 64, 256), (33, 130, 270), (100, 67, 300), (500, 420, 330)]  # the last is packed first
LONG = [(512, 16, 256), (600, 75, 275), (515, 257, 1029), (1100, 300, 80), (1100, 30, 700)]

CASES = [
    *(Case("dense", [normal(b, c), normal(c, u), normal(u)], bound=products(c)) for b, c, u in SIZES),
    *(Case("dense", [normal(b, c), normal(c, u)], bound=products(c)) for b, c, u in SIZES[:3]),
    Case("dense", [normal(3), normal(3, 4), normal(4)], bound=products(3)),
    Case("dense", [normal(2, 3, 5), normal(5, 7), normal(7)], bound=products(5)),
    Case("dense", [normal(2, 0, 3, 5), normal(5, 7), None], bound=products(5)),
    *(Case("dense_backward_input", [normal(b, u), normal(c, u)], bound=products(u)) for b, c, u in SIZES),
    Case("dense_backward_input", [normal(2, 3, 7), normal(5, 7)], bound=products(7)),
    *(Case("dense_backward_kernel", [normal(b, c), normal(b, u)], bound=products(b)) for b, c, u in SIZES),
    Case("dense_backward_kernel", [normal(2, 3, 5), normal(2, 3, 7)], bound=products(6)),
    *(
        case
        for b, c, u in [*SIZES[1:5], (0, 5, 3), (57, 64, 65), (420, 300, 150), *SEVERAL_PIECES, *FEW_ROWS]
        for case in (
            Case("dense", [normal(b, c), normal(c, u), normal(u), normal(b, u)], {"epilogue": "add"}, products(c + 1)),
            Case("dense", [normal(b, c), normal(c, u), None, normal(b, u)], {"epilogue": "add"}, products(c + 1)),
            Case("dense", [normal(b, c), normal(c, u), normal(u)], {"epilogue": "relu"}, products(c)),
            Case("dense", [normal(b, c), normal(c, u)], {"epilogue": "relu"}, products(c)),
            *(
                Case(
                    "dense_backward_input",
                    [*[normal(b, u), normal(c, u)], normal(b, c)],
                    {"epilogue": name},
                    products(u + 1),
                    [],
                )
                for name in ("add", "multiply", "relu_backward")
            ),
        )
    ),
    *(
        case
        for b, c, u in MANY_ZEROS
        for share in (0.1, 0.35, 0.9)
        for case in (
            Case("dense", [sparse(share, b, c), normal(c, u)], bound=products(c)),
            Case("dense", [sparse(share, b, c), normal(c, u), normal(u)], {"epilogue": "relu"}, products(c)),
            Case("dense", [sparse(share, b, c), normal(c, u), None, normal(b, u)], {"epilogue": "add"}, products(c + 1)),
            Case("dense_backward_input", [sparse(share, b, c), normal(u, c)], bound=products(c)),
            Case(
                "dense_backward_input",
                [sparse(share, b, c), normal(u, c), normal(b, u)],
                {"epilogue": "add"},
                products(c + 1),
                [],
            ),
        )
    ),
    # So many rows that they are packed in several pieces, in one block and in several.
    *(Case("dense_backward_kernel", [normal(b, c), normal(b, u)], bound=products(b)) for b, c, u in LONG),
]

REFUSED = [
    Refused("dense", [array(2, 3), array(4, 5)], {}, ValueError, "`x` has shape (2, 3) and `w` (4, 5)"),
    Refused("dense", [array(2, 3), array(3, 5), array(4)], {}, ValueError, "`bias` has shape (4,); expected (5,)"),
    Refused("dense", [array(2, 3), array(3)], {}, ValueError, "`w` has shape (3,); expected 2 axes"),
    Refused("dense", [array(), array(1, 3)], {}, ValueError, "`x` is a single number"),
    Refused("dense", [array(2, 3, dtype="int32"), array(3, 5)], {}, TypeError, "`x` is int32"),
    Refused("dense", [array(2, 3), array(3, 5, dtype="float64")], {}, TypeError, "`w` is float64 and `x` is float32"),
    Refused("dense_backward_input", [array(2, 3), array(5, 4)], {}, ValueError, "`dy` has shape (2, 3) and `w` (5, 4)"),
    Refused("dense_backward_input", [array(2, 3, dtype="int64"), array(5, 3)], {}, TypeError, "`dy` is int64"),
    Refused("dense", [array(2, 3), array(3, 5)], {"epilogue": "tanh"}, ValueError, "epilogue='tanh'; expected relu or add"),
    Refused("dense", [array(2, 3), array(3, 5)], {"epilogue": "add"}, ValueError, "`other` is missing"),
    Refused("dense", [array(2, 3), array(3, 5), None, array(2, 5)], {}, ValueError, "`other` is given"),
    Refused("dense", [array(2, 3), array(3, 5), None, array(5)], {"epilogue": "add"}, ValueError, "`other` has shape (5,)"),
    Refused("dense_backward_input", [array(2, 3), array(5, 3)], {"epilogue": "relu"}, ValueError, "expected add, multiply or"),
    Refused("dense_backward_kernel", [array(2, 3), array(4, 3)], {}, ValueError, "`x` has shape (2, 3) and `dy` (4, 3)"),
    Refused("dense_backward_kernel", [array(2, 3), array(2, 3, dtype="float64")], {}, TypeError, "`dy` is float64"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_dense(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_dense_refuses(refused: Any) -> None:
    refused.check()


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("share", [0, 0.02, 0.2, 0.45, 0.7])
@pytest.mark.parametrize("op", ["dense", "dense_backward_input"])
@pytest.mark.parametrize("rows", [60, 560])
def test_rows_of_zeros_have_the_bits_of_the_same_rows_alone(rows: int, op: str, share: float, dtype: str, isa: str) -> None:
    """Fewer than 16 rows are not looked through for zeros."""
    rng = np.random.default_rng(7)
    x = sparse(share, rows, 420).make(rng).astype(dtype)
    w = normal(*((420, 330) if op == "dense" else (330, 420))).make(rng).astype(dtype)
    with forced(isa=isa, threads=1):
        whole = _core.execute(op, [x, w], {}, None)[0]
        parts = [_core.execute(op, [x[i : i + 10], w], {}, None)[0] for i in range(0, rows, 10)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("op", ["dense", "dense_backward_input"])
@pytest.mark.parametrize("rows", [32, 560])
def test_zeros_times_what_is_not_finite_are_not_left_out(rows: int, op: str, bad: float, dtype: str, isa: str) -> None:
    x = np.zeros((rows, 450), dtype)
    x[:, ::7] = 1
    for k, n in [(1, 200), (65, 3), (449, 259), (63, 100)]:  # of x, 63 is not 0
        w = np.ones((450, 260), dtype)
        w[k, n] = bad
        with forced(isa=isa, threads=1):
            y = _core.execute(op, [x, w if op == "dense" else np.ascontiguousarray(w.T)], {}, None)[0]
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(y, x @ w)
        assert (np.isnan(y) if k != 63 else ~np.isfinite(y)).sum() == rows


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize(("rows", "left_out"), [(8, False), (16, True), (64, True), (128, True), (560, True)])
def test_products_of_zeros_are_left_out_of_many_rows(rows: int, left_out: bool, isa: str) -> None:
    """Which shows in the sign of a sum that is 0: -0 + 0 is 0."""
    x, w, bias = np.zeros((rows, 420), "f"), np.ones((420, 330), "f"), np.full(330, -0.0, "f")
    with forced(isa=isa, threads=1):
        y = _core.execute("dense", [x, w, bias], {}, None)[0]
    assert (np.signbit(y) == left_out).all() and not y.any()


@pytest.mark.parametrize("isa", [isa for isa in _core.available_isas() if isa != "generic"])
@pytest.mark.parametrize(("rows", "left_out"), [(8, False), (60, True), (560, True)])
def test_products_of_zeros_are_left_out_of_gradients(rows: int, left_out: bool, isa: str) -> None:
    """Sums begin with a number that rounds to -0, if it is rounded once."""
    dy, w = np.zeros((rows, 420), "f"), np.ones((330, 420), "f")
    dy[:, 0], w[:, 0] = 1e-30, -1e-30
    with forced(isa=isa, threads=1):
        dx = _core.execute("dense_backward_input", [dy, w], {}, None)[0]
    assert (np.signbit(dx) == left_out).all() and not dx.any()
