"""Metrics that are no means of losses, against sums over pairs and loops over samples."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, metrics, ops
from fastnn.callbacks import BackupAndRestore, Callback

rng = np.random.default_rng(0)
N, CLASSES = 60, 4
TRUTH = rng.integers(0, 2, (N, CLASSES))
SCORE = np.clip(rng.random((N, CLASSES)) * 0.7 + 0.3 * TRUTH * rng.random((N, CLASSES)), 0, 1).astype(np.float32)
LABELS = rng.integers(0, CLASSES, N)
LOGITS = rng.standard_normal((N, CLASSES)).astype(np.float32)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[LABELS]


def seen(metric: metrics.Metric, y_true: Any, y_pred: Any) -> Any:
    """The result after three batches, which is that of a copy in a program, and of the metric after a reset."""
    copy = type(metric).from_config(metric.get_config())
    assert copy.get_config() == metric.get_config()

    @fastnn.function
    def update(y_true: Any, y_pred: Any) -> None:
        copy.update_state(y_true, y_pred)

    for _ in range(2):
        for part in (slice(0, 7), slice(7, 40), slice(40, None)):
            metric.update_state(y_true[part], y_pred[part])
            update(y_true[part], y_pred[part])
        result = metric.result()
        np.testing.assert_array_equal(copy.result(), result)
        metric.reset()
        copy.reset()
    return result


def counted(truth: Any, above: Any) -> tuple[int, int, int, int]:
    tp = fp = tn = fn = 0
    for t, a in zip(np.ravel(truth), np.ravel(above)):
        tp, fp, tn, fn = tp + (t and a), fp + (not t and a), tn + (not t and not a), fn + (t and not a)
    return tp, fp, tn, fn


@pytest.mark.parametrize("threshold", [None, 0.3, 0.9, 2.0])
def test_counts(threshold: Any) -> None:
    tp, fp, tn, fn = counted(TRUTH, np.greater(SCORE, 0.5 if threshold is None else threshold))
    expected = {
        metrics.TruePositives: tp,
        metrics.FalsePositives: fp,
        metrics.TrueNegatives: tn,
        metrics.FalseNegatives: fn,
        metrics.Precision: tp / (tp + fp) if tp + fp else 0.0,
        metrics.Recall: tp / (tp + fn),
    }
    for kind, value in expected.items():
        assert seen(kind(threshold), TRUTH, SCORE) == pytest.approx(value, rel=1e-15), kind


@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_top_k(k: int) -> None:
    ties = np.round(LOGITS)  # many equal ones
    for y_pred in (LOGITS, ties):
        hits = [sum(q > p[label] for q in p) < k for p, label in zip(y_pred, LABELS)]
        assert seen(metrics.SparseTopKCategoricalAccuracy(k), LABELS, y_pred) == pytest.approx(np.mean(hits))
        assert seen(metrics.TopKCategoricalAccuracy(k), ONE_HOT, y_pred) == pytest.approx(np.mean(hits))
    best = seen(metrics.SparseTopKCategoricalAccuracy(1), LABELS, LOGITS)
    assert best == seen(metrics.SparseCategoricalAccuracy(), LABELS, LOGITS)


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("threshold", [None, 0.6])
def test_f1_score(average: Any, threshold: Any) -> None:
    guess = np.eye(CLASSES)[SCORE.argmax(-1)] if threshold is None else np.greater(SCORE, threshold)
    scores = []
    for columns in [slice(None)] if average == "micro" else range(CLASSES):
        tp, fp, _, fn = counted(TRUTH[:, columns], guess[:, columns])
        precision, recall = tp / (tp + fp), tp / (tp + fn)
        scores.append(2 * precision * recall / (precision + recall))
    expected = np.average(scores, weights=TRUTH.sum(0)) if average == "weighted" else np.mean(scores)
    found = seen(metrics.F1Score(average, threshold), TRUTH, SCORE)
    np.testing.assert_allclose(found, scores if average is None else expected, rtol=1e-12)
    assert isinstance(found, float) or found.shape == (CLASSES,)


def test_f1_score_of_nothing() -> None:
    metric = metrics.F1Score()
    assert np.isnan(metric.result())
    metric.update_state(np.zeros((2, 3)), np.zeros((2, 3)))  # no class is the most probable one of zeros
    np.testing.assert_array_equal(metric.result(), 0)


def test_auc_is_the_share_of_ordered_pairs() -> None:
    """Mann and Whitney: how often a true one scores more than a false one, ties as one half; on a grid of scores exact."""
    score = rng.integers(0, 101, 500) / 100
    truth = rng.random(500) < score**2
    higher = score[truth][:, None] - score[~truth][None, :]
    expected = np.mean((higher > 0) + 0.5 * (higher == 0))
    assert seen(metrics.AUC(num_thresholds=2001), truth, score) == pytest.approx(expected, rel=1e-12)
    logits = np.log(np.clip(score, 1e-4, 1 - 1e-4) / (1 - np.clip(score, 1e-4, 1 - 1e-4)))
    assert seen(metrics.AUC(2001, from_logits=True), truth, logits) == pytest.approx(expected, rel=1e-12)


def curve_points(count: int) -> Any:
    thresholds = [1.0 + 1e-7, *(np.arange(count - 2, 0, -1) / (count - 1)), -1e-7]
    return [counted(TRUTH, SCORE.astype(np.float64) > t) for t in thresholds]


@pytest.mark.parametrize("curve", ["ROC", "PR"])
def test_auc_between_steps(curve: str) -> None:
    """Minoring and majoring enclose interpolation, and are the sums of rectangles."""
    low = high = 0.0
    points = []
    for tp, fp, tn, fn in curve_points(40):
        y = tp / (tp + fp) if tp + fp else 0.0
        points.append((fp / (fp + tn), tp / (tp + fn)) if curve == "ROC" else (tp / (tp + fn), y))
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        low, high = low + (x1 - x0) * min(y0, y1), high + (x1 - x0) * max(y0, y1)
    found = [seen(metrics.AUC(40, curve, how), TRUTH, SCORE) for how in ("minoring", "interpolation", "majoring")]
    assert (found[0], found[2]) == pytest.approx((low, high), rel=1e-12)
    assert found[0] < found[1] < found[2]
    if curve == "ROC":
        assert found[1] == pytest.approx((low + high) / 2, rel=1e-12)


def test_auc_interpolates_precision() -> None:
    """Between two points of the curve as many true and false ones are added in proportion, here in 2,000 small steps."""
    area = 0.0
    points = curve_points(20)
    for (tp0, fp0, _, fn), (tp1, fp1, _, _) in itertools.pairwise(points):
        share = (np.arange(2000) + 0.5) / 2000
        tp, fp = tp0 + (tp1 - tp0) * share, fp0 + (fp1 - fp0) * share
        if tp1 + fp1:
            area += np.mean(tp / (tp + fp)) * (tp1 - tp0) / (tp0 + fn)
    assert seen(metrics.AUC(20, "PR"), TRUTH, SCORE) == pytest.approx(area, rel=1e-6)


def test_auc_without_one_side() -> None:
    for truth in (0, 1):
        assert seen(metrics.AUC(), np.full(N, truth), SCORE[:, 0]) == 0.0
    assert metrics.AUC().result() == 0.0


@pytest.mark.parametrize("how", [None, "uniform_average", "variance_weighted_average"])
def test_r2_score(how: Any) -> None:
    y = rng.standard_normal((N, 3)) * [1.0, 5.0, 0.0] + [0.0, 3.0, 2.0]
    p = y + rng.standard_normal((N, 3))
    spread, errors = np.square(y - y.mean(0)).sum(0), np.square(y - p).sum(0)
    scores = np.array([1 - errors[0] / spread[0], 1 - errors[1] / spread[1], 0.0])  # the last is constant
    expected = {None: scores, "uniform_average": scores.mean()}.get(how, np.average(scores, weights=spread))
    np.testing.assert_allclose(seen(metrics.R2Score(how), y, p), expected, rtol=1e-9, atol=1e-12)
    assert np.isnan(metrics.R2Score().result())


def test_perplexity() -> None:
    z = LOGITS.astype(np.float64)
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    expected = np.exp(-np.mean(np.log(p[np.arange(N), LABELS])))
    assert seen(metrics.Perplexity(from_logits=True), LABELS, z) == pytest.approx(expected, rel=1e-12)
    assert seen(metrics.Perplexity(), LABELS, p) == pytest.approx(expected, rel=1e-9)


def test_confusion_matrix() -> None:
    expected = np.zeros((CLASSES, CLASSES))
    for label, p in zip(LABELS, LOGITS):
        expected[label, p.argmax()] += 1
    np.testing.assert_array_equal(seen(metrics.ConfusionMatrix(CLASSES), LABELS, LOGITS), expected)
    np.testing.assert_array_equal(seen(metrics.ConfusionMatrix(CLASSES), ONE_HOT, LOGITS), expected)


def test_user_state() -> None:
    class Extremes(metrics.Metric):
        def __init__(self, name: str = "extremes") -> None:
            super().__init__(name, {"low": (), "high": ()})

        def update_state(self, y_true: Any, y_pred: Any) -> None:
            self.low.assign(ops.minimum(self.low, ops.cast(ops.min(y_pred), "float64")))
            self.high.assign(ops.maximum(self.high, ops.cast(ops.max(y_pred), "float64")))

        def result(self) -> Any:
            return float(self.high) - float(self.low)

    assert seen(Extremes(), LABELS, LOGITS) == pytest.approx(np.ptp(LOGITS))


NEW = [
    "auc",
    "f1_score",
    "false_negatives",
    "precision",
    "r2_score",
    "recall",
    "top_k_categorical_accuracy",
    "true_positives",
]


def make(where: Any = None) -> Any:
    fastnn.set_seed(3)
    model = fastnn.Sequential([layers.Dense(CLASSES, activation="softmax", input_shape=(5,))])
    model.compile("sgd", "categorical_crossentropy", metrics=[*NEW, metrics.ConfusionMatrix(CLASSES)])
    return model


X = rng.standard_normal((N, 5)).astype(np.float32)


def test_in_training() -> None:
    """By name in compile; in logs are the numbers, those of arrays are read from the metric."""
    model = make()
    logs = model.fit(X, ONE_HOT, epochs=2, batch_size=16, validation_data=(X[:20], ONE_HOT[:20]), verbose=0).history
    p = model.predict(X)
    assert set(logs) == {prefix + name for prefix in ("", "val_") for name in ["loss", *NEW] if name != "f1_score"}
    assert all(type(value) is float for values in logs.values() for value in values)
    np.testing.assert_array_equal(model.metrics[-1].result().sum(1), ONE_HOT[:20].sum(0))
    results = model.evaluate(X, ONE_HOT, batch_size=7, return_dict=True)
    assert len(model.evaluate(X, ONE_HOT, batch_size=7)) == len(results)
    for metric in model.metrics[1:]:
        alone = type(metric).from_config(metric.get_config())
        alone.update_state(ONE_HOT, p)
        np.testing.assert_allclose(metric.result(), alone.result(), rtol=1e-5)
        if isinstance(alone.result(), float):
            assert results[metric.name] == metric.result()


class Stop(Exception):
    pass


class StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.left = step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stop


def test_resume_within_an_epoch(tmp_path: Path) -> None:
    def run(folder: Path | None, stop: int = 0) -> Any:
        callbacks: list[Any] = [] if folder is None else [BackupAndRestore(folder, save_freq=1)]
        model = make()
        callbacks += [StopAt(stop)] if stop else []
        return model.fit(X, ONE_HOT, 16, epochs=3, verbose=0, callbacks=callbacks), [m.result() for m in model.metrics]

    history, results = run(None)
    with pytest.raises(Stop):
        run(tmp_path, 7)
    again, found = run(tmp_path)
    assert again.history == history.history
    for a, b in zip(results, found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("top_k", "class_id", "threshold"), [(2, None, None), (2, 1, None), (None, 0, 0.3), (3, 2, 0.2)])
def test_precision_and_recall_of_a_part(top_k: Any, class_id: Any, threshold: Any) -> None:
    """By sorting, on arrays with an axis between, and within a compiled model."""
    rng = np.random.default_rng(2)
    scores, truth = rng.permuted(np.tile(np.arange(4) / 7, (30, 1)), axis=1).astype("f"), rng.integers(0, 2, (30, 4))
    guess = scores > (threshold if threshold is not None else -1 if top_k else 0.5)
    if top_k is not None:
        guess &= scores >= np.sort(scores, axis=1)[:, -top_k, None]
    t, g = (truth.astype(bool), guess) if class_id is None else (truth[:, class_id].astype(bool), guess[:, class_id])
    hits = (t & g).sum()
    for kind, expected in ((metrics.Precision, hits / max(g.sum(), 1)), (metrics.Recall, hits / t.sum())):
        metric = kind(threshold, top_k, class_id)
        for part in (slice(0, 11), slice(11, 30)):
            metric.update_state(truth[part], scores[part])
        assert metric.result() == pytest.approx(expected)
        wide = type(metric).from_config(metric.get_config())
        wide.update_state(truth.reshape(5, 6, 4), scores.reshape(5, 6, 4))
        assert wide.result() == pytest.approx(expected)
        model = fastnn.Sequential([layers.Identity(input_shape=(4,)), layers.Dense(4, kernel_initializer="ones")])
        model.compile("sgd", "binary_crossentropy", metrics=[kind(threshold, top_k, class_id, name="part")])
        model.set_weights([np.eye(4), np.zeros(4)])
        assert model.evaluate(scores, truth, return_dict=True)["part"] == pytest.approx(expected)


def test_saved(tmp_path: Path) -> None:
    model = make()
    model.fit(X, ONE_HOT, verbose=0)
    model.save(tmp_path / "model.safetensors")
    copy = fastnn.load_model(tmp_path / "model.safetensors")
    assert [m.get_config() for m in copy.metrics] == [m.get_config() for m in model.metrics]
    assert copy.evaluate(X, ONE_HOT) == model.evaluate(X, ONE_HOT)


@pytest.mark.parametrize(
    ("make_it", "kind", "words"),
    [
        (lambda: metrics.Precision([0.3, 0.5]), ValueError, "precision: thresholds=.*; expected one number"),
        (lambda: metrics.Recall("high"), ValueError, "recall: thresholds='high'"),
        (lambda: metrics.Precision(top_k=0), ValueError, "top_k=0; expected a positive integer"),
        (lambda: metrics.Recall(class_id=-1), ValueError, "class_id=-1; expected an integer of 0 or more"),
        (lambda: metrics.Recall(class_id=True), ValueError, "class_id=True"),
        (lambda: metrics.Precision(top_k=9).update_state(ONE_HOT, ONE_HOT), ValueError, "expected at least 9 classes"),
        (lambda: metrics.Recall(class_id=8).update_state(ONE_HOT, ONE_HOT), ValueError, "expected at least 9 classes"),
        (lambda: metrics.Recall(top_k=1).update_state(LABELS, LABELS), ValueError, "predictions of 1 axes"),
        (lambda: metrics.AUC(1), ValueError, "num_thresholds=1; expected at least 2"),
        (lambda: metrics.AUC(curve="roc"), ValueError, "curve='roc'; expected 'ROC' or 'PR'"),
        (lambda: metrics.AUC(summation_method="exact"), ValueError, "summation_method='exact'"),
        (lambda: metrics.AUC(from_logits=1), TypeError, "from_logits=1"),  # type: ignore[arg-type]
        (lambda: metrics.F1Score("mean"), ValueError, "average='mean'; expected None"),
        (lambda: metrics.F1Score(threshold=float("nan")), ValueError, "threshold=nan"),
        (lambda: metrics.R2Score("sum"), ValueError, "class_aggregation='sum'"),
        (lambda: metrics.ConfusionMatrix(0), ValueError, "num_classes=0"),
        (lambda: metrics.TopKCategoricalAccuracy(0), ValueError, "k=0"),
        (lambda: metrics.Precision().update_state(LABELS, LOGITS), ValueError, "one label, 0 or 1, per prediction"),
        (lambda: metrics.AUC().update_state(LABELS, LOGITS), ValueError, "one label, 0 or 1, per prediction"),
        (lambda: metrics.F1Score().update_state(LABELS, LABELS), ValueError, "predictions of 1 axes"),
        (lambda: metrics.R2Score().update_state(LABELS, LOGITS), ValueError, "expected the same shape"),
        (lambda: metrics.ConfusionMatrix(3).update_state(LABELS, LOGITS), ValueError, "expected 3 classes on the last axis"),
        (lambda: metrics.ConfusionMatrix(4).update_state(LABELS + 1, LOGITS), ValueError, "one_hot|take"),
        (lambda: metrics.get("f1_scor", losses.get("mse")), ValueError, "did you mean 'f1_score'"),
    ],
)
def test_bad_input(make_it: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        make_it()


# ---- weighted_metrics ------------------------------------------------------------------------------------------------------


def weighted(**options: Any) -> Any:
    fastnn.set_seed(1)
    model = fastnn.Sequential([layers.Dense(CLASSES, activation="softmax", input_shape=X.shape[1:])])
    model.compile(fastnn.optimizers.SGD(0.1), "categorical_crossentropy", **options)
    return model


def test_weighted_means() -> None:
    model = weighted(metrics=["accuracy", "mae"], weighted_metrics=["mae", "mse", "root_mean_squared_error"])
    w = np.random.default_rng(3).uniform(0, 2, N)
    error = model.predict(X).astype("d") - ONE_HOT
    results = model.evaluate(X, ONE_HOT, batch_size=7, sample_weight=w, return_dict=True)
    assert list(results) == ["loss", "accuracy", "mae", "weighted_mae", "mse", "root_mean_squared_error"]
    assert results["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert results["weighted_mae"] == pytest.approx(np.average(np.abs(error).mean(1), weights=w), rel=1e-5)
    assert results["mse"] == pytest.approx(np.average((error**2).mean(1), weights=w), rel=1e-5)
    assert results["root_mean_squared_error"] == pytest.approx(np.sqrt(np.average((error**2).mean(1), weights=w)), rel=1e-5)
    plain = model.evaluate(X, ONE_HOT, return_dict=True)
    assert plain["weighted_mae"] == plain["mae"]
    by_class = model.train_on_batch(X, ONE_HOT, class_weight={0: 3.0, 1: 0.0}, return_dict=True)
    each = np.select([LABELS == 0, LABELS == 1], [3.0, 0.0], 1.0)
    assert by_class["weighted_mae"] == pytest.approx(np.average(np.abs(error).mean(1), weights=each), rel=1e-5)


def test_weighted_metrics_of_several_outputs_and_in_files(tmp_path: Path) -> None:
    x = fastnn.Input(X.shape[1:])
    model = fastnn.Model(x, {"a": layers.Dense(CLASSES)(x), "b": layers.Dense(1)(x)})
    model.compile("sgd", "mse", metrics={"a": ["mae"]}, weighted_metrics={"a": ["mae"], "b": ["mae"]})
    w = [np.random.default_rng(i).uniform(0, 2, N) for i in (4, 5)]
    y = {"a": ONE_HOT, "b": np.ones((N, 1))}
    predicted = model.predict(X)
    results = model.evaluate(X, y, sample_weight={"a": w[0], "b": w[1]}, return_dict=True)
    for name, log, weights in (("a", "a_weighted_mae", w[0]), ("b", "b_mae", w[1])):
        errors = np.abs(predicted[name].astype("d") - y[name]).mean(1)
        assert results[log] == pytest.approx(np.average(errors, weights=weights), rel=1e-5)
    model.save(tmp_path / "model.safetensors")
    loaded = fastnn.load_model(tmp_path / "model.safetensors")
    assert loaded.evaluate(X, y, sample_weight={"a": w[0], "b": w[1]}, return_dict=True) == results


def test_weights_that_are_all_zero() -> None:
    model = weighted(weighted_metrics=["mae"])
    assert np.isnan(model.evaluate(X, ONE_HOT, sample_weight=np.zeros(N), return_dict=True)["mae"])


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"weighted_metrics": "mae"}, TypeError, "weighted_metrics='mae'; expected a list"),
        ({"weighted_metrics": ["maee"]}, ValueError, "did you mean 'mae'"),
        ({"weighted_metrics": [metrics.Precision()]}, ValueError, "weighted_metrics with precision; expected means"),
        ({"weighted_metrics": ["mae", "mae"]}, ValueError, "expected different names"),
    ],
)
def test_weighted_metrics_that_are_refused(options: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        weighted(**options)
