"""The layers, losses, metrics, optimizers, schedules and activations give what Keras gives.

`keras/fixtures.npz` is what Keras 3.15 computed, recorded by `keras/make_fixtures.py` for the cases of `keras/cases.py`.
Weights go in by `set_weights` in Keras's order.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, metrics, optimizers, schedules

KERAS = Path(__file__).with_name("keras")


def load_cases() -> Any:
    spec = importlib.util.spec_from_file_location("keras_cases", KERAS / "cases.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["keras_cases"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases = load_cases()


@pytest.fixture(scope="module")
def fixtures() -> Any:
    with np.load(KERAS / "fixtures.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def each(table: Any) -> Any:
    return pytest.mark.parametrize("case", table, ids=[case.label().replace(" ", "-") for case in table])


def close(ours: Any, keras: Any, tolerance: float = 1e-5) -> None:
    """Equal shapes, and values within the tolerance of the largest value, or of 1."""
    ours = np.asarray(ours)
    assert ours.shape == keras.shape
    scale = max(1.0, float(np.abs(keras).max(initial=0.0)))
    error = float(np.abs(ours - keras).max(initial=0.0))
    assert error <= tolerance * scale, f"off by {error:.2g}, the largest value is {scale:.3g}"


def numbered(fixtures: Any, prefix: str) -> list[Any]:
    found = []
    while f"{prefix}{len(found)}" in fixtures:
        found.append(fixtures[f"{prefix}{len(found)}"])
    return found


def with_schedule(arguments: Any) -> Any:
    made = dict(arguments)
    if isinstance(made.get("learning_rate"), tuple):
        name, options = made["learning_rate"]
        made["learning_rate"] = getattr(schedules, name)(**options)
    return made


@each(cases.LAYERS)
def test_layer(case, fixtures):
    key = f"layers/{case.label()}/"
    layer, x = getattr(layers, case.name)(**cases.with_layers(case.arguments, layers)), cases.input_of(case)
    case.called(layer, x)  # makes the weights
    layer.trainable = case.trainable
    layer.set_weights(numbered(fixtures, key + "weight"))
    if case.arguments.get("stateful"):
        layer.reset_states()
    close(cases.joined(case.called(layer, x, **cases.call_of(case))), fixtures[key + "y"])
    if case.training:
        close(layer(x, training=True), fixtures[key + "y_training"])
        for ours, keras in zip(layer.get_weights(), numbered(fixtures, key + "after"), strict=True):
            close(ours, keras)


@each(cases.TRAINED)
def test_ten_steps_of_a_layer(case, fixtures):
    layer = getattr(layers, case.name)(**cases.with_layers(case.arguments, layers))
    inputs = [fastnn.Input(shape) for shape in case.shapes()]
    hidden = [layers.Dense(x.shape[-1])(x) for x in inputs]
    model = fastnn.Model(inputs if case.several() else inputs[0], case.called(layer, hidden if len(hidden) > 1 else hidden[0]))
    rng = case.rng()
    model.set_weights([cases.random_weight(rng, w.name, w.shape) for w in model.weights])
    model.compile(optimizers.SGD(cases.RATE, momentum=0.9), loss="mean_squared_error")
    losses = []
    for step in range(10):
        losses.append(model.train_on_batch(*cases.batch_of(case, step, model.output_shape[1:])))
    keras = fixtures[f"trained/{case.label()}/run"]
    close(losses, keras[:10], 1e-4)
    close(np.concatenate([w.ravel() for w in model.get_weights()]), keras[10:], 1e-4)


def test_dropout_keeps_the_mean_and_scales_what_is_left():
    y = layers.Dropout(0.4, seed=1)(np.full((200, 500), 3.0), training=True)
    assert set(np.unique(y)) == {0.0, np.float32(5.0)}
    assert abs(float((y == 0).mean()) - 0.4) < 0.01


@each(cases.LOSSES)
def test_loss(case, fixtures):
    loss, (y_true, y_pred) = getattr(losses, case.name)(**case.arguments), cases.targets_of(case, 0)
    keras, ours = fixtures[f"losses/{case.label()}/each"], np.asarray(loss.call(y_true, y_pred))
    if (ignored := case.arguments.get("ignore_class")) is not None:
        # Scaled here, so that their mean is over those that count: docs/coming-from-keras.md.
        ours = ours * np.float32((y_true != ignored).mean())
    close(ours, keras)
    close(loss(y_true, y_pred), fixtures[f"losses/{case.label()}/mean"])


@each(cases.METRICS)
def test_metric(case, fixtures):
    metric, results = getattr(metrics, case.name)(**case.arguments), []
    for part in (0, 1):
        y_true, y_pred = cases.targets_of(case, part)
        if case.name == "Mean":
            metric.update(y_pred)
        else:
            metric.update_state(y_true, y_pred)
        results.append(metric.result())
    keras = fixtures[f"metrics/{case.label()}/results"]
    if (ignored := case.arguments.get("ignore_class")) is not None:
        # Keras's metric, unlike its loss, counts ignored samples as zeros: docs/coming-from-keras.md.
        counts = [cases.targets_of(case, part)[0] != ignored for part in (0, 1)]
        size, sizes = counts[0].size, counts[0].size + counts[1].size
        sums = [keras[0] * size, keras[1] * sizes - keras[0] * size]
        means = [total / count.mean() for total, count in zip(sums, counts)]
        keras = np.array([means[0] / size, sum(means) / sizes])
    close(results, keras)


@each(cases.OPTIMIZERS)
def test_ten_steps_of_an_optimizer(case, fixtures):
    optimizer = getattr(optimizers, case.name)(**with_schedule(case.arguments))
    if case.exclude:
        optimizer.exclude_from_weight_decay(var_names=list(case.exclude))
    x, y, _ = cases.training_data("optimizers")
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(4, activation="tanh", name="first"), layers.Dense(2, name="last")]
    )
    model.set_weights(numbered(fixtures, "optimizers/start/weight"))
    model.compile(optimizer, loss="mean_squared_error")
    for step in range(len(x)):
        model.train_on_batch(x[step], y[step])
        for ours, keras in zip(model.get_weights(), numbered(fixtures, f"optimizers/{case.label()}/weight"), strict=True):
            close(ours, keras[step], 1e-4)


@each(cases.SCHEDULES)
def test_schedule(case, fixtures):
    schedule = getattr(schedules, case.name)(**case.arguments)
    rates = [float(schedule(step)) for step in cases.STEPS_OF_SCHEDULES]
    np.testing.assert_allclose(rates, fixtures[f"schedules/{case.label()}/rates"], rtol=1e-5, atol=1e-9)


@each(cases.ACTIVATIONS)
def test_activation(case, fixtures):
    y = getattr(fastnn.activations, case.name)(cases.values_of(case), **case.arguments)
    keras = fixtures[f"activations/{case.label()}/y"]
    if case.name == "sparsemax":
        # Keras's numbers do not add to 1 where more than one is above 0: docs/coming-from-keras.md.
        np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)
        right = np.abs(keras.sum(-1) - 1) < 1e-6
        assert 0.2 < right.mean() < 0.9
        y, keras = y[right], keras[right]
    np.testing.assert_allclose(y, keras, rtol=1e-5, atol=1e-6)
    assert fastnn.activations.get(case.name) is getattr(fastnn.activations, case.name)


@each(cases.INITIALIZERS)
def test_spread_of_an_initializer(case, fixtures):
    fastnn.set_seed(3)
    many = np.asarray(getattr(fastnn.initializers, case.name)(**case.arguments)(case.given), np.float64)
    mean, deviation, low, high = fixtures[f"initializers/{case.label()}/spread"]
    assert abs(many.mean() - mean) <= 0.05 * deviation + 1e-6
    assert abs(many.std() - deviation) <= 0.03 * deviation
    # What is cut off ends where it does for Keras; the extremes of a normal are a matter of chance.
    loose = 1.0 if case.name in ("RandomNormal", "Orthogonal") else 0.02
    assert abs(many.min() - low) <= loose * deviation + 1e-6 and abs(many.max() - high) <= loose * deviation + 1e-6


@pytest.mark.parametrize("name", cases.MODELS)
def test_two_epochs_of_a_model(name, fixtures):
    table, loss, chosen, options = cases.MODELS[name]
    weighted = options.get("weighted_metrics")
    options = {key: value for key, value in options.items() if key != "weighted_metrics"}
    x, y, weights = cases.training_data(name)
    options = {**options, "sample_weight": weights} if "sample_weight" in options else options
    dtype = "int32" if x.dtype == np.int32 else "float32"
    model = fastnn.Sequential([fastnn.Input(x.shape[1:], dtype=dtype), *(getattr(layers, n)(**a) for n, a in table)])
    model.set_weights(numbered(fixtures, f"models/{name}/weight"))
    model.compile(optimizers.SGD(0.1, momentum=0.9), loss=loss, metrics=chosen, weighted_metrics=weighted)
    history = model.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0, **options).history
    recorded = {key.split("history ")[1]: v for key, v in fixtures.items() if key.startswith(f"models/{name}/history")}
    assert history.keys() == recorded.keys()
    for key, values in recorded.items():
        close(history[key], values, 1e-4)
    for ours, keras in zip(model.get_weights(), numbered(fixtures, f"models/{name}/after"), strict=True):
        close(ours, keras, 1e-4)
    close(model.evaluate(x, y, batch_size=6), fixtures[f"models/{name}/evaluated"], 1e-4)
    close(model.predict(x), fixtures[f"models/{name}/predicted"], 1e-4)


# What has no case, and why.
WITHOUT_CASE = {
    "layers.Input": "computes nothing",
    "layers.Layer": "a base class",
    **{f"layers.{case.name}": "Keras has none" for case in cases.OTHERS},
    "layers.SimpleRNNCell": "compared in an RNN",
    "layers.LSTMCell": "compared in an RNN",
    "layers.GRUCell": "compared in an RNN",
    "losses.Loss": "a base class",
    "metrics.ConfusionMatrix": "Keras has none",
    "metrics.Metric": "a base class",
    "metrics.Perplexity": "Keras has none",
    "optimizers.Optimizer": "a base class",
    "initializers.Initializer": "a base class",
    "schedules.LearningRateSchedule": "a base class",
    "schedules.LinearWarmup": "Keras has none",
    "schedules.OneCycle": "Keras has none",
    "activations.serialize": "no activation",
}
TABLES = {
    "layers": cases.LAYERS,
    "losses": cases.LOSSES,
    "metrics": cases.METRICS,
    "optimizers": cases.OPTIMIZERS,
    "schedules": cases.SCHEDULES,
    "activations": cases.ACTIVATIONS,
    "initializers": cases.INITIALIZERS,
}


@pytest.mark.parametrize("group", TABLES)
def test_everything_public_has_a_case(group):
    module = getattr(fastnn, group)
    public = {name for name in module.__all__ if callable(getattr(module, name)) and name != "get"}
    compared = {case.name for case in TABLES[group]}
    missing = {name for name in public - compared if f"{group}.{name}" not in WITHOUT_CASE}
    assert not missing, f"no case in tests/keras/cases.py for {missing}"
    assert not compared - public
    assert {name.split(".")[1] for name in WITHOUT_CASE if name.startswith(group + ".")} <= public - compared


# Arguments that no case has: initial weights are replaced, clipping, accumulation and averages are the same code for all
# optimizers; they, regularizers and constraints are tested against formulas in files of their own.
_REGULARIZED = ("activity", "kernel", "recurrent", "bias", "depthwise", "pointwise", "embeddings")
_AVERAGES = {"gradient_accumulation_steps", "use_ema", "ema_momentum", "ema_overwrite_frequency"}
UNCOMPARED = {
    "layers": {"name", "input_shape", "seed", "axis", "attention_axes", "batch_size"}
    | {f"{rate} of {layer}" for rate in ("dropout", "recurrent_dropout") for layer in ("SimpleRNN", "LSTM", "GRU")}
    | {f"{what}_{kind}" for what in _REGULARIZED for kind in ("regularizer", "constraint")},
    "losses": {"name", "label_smoothing of SparseCategoricalCrossentropy"},
    "metrics": {"name", "label_smoothing of SparseCategoricalCrossentropy"},
    "optimizers": {"name", "clipnorm", "clipvalue", "global_clipnorm", "epsilon of Muon", "exclude_embeddings"} | _AVERAGES,
    "schedules": {"name"},
    "activations": {"x", "scale"},  # Keras's elu has no scale
}


@pytest.mark.parametrize("group", UNCOMPARED)
def test_every_argument_has_a_case(group):
    for name in {case.name for case in TABLES[group]}:
        used = {argument for case in TABLES[group] if case.name == name for argument in case.arguments}
        taken = set(inspect.signature(getattr(getattr(fastnn, group), name)).parameters)
        missing = {a for a in taken - used if not a.endswith("_initializer") and f"{a} of {name}" not in UNCOMPARED[group]}
        assert missing <= UNCOMPARED[group], f"{name}: no case in tests/keras/cases.py for {missing}"
