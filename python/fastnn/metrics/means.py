"""Metrics that are means over samples: accuracies, errors, losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import losses, ops
from fastnn.layers.layer import check_size
from fastnn.metrics.base import Metric
from fastnn.utils import check_number


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


def _in_top_k(label: Any, y_pred: Any, k: int) -> Any:
    """Whether fewer than k classes are more probable than the label."""
    chosen = ops.cast(ops.one_hot(label, y_pred.shape[-1]), "bool")
    score = ops.sum(ops.where(chosen, y_pred, 0.0), axes=-1, keepdims=True)
    larger = ops.sum(ops.cast(ops.greater(y_pred, score), "float32"), axes=-1)
    return ops.less(larger, float(k))


class SparseTopKCategoricalAccuracy(Metric):
    """How often the label, an integer, is among the `k` most probable classes.

    Args:
        k: how many classes count.
        name: in logs.

    `y_true` and `y_pred` as for `SparseCategoricalAccuracy`. Of equally probable classes all count as the most probable of
    them, as in Keras.

    Raises:
        ValueError: k that is no positive integer; when updated, labels out of range.

    Example:
        >>> accuracy = fastnn.metrics.SparseTopKCategoricalAccuracy(k=2)
        >>> accuracy.update_state(np.array([0, 1]), np.array([[0.3, 0.1, 0.6], [0.3, 0.1, 0.6]]))
        >>> accuracy.result()
        0.5
    """

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        super().__init__(name)
        self.k = check_size(name, "k", k)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return _in_top_k(ops.cast(y_true, "int64"), y_pred, self.k)

    def get_config(self) -> dict[str, Any]:
        return {"k": self.k, **super().get_config()}


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """How often the class of a one-hot label is among the `k` most probable ones.

    Args:
        k: how many classes count.
        name: in logs.

    `y_true` and `y_pred` are both `(batch, ..., classes)`.

    Raises:
        ValueError: k that is no positive integer.

    Example:
        >>> accuracy = fastnn.metrics.TopKCategoricalAccuracy(k=2)
        >>> accuracy.update_state(np.eye(3)[:2], np.array([[0.3, 0.1, 0.6], [0.3, 0.1, 0.6]]))
        >>> accuracy.result()
        0.5
    """

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        super().__init__(k, name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return super().call(ops.argmax(y_true), y_pred)


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
        ignore_class: likewise; the mean of each batch is over the samples that count, and batches are weighted by all.
        label_smoothing: likewise.

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
        ignore_class: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        loss = losses.SparseCategoricalCrossentropy(from_logits, ignore_class, label_smoothing=label_smoothing, name=name)
        super().__init__(name, loss)


class Perplexity(_OfLoss):
    """`exp` of the mean cross-entropy over all samples, for integer labels: 1 is certainty, the number of classes ignorance.

    Args:
        from_logits: whether `y_pred` are logits instead of probabilities.
        name: in logs.

    Example:
        >>> metric = fastnn.metrics.Perplexity(from_logits=True)
        >>> metric.update_state(np.array([0, 3]), np.zeros((2, 4)))
        >>> round(metric.result(), 4)
        4.0
    """

    def __init__(self, from_logits: bool = False, name: str = "perplexity") -> None:
        super().__init__(name, losses.SparseCategoricalCrossentropy(from_logits, name=name))
        self.from_logits = from_logits

    def result(self) -> float:
        return float(np.exp(super().result()))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "from_logits": self.from_logits}
