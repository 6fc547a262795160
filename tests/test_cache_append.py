from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import autodiff, ops
from harness import EXACT, Case, Refused, array, check, given, integers, normal

# cache, time of the rows, positions
SHAPES: list[tuple[tuple[int, ...], int, list[int]]] = [
    ((1, 1), 1, [0]),
    ((2, 5), 0, [5, 0]),
    ((3, 4), 4, [0, 0, 0]),
    ((2, 7, 3), 1, [6, 0]),
    ((4, 6, 2, 5), 2, [0, 4, 1, 3]),
    ((0, 3, 2), 2, []),
    ((2, 3, 0), 1, [1, 2]),
    ((2, 0, 3), 0, [0, 0]),
    ((1, 64, 4, 32), 1, [17]),
    ((3, 1000, 17), 33, [967, 0, 500]),  # many tasks, whose borders lie within samples
    ((700, 3, 40), 2, [i % 2 for i in range(700)]),  # and several samples in a task
    ((2, 3, 20011), 1, [1, 2]),
]


def case(shape: tuple[int, ...], time: int, position: list[int], dtype: str | None = None, places: str = "int64") -> Case:
    rows = (shape[0], time, *shape[2:])
    operands = [normal(*s) if dtype is None else integers(0, 2, *s, dtype=dtype) for s in (shape, rows)]
    return Case("cache_append", [*operands, given(position, places)], bound=EXACT)


CASES = [
    *(case(*sizes, places=("int64", "int32")[i % 2]) for i, sizes in enumerate(SHAPES)),
    *(case((3, 5, 4), 2, [3, 0, 1], dtype) for dtype in ("int32", "int64", "uint8", "bool")),
]


def refused(cache: Any, rows: Any, position: Any, error: type[Exception], words: str) -> Refused:
    return Refused("cache_append", [cache, rows, position], {}, error, words)


PLACES = np.array([0, 1])
REFUSED = [
    refused(array(4), array(4), PLACES, ValueError, "`cache` of shape (4,)"),
    refused(array(2, 4, 3), array(2, 1, 2), PLACES, ValueError, "`rows`"),
    refused(array(2, 4, 3), array(2, 3), PLACES, ValueError, "`rows`"),
    refused(array(2, 4, 3), array(3, 1, 3), PLACES, ValueError, "`rows`"),
    refused(array(2, 4), array(2, 5), PLACES, ValueError, "no more rows than the cache has"),
    refused(array(2, 4), array(2, 1), np.array([0]), ValueError, "`position`"),
    refused(array(2, 4), array(2, 1, dtype="int32"), PLACES, TypeError, "`rows` is int32"),
    refused(array(2, 4), array(2, 1), array(2), TypeError, "`position` is float"),
    refused(array(2, 4), array(2, 2), np.array([0, 3]), ValueError, "position 3 of sample 1; expected 0 <= position <= 2"),
    refused(array(2, 4), array(2, 2), np.array([-1, 9]), ValueError, "position -1 of sample 0"),
    refused(array(3, 90, 700), array(3, 2, 700), np.array([0, 88, 89]), ValueError, "position 89 of sample 2"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cache_append(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_cache_append_refuses(refused: Any) -> None:
    refused.check()


def test_it_has_no_gradient() -> None:
    def loss(rows: Any) -> Any:
        return ops.sum(ops.cache_append(np.zeros((2, 4)), rows, PLACES))

    with pytest.raises(ValueError, match="op 'cache_append' has no derivative"):
        autodiff.grad(loss)(np.ones((2, 1)))


def test_a_variable_is_filled_and_a_run_that_fails_leaves_it() -> None:
    cache = fastnn.Variable(np.zeros((2, 3)), trainable=False)

    @fastnn.function
    def append(rows: Any, position: Any) -> Any:
        cache.assign(ops.cache_append(cache, rows, position))
        return ops.check_finite(ops.sum(cache * 1.0))

    append(np.array([[1.0], [2.0]]), np.array([0, 2]))
    assert float(append(np.array([[3.0], [4.0]]), np.array([1, 0]))) == 10.0
    filled = cache.numpy()
    assert filled.tolist() == [[1.0, 3.0, 0.0], [4.0, 0.0, 2.0]]
    for rows, position in (([[5.0], [np.nan]], [2, 1]), ([[5.0], [6.0]], [2, 3])):
        with pytest.raises(ValueError, match=r"not finite|position 3 of sample 1"):
            append(np.array(rows), np.array(position))
        assert np.array_equal(cache.numpy(), filled)
