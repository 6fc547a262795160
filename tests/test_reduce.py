from __future__ import annotations

from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import pytest

import fastnn
from fastnn import _core, kernels
from harness import EXACT, Case, Refused, array, check, distinct, given, integers, nonzero, normal, roundings, ulps, uniform

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


def folds() -> list[Case]:
    found = []
    for shape in SHAPES:
        for count in range(len(shape) + 1):
            for i, axes in enumerate(combinations(range(len(shape)), count)):
                attributes = {"axes": axes, "keepdims": (i + count) % 2 == 0}
                found += [Case(op, [distinct(*shape)], attributes, EXACT) for op in ("max", "min")]
                found.append(Case("prod", [nonzero(*shape)], attributes, ulps(reduced(shape, axes) + 1)))
                found += [Case(op, [integers(0, 2, *shape, dtype="bool")], attributes) for op in ("any", "all")]
    for shape, axes in LARGE:
        n = reduced(shape, axes)
        found += [Case(op, [normal(*shape)], {"axes": axes}, EXACT) for op in ("max", "min")]
        found.append(Case("prod", [uniform(0.99, 1.01, *shape)], {"axes": axes}, ulps(n + 1)))
        for op, rare in (("any", 0.2 / n), ("all", 1 - 0.2 / n)):
            values = np.random.default_rng(5).random(shape) < rare
            found.append(Case(op, [given(values, "bool")], {"axes": axes}))
        for op in ("max", "min", "prod"):
            found += [Case(op, [integers(-99, 99, *shape, dtype=dtype)], {"axes": axes}) for dtype in ("int32", "int64")]
    for shape, axes in EMPTY:
        if reduced(shape, axes):
            found += [Case(op, [normal(*shape)], {"axes": axes}, EXACT) for op in ("max", "min")]
        found.append(Case("prod", [normal(*shape)], {"axes": axes}, EXACT))
        found += [Case(op, [integers(0, 2, *shape, dtype="bool")], {"axes": axes}) for op in ("any", "all")]
    # Equal extrema share the gradient; of a product with zeros they alone may have one.
    few = given(np.random.default_rng(6).integers(0, 3, (5, 7)))
    for axes in [(0,), (1,), (0, 1)]:
        found += [Case(op, [few], {"axes": axes}, EXACT, note="ties") for op in ("max", "min")]
    zeros = np.random.default_rng(7).uniform(0.5, 2, (4, 5))
    zeros[0, 1] = zeros[1, 2] = zeros[1, 3] = 0
    found += [Case("prod", [given(zeros)], {"axes": axes}, ulps(8), note="zeros") for axes in [(0,), (1,)]]
    odd = np.ones((9, 21))
    odd[1, 3], odd[2, 20], odd[3, 0], odd[3, 20], odd[4, 5] = np.inf, -np.inf, np.inf, 0, np.nan
    for op in ("max", "min", "prod"):
        found += [Case(op, [given(odd)], {"axes": axes}, EXACT, nonfinite="same") for axes in [(0,), (1,), (0, 1)]]
        found.append(Case(op, [given(np.full((3, 20), -np.inf))], {"axes": (1,)}, EXACT, nonfinite="same", note="minus-inf"))
        found.append(Case(op, [nonzero(3, 4)], bound=ulps(12), note="defaults"))
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


PLACES = ("argmax", "argmin")


def places() -> list[Case]:
    found = []
    for shape in [(1,), (17,), (3, 1), (3, 7), (5, 16), (5, 33), (2, 3, 10), (257, 129), (2, 3000), (0, 4)]:
        for axis in range(-len(shape), len(shape)):
            if shape[axis]:
                found += [Case(op, [distinct(*shape)], {"axis": axis}) for op in PLACES]
    ties = given(np.arange(6 * 35).reshape(6, 35) % 4)
    odd = np.random.default_rng(2).choice([np.nan, np.inf, -np.inf, 1.0], (40, 19), p=[0.05, 0.1, 0.8, 0.05])
    for values, note in [(ties, "ties"), (given(odd), "odd"), (given(np.full((3, 20), -np.inf)), "minus-inf")]:
        found += [Case(op, [values], {"axis": axis}, note=note) for axis in (0, 1) for op in PLACES]
    for op in PLACES:
        found.append(Case(op, [distinct(3, 20)], note="defaults"))
        found += [Case(op, [integers(-9, 9, 7, 41, dtype=d)], {"axis": a}) for d in ("int32", "int64") for a in (0, 1)]
        found.append(Case(op, [given(np.full((3, 20), -1e30))], note="far-below-zero"))
    found.append(Case("argmin", [given([[-(2**31), 5, -(2**31)]], "int32")], note="lowest"))
    return found


