"""Activations by name, and layers of activations, against formulas and their complex-step derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import activations, layers, ops
from fastnn.reference import forward_ops

STEP = 1e-100


def where(condition: Any, yes: Any, no: Any) -> Any:
    return np.where(condition, yes, no)


def clip(x: Any, low: float, high: float) -> Any:
    return forward_ops["clip"](x, minimum=low, maximum=high)


def absolute(x: Any) -> Any:
    return x * np.sign(np.real(x))


def sparsemax(x: Any) -> Any:
    """By trying every number of classes."""
    rows = []
    for row in x.reshape(-1, x.shape[-1]):
        order = row[np.argsort(-np.real(row))]
        for k in range(1, len(row) + 1):
            t = (np.sum(order[:k]) - 1) / k
            y = where(np.real(row) > np.real(t), row - t, 0)
            if np.count_nonzero(np.real(y)) == k and abs(np.sum(np.real(y)) - 1) < 1e-12:
                break
        rows.append(y)
    return np.array(rows).reshape(x.shape)


FORMULAS = {
    "celu": lambda x: where(np.real(x) > 0, x, np.expm1(where(np.real(x) > 0, 0, x))),
    "exponential": np.exp,
    "hard_shrink": lambda x: where(np.abs(np.real(x)) > 0.5, x, 0),
    "hard_tanh": lambda x: clip(x, -1, 1),
    "linear": lambda x: x,
    "log_sigmoid": lambda x: -np.log1p(np.exp(-x)),
    "soft_shrink": lambda x: x - clip(x, -0.5, 0.5),
    "softsign": lambda x: x / (1 + absolute(x)),
    "sparse_plus": lambda x: where(np.real(x) < -1, 0, where(np.real(x) < 1, (x + 1) ** 2 / 4, x)),
    "sparse_sigmoid": lambda x: clip((x + 1) / 2, 0, 1),
    "sparsemax": sparsemax,
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "tanh_shrink": lambda x: x - np.tanh(x),
    "selu": lambda x: 1.0507009873554805 * where(np.real(x) > 0, x, 1.6732632423543772 * np.expm1(where(np.real(x) > 0, 0, x))),
    "swish": forward_ops["silu"],
    "hard_swish": forward_ops["hard_silu"],
}
NAMES = [*FORMULAS, "elu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "log_softmax", "mish", "relu", "relu6", "sigmoid"]
NAMES += ["silu", "softmax", "softplus", "tanh"]


def expect(f: Any, formula: Any, x: Any) -> None:
    """The values, and a random cotangent's pullback along a random direction."""
    rng = np.random.default_rng(1)
    u, v = rng.standard_normal((2, *x.shape))
    np.testing.assert_allclose(f(x), formula(x), rtol=1e-12, atol=1e-15)
    slope = fastnn.grad(lambda x: ops.sum(f(x) * u))(x)
    expected = np.sum(u * np.imag(formula(x + 1j * STEP * v)) / STEP)
    assert abs(np.sum(slope * v) - expected) <= 1e-11 * np.sum(np.abs(u * v))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_its_name_says(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((6, 9)) * 2
    expect(activations.get(name), FORMULAS.get(name) or forward_ops[name], x)


def test_every_activation_is_tried_and_has_its_name_back() -> None:
    functions = {name for name in activations.__all__ if name not in ("get", "serialize")}
    assert functions == {*NAMES, "glu"}
    for name in functions - {"swish", "hard_swish"}:
        assert activations.get(name) is getattr(activations, name)
        assert activations.serialize(activations.get(name)) == name
    assert activations.serialize(activations.swish) == "silu"


@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_glu(axis: int) -> None:
    x = np.random.default_rng(0).standard_normal((6, 4, 8)) * 2
    a, b = np.split(x, 2, axis)
    gate = 1 / (1 + np.exp(-b))
    np.testing.assert_allclose(activations.glu(x, axis), a * gate, rtol=1e-12)
    u = np.random.default_rng(1).standard_normal(a.shape)
    slope = fastnn.grad(lambda x: ops.sum(activations.glu(x, axis) * u))(x)
    np.testing.assert_allclose(slope, np.concatenate([u * gate, u * a * gate * (1 - gate)], axis), rtol=1e-10)


def test_glu_needs_an_even_length() -> None:
    assert layers.Dense(6, activation="glu")(np.ones((2, 3))).shape == (2, 3)
    with pytest.raises(ValueError, match=r"split: .*; expected .*; "):
        activations.glu(np.ones((2, 3)))


def test_parameters() -> None:
    x = np.random.default_rng(0).standard_normal((6, 9)) * 2
    expect(lambda x: activations.celu(x, 0.3), lambda x: where(np.real(x) > 0, x, 0.3 * np.expm1(where(x > 0, 0, x) / 0.3)), x)
    expect(lambda x: activations.squareplus(x, 1.0), lambda x: (x + np.sqrt(x * x + 1)) / 2, x)
    expect(lambda x: activations.soft_shrink(x, 1.5), lambda x: x - clip(x, -1.5, 1.5), x)
    expect(lambda x: activations.hard_shrink(x, 1.5), lambda x: where(np.abs(np.real(x)) > 1.5, x, 0), x)


def relu(x: Any, top: float | None, slope: float, threshold: float) -> Any:
    y = where(np.real(x) > threshold, x, slope * (x - threshold))
    return y if top is None else where(np.real(y) > top, top, y)


@pytest.mark.parametrize("top", [None, 6.0, 2.0])
@pytest.mark.parametrize("slope", [0.0, 0.25])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_relu_with_parameters(top: float | None, slope: float, threshold: float) -> None:
    layer = layers.ReLU(top, slope, threshold)
    x = np.random.default_rng(0).standard_normal((6, 9)) * 4
    expect(lambda x: layer.call(x, False), lambda x: relu(x, top, slope, threshold), x)


def test_defaults_of_layers() -> None:
    x = np.array([[-1.0, 0.0, 2.0]], np.float32)
    assert np.array_equal(layers.LeakyReLU()(x), np.float32([[-0.3, 0, 2]]))
    np.testing.assert_allclose(layers.ELU(0.5)(x), [[0.5 * np.expm1(-1), 0, 2]], rtol=1e-6)
    np.testing.assert_allclose(layers.Softmax(axis=0)(np.zeros((4, 2))), np.full((4, 2), 0.25))


@pytest.mark.parametrize(
    "layer",
    [
        layers.ReLU(6.0, 0.1, 0.5),
        layers.LeakyReLU(0.2),
        layers.PReLU("ones", [1]),
        layers.ELU(0.7),
        layers.Softmax(1),
    ],
    ids=lambda layer: layer.name,
)
def test_configs_make_equal_layers(layer: layers.Layer) -> None:
    copy = type(layer).from_config(layer.get_config())
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    assert copy.get_config() == layer.get_config()
    assert np.array_equal(copy(x), layer(x))


class TestPReLU:
    def test_alpha_per_channel_is_trained(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((64, 4, 4, 3)).astype(np.float32)
        slopes = np.float32([0.1, 0.5, -0.2])
        model = fastnn.Sequential([layers.PReLU(shared_axes=[1, 2], input_shape=(4, 4, 3))])
        model.compile(fastnn.optimizers.SGD(1.0), "mse")
        model.fit(x, np.where(x > 0, x, slopes * x), epochs=60, batch_size=64, verbose=0)
        np.testing.assert_allclose(model.layers[0].alpha.numpy(), slopes[None, None], atol=1e-3)

    def test_the_shape_of_alpha(self) -> None:
        x = np.zeros((2, 4, 5, 3))
        for axes, shape in [(None, (4, 5, 3)), (1, (1, 5, 3)), ((1, 3), (1, 5, 1))]:
            layer = layers.PReLU(shared_axes=axes)
            layer(x)
            assert layer.alpha.shape == shape

    def test_what_it_refuses(self) -> None:
        for axes in ([0], ["a"], "1", [True]):
            with pytest.raises(ValueError, match=r"shared_axes=.*; expected axes from 1, .*; "):
                layers.PReLU(shared_axes=axes)
        with pytest.raises(ValueError, match=r"expected axes from 1 to 2; drop 3"):
            layers.PReLU(shared_axes=[3])(np.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.ReLU(max_value=-1.0),
        lambda: layers.ReLU(negative_slope=-0.1),
        lambda: layers.ReLU(threshold=np.nan),
        lambda: layers.LeakyReLU("steep"),
        lambda: layers.ELU(np.inf),
    ],
)
def test_layers_refuse_bad_numbers(make: Any) -> None:
    with pytest.raises(ValueError, match=r".*: \w+=.*; expected a .*number.*; pass for example"):
        make()
