"""Regularizers and constraints: what they compute, that training uses them, that files keep them."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import constraints, layers, ops, optimizers, regularizers

rng = np.random.default_rng(0)
W = rng.standard_normal((3, 4, 5))
X = rng.standard_normal((30, 6)).astype(np.float32)
Y = rng.standard_normal((30, 2)).astype(np.float32)


def norms(w: Any, axis: Any) -> Any:
    return np.sqrt((w * w).sum(axis, keepdims=True))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (regularizers.L1(0.3), 0.3 * np.abs(W).sum()),
        (regularizers.L2(0.3), 0.3 * (W * W).sum()),
        (regularizers.L1L2(0.1, 0.2), 0.1 * np.abs(W).sum() + 0.2 * (W * W).sum()),
        (regularizers.L1L2(l2=0.5), 0.5 * (W * W).sum()),
        (regularizers.get("l1"), 0.01 * np.abs(W).sum()),
        (regularizers.get("l1_l2"), 0.01 * (np.abs(W) + W * W).sum()),
        (constraints.NonNeg(), np.where(W > 0, W, 0)),
        (constraints.UnitNorm(1), W / norms(W, 1)),
        (constraints.MaxNorm(1.5, (0, 1)), W * np.minimum(1, 1.5 / norms(W, (0, 1)))),
        (constraints.MaxNorm(2), W * np.minimum(1, 2 / norms(W, 0))),
        (constraints.MinMaxNorm(1.2, 1.5, axis=0), W / norms(W, 0) * np.clip(norms(W, 0), 1.2, 1.5)),
        (
            constraints.MinMaxNorm(1.2, 1.5, 0.25, -1),
            W / norms(W, -1) * (0.25 * np.clip(norms(W, -1), 1.2, 1.5) + 0.75 * norms(W, -1)),
        ),
    ],
)
def test_values(function: Any, expected: Any) -> None:
    np.testing.assert_allclose(function(W), expected, rtol=1e-6, atol=1e-12)
    again = type(function).from_config(function.get_config())
    assert again.get_config() == function.get_config()
    np.testing.assert_array_equal(again(W), function(W))


def regularized(optimizer: Any = "sgd", **options: Any) -> Any:
    fastnn.set_seed(5)
    inner = {"kernel_regularizer": regularizers.L1(0.02), "bias_initializer": "ones", "bias_regularizer": "l2"}
    model = fastnn.Sequential([layers.Dense(3, "tanh", **inner, input_shape=(6,)), layers.Dense(2, **options)])
    model.compile(optimizer, "mse", metrics=["mse"])
    return model


def penalty(model: Any) -> float:
    kernel, bias = (w.astype(np.float64) for w in model.get_weights()[:2])
    return 0.02 * float(np.abs(kernel).sum()) + 0.01 * float((bias**2).sum())


def test_the_loss_includes_them() -> None:
    model = regularized()
    results = model.evaluate(X, Y, batch_size=7, return_dict=True)
    assert results["loss"] == pytest.approx(results["mse"] + penalty(model), rel=1e-5)
    before = penalty(model)
    logs = model.train_on_batch(X, Y, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["mse"] + before, rel=1e-5)


def test_gradients_include_them() -> None:
    """One step of descent against the step without them plus lr times the derivatives of the penalties."""
    model, plain = regularized(optimizers.SGD(0.1)), regularized(optimizers.SGD(0.1))
    weights = model.get_weights()
    for weight in plain.weights:
        weight.regularizer = None
    model.train_on_batch(X, Y)
    plain.train_on_batch(X, Y)
    steps = [0.02 * np.sign(weights[0]), 2 * 0.01 * weights[1], 0, 0]
    for found, base, step in zip(model.get_weights(), plain.get_weights(), steps, strict=True):
        np.testing.assert_allclose(found, base - 0.1 * np.asarray(step, np.float32), rtol=1e-5, atol=1e-6)


def test_frozen_weights_add_nothing() -> None:
    model = regularized()
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    assert model.losses == []


def test_several_outputs_and_a_layer_used_twice() -> None:
    x = fastnn.Input((6,))
    shared = layers.Dense(6, kernel_regularizer=regularizers.L2(0.5))
    y = shared(shared(x))
    model = fastnn.Model(x, [layers.Dense(2, name="a")(y), layers.Dense(2, name="b")(y)])
    model.compile("sgd", "mse")
    results = model.evaluate(X, [Y, Y], return_dict=True)
    once = 0.5 * float((model.get_weights()[0].astype(np.float64) ** 2).sum())
    assert results["loss"] == pytest.approx(results["a_loss"] + results["b_loss"] + once, rel=1e-5)


LAYERS = [
    (layers.Dense(3, kernel_regularizer="l1", bias_constraint="non_neg"), (6,), ("kernel", "bias")),
    (layers.Conv1D(3, 2, kernel_regularizer="l1", bias_constraint="non_neg"), (6, 2), ("kernel", "bias")),
    (layers.Conv2D(3, 2, kernel_regularizer="l1", bias_constraint="non_neg"), (6, 6, 2), ("kernel", "bias")),
    (layers.Conv2DTranspose(3, 2, kernel_regularizer="l1", bias_constraint="non_neg"), (6, 6, 2), ("kernel", "bias")),
    (layers.DepthwiseConv2D(2, depthwise_regularizer="l1", bias_constraint="non_neg"), (6, 6, 2), ("kernel", "bias")),
    (
        layers.SeparableConv2D(3, 2, pointwise_regularizer="l1", depthwise_constraint="non_neg"),
        (6, 6, 2),
        ("pointwise_kernel", "depthwise_kernel"),
    ),
]


@pytest.mark.parametrize(("layer", "shape", "names"), LAYERS)
def test_layers(layer: Any, shape: Any, names: Any, tmp_path: Path) -> None:
    """One weight has a regularizer, another a constraint, in copies and files too."""
    model = fastnn.Sequential([layer, layers.Flatten(), layers.Dense(1)])
    model.build(shape)
    model.compile(optimizers.SGD(0.5), "mse")
    model.save(tmp_path / "model.safetensors")
    for one in (model, copy.deepcopy(model), fastnn.load_model(tmp_path / "model.safetensors")):
        weights = one.layers[0].named_weights()
        assert {n for n, w in weights.items() if w.regularizer is not None} == {names[0]}
        assert {n for n, w in weights.items() if w.constraint is not None} == {names[1]}
        expected = 0.01 * np.abs(weights[names[0]].numpy()).sum()
        assert float(one.losses[0]) == pytest.approx(expected, rel=1e-5)
        x = rng.standard_normal((8, *shape)).astype(np.float32)
        one.fit(x, np.full((8, 1), -3.0), epochs=3, verbose=0)
        assert weights[names[1]].numpy().min() >= 0.0


def test_embedding() -> None:
    table = layers.Embedding(5, 3, embeddings_regularizer="l2", embeddings_constraint="unit_norm", input_shape=(2,))
    model = fastnn.Sequential([table, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(rng.integers(0, 5, (20, 2)), np.ones((20, 1)), verbose=0)
    np.testing.assert_allclose(norms(table.embeddings.numpy(), 0), 1, rtol=1e-4)  # 1e-7 beside small norms


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", "adagrad", "lion", "muon"])
def test_constraints_hold_after_every_step(optimizer: str) -> None:
    model = regularized(optimizer, kernel_constraint=constraints.MaxNorm(0.3), bias_constraint="non_neg")
    for _ in range(3):
        model.train_on_batch(X, Y)
        kernel, bias = model.get_weights()[2:]
        assert norms(kernel, 0).max() <= 0.3 * (1 + 1e-6)
        assert bias.min() >= 0


class Sparse(layers.Layer):
    """Adds the mean of its input's absolute values, and half of those of its output's."""

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight("factor", (), fastnn.initializers.Ones())

    def call(self, x: Any) -> Any:
        self.add_loss(ops.mean(ops.abs(x)))
        y = x * self.factor
        self.add_loss(ops.abs(y) * (0.5 / (6 * 10)))  # of several numbers the sum
        return y


def active(kind: Any = "l2", **options: Any) -> Any:
    fastnn.set_seed(5)
    model = fastnn.Sequential([layers.Dense(2, "tanh", activity_regularizer=kind, input_shape=(6,), **options)])
    model.compile("sgd", "mse", metrics=["mse"])
    return model


@pytest.mark.parametrize("batch_size", [30, 10, 7])
def test_activity_is_per_batch(batch_size: int) -> None:
    """Its sum over the rows of a batch, divided by their number: the mean over rows, whatever the batches."""
    model = active()
    expected = 0.01 * (model.predict(X).astype("d") ** 2).sum() / len(X)
    results = model.evaluate(X, Y, batch_size=batch_size, return_dict=True)
    assert results["loss"] == pytest.approx(results["mse"] + expected, rel=1e-5)
    logs = model.fit(X, Y, batch_size=30, verbose=0).history
    assert logs["loss"][0] == pytest.approx(logs["mse"][0] + expected, rel=1e-5)


def test_activity_of_frozen_layers_counts_and_that_of_predictions_does_not() -> None:
    model = active("l1")
    model.layers[0].trainable = False
    wide = fastnn.Sequential([model.layers[0], layers.Dense(2)])
    wide.build((6,))
    wide.compile("sgd", "mse", metrics=["mse"])
    results = wide.evaluate(X, Y, return_dict=True)
    expected = 0.01 * np.abs(model.layers[0](X)).sum() / len(X)
    assert results["loss"] == pytest.approx(results["mse"] + expected, rel=1e-5)
    assert wide.losses == [] and model.layers[0].losses == []
    plain = active(None)
    plain.set_weights(model.get_weights())
    graphs = [one._prediction_graph()[0].to_json(["kernel", "bias"], []) for one in (model, plain)]
    assert re.sub(r"_\d+", "", graphs[0]) == re.sub(r"_\d+", "", graphs[1])


def test_add_loss_in_models_of_every_kind() -> None:
    class Subclass(fastnn.Model):
        def __init__(self) -> None:
            super().__init__()
            self.sparse, self.last = Sparse(), layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.last(self.sparse(x))

    x = fastnn.Input((6,))
    models = [
        fastnn.Sequential([Sparse(input_shape=(6,)), layers.Dense(2)]),
        fastnn.Model(x, layers.Dense(2)(Sparse()(x))),
        Subclass(),
    ]
    for model in models:
        model.compile("sgd", "mse", metrics=["mse"])
        results = model.evaluate(X, Y, batch_size=10, return_dict=True)
        assert results["loss"] == pytest.approx(results["mse"] + 1.5 * np.abs(X).mean(), rel=1e-5)
        before = float(model.layers[0].factor.numpy())
        model.train_on_batch(X[:10], Y[:10])
        assert float(model.layers[0].factor.numpy()) < before


def test_a_layer_called_twice_adds_twice_and_a_loop_of_ones_own_asks_for_them() -> None:
    sparse, other = Sparse(), Sparse()
    x = np.ones((10, 6), np.float32)
    sparse(x), other(x)

    @fastnn.function
    def step(x: Any) -> Any:
        y = sparse(x)
        once = list(sparse.losses)
        sparse(y)
        other(y)
        gradient = fastnn.grad(lambda: sum(sparse.losses), variables=[sparse.factor])()
        return once, sparse.losses, gradient

    once, losses, (gradient,) = step.compute(x)
    np.testing.assert_allclose(once, [1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(losses, [1, 0.5, 1, 0.5], rtol=1e-6)
    assert gradient == pytest.approx(0.5 + 1 + 2 * 0.5, rel=1e-6)  # of abs(f x), abs(f x), abs(f f x)
    assert sparse.losses == []


def test_activity_regularizers_in_files_and_copies(tmp_path: Path) -> None:
    model = fastnn.Sequential(
        [
            layers.Conv1D(3, 2, activity_regularizer=regularizers.L1(0.3), input_shape=(6, 1)),
            layers.ActivityRegularization(l2=0.2),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.safetensors")
    loaded = fastnn.load_model(tmp_path / "model.safetensors")
    clone = fastnn.models.clone_model(model)
    clone.set_weights(model.get_weights())
    clone.compile("sgd", "mse")
    for other in (loaded, copy.deepcopy(model), clone):
        assert other.evaluate(X, Y) == model.evaluate(X, Y)
    plain = np.mean((model.predict(X) - Y) ** 2)
    y = model.layers[0](X[..., None]).astype("d")
    assert model.evaluate(X, Y) == pytest.approx(plain + (0.3 * np.abs(y) + 0.2 * y**2).sum() / len(X), rel=1e-5)


def huber(w: Any) -> Any:
    return ops.sum(ops.sqrt(ops.square(w) + 1.0))


def test_functions_are_custom_objects(tmp_path: Path) -> None:
    model = fastnn.Sequential([layers.Dense(1, kernel_regularizer=huber, input_shape=(6,))])
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="'huber' is not part of fastnn"):
        fastnn.load_model(tmp_path / "model.safetensors")
    loaded = fastnn.load_model(tmp_path / "model.safetensors", custom_objects={"huber": huber})
    assert loaded.evaluate(X, Y[:, :1]) == model.evaluate(X, Y[:, :1])


@pytest.mark.parametrize("layer", [layers.Dense(2), layers.Conv2D(2, 3), layers.Embedding(2, 3), layers.SeparableConv2D(2, 3)])
def test_configurations_without_them_are_as_before(layer: Any) -> None:
    assert not [key for key in layer.get_config() if key.endswith(("regularizer", "constraint"))]


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: regularizers.L1(-1), ValueError, "l1=-1; expected a finite number >= 0"),
        (lambda: regularizers.L2(float("nan")), ValueError, "l2=nan"),
        (lambda: regularizers.get("l3"), ValueError, "did you mean 'l1'|'l2'"),
        (lambda: regularizers.get(regularizers.L1), TypeError, "expected a name or a function"),
        (lambda: regularizers.get(0.01), TypeError, "expected a name or a function"),  # type: ignore[arg-type]
        (lambda: constraints.get("maxnorm"), ValueError, "did you mean 'MaxNorm'|'max_norm'"),
        (lambda: constraints.get(constraints.NonNeg), TypeError, "expected a name or a function"),
        (lambda: constraints.MaxNorm(-1), ValueError, "max_value=-1"),
        (lambda: constraints.UnitNorm("rows"), TypeError, "axis='rows'"),  # type: ignore[arg-type]
        (lambda: constraints.MinMaxNorm(2, 1), ValueError, "max_value=1; expected a finite number >= min_value, 2.0"),
        (lambda: constraints.MinMaxNorm(rate=0), ValueError, "rate=0"),
        (lambda: layers.Dense(2, kernel_regularizer="l4"), ValueError, "regularizer: 'l4' does not exist"),
        (lambda: layers.Dense(2, activity_regularizer="l4"), ValueError, "regularizer: 'l4' does not exist"),
        (lambda: layers.ReLU(activity_regularizer="l2"), TypeError, "activity_regularizer"),  # type: ignore[call-arg]
        (lambda: layers.ActivityRegularization(l1=-1), ValueError, "l1=-1; expected a finite number >= 0"),
    ],
)
def test_bad_input(make: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        make()
