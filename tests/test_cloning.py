"""Models made again: the same layers, other weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.models import clone_model

X = np.random.default_rng(0).standard_normal((9, 6)).astype(np.float32)


class Twice(fastnn.Model):
    def __init__(self, units: int = 4, name: str | None = None) -> None:
        super().__init__(name=name)
        self.units = units
        self.first, self.last = layers.Dense(units, "tanh"), layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.last(self.first(x))

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units, **super().get_config()}


def sequential() -> Any:
    inner = fastnn.Sequential([layers.Dense(4), layers.BatchNormalization()], name="inner")
    return fastnn.Sequential([fastnn.Input((6,)), inner, layers.Dropout(0.5), layers.Dense(2, kernel_regularizer="l2")])


def functional() -> Any:
    x, z = fastnn.Input((6,)), fastnn.Input((6,))
    shared = layers.Dense(3)
    return fastnn.Model([x, z], layers.Dense(1, name="out")(shared(x) * 2.0 + shared(z)))


def subclass() -> Any:
    model = Twice(5)
    model.build((6,))
    return model


@pytest.mark.parametrize("make", [sequential, functional, subclass])
def test_clone(make: Any) -> None:
    model = make()
    model.layers[0].trainable = False
    x = [X, X + 1] if make is functional else X
    before = model.predict(x)
    clone = clone_model(model)
    assert type(clone) is type(model) and clone.built and clone.loss is None
    assert [(n, w.shape) for n, w in clone.named_weights().items()] == [(n, w.shape) for n, w in model.named_weights().items()]
    if make is not subclass:  # whose constructor numbers its layers anew
        assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    assert len(clone.trainable_variables) == len(model.trainable_variables) < len(model.weights)
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    assert not np.array_equal(clone.predict(x), before)
    clone.compile("sgd", "mse")
    clone.fit(x, np.ones((9, clone.output_shape[-1])), verbose=0)
    np.testing.assert_array_equal(model.predict(x), before)
    clone.set_weights(model.get_weights())
    for weights, state in zip(clone.named_variables().values(), model.named_variables().values(), strict=True):
        weights.assign(state.numpy())
    np.testing.assert_array_equal(clone.predict(x), before)


def test_not_built() -> None:
    clone = clone_model(fastnn.Sequential([layers.Dense(3)]))
    assert not clone.built
    assert clone.predict(X).shape == (9, 3)


def test_bad_input() -> None:
    with pytest.raises(TypeError, match=r"clone_model: .*; expected a model"):
        clone_model(layers.Dense(2))
