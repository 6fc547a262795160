"""Metrics: means over all samples of an epoch, kept in Variables and updated when a step commits."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from fastnn import losses, ops
from fastnn.tracing import Variable
from fastnn.utils import look_up


class Metric:
    """Base class: the mean of `call(y_true, y_pred)`, one number per sample, over everything seen since `reset`.

    The sums are float64 Variables, so that 60,000 small numbers add up exactly enough, and part of the program, so that
    updating them costs no Python.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = Variable(np.zeros((), np.float64), name=f"{name}/total", trainable=False)
        self.count = Variable(np.zeros((), np.float64), name=f"{name}/count", trainable=False)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        raise TypeError(f"{self.name}: has no call(y_true, y_pred); expected one; override it")

    def update(self, values: Any) -> None:
        """Adds one number per sample."""
        values = ops.cast(values, "float64")
        self.total.assign(self.total + ops.sum(values))
        self.count.assign(self.count + ops.sum(ops.broadcast_like(np.float64(1.0), values)))

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        """Adds a batch."""
        self.update(self.call(y_true, y_pred))

    def result(self) -> float:
        """The mean so far; NaN before the first sample."""
        count = float(self.count.numpy())
        return float(self.total.numpy()) / count if count else float("nan")

    def reset(self) -> None:
        """Forgets everything seen."""
        self.total.assign(0.0)
        self.count.assign(0.0)


class Mean(Metric):
    """The mean of numbers given to `update`."""

    def __init__(self, name: str = "mean") -> None:
        super().__init__(name)


class SparseCategoricalAccuracy(Metric):
    """How often the most probable class is the label, for integer labels."""

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.equal(ops.argmax(y_pred), ops.cast(y_true, "int64"))


class CategoricalAccuracy(Metric):
    """How often the most probable class is that of a one-hot label."""

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.equal(ops.argmax(y_pred), ops.argmax(y_true))


class BinaryAccuracy(Metric):
    """How often `y_pred > threshold` equals the label 0 or 1, the mean over the last axis."""

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def call(self, y_true: Any, y_pred: Any) -> Any:
        above = ops.cast(ops.relu(y_pred - self.threshold), "bool")
        return ops.mean(ops.cast(ops.equal(above, ops.cast(y_true, "bool")), "float32"), axes=-1)


class MeanSquaredError(Metric):
    """The mean of squared differences."""

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_pred - y_true), axes=-1)


MetricLike: TypeAlias = "str | Metric"

_BY_NAME: dict[str, type[Metric]] = {
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
}


def get(metric: MetricLike, loss: losses.Loss) -> Metric:
    """A metric by name; "accuracy" becomes the one that suits the loss."""
    if isinstance(metric, Metric):
        return metric
    if metric in ("accuracy", "acc"):
        if loss.sparse_labels:
            return SparseCategoricalAccuracy(metric)
        if isinstance(loss, losses.CategoricalCrossentropy):
            return CategoricalAccuracy(metric)
        if isinstance(loss, losses.BinaryCrossentropy):
            return BinaryAccuracy(metric, threshold=0.0 if loss.from_logits else 0.5)
        raise ValueError(
            f"metric: 'accuracy' with the loss {loss.name}; expected a loss over classes; name the metric meant, one of "
            f"{', '.join(sorted(_BY_NAME))}"
        )
    if isinstance(metric, str):
        chosen: Any = look_up("metric", metric, {**_BY_NAME, "accuracy": Metric})
        named: Metric = chosen(metric)
        return named
    raise TypeError(f"metric: {metric!r}; expected a name or a Metric; pass for example 'accuracy'")
