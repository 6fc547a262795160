"""The random generator: Philox 4x32-10 and what is drawn from it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnn import _core
from fastnn.reference import random as reference


@pytest.mark.parametrize(
    ("key", "low", "high", "words"),
    [  # the known answers of the Random123 distribution
        (0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (0x299F31D0A4093822, 0x85A308D3243F6A88, 0x0370734413198A2E, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers(key: int, low: int, high: int, words: str) -> None:
    expected = [int(word, 16) for word in words.split()]
    assert list(_core._philox(key, low, high)) == expected
    assert reference.philox(key, np.array(low, np.uint64), high).tolist() == expected


def test_uniform_is_the_stream_of_the_reference() -> None:
    for seed, stream, step, count in [(0, 0, 0, 1), (1, 2, 3, 4), (2**63 + 5, 7, 2**40 + 1, 1003)]:
        drawn = _core.random_uniform(seed, stream, step, [count], "float32")
        assert np.array_equal(drawn, reference.uniform(seed, stream, step, count))


def test_uniform_double_is_made_of_two_words() -> None:
    words = reference.philox(reference.philox_key(3, 4), np.arange(5, dtype=np.uint64), 6).reshape(-1, 2).astype(object)
    expected = [float(((high << 32) | low) >> 11) * 2.0**-53 for low, high in words]
    assert _core.random_uniform(3, 4, 6, [10], "float64").tolist() == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_has_the_moments_of_the_uniform_distribution(dtype: str) -> None:
    n = 200_000
    x = _core.random_uniform(11, 0, 0, [n], dtype).astype(np.float64)
    assert x.min() >= 0
    assert x.max() < 1
    # Five standard deviations of each estimate: of the mean, the variance, and the covariance of neighbours.
    assert abs(x.mean() - 1 / 2) <= 5 * math.sqrt(1 / 12 / n)
    assert abs(x.var() - 1 / 12) <= 5 * math.sqrt((1 / 80 - 1 / 144) / n)
    for lag in (1, 2, 3, 4, 5):
        assert abs(np.mean((x[lag:] - 0.5) * (x[:-lag] - 0.5))) <= 5 / 12 / math.sqrt(n - lag)
    # 100 equal bins: chi-squared has mean 99 and variance 198.
    counts = np.histogram(x, 100, (0, 1))[0]
    assert abs(((counts - n / 100) ** 2 / (n / 100)).sum() - 99) <= 5 * math.sqrt(198)


def test_seeds_streams_and_steps_are_unrelated() -> None:
    n = 50_000
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)]
    draws = [_core.random_uniform(*key, [n], "float64") - 0.5 for key in keys]
    for i, a in enumerate(draws):
        for b in draws[:i]:
            assert abs(np.mean(a * b)) <= 5 / 12 / math.sqrt(n)


def test_shape_and_dtype_of_uniform() -> None:
    assert _core.random_uniform(0, 0, 0, [2, 3], "float32").shape == (2, 3)
    assert _core.random_uniform(0, 0, 0, [], "float64").shape == ()
    assert _core.random_uniform(0, 0, 0, [0, 3], "float64").shape == (0, 3)
    with pytest.raises(TypeError, match="random_uniform: dtype 'int32'; expected float32 or float64; "):
        _core.random_uniform(0, 0, 0, [2], "int32")


@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 1000, 60_000])
def test_permutation_is_one(n: int) -> None:
    order = _core.random_permutation(3, 1, 4, n)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(_core.random_permutation(3, 1, 4, n), order)
    if n > 16:
        assert not np.array_equal(order, np.arange(n))
        assert not np.array_equal(_core.random_permutation(3, 1, 5, n), order)


def test_every_permutation_is_as_likely() -> None:
    draws = 12_000
    orders = [tuple(_core.random_permutation(0, 0, step, 4).tolist()) for step in range(draws)]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 24
    expected = draws / 24
    assert ((counts - expected) ** 2 / expected).sum() <= 23 + 5 * math.sqrt(46)
