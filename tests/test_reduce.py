from __future__ import annotations

from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import pytest

import fastnn
from fastnn import _core, kernels
from harness import EXACT, Case, Refused, array, check, distinct, given, integers, normal, roundings, ulps

# Axes of a shape, as many-ranked as a convolution's bias needs and more; rows around the width of a vector.
SHAPES = [(1,), (5,), (16,), (3, 17), (4, 1, 5), (2, 3, 15), (2, 5, 3, 8), (2, 3, 2, 3, 5)]
LARGE = [
    ((130, 257), (0,)),
    ((130, 257), (1,)),
    ((3, 70, 40, 33), (0, 1, 2)),
    ((40000,), None),
    ((7, 3001, 5), (1,)),
    ((300, 1000), None),
]
EMPTY = [((0,), None), ((0, 5), (0,)), ((0, 5), (1,)), ((3, 0, 4), (1,)), ((3, 0, 4), (0, 2))]


Axes: TypeAlias = "tuple[int, ...] | None"


def reduced(shape: tuple[int, ...], axes: Axes) -> int:
    return int(np.prod([shape[a] for a in (range(len(shape)) if axes is None else axes)]))


def result(shape: tuple[int, ...], axes: Axes, keepdims: bool) -> tuple[int, ...]:
    return np.zeros(shape).sum(axis=axes, keepdims=keepdims).shape


def cases(shape: tuple[int, ...], axes: Axes, keepdims: bool) -> list[Case]:
    attributes = {"axes": axes, "keepdims": keepdims}
    # Long axes are summed in parts: of a row of 8192, 2 lanes of 4 vectors take turns, and 2 rows of a column of 1024.
    n, y = min(reduced(shape, axes), 1100), result(shape, axes, keepdims)
    found = [Case("sum", [normal(*shape)], attributes, roundings(n))]
    found.append(Case("sum_backward", [normal(*y), normal(*shape)], attributes, EXACT, [0]))
    if n:
        found.append(Case("mean", [normal(*shape)], attributes, roundings(n + 2)))
        found.append(Case("mean_backward", [normal(*y), normal(*shape)], attributes, ulps(2), [0]))
    return found


def sums() -> list[Case]:
    found = []
    for shape in SHAPES:
        found += cases(shape, None, keepdims=len(shape) % 2 == 0)
        for count in range(len(shape) + 1):
            for i, axes in enumerate(combinations(range(len(shape)), count)):
                found += cases(shape, axes, keepdims=(i + count) % 2 == 0)
    for shape, axes in [*LARGE, *EMPTY]:
        found += cases(shape, axes, keepdims=False)
    found += cases((4, 5, 6), (-1,), True) + cases((4, 5, 6), (-2, 0), False)
    for dtype in ("int32", "int64"):
        found += [Case("sum", [integers(-99, 99, *s, dtype=dtype)], {"axes": a}) for s, a in LARGE + EMPTY]
    # An infinite summand is an infinite sum; with its opposite, or NaN, none.
    odd = np.ones((9, 21))
    odd[1, 3], odd[2, 20], odd[3, 0], odd[3, 20], odd[4, 5] = np.inf, -np.inf, np.inf, -np.inf, np.nan
    for op in ("sum", "mean"):
        found += [Case(op, [given(odd)], {"axes": axes}, roundings(30), nonfinite="same") for axes in [(0,), (1,), (0, 1)]]
    found.append(Case("mean", [normal(0, 3)], {"axes": (0,)}, nonfinite="same", note="of-nothing"))
    return found


PAIRS = [
    ((4, 5), (4, 5)),
    ((4, 5), (5,)),
    ((4, 5), (1, 5)),
    ((4, 5), (4, 1)),
    ((4, 5), ()),
    ((4, 5), (1, 1)),
    ((), ()),
    ((3,), (1,)),
    ((2, 3, 4), (3, 1)),
    ((2, 3, 17), (2, 1, 17)),
    ((2, 3, 4, 5), (3, 1, 5)),
    ((2, 3, 4, 5), (2, 1, 4, 1)),
    ((200, 170), (170,)),
    ((200, 170), (200, 1)),
    ((0, 5), (5,)),
    ((0, 5), (1, 1)),
    ((3, 0), (3, 1)),
]


def likes() -> list[Case]:
    found = []
    for large, small in PAIRS:
        n = int(np.prod(large)) // max(int(np.prod(small)), 1)
        found.append(Case("sum_to_like", [normal(*large), normal(*small)], bound=roundings(n), differentiable=[0]))
        found.append(Case("broadcast_like", [normal(*small), normal(*large)], bound=EXACT, differentiable=[0]))
        for dtype in ("int32", "int64"):  # the other operand only lends its shape
            found.append(Case("sum_to_like", [integers(-99, 99, *large, dtype=dtype), normal(*small)]))
            found.append(Case("broadcast_like", [integers(-99, 99, *small, dtype=dtype), normal(*large)]))
    return found