CASES = [*sums(), Case("sum", [normal(3, 4)], bound=roundings(12), note="defaults"), *folds(), *likes(), *places()]
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
    *(Refused(op, [array(2, 3)], {"axis": 2}, ValueError, "axis=2") for op in PLACES),
    *(Refused(op, [array(2, 0)], {}, ValueError, "(2, 0)") for op in PLACES),
    *(Refused(op, [array(2, 3, dtype="bool")], {}, TypeError, "`x` is bool") for op in PLACES),
    *(Refused(op, [array(2, 3)], {"axes": (2,)}, ValueError, "axes=(2,)") for op in ("max", "min", "prod")),
    *(Refused(op, [array(2, 0)], {"axes": (1,)}, ValueError, "at least 1 element") for op in ("max", "min")),
    *(Refused(op, [array(2, 3, dtype="uint8")], {}, TypeError, "`x` is uint8") for op in ("max", "min", "prod")),
    *(Refused(op, [array(2, 3)], {}, TypeError, "`x` is float32; expected bool") for op in ("any", "all")),
    *(Refused(op, [array(2, dtype="bool")], {"axes": (0, 0)}, ValueError, "axes=(0, 0)") for op in ("any", "all")),
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


@pytest.mark.parametrize("axes", [None, 0, 1, (0, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_variance(axes: Any, keepdims: bool) -> None:
    x = np.random.default_rng(4).standard_normal((5, 7)) + 1e4
    f, reference = fastnn.ops.variance(x, axes, keepdims=keepdims), np.var(x, axis=axes, keepdims=keepdims)
    np.testing.assert_allclose(f, reference, rtol=1e-9)
    u = np.random.default_rng(5).standard_normal(reference.shape)
    gradient = fastnn.grad(lambda x: fastnn.ops.sum(fastnn.ops.variance(x, axes, keepdims=keepdims) * u))(x)
    mean, n = np.mean(x, axis=axes, keepdims=True), x.size / max(reference.size, 1)
    expected = 2 * (x - mean) / n * u.reshape(np.mean(x, axis=axes, keepdims=True).shape)
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("axes", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_log_sum_exp(axes: Any, keepdims: bool) -> None:
    x = np.random.default_rng(4).standard_normal((5, 7)) * 300
    largest = np.max(x, axis=axes, keepdims=True)
    reference = np.log(np.sum(np.exp(x - largest), axis=axes, keepdims=True)) + largest
    got = fastnn.ops.log_sum_exp(x, axes, keepdims=keepdims)
    np.testing.assert_allclose(got, reference if keepdims else reference.reshape(got.shape), rtol=1e-14)
    gradient = fastnn.grad(lambda x: fastnn.ops.sum(fastnn.ops.log_sum_exp(x, axes, keepdims=keepdims)))(x)
    np.testing.assert_allclose(gradient, np.exp(x - reference), rtol=1e-11, atol=1e-300)


def test_log_sum_exp_of_infinities() -> None:
    x = np.array([[-np.inf, -np.inf], [-np.inf, 1.0], [np.inf, 1.0], [np.nan, 1.0]])
    assert np.array_equal(fastnn.ops.log_sum_exp(x, 1), [-np.inf, 1.0, np.inf, np.nan], equal_nan=True)


def test_an_extremum_of_a_batch_that_may_be_empty() -> None:
    largest = fastnn.function(lambda x: fastnn.ops.max(x, 1), shapes=[("batch", 3)])
    assert largest(np.zeros((0, 3))).shape == (0,)
    over_batch = fastnn.function(lambda x: fastnn.ops.max(x, 0), shapes=[("batch", 3)])
    assert np.array_equal(over_batch(np.eye(3)), np.ones(3))
    with pytest.raises(ValueError, match="at least 1 element along the axes"):
        over_batch(np.zeros((0, 3)))
