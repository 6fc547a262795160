from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, kernels, ops
from harness import EXACT, Case, Refused, array, check, given, nonzero, ulps

SCALED = ulps(2)  # 1 / (1 - rate) and the product


def state(seed: int, step: int) -> Any:
    return given([seed, step], "int64")


CASES = [
    *(
        Case("dropout", [nonzero(*shape), state(7, 3)], {"rate": 0.4, "stream": 2}, SCALED, [0] if np.prod(shape) > 9 else [])
        for shape in [
            (1,),
            (3,),
            (4,),
            (5,),
            (7,),
            (8,),
            (16,),
            (17,),
            (63,),
            (64,),
            (65,),
            (3, 5, 7),
            (0, 4),
            (),
            (3, 16384 - 1),
        ]
    ),
    *(Case("dropout", [nonzero(333), state(7, 3)], {"rate": rate, "stream": 0}, SCALED) for rate in (0.0, 0.1, 0.5, 0.93)),
    *(Case("dropout", [nonzero(99), state(*s)], {"rate": 0.5}, SCALED) for s in [(0, 0), (-1, 2**40 + 1), (2**62 + 3, -5)]),
    *(Case("dropout", [nonzero(99), state(1, 2)], {"rate": 0.5, "stream": stream}, SCALED) for stream in (1, 2**33 + 1)),
    Case("dropout", [nonzero(99), state(1, 2)], bound=SCALED, differentiable=[], note="defaults"),
    *(
        Case("random_uniform", [nonzero(*shape), state(*s)], {"stream": stream}, EXACT)
        for shape in [(1,), (5,), (17,), (3, 5, 7), (0, 4), (), (3, 16384 - 1)]
        for s, stream in [((7, 3), 2), ((-1, 2**40 + 1), 2**33 + 1)]
    ),
    Case("random_uniform", [nonzero(99), state(1, 2)], bound=EXACT, note="defaults"),
]

STATE = np.zeros(2, np.int64)
REFUSED = [
    *(Refused("dropout", [array(3), STATE], {"rate": rate}, ValueError, f"rate={rate:g}") for rate in (1.0, -0.1, np.nan)),
    Refused("dropout", [array(3), STATE], {"stream": -1}, ValueError, "stream=-1"),
    Refused("dropout", [array(3), np.zeros(3, np.int64)], {}, ValueError, "`random_state` has shape (3,); expected (2,)"),
    Refused("dropout", [array(3), np.zeros(2, np.int32)], {}, TypeError, "`random_state` is int32"),
    Refused("dropout", [array(3, dtype="int32"), STATE], {}, TypeError, "`x` is int32"),
    Refused("random_uniform", [array(3), STATE], {"stream": -1}, ValueError, "stream=-1"),
    Refused(
        "random_uniform", [array(3), np.zeros(3, np.int64)], {}, ValueError, "`random_state` has shape (3,); expected (2,)"
    ),
    Refused("random_uniform", [array(3), np.zeros(2, np.int32)], {}, TypeError, "`random_state` is int32"),
    Refused("random_uniform", [array(3, dtype="int32"), STATE], {}, TypeError, "`x` is int32"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_dropout(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_dropout_refuses(refused: Any) -> None:
    refused.check()


def kept(n: int = 100_000, seed: int = 5, step: int = 0, **attributes: Any) -> Any:
    return kernels.dropout(np.ones(n, np.float32), np.array([seed, step]), **attributes) != 0


def test_as_many_are_dropped_as_asked() -> None:
    for rate in (0.1, 0.5, 0.8):
        # Five standard deviations of a binomial count.
        assert abs(kept(rate=rate).mean() - (1 - rate)) <= 5 * np.sqrt(rate * (1 - rate) / 100_000)


def test_seed_step_and_stream_draw_anew() -> None:
    masks = [kept(), kept(seed=6), kept(step=1), kept(stream=1)]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert abs((a == b).mean() - 0.5) <= 5 * 0.5 / np.sqrt(100_000)
    assert np.array_equal(kept(), masks[0])


def test_the_mask_does_not_depend_on_the_dtype_or_the_length() -> None:
    long = kernels.dropout(np.ones(1000), np.array([1, 2]), rate=0.3)
    short = kernels.dropout(np.ones(501, np.float32), np.array([1, 2]), rate=0.3)
    assert np.array_equal(long[:501] != 0, short != 0)


@pytest.mark.parametrize("isa", _core.available_isas())
def test_what_is_dropped_is_zero_even_if_it_was_nan(isa: str) -> None:
    _core._use_isa(isa)
    y = kernels.dropout(np.full(1000, np.nan, np.float32), np.array([5, 0]))
    assert np.array_equal(np.isnan(y), kept(1000))
    assert np.all(y[~kept(1000)] == 0)


def test_dropout_drops_where_the_numbers_are_below_the_rate() -> None:
    u = ops.random_uniform(np.empty(1000), np.array([5, 3]), stream=2)
    assert np.array_equal(u >= 0.3, kept(1000, step=3, stream=2, rate=0.3))


def test_normal_numbers() -> None:
    z = ops.random_normal(np.empty(200_000, np.float32), np.array([5, 3])).astype(np.float64)
    # Five standard deviations of the moments of as many numbers of a normal distribution: 1, 2, 15, 96 are their variances.
    for moment, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**moment).mean() - expected) <= 5 * np.sqrt(variance / z.size)
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) <= 5 / np.sqrt(z.size)
    assert np.array_equal(ops.random_normal(np.empty(9), np.array([5, 3]), stream=4), normal_of(9, 4, 5))
    traced = fastnn.function(lambda x: (ops.random_normal(x, np.array([5, 3])), ops.random_normal(x, np.array([5, 3]))))
    first, second = traced(np.empty(9))
    np.testing.assert_allclose(first, normal_of(9, 0, 1), rtol=1e-12)
    np.testing.assert_allclose(second, normal_of(9, 2, 3), rtol=1e-12)


def normal_of(n: int, first: int, second: int) -> Any:
    u, v = (ops.random_uniform(np.empty(n), np.array([5, 3]), stream=stream) for stream in (first, second))
    return ops.sqrt(ops.log(1.0 - u) * -2.0) * ops.cos(v * (2 * np.pi))
