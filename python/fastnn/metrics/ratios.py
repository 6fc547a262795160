"""Metrics that are no means: counts, what is made of counts, and the coefficient of determination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.layers.layer import check_size, shape_text
from fastnn.metrics.base import Metric
from fastnn.tracing import Array, Variable
from fastnn.utils import check_number


def _same_shape(where: str, y_true: Any, y_pred: Any) -> None:
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{where}: labels of shape {shape_text(y_true)} for predictions of shape {shape_text(y_pred)}; expected one "
            "label, 0 or 1, per prediction; make integer labels one-hot with fastnn.utils.to_categorical"
        )


def _add(total: Variable, values: Any, axes: Any = None) -> None:
    total.assign(total + ops.sum(ops.cast(values, "float64"), axes))


def _ratio(part: Any, whole: Any) -> Array:
    """`part / whole`, 0 where there is nothing."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    ratio: Array = np.divide(part, whole, out=np.zeros(whole.shape), where=whole != 0.0)
    return ratio


# ---- Counts of what a threshold decides --------------------------------------------------------------------------------------


class _Counts(Metric):
    """Counts predictions above a threshold, and not, by what is true. A subclass names those it needs."""

    # (attribute, is it true, is it predicted)
    _counted: tuple[tuple[str, bool, bool], ...] = ()

    def __init__(self, thresholds: float | None, name: str) -> None:
        super().__init__(name, {what: () for what, _, _ in self._counted})
        if isinstance(thresholds, (list, tuple)):
            raise ValueError(
                f"{name}: thresholds={thresholds!r}; expected one number, because logs hold one; pass several metrics with a "
                "threshold each"
            )
        self.thresholds = None if thresholds is None else check_number(name, "thresholds", thresholds, 0.5)

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        _same_shape(self.name, y_true, y_pred)
        self._add_sides(ops.cast(y_true, "bool"), self._above(y_pred))

    def _add_sides(self, truth: Any, above: Any) -> None:
        for what, is_true, is_above in self._counted:
            sides = truth if is_true else ops.logical_not(truth), above if is_above else ops.logical_not(above)
            _add(getattr(self, what), ops.logical_and(*sides))

    def _above(self, y_pred: Any) -> Any:
        return ops.greater(y_pred, 0.5 if self.thresholds is None else self.thresholds)

    def _count(self, index: int) -> float:
        return float(getattr(self, self._counted[index][0]).numpy())

    def result(self) -> float:
        return self._count(0)

    def get_config(self) -> dict[str, Any]:
        return {"thresholds": self.thresholds, **super().get_config()}


class TruePositives(_Counts):
    """How many predictions above the threshold have the label 1.

    Args:
        thresholds: a number, default 0.5; for logits pass 0.
        name: in logs.

    `y_true` (0 is false, all else true) and `y_pred` have the same shape.

    Raises:
        ValueError: a threshold that is no finite number, or several; when updated, labels of another shape.

    Example:
        >>> metric = fastnn.metrics.TruePositives()
        >>> metric.update_state(np.array([1, 1, 0]), np.array([0.9, 0.2, 0.8]))
        >>> metric.result()
        1.0
    """

    _counted = (("true_positives", True, True),)

    def __init__(self, thresholds: float | None = None, name: str = "true_positives") -> None:
        super().__init__(thresholds, name)


class TrueNegatives(_Counts):
    """How many predictions not above the threshold have the label 0.

    Args:
        thresholds: as for `TruePositives`.
        name: in logs.

    Raises:
        ValueError: as there.

    Example:
        >>> metric = fastnn.metrics.TrueNegatives()
        >>> metric.update_state(np.array([1, 1, 0]), np.array([0.9, 0.2, 0.8]))
        >>> metric.result()
        0.0
    """

    _counted = (("true_negatives", False, False),)

    def __init__(self, thresholds: float | None = None, name: str = "true_negatives") -> None:
        super().__init__(thresholds, name)


class FalsePositives(_Counts):
    """How many predictions above the threshold have the label 0.

    Args:
        thresholds: as for `TruePositives`.
        name: in logs.

    Raises:
        ValueError: as there.

    Example:
        >>> metric = fastnn.metrics.FalsePositives()
        >>> metric.update_state(np.array([1, 1, 0]), np.array([0.9, 0.2, 0.8]))
        >>> metric.result()
        1.0
    """

    _counted = (("false_positives", False, True),)

    def __init__(self, thresholds: float | None = None, name: str = "false_positives") -> None:
        super().__init__(thresholds, name)


