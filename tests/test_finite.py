from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core
from harness import EXACT, Case, Refused, array, assert_house_form, check, given, normal

CASES = [
    *(
        Case("check_finite", [normal(*shape)], bound=EXACT)
        for shape in [(), (1,), (3,), (7,), (8,), (9,), (15,), (16,), (17,), (33,), (3, 5), (0,), (2, 0), (3, 32767)]
    ),
    # A sum of these would overflow; none of them is infinite.
    Case("check_finite", [given(np.tile([3e38, -3e38, 0.0, -0.0], 9))], bound=EXACT, note="large"),
]

REFUSED = [
    Refused("check_finite", [array(3, dtype="int32")], {}, TypeError, "`x` is int32"),
    Refused("check_finite", [array(3, dtype="bool")], {}, TypeError, "`x` is bool"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_finite(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_finite_refuses(refused: Any) -> None:
    refused.check()


def test_a_number_has_no_element() -> None:
    with pytest.raises(ValueError, match=r"^check_finite: the value is not finite \(nan\); expected"):
        _core.execute("check_finite", [np.array(np.nan)], {})


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("bad", "word"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_the_first_that_is_not_finite_is_reported(isa: str, dtype: str, bad: float, word: str) -> None:
    _core._use_isa(isa)
    _core._serial_below(0)
    for size in (1, 15, 16, 17, 70_000, 200_001):
        for first in {0, size // 2, size - 1}:
            x = np.zeros(size, dtype)
            x[first:] = np.inf if word == "nan" else np.nan
            x[first] = bad
            for threads in (1, 4):
                _core.set_num_threads(threads)
                with pytest.raises(ValueError, match=rf"element {first} is not finite \({word}\); ") as caught:
                    _core.execute("check_finite", [x], {})
                assert_house_form(str(caught.value), "check_finite")
