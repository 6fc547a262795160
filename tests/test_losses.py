"""Losses and metrics against formulas and their complex-step derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, metrics

STEP = 1e-100
rng = np.random.default_rng(0)
N, CLASSES = 9, 5


def distribution() -> Any:
    p = rng.uniform(0.05, 1, (N, CLASSES))
    return p / p.sum(-1, keepdims=True)


T, P = distribution(), distribution()
Y, Z = rng.standard_normal((2, N, CLASSES)) * 2
B = rng.integers(0, 2, (N, CLASSES)).astype(float)
LABELS = rng.integers(0, CLASSES, N)
SOME = np.where(np.arange(N) % 3 == 1, -1, LABELS)
ONE_HOT = np.eye(CLASSES)


def absolute(x: Any) -> Any:
    return x * np.sign(np.real(x))


def positive(x: Any) -> Any:
    return np.where(np.real(x) > 0, x, 0)


def mean(x: Any) -> Any:
    return np.mean(x, axis=-1)


def log_softmax(z: Any) -> Any:
    return z - np.log(np.sum(np.exp(z), axis=-1, keepdims=True))


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def share(p: Any) -> Any:
    return p / np.sum(p, axis=-1, keepdims=True)


def unit(x: Any, axis: int) -> Any:
    return x / np.sqrt(np.sum(x * x, axis=axis, keepdims=True))


def binary(t: Any, p: Any) -> Any:
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def focal(t: Any, p: Any, gamma: float) -> Any:
    return (1 - t * p - (1 - t) * (1 - p)) ** gamma * binary(t, p)


def huber(t: Any, y: Any, delta: float) -> Any:
    e = absolute(y - t)
    return mean(np.where(np.real(e) <= delta, e * e / 2, delta * e - delta * delta / 2))


def smooth(t: Any, s: float) -> Any:
    return t * (1 - s) + s / t.shape[-1]


def categorical_focal(t: Any, p: Any, alpha: float, gamma: float) -> Any:
    p = p / np.sum(p, -1, keepdims=True)
    return np.sum(-alpha * (1 - p) ** gamma * t * np.log(p), -1)


def categorical_hinge(t: Any, y: Any) -> Any:
    wrong = (1 - t) * y
    largest = np.take_along_axis(wrong, np.argmax(np.real(wrong), -1)[:, None], -1)[:, 0]
    return positive(largest - np.sum(t * y, -1) + 1)


# loss, formula (t, y) -> one number per sample, targets, predictions
CASES: list[tuple[losses.Loss, Any, Any, Any]] = [
    (losses.MeanSquaredError(), lambda t, y: mean((y - t) ** 2), Y, Z),
    (losses.MeanAbsoluteError(), lambda t, y: mean(absolute(y - t)), Y, Z),
    (losses.MeanAbsolutePercentageError(), lambda t, y: 100 * mean(absolute((t - y) / t)), Y, Z),
    (losses.MeanSquaredLogarithmicError(), lambda t, y: mean((np.log(1 + t) - np.log(1 + y)) ** 2), T, P),
    (losses.LogCosh(), lambda t, y: mean(np.log(np.cosh(y - t))), Y, Z),
    (losses.Huber(), lambda t, y: huber(t, y, 1.0), Y, Z),
    (losses.Huber(delta=0.3), lambda t, y: huber(t, y, 0.3), Y, Z),
    (losses.Poisson(), lambda t, y: mean(y - t * np.log(y + 1e-7)), T, P),
    (losses.KLDivergence(), lambda t, p: np.sum(t * np.log(t / p), -1), T, P),
    (losses.CosineSimilarity(), lambda t, y: -np.sum(unit(t, -1) * unit(y, -1), -1), Y, Z),
    (losses.CosineSimilarity(axis=0), lambda t, y: -np.sum(unit(t, 0) * unit(y, 0), 0), Y, Z),
    (losses.Hinge(), lambda t, y: mean(positive(1 - (2 * t - 1) * y)), B, Z),
    (losses.Hinge(), lambda t, y: mean(positive(1 - t * y)), 2 * B - 1, Z),
    (losses.SquaredHinge(), lambda t, y: mean(positive(1 - (2 * t - 1) * y) ** 2), B, Z),
    (losses.CategoricalHinge(), categorical_hinge, ONE_HOT[LABELS], Z),
    (losses.BinaryCrossentropy(), lambda t, p: mean(binary(t, p)), B, P),
    (losses.BinaryCrossentropy(True), lambda t, z: mean(binary(t, sigmoid(z))), B, Z),
    (losses.BinaryCrossentropy(label_smoothing=0.2), lambda t, p: mean(binary(0.8 * t + 0.1, p)), B, P),
    (losses.BinaryCrossentropy(True, 0.2), lambda t, z: mean(binary(0.8 * t + 0.1, sigmoid(z))), B, Z),
    (losses.BinaryFocalCrossentropy(), lambda t, p: mean(focal(t, p, 2.0)), B, P),
    (losses.BinaryFocalCrossentropy(gamma=1.5, from_logits=True), lambda t, z: mean(focal(t, sigmoid(z), 1.5)), B, Z),
    (
        losses.BinaryFocalCrossentropy(True, alpha=0.3, label_smoothing=0.2),
        lambda t, p: mean((0.3 * (0.8 * t + 0.1) + 0.7 * (0.9 - 0.8 * t)) * focal(0.8 * t + 0.1, p, 2.0)),
        B,
        P,
    ),
    (losses.CategoricalCrossentropy(), lambda t, p: -np.sum(t * np.log(p / np.sum(p, -1, keepdims=True)), -1), T, P),
    (losses.CategoricalCrossentropy(label_smoothing=0.1), lambda t, p: -np.sum(smooth(t, 0.1) * np.log(p), -1), T, None),
    (losses.CategoricalCrossentropy(True, 0.1), lambda t, z: -np.sum(smooth(t, 0.1) * log_softmax(z), -1), T, Z),
    (losses.CategoricalFocalCrossentropy(), lambda t, p: categorical_focal(t, p, 0.25, 2.0), T, P),
    (
        losses.CategoricalFocalCrossentropy(1.0, 1.5, True, 0.1),
        lambda t, z: categorical_focal(smooth(t, 0.1), np.exp(log_softmax(z)), 1.0, 1.5),
        T,
        Z,
    ),
    (losses.SparseCategoricalCrossentropy(), lambda t, p: -np.sum(ONE_HOT[t] * np.log(share(p)), -1), LABELS, P),
    (losses.SparseCategoricalCrossentropy(True), lambda t, z: -np.sum(ONE_HOT[t] * log_softmax(z), -1), LABELS, Z),
    (
        losses.SparseCategoricalCrossentropy(True, label_smoothing=0.1),
        lambda t, z: -np.sum(smooth(ONE_HOT[t], 0.1) * log_softmax(z), -1),
        LABELS,
        Z,
    ),
    (
        losses.SparseCategoricalCrossentropy(True, -1),
        lambda t, z: -np.sum(np.where(t < 0, 0, 1)[:, None] * ONE_HOT[t] * log_softmax(z), -1) * 9 / 6,
        SOME,
        Z,
    ),
]
CASES = [case if case[3] is not None else (*case[:3], P) for case in CASES]


def title(case: Any) -> str:
    config = {key: value for key, value in case.get_config().items() if key != "name" and value}
    return f"{type(case).__name__}{config or ''}".replace(" ", "")


@pytest.mark.parametrize(("loss", "formula", "t", "y"), [pytest.param(*case, id=title(case[0])) for case in CASES])
def test_a_loss_is_its_formula(loss: losses.Loss, formula: Any, t: Any, y: Any) -> None:
    if loss.get_config().get("label_smoothing") == 0.1 and not loss.from_logits:  # type: ignore[attr-defined]
        formula = normalised(formula)
    np.testing.assert_allclose(loss.call(t, y), formula(t, y), rtol=1e-12)
    value, slope = fastnn.value_and_grad(lambda y: loss(t, y))(y)
    np.testing.assert_allclose(value, np.mean(formula(t, y)), rtol=1e-12)
    for _ in range(3):
        v = rng.standard_normal(y.shape)
        expected = np.mean(np.imag(formula(t, y + 1j * STEP * v))) / STEP
        assert abs(np.sum(slope * v) - expected) <= 1e-11 * np.sum(np.abs(slope * v))
    copy = type(loss).from_config(loss.get_config())
    assert copy.get_config() == loss.get_config()
    assert np.array_equal(copy.call(t, y), loss.call(t, y))


def normalised(formula: Any) -> Any:
    return lambda t, p: formula(t, p / np.sum(p, -1, keepdims=True))


def test_every_loss_is_tried() -> None:
    tried = {type(case[0]).__name__ for case in CASES}
    assert tried == {name for name in losses.__all__ if name not in ("Loss", "get")}
    assert {type(losses.get(name)).__name__ for name in losses._BY_NAME} == tried


def test_smoothed_sparse_probabilities_through_softmax_are_exact() -> None:
    """Far apart: the probabilities are 0 in float32, the loss is not clipped."""
    z = np.array([[0.0, -200.0, -300.0], [5.0, 0.0, -100.0]], np.float32)
    labels = np.array([1, 2])
    loss = losses.SparseCategoricalCrossentropy(label_smoothing=0.2)
    exact = losses.SparseCategoricalCrossentropy(True, label_smoothing=0.2).call(labels, z)
    model = fastnn.function(lambda z, labels: loss.call(labels, fastnn.ops.softmax(z)))
    np.testing.assert_allclose(model(z, labels), exact, rtol=1e-6)


class TestIgnoredClasses:
    def test_all_ignored_is_zero(self) -> None:
        loss = losses.SparseCategoricalCrossentropy(True, -1)
        value, slope = fastnn.value_and_grad(lambda z: loss(np.full(N, -1), z))(Z)
        assert value == 0
        assert not np.any(slope)

    def test_other_labels_out_of_range_are_errors(self) -> None:
        loss = losses.SparseCategoricalCrossentropy(True, -1)
        with pytest.raises(ValueError, match="label -2 at position 1"):
            loss(np.array([-1, -2, 0]), np.zeros((3, 4)))

    def test_in_fit(self) -> None:
        x = rng.standard_normal((60, 4)).astype(np.float32)
        labels = np.argmax(x[:, :3], -1)
        labels[::2] = -1
        model = fastnn.Sequential([layers.Dense(3, activation="softmax", input_shape=(4,))])
        model.compile("adam", losses.SparseCategoricalCrossentropy(ignore_class=-1))
        history = model.fit(x, labels, epochs=1, batch_size=60, verbose=0).history["loss"]
        p = model.predict(x)
        assert history[0] == pytest.approx(-np.log(p[np.arange(60), labels][1::2]).mean(), rel=0.05)

    def test_labels_that_cannot_hold_it(self) -> None:
        with pytest.raises(TypeError, match="-1 beside an operand of dtype uint8; expected a number that uint8 holds; "):
            losses.SparseCategoricalCrossentropy(ignore_class=-1)(np.zeros(2, np.uint8), np.ones((2, 3)))


MEANS = sorted(name for name, kind in metrics._BY_NAME.items() if kind.__module__ == "fastnn.metrics.means")


@pytest.mark.parametrize("name", MEANS)
def test_metrics_by_name(name: str) -> None:
    metric = metrics.get(name, losses.get("mse"))
    assert metric.name == name
    sparse = name.startswith(("sparse", "perplexity"))
    half = N // 2
    for part in (slice(None, half), slice(half, None)):
        metric.update_state((LABELS if sparse else T)[part], P[part])
    values = np.asarray(metric.call(LABELS if sparse else T, P), np.float64)
    expected = {"root_mean_squared_error": np.sqrt, "perplexity": np.exp}.get(name, lambda mean: mean)(values.mean())
    assert metric.result() == pytest.approx(expected, rel=1e-12)
    copy = type(metric).from_config(metric.get_config())
    assert copy.get_config() == metric.get_config()


def test_metrics_of_losses_have_their_values() -> None:
    for name in ("MeanAbsoluteError", "Hinge", "Poisson", "KLDivergence", "CategoricalHinge", "MeanSquaredLogarithmicError"):
        assert np.array_equal(getattr(metrics, name)().call(T, P), getattr(losses, name)().call(T, P))
    assert np.array_equal(metrics.CosineSimilarity(axis=0).call(T, P), -losses.CosineSimilarity(0).call(T, P))
    smoothed = metrics.BinaryCrossentropy(from_logits=True, label_smoothing=0.3)
    assert np.array_equal(smoothed.call(B, Z), losses.BinaryCrossentropy(True, 0.3).call(B, Z))


def test_a_network_trains_with_each() -> None:
    x = rng.standard_normal((32, 4)).astype(np.float32)
    for name in losses._BY_NAME:
        y = np.argmax(x[:, :3], -1) if name.startswith("sparse") else np.eye(3, dtype=np.float32)[np.argmax(x[:, :3], -1)]
        fastnn.set_seed(0)
        model = fastnn.Sequential([layers.Dense(3, activation="softmax", input_shape=(4,))])
        model.compile(fastnn.optimizers.Adam(0.03), name)
        losses_seen = model.fit(x, y, epochs=8, batch_size=32, verbose=0).history["loss"]
        assert losses_seen[-1] < losses_seen[0], name


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: losses.Huber(0.0), r"Huber: delta=0.0; expected a number above 0; "),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), r"label_smoothing=1.5; expected a number from 0 to 1; "),
        (lambda: losses.CategoricalFocalCrossentropy(gamma=np.nan), r"gamma=nan; expected a finite number; "),
        (lambda: losses.BinaryFocalCrossentropy(alpha="high"), r"alpha='high'; expected a finite number; "),
        (lambda: losses.get("mea"), r"loss: 'mea' does not exist; expected one of .*; did you mean"),
    ],
)
def test_what_losses_refuse(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_axes_and_classes_are_integers() -> None:
    with pytest.raises(TypeError, match=r"CosineSimilarity: axis=0.5; expected an integer; "):
        losses.CosineSimilarity(0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"ignore_class='none'; expected an integer or None; "):
        losses.SparseCategoricalCrossentropy(ignore_class="none")  # type: ignore[arg-type]


def test_positions_are_those_of_keras():
    """What stands elsewhere in Keras has to be named, so that a program made for it is refused instead of misread."""
    assert losses.SparseCategoricalCrossentropy(True, -1).ignore_class == -1
    for refused in (
        lambda: losses.MeanSquaredError("sum"),  # a reduction in Keras
        lambda: losses.Huber(1.0, "sum"),
        lambda: losses.BinaryCrossentropy(False, 0.0, 1),  # an axis
        lambda: fastnn.optimizers.SGD(0.1, 0.9, True, 1e-4),  # the weight decay
        lambda: fastnn.optimizers.Adam(0.1, 0.9, 0.999, 1e-7, True),  # amsgrad
    ):
        with pytest.raises(TypeError, match="positional argument"):
            refused()


def test_names_of_classes():
    assert type(losses.get("MeanSquaredError")) is type(losses.get("MSE")) is losses.MeanSquaredError
    assert losses.get("KLD").get_config() == losses.get("kl_divergence").get_config()
    for name in ("uniform", "RandomUniform"):
        assert type(fastnn.initializers.get(name)) is fastnn.initializers.RandomUniform
    with pytest.raises(ValueError, match=r"loss: 'MeanSquared' does not exist; expected one of"):
        losses.get("MeanSquared")


def test_sparse_probabilities_are_divided_by_their_sum():
    dense, sparse = losses.CategoricalCrossentropy(), losses.SparseCategoricalCrossentropy()
    p = P * rng.uniform(0.5, 2, (N, 1))
    np.testing.assert_allclose(sparse.call(LABELS, p), dense.call(ONE_HOT[LABELS], p), rtol=1e-12)
    x = rng.standard_normal((32, 4)).astype(np.float32)
    weights = []
    for loss, y in ((dense, ONE_HOT[np.arange(32) % CLASSES]), (sparse, np.arange(32) % CLASSES)):
        model = fastnn.Sequential([layers.Dense(CLASSES, activation="sigmoid", kernel_initializer="ones", input_shape=(4,))])
        model.compile(fastnn.optimizers.SGD(0.5), loss)
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        weights.append(model.get_weights()[0])
    np.testing.assert_allclose(*weights, rtol=1e-4, atol=1e-6)