class FalseNegatives(_Counts):
    """How many predictions not above the threshold have the label 1.

    Args:
        thresholds: as for `TruePositives`.
        name: in logs.

    Raises:
        ValueError: as there.

    Example:
        >>> metric = fastnn.metrics.FalseNegatives()
        >>> metric.update_state(np.array([1, 1, 0]), np.array([0.9, 0.2, 0.8]))
        >>> metric.result()
        1.0
    """

    _counted = (("false_negatives", True, False),)

    def __init__(self, thresholds: float | None = None, name: str = "false_negatives") -> None:
        super().__init__(thresholds, name)


class Precision(_Counts):
    """The share of what is predicted that is true: `TP / (TP + FP)`, 0 where nothing is predicted.

    Args:
        thresholds: as for `TruePositives`; with top_k default none.
        top_k: only the k largest predictions of each row, the last axis, count as predicted.
        class_id: only this place of the last axis is looked at, after top_k.
        name: in logs.

    Raises:
        ValueError: as there; a number that is no positive integer; when updated, rows without as many classes.

    Example:
        >>> metric = fastnn.metrics.Precision()
        >>> metric.update_state(np.array([1, 1, 0]), np.array([0.9, 0.2, 0.8]))
        >>> metric.result()
        0.5
        >>> metric = fastnn.metrics.Precision(top_k=2)
        >>> metric.update_state(np.array([[1, 0, 0]]), np.array([[0.1, 0.6, 0.3]]))
        >>> metric.result()
        0.0
    """

    _counted = (("true_positives", True, True), ("false_positives", False, True))

    def __init__(
        self,
        thresholds: float | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str = "precision",
    ) -> None:
        super().__init__(thresholds, name)
        self.top_k = None if top_k is None else check_size(name, "top_k", top_k)
        good = isinstance(class_id, (int, np.integer)) and not isinstance(class_id, bool) and class_id >= 0
        if class_id is not None and not good:
            raise ValueError(f"{name}: class_id={class_id!r}; expected an integer of 0 or more; pass for example 0")
        self.class_id = None if class_id is None else int(class_id)

    def _above(self, y_pred: Any) -> Any:
        if self.top_k is None:
            return super()._above(y_pred)
        _, places = ops.top_k(y_pred, self.top_k)
        largest = ops.any(ops.cast(ops.one_hot(places, y_pred.shape[-1]), "bool"), axes=-2)
        return largest if self.thresholds is None else ops.logical_and(largest, super()._above(y_pred))

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        _same_shape(self.name, y_true, y_pred)
        least = max(self.top_k or 1, 0 if self.class_id is None else self.class_id + 1)
        if (self.top_k is not None or self.class_id is not None) and _last_axis(self.name, y_pred.shape) < least:
            raise ValueError(
                f"{self.name}: predictions of shape {shape_text(y_pred)} with top_k={self.top_k} and class_id={self.class_id}; "
                f"expected at least {least} classes on the last axis; pass smaller numbers"
            )
        sides = ops.cast(y_true, "bool"), self._above(y_pred)
        if self.class_id is not None:
            sides = sides[0][..., self.class_id], sides[1][..., self.class_id]
        self._add_sides(*sides)

    def result(self) -> float:
        return float(_ratio(self._count(0), self._count(0) + self._count(1)))

    def get_config(self) -> dict[str, Any]:
        own = {name: value for name, value in (("top_k", self.top_k), ("class_id", self.class_id)) if value is not None}
        return {**own, **super().get_config()}


class Recall(Precision):
    """The share of what is true that is predicted: `TP / (TP + FN)`, 0 where nothing is true.

    Args:
        thresholds: as for `Precision`.
        top_k: likewise.
        class_id: likewise.
        name: in logs.

    Raises:
        ValueError: as there.

    Example:
        >>> metric = fastnn.metrics.Recall()
        >>> metric.update_state(np.array([1, 1, 0]), np.array([0.9, 0.2, 0.8]))
        >>> metric.result()
        0.5
    """

    _counted = (("true_positives", True, True), ("false_negatives", True, False))

    def __init__(
        self,
        thresholds: float | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str = "recall",
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name)


