from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from fastnn import _core
from harness import EXACT, Case, Operand, Refused, array, assert_house_form, check, given, integers, normal

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


def rows(dtype: str, *shape: int) -> Operand:
    if dtype.startswith("float"):
        values = np.random.default_rng(1).integers(0, 200, shape) / 4  # exact in every dtype, or cut in the same place
        return given(values, dtype)
    return integers(0, 2 if dtype == "bool" else 200, *shape, dtype=dtype)


# Numbers that integers do not hold, row by row: the conversion is that of cast.
BEYOND = given(np.resize([1e30, -1e30, np.inf, -np.inf, np.nan, 300.0, -1.5, 2.0**31, -(2.0**31), 2.0**63], (40, 37)))

SIZES: list[tuple[tuple[int, ...], int]] = [
    ((1,), 1),
    ((5,), 9),
    ((7, 3), 5),
    ((4, 16), 17),
    ((9, 3, 5, 2), 4),
    ((4, 0), 3),
    ((3, 5), 0),
    ((300, 784), 64),
    ((9, 20011), 7),
]

CASES = [
    *(Case("gather_rows", [normal(*shape), integers(0, shape[0], n)], bound=EXACT) for shape, n in SIZES),
    *(
        Case("gather_rows", [rows(source, 11, 37), integers(0, 11, 20)], {"dtype": to}, EXACT)
        for source, to in product(DTYPES, ("", *DTYPES))
    ),
    Case("gather_rows", [rows("uint8", 300, 28, 28, 1), integers(0, 300, 128)], {"dtype": "float32"}, EXACT),
    *(
        Case("gather_rows", [BEYOND, integers(0, 40, 9)], {"dtype": to}, EXACT, note="beyond")
        for to in ("int32", "int64", "uint8", "bool")
    ),
    Case("gather_rows", [rows("uint8", 4), given([3, 3, 0], "int64")], bound=EXACT, note="repeats"),
]

I = np.zeros(2, np.int64)  # noqa: E741
REFUSED = [
    Refused("gather_rows", [array(), I], {}, ValueError, "`x` is a single number"),
    Refused("gather_rows", [array(3, 2), array(2, 2, dtype="int64")], {}, ValueError, "`indices` has shape (2, 2)"),
    Refused("gather_rows", [array(3, 2), array(2)], {}, TypeError, "`indices` is float32"),
    Refused("gather_rows", [array(3, 2), array(2, dtype="int32")], {}, TypeError, "`indices` is int32"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gather(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_gather_refuses(refused: Any) -> None:
    refused.check()


def test_gather_names_a_dtype_it_does_not_know() -> None:
    with pytest.raises(TypeError, match=r"float16.*; expected float32, float64.*; "):
        _core.execute("gather_rows", [array(3), I], {"dtype": "float16"})


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", ["", "float32"])
@pytest.mark.parametrize("bad", [-1, 10, 2**62])
def test_indices_out_of_range_are_reported(isa: str, dtype: str, bad: int) -> None:
    """The first bad index counts, whichever thread finds one first."""
    _core._use_isa(isa)
    _core._serial_below(0)
    x, indices = np.ones((10, 400), np.uint8), np.zeros(5000, np.int64)
    indices[[1234, 4321]] = bad
    for threads in (1, 4):
        _core.set_num_threads(threads)
        with pytest.raises(ValueError, match=f"index {bad} at position 1234") as caught:
            _core.execute("gather_rows", [x, indices], {"dtype": dtype})
        assert_house_form(str(caught.value), "gather_rows")
