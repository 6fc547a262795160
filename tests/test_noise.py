"""Layers that are random while training: what is dropped together, moments, seeds, steps that fail."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers

ONES = np.ones((40, 6, 7, 50), np.float32)

KINDS = {
    "dropout": lambda seed=None: layers.Dropout(0.3, seed=seed),
    "dropout-shape": lambda seed=None: layers.Dropout(0.3, (None, 1, 7, None), seed),
    "spatial-1d": lambda seed=None: layers.SpatialDropout1D(0.3, seed),
    "spatial-2d": lambda seed=None: layers.SpatialDropout2D(0.3, seed),
    "alpha": lambda seed=None: layers.AlphaDropout(0.3, seed=seed),
    "alpha-shape": lambda seed=None: layers.AlphaDropout(0.3, (None, 1, 7, None), seed),
    "gaussian-dropout": lambda seed=None: layers.GaussianDropout(0.3, seed),
    "gaussian-noise": lambda seed=None: layers.GaussianNoise(0.3, seed),
}


def given(name: str) -> Any:
    return ONES.reshape(40, 42, 50) if name == "spatial-1d" else ONES


@pytest.mark.parametrize("name", KINDS)
def test_seeds_steps_and_inference(name: str) -> None:
    layer, x = KINDS[name](4), given(name)
    np.testing.assert_array_equal(layer(x), x)
    first, second = layer(x, training=True), layer(x, training=True)
    assert not np.array_equal(first, second)
    again = type(layer).from_config(layer.get_config())
    np.testing.assert_array_equal(again(x, training=True), first)
    assert not np.array_equal(KINDS[name](5)(x, training=True), first)
    fastnn.set_seed(0)
    by_generator = KINDS[name]()(x, training=True)
    assert not np.array_equal(KINDS[name]()(x, training=True), by_generator)
    fastnn.set_seed(0)
    np.testing.assert_array_equal(KINDS[name]()(x, training=True), by_generator)
    assert layer.count_params() == 0
    assert by_generator.dtype == np.float32 and by_generator.shape == x.shape


@pytest.mark.parametrize("name", KINDS)
def test_nothing_happens_without_strength(name: str) -> None:
    layer = KINDS[name]()
    options = {key: 0.0 for key in ("rate", "stddev") if key in layer.get_config()}
    layer = type(layer).from_config({**layer.get_config(), **options})
    np.testing.assert_array_equal(layer(given(name), training=True), given(name))


@pytest.mark.parametrize(
    ("name", "common"), [("dropout-shape", (1,)), ("spatial-1d", (1,)), ("spatial-2d", (1, 2)), ("alpha-shape", (1,))]
)
def test_what_is_dropped_together(name: str, common: tuple[int, ...]) -> None:
    y = KINDS[name](1)(given(name), training=True)
    np.testing.assert_array_equal(y.max(axis=common), y.min(axis=common))
    values, counts = np.unique(y.max(axis=common), return_counts=True)
    assert len(values) == 2
    share = counts[0] / counts.sum()  # the lower value, of what is dropped
    assert abs(share - 0.3) <= 5 * np.sqrt(0.3 * 0.7 / counts.sum())


def test_moments() -> None:
    x = np.random.default_rng(0).standard_normal((200, 500)).astype("f")
    y = layers.AlphaDropout(0.3, seed=1)(x, training=True).astype("d")
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02
    factor = layers.GaussianDropout(0.3, seed=1)(np.ones_like(x), training=True).astype("d")
    assert abs(factor.mean() - 1) < 0.02 and abs(factor.var() - 0.3 / 0.7) < 0.02
    noise = layers.GaussianNoise(0.3, seed=1)(x, training=True).astype("d") - x
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 0.3) < 0.01
    assert abs(np.corrcoef(noise.ravel(), x.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("name", KINDS)
def test_the_gradient_is_of_the_numbers_that_were_drawn(name: str) -> None:
    layer, x = KINDS[name](2), given(name)[:2]
    y = KINDS[name](2)(x, training=True)
    step = fastnn.function(fastnn.grad(lambda x: fastnn.ops.sum(layer(x, training=True))))
    gradient = step.compute(x)
    if name == "gaussian-noise":
        np.testing.assert_array_equal(gradient, 1)
    elif name.startswith("alpha"):  # a where x was kept, which is where the values are the higher ones
        assert set(np.unique(gradient)) == {0.0, gradient.max()}
        np.testing.assert_array_equal(gradient != 0, y > 0)
    else:
        np.testing.assert_allclose(gradient, y, rtol=1e-5)


def test_a_failed_step_is_repeated_with_the_same_noise() -> None:
    model = fastnn.Sequential([layers.GaussianNoise(0.5, seed=3, input_shape=(4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    other = fastnn.Sequential([layers.GaussianNoise(0.5, seed=3, input_shape=(4,)), layers.Dense(1)])
    other.compile("sgd", "mse")
    other.set_weights(model.get_weights())
    x, y = np.ones((8, 4)), np.ones((8, 1))
    with pytest.raises(ValueError, match="finite"):
        model.train_on_batch(np.full((8, 4), np.nan), y)
    for _ in range(2):
        assert model.train_on_batch(x, y) == other.train_on_batch(x, y)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Dropout(1.0), "rate=1.0"),
        (lambda: layers.AlphaDropout(-0.1), "rate=-0.1"),
        (lambda: layers.GaussianDropout(float("nan")), "rate=nan"),
        (lambda: layers.SpatialDropout2D("a"), "rate='a'"),  # type: ignore[arg-type]
        (lambda: layers.GaussianNoise(-1), "stddev=-1"),
        (lambda: layers.GaussianNoise(1, seed=-1), "seed=-1"),
        (lambda: layers.Dropout(0.5, 3), "noise_shape=3"),  # type: ignore[arg-type]
        (lambda: layers.Dropout(0.5, (None, 0)), "noise_shape=(None, 0)"),
        (lambda: layers.Dropout(0.5, (None, 1))(ONES, training=True), "for an input of shape (40, 6, 7, 50)"),
        (lambda: layers.Dropout(0.5, (None, 2, 1, 1))(ONES, training=True), "expected None, 1 or the input's length"),
        (lambda: layers.SpatialDropout1D(0.5)(ONES, training=True), "expected 3 axes"),
        (lambda: layers.SpatialDropout2D(0.5)(ONES[0], training=True), "expected 4 axes"),
    ],
)
def test_what_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        make()
    assert len(str(caught.value).split("; ")) >= 3, str(caught.value)
