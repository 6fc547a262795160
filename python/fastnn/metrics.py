"""Metrics: means over all samples of an epoch, kept in Variables and updated when a step commits."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from fastnn import losses, ops
from fastnn.tracing import Variable
from fastnn.utils import check_number, look_up

__all__ = [
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "get",
]


class Metric:
    """Base class: the mean of `call(y_true, y_pred)`, one number per sample, over everything seen since `reset`.

    The sums are float64 Variables, so that 60,000 small numbers add up exactly enough, and part of the program, so that
    updating them costs no Python. Outside a program `update_state` adds at once.

    Args:
        name: in logs and `History`.

    Example:
        >>> class MeanAbsoluteError(fastnn.metrics.Metric):
        ...     def call(self, y_true, y_pred):
        ...         return ops.mean(ops.abs(y_pred - y_true), axes=-1)
        >>> metric = MeanAbsoluteError("mae")
        >>> metric.update_state(np.zeros((2, 1)), np.array([[1.0], [-3.0]]))
        >>> metric.result()
        2.0
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = Variable(np.zeros((), np.float64), name=f"{name}/total", trainable=False)
        self.count = Variable(np.zeros((), np.float64), name=f"{name}/count", trainable=False)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The numbers to average; a subclass implements it.

        Args:
            y_true: labels or targets.
            y_pred: predictions.

        Returns:
            One number per sample, `(batch, ...)`, of any dtype; bool counts as 0 or 1.

        Raises:
            TypeError: the subclass has no such method.
        """
        raise TypeError(f"{self.name}: has no call(y_true, y_pred); expected one; override it")

    def update(self, values: Any) -> None:
        """Adds one number per sample.

        Args:
            values: array or tensor of any shape and dtype.
        """
        values = ops.cast(values, "float64")
        self.total.assign(self.total + ops.sum(values))
        self.count.assign(self.count + ops.sum(ops.broadcast_like(np.float64(1.0), values)))

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        """Adds a batch.

        Args:
            y_true: labels or targets.
            y_pred: predictions.
        """
        self.update(self.call(y_true, y_pred))

    def result(self) -> float:
        """The mean so far; NaN before the first sample."""
        count = float(self.count.numpy())
        return float(self.total.numpy()) / count if count else float("nan")

    def reset(self) -> None:
        """Forgets everything seen."""
        self.total.assign(0.0)
        self.count.assign(0.0)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments by name; a subclass with more of them adds its own."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """A metric from what `get_config` returned, which has seen nothing.

        Args:
            config: the constructor's arguments by name.
        """
        return cls(**config)


class Mean(Metric):
    """The mean of numbers given to `update`.

    Args:
        name: in logs.

    Example:
        >>> mean = fastnn.metrics.Mean()
        >>> mean.update(np.array([1.0, 2.0])); mean.update(np.array([6.0]))
        >>> mean.result()
        3.0
    """

    def __init__(self, name: str = "mean") -> None:
        super().__init__(name)


class SparseCategoricalAccuracy(Metric):
    """How often the most probable class is the label, for integer labels.

    Args:
        name: in logs.

    `y_true` is integers `(batch, ...)`, `y_pred` `(batch, ..., classes)`, probabilities or logits; of equal ones the first
    counts.

    Example:
        >>> accuracy = fastnn.metrics.SparseCategoricalAccuracy()
        >>> accuracy.update_state(np.array([0, 1]), np.array([[0.6, 0.4], [0.7, 0.3]]))
        >>> accuracy.result()
        0.5
    """

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.equal(ops.argmax(y_pred), ops.cast(y_true, "int64"))


class CategoricalAccuracy(Metric):
    """How often the most probable class is that of a one-hot label.

    Args:
        name: in logs.

    `y_true` and `y_pred` are both `(batch, ..., classes)`.

    Example:
        >>> accuracy = fastnn.metrics.CategoricalAccuracy()
        >>> accuracy.update_state(np.eye(2), np.array([[0.6, 0.4], [0.7, 0.3]]))
        >>> accuracy.result()
        0.5
    """

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.equal(ops.argmax(y_pred), ops.argmax(y_true))


class BinaryAccuracy(Metric):
    """How often `y_pred > threshold` equals the label 0 or 1, the mean over the last axis.

    Args:
        name: in logs.
        threshold: 0.5 for probabilities; for logits pass 0.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`.

    Raises:
        ValueError: a threshold that is no finite number.

    Example:
        >>> accuracy = fastnn.metrics.BinaryAccuracy()
        >>> accuracy.update_state(np.array([[1.0], [0.0]]), np.array([[0.6], [0.7]]))
        >>> accuracy.result()
        0.5
    """

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = check_number(name, "threshold", threshold, 0.5)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        above = ops.greater(y_pred, self.threshold)
        return ops.mean(ops.cast(ops.equal(above, ops.cast(y_true, "bool")), "float32"), axes=-1)

    def get_config(self) -> dict[str, Any]:
        return {"threshold": self.threshold, **super().get_config()}


class MeanSquaredError(Metric):
    """`(y_true - y_pred)^2`, the mean over the last axis and all samples.

    Args:
        name: in logs.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`.

    Example:
        >>> error = fastnn.metrics.MeanSquaredError()
        >>> error.update_state(np.array([[1.0], [0.0]]), np.array([[0.5], [0.0]]))
        >>> error.result()
        0.125
    """

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_pred - y_true), axes=-1)


class _OfLoss(Metric):
    """The mean of a loss over all samples."""

    def __init__(self, name: str, loss: losses.Loss) -> None:
        super().__init__(name)
        self.loss = loss

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.loss.call(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {**self.loss.get_config(), **super().get_config()}


class MeanAbsoluteError(_OfLoss):
    """`|y_true - y_pred|`, the mean over the last axis and all samples.

    Args:
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.MeanAbsoluteError()
        >>> metric.update_state(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
        >>> round(metric.result(), 4)
        1.0
    """

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(name, losses.MeanAbsoluteError())


class MeanAbsolutePercentageError(_OfLoss):
    """`100 |(y_true - y_pred) / y_true|`, the mean over the last axis and all samples.

    Args:
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.MeanAbsolutePercentageError()
        >>> metric.update_state(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
        >>> round(metric.result(), 4)
        50.0
    """

    def __init__(self, name: str = "mean_absolute_percentage_error") -> None:
        super().__init__(name, losses.MeanAbsolutePercentageError())


class MeanSquaredLogarithmicError(_OfLoss):
    """`(log(1 + y_true) - log(1 + y_pred))^2`, the mean over the last axis and all samples.

    Args:
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.MeanSquaredLogarithmicError()
        >>> metric.update_state(np.array([[0.0]]), np.array([[np.e - 1]]))
        >>> round(metric.result(), 4)
        1.0
    """

    def __init__(self, name: str = "mean_squared_logarithmic_error") -> None:
        super().__init__(name, losses.MeanSquaredLogarithmicError())


class RootMeanSquaredError(_OfLoss):
    """The square root of the mean of `(y_true - y_pred)^2` over all samples.

    Args:
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.RootMeanSquaredError()
        >>> metric.update_state(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
        >>> round(metric.result(), 4)
        1.4142
    """

    def __init__(self, name: str = "root_mean_squared_error") -> None:
        super().__init__(name, losses.MeanSquaredError())

    def result(self) -> float:
        return float(np.sqrt(super().result()))


class LogCoshError(_OfLoss):
    """`log(cosh(y_pred - y_true))`, the mean over the last axis and all samples.

    Args:
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.LogCoshError()
        >>> metric.update_state(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
        >>> round(metric.result(), 4)
        0.6625
    """

    def __init__(self, name: str = "logcosh") -> None:
        super().__init__(name, losses.LogCosh())


class KLDivergence(_OfLoss):
    """`sum over j of t[j] log(t[j] / p[j])`, the mean over all samples.

    Args:
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.KLDivergence()
        >>> metric.update_state(np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]]))
        >>> round(metric.result(), 4)
        0.5108
    """

    def __init__(self, name: str = "kl_divergence") -> None:
        super().__init__(name, losses.KLDivergence())


class Poisson(_OfLoss):
    """`y_pred - y_true log(y_pred)`, the mean over the last axis and all samples.

    Args:
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.Poisson()
        >>> metric.update_state(np.array([[2.0]]), np.array([[np.e]]))
        >>> round(metric.result(), 4)
        0.7183
    """

    def __init__(self, name: str = "poisson") -> None:
        super().__init__(name, losses.Poisson())


class Hinge(_OfLoss):
    """`max(1 - y_true y_pred, 0)`, the mean over the last axis and all samples.

    Args:
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.Hinge()
        >>> metric.update_state(np.array([[1.0], [-1.0]]), np.array([[0.5], [-2.0]]))
        >>> round(metric.result(), 4)
        0.25
    """

    def __init__(self, name: str = "hinge") -> None:
        super().__init__(name, losses.Hinge())


class SquaredHinge(_OfLoss):
    """`max(1 - y_true y_pred, 0)^2`, the mean over the last axis and all samples.

    Args:
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.SquaredHinge()
        >>> metric.update_state(np.array([[1.0], [-1.0]]), np.array([[0.5], [-2.0]]))
        >>> round(metric.result(), 4)
        0.125
    """

    def __init__(self, name: str = "squared_hinge") -> None:
        super().__init__(name, losses.SquaredHinge())


class CategoricalHinge(_OfLoss):
    """`max(n - p + 1, 0)` as the loss of the same name, the mean over all samples.

    Args:
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.CategoricalHinge()
        >>> metric.update_state(np.array([[0.0, 1.0]]), np.array([[0.3, 0.6]]))
        >>> round(metric.result(), 4)
        0.7
    """

    def __init__(self, name: str = "categorical_hinge") -> None:
        super().__init__(name, losses.CategoricalHinge())


class CosineSimilarity(_OfLoss):
    """The cosine of the angle between `y_true` and `y_pred`, the mean over all samples. The loss of this name has a minus.

    Args:
        name: in logs.
        axis: of the vectors.

    Raises:
        TypeError: an axis that is no integer.

    Example:
        >>> metric = fastnn.metrics.CosineSimilarity()
        >>> metric.update_state(np.array([[1.0, 1.0]]), np.array([[2.0, 0.0]]))
        >>> round(metric.result(), 4)
        0.7071
    """

    def __init__(self, name: str = "cosine_similarity", axis: int = -1) -> None:
        super().__init__(name, losses.CosineSimilarity(axis))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.negative(super().call(y_true, y_pred))


class BinaryCrossentropy(_OfLoss):
    """The loss of this name, the mean over all samples.

    Args:
        name: in logs.
        from_logits: as for the loss.
        label_smoothing: likewise.

    Raises:
        ValueError: label_smoothing outside 0 to 1.

    Example:
        >>> metric = fastnn.metrics.BinaryCrossentropy()
        >>> metric.update_state(np.array([[1.0], [0.0]]), np.array([[0.9], [0.2]]))
        >>> round(metric.result(), 4)
        0.1643
    """

    def __init__(self, name: str = "binary_crossentropy", from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(name, losses.BinaryCrossentropy(from_logits, label_smoothing, name=name))


class CategoricalCrossentropy(_OfLoss):
    """The loss of this name, the mean over all samples.

    Args:
        name: in logs.
        from_logits: as for the loss.
        label_smoothing: likewise.

    Raises:
        ValueError: label_smoothing outside 0 to 1.

    Example:
        >>> metric = fastnn.metrics.CategoricalCrossentropy()
        >>> metric.update_state(np.eye(2), np.array([[0.9, 0.1], [0.2, 0.8]]))
        >>> round(metric.result(), 4)
        0.1643
    """

    def __init__(self, name: str = "categorical_crossentropy", from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(name, losses.CategoricalCrossentropy(from_logits, label_smoothing, name=name))


class SparseCategoricalCrossentropy(_OfLoss):
    """The loss of this name, the mean over all samples.

    Args:
        name: in logs.
        from_logits: as for the loss.
        label_smoothing: likewise.
        ignore_class: likewise; the mean of each batch is over the samples that count, and batches are weighted by all.

    Raises:
        ValueError: label_smoothing outside 0 to 1.
        TypeError: ignore_class that is no integer.

    Example:
        >>> metric = fastnn.metrics.SparseCategoricalCrossentropy()
        >>> metric.update_state(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
        >>> round(metric.result(), 4)
        0.1643
    """

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
    ) -> None:
        loss = losses.SparseCategoricalCrossentropy(from_logits, ignore_class, label_smoothing=label_smoothing, name=name)
        super().__init__(name, loss)


MetricLike: TypeAlias = "str | Metric"

_BY_NAME: dict[str, type[Metric]] = {
    "bce": BinaryCrossentropy,
    "binary_accuracy": BinaryAccuracy,
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_accuracy": CategoricalAccuracy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "categorical_hinge": CategoricalHinge,
    "cosine_similarity": CosineSimilarity,
    "hinge": Hinge,
    "kl_divergence": KLDivergence,
    "log_cosh_error": LogCoshError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mean_absolute_error": MeanAbsoluteError,
    "mean_absolute_percentage_error": MeanAbsolutePercentageError,
    "mean_squared_error": MeanSquaredError,
    "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
    "poisson": Poisson,
    "root_mean_squared_error": RootMeanSquaredError,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "squared_hinge": SquaredHinge,
}


def get(metric: MetricLike, loss: losses.Loss) -> Metric:
    """A metric by name; "accuracy" and "acc" become the one that suits the loss.

    Args:
        metric: a name such as `"accuracy"`, or a Metric, which is returned as it is.
        loss: the Loss that decides between accuracies.

    Returns:
        A Metric, named as it was asked for.

    Raises:
        ValueError: a name that does not exist; the nearest ones are given. "accuracy" with a loss that has no classes.
        TypeError: neither a name nor a Metric.

    Example:
        >>> metric = fastnn.metrics.get("accuracy", fastnn.losses.get("sparse_categorical_crossentropy"))
        >>> type(metric).__name__, metric.name
        ('SparseCategoricalAccuracy', 'accuracy')
    """
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