class AUC(Metric):
    """The area under the curve that a threshold draws as it goes from above 1 to below 0.

    ROC: the share of the true that is predicted over the share of the false that is. PR: precision over recall. The curve is
    known at `num_thresholds` points, evenly from 0 to 1, the first and last a little outside.

    Args:
        num_thresholds: at least 2.
        curve: `"ROC"` or `"PR"`.
        summation_method: between the points: `"interpolation"` (ROC: straight lines; PR: the counts change in proportion, so
            that precision does not), `"minoring"` the lower or `"majoring"` the higher one of both ends.
        name: in logs.
        from_logits: takes the sigmoid of predictions first.

    `y_true` (0 is false, all else true) and `y_pred` have the same shape. All of it counts as one problem; Keras's
    `multi_label` and `thresholds` do not exist.

    Raises:
        ValueError: an option outside its range; when updated, labels of another shape.

    Source:
        Davis and Goadrich, "The relationship between precision-recall and ROC curves", ICML 2006.

    Example:
        >>> metric = fastnn.metrics.AUC()
        >>> metric.update_state(np.array([0, 0, 1, 1]), np.array([0.0, 0.5, 0.3, 0.9]))
        >>> metric.result()
        0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str = "auc",
        from_logits: bool = False,
    ) -> None:
        if check_size(name, "num_thresholds", num_thresholds) < 2:
            raise ValueError(f"{name}: num_thresholds=1; expected at least 2; pass for example 200")
        if curve not in ("ROC", "PR"):
            raise ValueError(f"{name}: curve={curve!r}; expected 'ROC' or 'PR'; pass one of them")
        if summation_method not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                f"{name}: summation_method={summation_method!r}; expected 'interpolation', 'minoring' or 'majoring'; pass one"
            )
        if not isinstance(from_logits, bool):
            raise TypeError(f"{name}: from_logits={from_logits!r}; expected True or False; pass one of them")
        self.num_thresholds, self.curve = int(num_thresholds), curve
        self.summation_method, self.from_logits = summation_method, from_logits
        self._thresholds = np.linspace(0.0, 1.0, self.num_thresholds)
        self._thresholds[0], self._thresholds[-1] = -1e-7, 1.0 + 1e-7
        above, all_of = (self.num_thresholds,), ()
        super().__init__(name, {"true_positives": above, "false_positives": above, "positives": all_of, "negatives": all_of})

    true_positives: Variable
    false_positives: Variable
    positives: Variable
    negatives: Variable

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        _same_shape(self.name, y_true, y_pred)
        score = ops.sigmoid(y_pred) if self.from_logits else y_pred
        score = ops.reshape(ops.cast(score, "float64"), (1, -1))
        truth = ops.reshape(ops.cast(y_true, "bool"), (1, -1))
        above = ops.greater(score, self._thresholds[:, None])
        false = ops.logical_not(truth)
        _add(self.true_positives, ops.logical_and(above, truth), axes=1)
        _add(self.false_positives, ops.logical_and(above, false), axes=1)
        _add(self.positives, truth)
        _add(self.negatives, false)

    def result(self) -> float:
        # From the highest threshold, where nothing is predicted, to the lowest.
        tp, fp = self.true_positives.numpy()[::-1], self.false_positives.numpy()[::-1]
        recall = _ratio(tp, self.positives.numpy())
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._interpolated_precision(tp, tp + fp)
        x, y = (_ratio(fp, self.negatives.numpy()), recall) if self.curve == "ROC" else (recall, _ratio(tp, tp + fp))
        low, high = np.minimum(y[:-1], y[1:]), np.maximum(y[:-1], y[1:])
        height = {"interpolation": (low + high) / 2, "minoring": low, "majoring": high}[self.summation_method]
        return float(np.sum(np.diff(x) * height))

    def _interpolated_precision(self, tp: Array, predicted: Array) -> float:
        """The integral of precision over recall, where between two points TP is a linear function of TP + FP.

        With `TP = a + s p` and `p = TP + FP`: the integral of `TP / p dTP = (a + s p) / p s dp` is `s (s dp + a log(p' / p))`.
        """
        before, after = predicted[:-1], predicted[1:]
        slope = _ratio(np.diff(tp), np.diff(predicted))
        start = tp[:-1] - slope * before
        growth = np.ones_like(after)
        np.divide(after, before, out=growth, where=(before > 0) & (after > 0))
        area = slope * (np.diff(tp) + start * np.log(growth))
        return float(np.sum(_ratio(area, self.positives.numpy())))

    def get_config(self) -> dict[str, Any]:
        own = ("num_thresholds", "curve", "summation_method", "from_logits")
        return {**{what: getattr(self, what) for what in own}, **super().get_config()}


# ---- By class ----------------------------------------------------------------------------------------------------------------


class F1Score(Metric):
    """The harmonic mean of precision and recall of every class: `2 TP / (2 TP + FP + FN)`, 0 for a class without any.

    Args:
        average: None: one number per class, an array, which logs leave out. `"macro"`: their mean. `"weighted"`: their mean
            weighted by how often each class is true. `"micro"`: one number from the counts of all classes together.
        threshold: what is above is predicted; None: the most probable class, and what equals it, unless it is 0.
        name: in logs.

    `y_true`, of 0 and 1, and `y_pred` are both `(batch, ..., classes)`.

    Raises:
        ValueError: an option outside its range; when updated, shapes that differ.

    Example:
        >>> metric = fastnn.metrics.F1Score(average="macro")
        >>> metric.update_state(np.eye(2), np.array([[0.6, 0.4], [0.7, 0.3]]))
        >>> round(metric.result(), 4)
        0.3333
    """

    def __init__(self, average: str | None = None, threshold: float | None = None, name: str = "f1_score") -> None:
        super().__init__(name, {})
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"{name}: average={average!r}; expected None, 'micro', 'macro' or 'weighted'; pass one of them")
        self.average = average
        self.threshold = None if threshold is None else check_number(name, "threshold", threshold, 0.5)
        self._built = False

    true_positives: Variable
    predicted: Variable
    positives: Variable

    def build(self, output_shape: Sequence[int | None]) -> None:
        if not self._built:
            classes = _last_axis(self.name, output_shape)
            self._remember({"true_positives": (classes,), "predicted": (classes,), "positives": (classes,)})
            self._built = True

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        _same_shape(self.name, y_true, y_pred)
        self.build(y_pred.shape)
        if self.threshold is None:
            most = ops.greater_equal(y_pred, ops.max(y_pred, axes=-1, keepdims=True))
            guess = ops.logical_and(most, ops.greater(ops.abs(y_pred), 1e-9))
        else:
            guess = ops.greater(y_pred, self.threshold)
        truth = ops.cast(y_true, "bool")
        samples = tuple(range(len(y_pred.shape) - 1))
        _add(self.true_positives, ops.logical_and(truth, guess), samples)
        _add(self.predicted, guess, samples)
        _add(self.positives, truth, samples)

    def result(self) -> Any:
        """The score so far, an array with `average=None`; NaN before the first sample."""
        if not self._built:
            return float("nan")
        counts = [v.numpy() for v in (self.true_positives, self.predicted, self.positives)]
        tp, predicted, positives = [np.sum(c) for c in counts] if self.average == "micro" else counts
        score = _ratio(2.0 * tp, predicted + positives)  # FP + FN = predicted - TP + positives - TP
        if self.average is None:
            return score
        if self.average == "weighted":
            return float(np.sum(_ratio(score * positives, np.sum(positives))))
        return float(np.mean(score))

    def get_config(self) -> dict[str, Any]:
        return {"average": self.average, "threshold": self.threshold, **super().get_config()}


def _last_axis(where: str, shape: Sequence[int | None]) -> int:
    last = shape[-1] if len(shape) > 1 else None
    if not isinstance(last, int):
        raise ValueError(f"{where}: predictions of {len(shape)} axes; expected (batch, ..., outputs); add an axis")
    return last


class ConfusionMatrix(Metric):
    """How often each class is predicted for each: `result()[i, j]` samples of class i had j as their most probable class.

    The result is an array `(num_classes, num_classes)`; logs and `History` leave it out. After `evaluate`, or at the end of an
    epoch, which saw the validation data last, it is read from the metric.

    Args:
        num_classes: length of the last axis of predictions.
        name: of its state in checkpoints.

    `y_true` is integers `(batch, ...)` or one-hot like `y_pred`, `(batch, ..., classes)`.

    Raises:
        ValueError: num_classes that is no positive integer; when updated, other shapes, or labels out of range.

    Example:
        >>> matrix = fastnn.metrics.ConfusionMatrix(2)
        >>> model = fastnn.Sequential([layers.Dense(2, kernel_initializer="ones", input_shape=(2,))])
        >>> model.compile(loss=fastnn.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=[matrix])
        >>> loss = model.evaluate(np.ones((3, 2)), np.array([0, 1, 1]))
        >>> matrix.result()
        array([[1., 0.],
               [2., 0.]])
    """

    matrix: Variable

    def __init__(self, num_classes: int, name: str = "confusion_matrix") -> None:
        self.num_classes = check_size(name, "num_classes", num_classes)
        super().__init__(name, {"matrix": (self.num_classes, self.num_classes)})

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        if y_pred.shape[-1] != self.num_classes:
            raise ValueError(
                f"{self.name}: predictions of shape {shape_text(y_pred)}; expected {self.num_classes} classes on the last "
                "axis; pass num_classes of the model"
            )
        labels = ops.argmax(y_true) if len(y_true.shape) == len(y_pred.shape) else ops.cast(y_true, "int64")
        rows, columns = (
            ops.reshape(ops.one_hot(x, self.num_classes), (-1, self.num_classes)) for x in (labels, ops.argmax(y_pred))
        )
        # Sums of ones: exact in float32 up to 2^24 samples a batch.
        self.matrix.assign(self.matrix + ops.cast(ops.matmul(rows, columns, transpose_a=True), "float64"))

    def result(self) -> Any:
        """The matrix so far, a float64 array."""
        return self.matrix.numpy()

    def get_config(self) -> dict[str, Any]:
        return {"num_classes": self.num_classes, **super().get_config()}


# ---- Regression --------------------------------------------------------------------------------------------------------------


class R2Score(Metric):
    """The coefficient of determination `1 - sum (y_true - y_pred)^2 / sum (y_true - mean of y_true)^2` of every output.

    1 is perfect, 0 as good as the mean. An output whose targets are all equal scores 0, as in Keras.

    Args:
        class_aggregation: `"uniform_average"`: the mean over outputs. `"variance_weighted_average"`: weighted by the variance
            of each. None: one number per output, an array, which logs leave out.
        name: in logs.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`. Keras's `num_regressors` does not exist.

    Raises:
        ValueError: another class_aggregation; when updated, shapes that differ.

    Example:
        >>> metric = fastnn.metrics.R2Score()
        >>> metric.update_state(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [4.0]]))
        >>> metric.result()
        0.5
    """

    def __init__(self, class_aggregation: str | None = "uniform_average", name: str = "r2_score") -> None:
        super().__init__(name, {})
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ValueError(
                f"{name}: class_aggregation={class_aggregation!r}; expected 'uniform_average', 'variance_weighted_average' or "
                "None; pass one of them"
            )
        self.class_aggregation = class_aggregation
        self._built = False

    squared_errors: Variable
    targets: Variable
    squared_targets: Variable
    count: Variable

    def build(self, output_shape: Sequence[int | None]) -> None:
        if not self._built:
            outputs = (_last_axis(self.name, output_shape),)
            self._remember({"squared_errors": outputs, "targets": outputs, "squared_targets": outputs, "count": outputs})
            self._built = True

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name}: targets of shape {shape_text(y_true)} for predictions of shape {shape_text(y_pred)}; expected "
                "the same shape; reshape the targets"
            )
        self.build(y_pred.shape)
        samples = tuple(range(len(y_pred.shape) - 1))
        target = ops.cast(y_true, "float64")
        _add(self.squared_errors, ops.square(target - ops.cast(y_pred, "float64")), samples)
        _add(self.targets, target, samples)
        _add(self.squared_targets, ops.square(target), samples)
        _add(self.count, ops.broadcast_like(np.float64(1.0), target), samples)

    def result(self) -> Any:
        """The score so far, an array with `class_aggregation=None`; NaN before the first sample."""
        if not self._built or not self.count.numpy().all():
            return float("nan")
        errors, targets, squares, count = (
            v.numpy() for v in (self.squared_errors, self.targets, self.squared_targets, self.count)
        )
        spread = squares - targets * targets / count
        score = np.zeros(spread.shape)
        np.divide(spread - errors, spread, out=score, where=spread > 0.0)
        if self.class_aggregation is None:
            return score
        if self.class_aggregation == "variance_weighted_average":
            return float(_ratio(np.sum(spread * score), np.sum(spread)))
        return float(np.mean(score))

    def get_config(self) -> dict[str, Any]:
        return {"class_aggregation": self.class_aggregation, **super().get_config()}
