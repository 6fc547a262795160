"""Every layer in files, in copies, and in programs: its first case, of those that are compared with Keras or of the others."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.serialization import Encoder
from test_keras import cases

FIRST = {case.name: case for case in reversed(cases.LAYERS + cases.OTHERS)}
KINDS = sorted(FIRST)


def model_of(case: Any) -> tuple[fastnn.Model, Any]:
    x = cases.input_of(case)
    parts = x if isinstance(x, list) else [x]
    inputs = [fastnn.Input(part.shape[1:], dtype=part.dtype.name) for part in parts]
    layer = getattr(layers, case.name)(**cases.with_layers(case.arguments, layers))
    one_or_all = inputs if len(inputs) > 1 else inputs[0]
    model = fastnn.Model(one_or_all, case.called(layer, one_or_all))
    rng = case.rng()
    model.set_weights([cases.random_weight(rng, w.name, w.shape) for w in model.weights])
    return model, x


def without_names(config: Any) -> Any:
    """An encoded layer, and those within it, without their names."""
    if isinstance(config, list):
        return [without_names(item) for item in config]
    return {k: without_names(v) for k, v in config.items() if k != "name"} if isinstance(config, dict) else config


def test_every_layer_has_a_case() -> None:
    cells = {"SimpleRNNCell", "LSTMCell", "GRUCell"}  # of recurrent layers
    assert set(KINDS) == set(layers.__all__) - {"Input", "Layer"} - cells


@pytest.mark.parametrize("kind", KINDS)
def test_files_and_copies_compute_the_same(kind: str, tmp_path: Path) -> None:
    model, x = model_of(FIRST[kind])
    y = model.predict(x)
    np.testing.assert_array_equal(FIRST[kind].called(model.layers[0], x), y)
    model.save(tmp_path / "model.safetensors")
    clone = fastnn.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (fastnn.load_model(tmp_path / "model.safetensors"), copy.deepcopy(model), clone):
        np.testing.assert_array_equal(other.predict(x), y)
        config, expected = (Encoder().encode(one.layers[0], "layer") for one in (other, model))
        assert without_names(config) == without_names(expected)  # in files names are those of the model alone
        assert other.output_shape == model.output_shape == (None, *y.shape[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_one_trace_serves_every_batch_size(kind: str) -> None:
    model, x = model_of(FIRST[kind])
    one = [part[:1] for part in x] if isinstance(x, list) else x[:1]
    np.testing.assert_array_equal(model.predict(one), model.predict(x)[:1])
    assert np.array_equal(model.predict(x, batch_size=2), model.predict(x))


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_arguments_are_refused_by_name(kind: str) -> None:
    with pytest.raises(TypeError, match="no_such_thing"):
        getattr(layers, kind)(**cases.with_layers(FIRST[kind].arguments, layers), no_such_thing=1)
    with pytest.raises(TypeError, match="name=3"):
        getattr(layers, kind)(**cases.with_layers(FIRST[kind].arguments, layers), name=3)


@pytest.mark.parametrize(
    ("second", "first"),
    [
        ("MaxPool2D", "MaxPooling2D"),
        ("AvgPool1D", "AveragePooling1D"),
        ("GlobalAvgPool2D", "GlobalAveragePooling2D"),
        ("GlobalMaxPool1D", "GlobalMaxPooling1D"),
        ("Convolution2D", "Conv2D"),
        ("Convolution1DTranspose", "Conv1DTranspose"),
        ("SeparableConvolution1D", "SeparableConv1D"),
        ("InputLayer", "Input"),
    ],
)
def test_second_names(second: str, first: str) -> None:
    assert getattr(layers, second) is getattr(layers, first)


def test_what_does_not_exist() -> None:
    with pytest.raises(AttributeError, match=r"'Lambda' does not exist.*; expected .*; derive one"):
        layers.Lambda  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'Conv2D'"):
        layers.Conv22D  # noqa: B018