def places() -> list[Case]:
    found = []
    for shape in [(1,), (17,), (3, 1), (3, 7), (5, 16), (5, 33), (2, 3, 10), (257, 129), (2, 3000), (0, 4)]:
        for axis in range(-len(shape), len(shape)):
            if shape[axis]:
                found.append(Case("argmax", [distinct(*shape)], {"axis": axis}))
    ties = given(np.arange(6 * 35).reshape(6, 35) % 4)
    odd = np.random.default_rng(2).choice([np.nan, np.inf, -np.inf, 1.0], (40, 19), p=[0.05, 0.1, 0.8, 0.05])
    for values, note in [(ties, "ties"), (given(odd), "odd"), (given(np.full((3, 20), -np.inf)), "minus-inf")]:
        found += [Case("argmax", [values], {"axis": axis}, note=note) for axis in (0, 1)]
    found.append(Case("argmax", [distinct(3, 20)], note="defaults"))
    found += [Case("argmax", [integers(-9, 9, 7, 41, dtype=d)], {"axis": a}) for d in ("int32", "int64") for a in (0, 1)]
    found.append(Case("argmax", [given(np.full((3, 20), -1e30))], note="far-below-zero"))
    return found


CASES = [*sums(), Case("sum", [normal(3, 4)], bound=roundings(12), note="defaults"), *likes(), *places()]
CASES.append(Case("mean", [normal(3, 4)], bound=roundings(14), note="defaults"))

BACK, LIKE = ("sum_backward", "mean_backward"), ("sum_to_like", "broadcast_like")

REFUSED = [
    *(Refused(op, [array(2, 3)], {"axes": (2,)}, ValueError, "axes=(2,)") for op in ("sum", "mean")),
    *(Refused(op, [array(2, 3)], {"axes": (0, -2)}, ValueError, "axes=(0, -2)") for op in ("sum", "mean")),
    Refused("sum", [array(2, 3, dtype="uint8")], {}, TypeError, "`x` is uint8"),
    Refused("mean", [array(2, 3, dtype="int64")], {}, TypeError, "`x` is int64"),
    Refused("sum", [array(2, 3)], {"keepdims": 1}, TypeError, "keepdims=1"),
    Refused("sum", [array(2, 3)], {"axes": 1}, TypeError, "axes=1; expected a value like (0, 1) or None"),
    *(Refused(op, [array(2), array(2, 3)], {"axes": (0,)}, ValueError, "`dy` has shape (2,)") for op in BACK),
    *(Refused(op, [array(3), array(2, 3, dtype="float64")], {"axes": (0,)}, TypeError, "float64") for op in BACK),
    *(Refused(op, [array(3, dtype="uint8"), array(3)], {}, TypeError, "`x` is uint8") for op in LIKE),
    Refused("sum_to_like", [array(2, 3), array(2)], {}, ValueError, "(2,)"),
    Refused("sum_to_like", [array(3), array(2, 3)], {}, ValueError, "(2, 3)"),
    Refused("broadcast_like", [array(2), array(2, 3)], {}, ValueError, "(2,)"),
    Refused("argmax", [array(2, 3)], {"axis": 2}, ValueError, "axis=2"),
    Refused("argmax", [array(2, 0)], {}, ValueError, "(2, 0)"),
    Refused("argmax", [array(2, 3, dtype="bool")], {}, TypeError, "`x` is bool"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reduce(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_reduce_refuses(refused: Any) -> None:
    refused.check()


@pytest.mark.parametrize("isa", _core.available_isas())
def test_a_long_sum_does_not_stall(isa: str) -> None:
    """Ones added one by one to a float32 stop counting at 2^24."""
    _core._use_isa(isa)
    assert kernels.sum(np.ones(2**24 + 4096, np.float32)) == 2**24 + 4096


@pytest.mark.parametrize("reduce", [fastnn.ops.sum, fastnn.ops.mean])
def test_no_axes_reduce_nothing(reduce: Any) -> None:
    # As in NumPy; only None means all. The kernels know no None: to them no axes mean all.
    x = np.arange(6.0).reshape(2, 3)
    result = reduce(x, ())
    np.testing.assert_array_equal(result, x)
    assert not np.shares_memory(result, x)
    traced = fastnn.function(fastnn.value_and_grad(lambda t: fastnn.ops.sum(reduce(t, axes=[]) * t)), shapes=[("batch", 3)])
    value, gradient = traced(x)
    assert value == (x * x).sum()
    np.testing.assert_array_equal(gradient, 2 * x)
    with pytest.raises(TypeError, match="operand"):
        reduce([1.0, 2.0], ())


def test_a_mean_over_no_axes_is_of_floats_too() -> None:
    with pytest.raises(TypeError, match="float"):
        fastnn.ops.mean(np.arange(3), ())


def test_axes_of_numpy_integers() -> None:
    np.testing.assert_array_equal(fastnn.ops.sum(np.ones((2, 3)), np.int64(1)), [3.0, 3.0])
