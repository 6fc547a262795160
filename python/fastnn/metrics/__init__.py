"""Metrics: numbers about all samples of an epoch, kept in Variables and updated when a step commits."""

from __future__ import annotations

from typing import Any, TypeAlias

from fastnn import losses
from fastnn.metrics.base import Mean, Metric
from fastnn.metrics.means import (
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Perplexity,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SquaredHinge,
    TopKCategoricalAccuracy,
)
from fastnn.metrics.ratios import (
    AUC,
    ConfusionMatrix,
    F1Score,
    FalseNegatives,
    FalsePositives,
    Precision,
    R2Score,
    Recall,
    TrueNegatives,
    TruePositives,
)
from fastnn.utils import look_up

__all__ = [
    "AUC",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Perplexity",
    "Poisson",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "get",
]

MetricLike: TypeAlias = "str | Metric"

_BY_NAME: dict[str, Any] = {
    "auc": AUC,
    "bce": BinaryCrossentropy,
    "binary_accuracy": BinaryAccuracy,
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_accuracy": CategoricalAccuracy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "categorical_hinge": CategoricalHinge,
    "cosine_similarity": CosineSimilarity,
    "f1_score": F1Score,
    "false_negatives": FalseNegatives,
    "false_positives": FalsePositives,
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
    "perplexity": Perplexity,
    "poisson": Poisson,
    "precision": Precision,
    "r2_score": R2Score,
    "recall": Recall,
    "root_mean_squared_error": RootMeanSquaredError,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "squared_hinge": SquaredHinge,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "true_negatives": TrueNegatives,
    "true_positives": TruePositives,
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
        named: Metric = look_up("metric", metric, {**_BY_NAME, "accuracy": Metric})(name=metric)
        return named
    raise TypeError(f"metric: {metric!r}; expected a name or a Metric; pass for example 'accuracy'")
