"""Losses: `loss(y_true, y_pred)`; training minimises the mean over samples.

Predictions are float arrays `(batch, ..., classes)` or `(batch, ..., outputs)`, `y_true` goes before `y_pred` as in Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from fastnn import ops
from fastnn.tracing import TensorLike, made_by, number_like
from fastnn.utils import check_number, look_up_class

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "get",
]

_EPSILON = 1e-7  # Keras's


class Loss:
    """Base class. A subclass implements `call(y_true, y_pred)`, written with `fastnn.ops`: one number per sample.

    Called on arrays or tensors a loss returns the mean over all samples, shape `()`.

    Args:
        name: for errors and logs; default the class's name.

    Example:
        >>> class MeanAbsoluteError(fastnn.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return ops.mean(ops.abs(y_pred - y_true), axes=-1)
        >>> float(MeanAbsoluteError()(np.zeros((2, 1)), np.array([[1.0], [-3.0]])))
        2.0
    """

    # Whether the labels are class numbers, without the axis that predictions have.
    sparse_labels = False

    def __init__(self, *, name: str | None = None) -> None:
        self.name = name or type(self).__name__

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The losses one by one; a subclass implements it.

        Args:
            y_true: labels or targets.
            y_pred: predictions.

        Returns:
            One number per sample, `(batch, ...)`.

        Raises:
            TypeError: the subclass has no such method.
        """
        raise TypeError(f"{self.name}: has no call(y_true, y_pred); expected one; override it")

    def __call__(self, y_true: TensorLike, y_pred: TensorLike) -> Any:
        return ops.mean(self.call(y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments by name; a subclass with more of them adds its own."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """A loss from what `get_config` returned.

        Args:
            config: the constructor's arguments by name.
        """
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _FromLogits(Loss):
    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.from_logits = from_logits
        self.label_smoothing = check_number(
            self.name, "label_smoothing", label_smoothing, 0.1, "a number from 0 to 1", lambda s: 0.0 <= s <= 1.0
        )

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, **super().get_config()}


class SparseCategoricalCrossentropy(_FromLogits):
    """`-log p[label]` for integer labels, in nats.

    Args:
        from_logits: whether predictions are logits instead of probabilities. Probabilities are divided by their sum and clipped
            to 1e-7 .. 1 - 1e-7, as in Keras; but of a model that ends in softmax the loss is computed from the logits either
            way, exactly.
        ignore_class: samples with this label do not count, neither in the loss nor in how many samples the mean is over; an
            integer of the labels' dtype, such as -1, or None.
        label_smoothing: how much of each target is spread over all classes, 0 to 1. Keras's sparse loss has none.
        name: for errors and logs.

    `y_true` is integers `(batch, ...)`, each at least 0 and below `classes`; `y_pred` `(batch, ..., classes)`. With
    `ignore_class` the losses that count are scaled by samples over samples that count, so that their mean is right.

    Raises:
        ValueError: label_smoothing outside 0 to 1; when called, a label outside the classes, whose position is named.
        TypeError: ignore_class that is no integer.

    Example:
        >>> loss = fastnn.losses.SparseCategoricalCrossentropy()
        >>> round(float(loss(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))), 4)
        0.1643
        >>> loss = fastnn.losses.SparseCategoricalCrossentropy(ignore_class=-1)
        >>> round(float(loss(np.array([0, -1]), np.array([[0.9, 0.1], [0.2, 0.8]]))), 4)
        0.1054
    """

    sparse_labels = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        *,
        label_smoothing: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, name=name)
        if ignore_class is not None and (isinstance(ignore_class, bool) or not isinstance(ignore_class, (int, np.integer))):
            raise TypeError(f"{self.name}: ignore_class={ignore_class!r}; expected an integer or None; pass for example -1")
        self.ignore_class = None if ignore_class is None else int(ignore_class)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if self.ignore_class is None:
            return self._losses(y_true, y_pred)
        counts = ops.not_equal(y_true, self.ignore_class)
        losses = ops.where(counts, self._losses(ops.where(counts, y_true, 0), y_pred), 0.0)
        share = ops.mean(ops.cast(counts, np.dtype(losses.dtype).name))
        return losses / ops.where(ops.greater(share, 0.0), share, 1.0)

    def _losses(self, labels: Any, y_pred: Any) -> Any:
        if self.from_logits:
            return ops.sparse_softmax_cross_entropy(y_pred, labels, self.label_smoothing)
        # Those of softmax add to 1, and pass on as they are, become cross-entropy on its logits.
        p = y_pred if made_by(y_pred) == "softmax" else y_pred / ops.sum(y_pred, -1, keepdims=True)
        losses = ops.sparse_cross_entropy(p, labels)
        if not self.label_smoothing:
            return losses
        # The label's share and that of all classes: so that a label outside the classes is still an error.
        uniform = ops.broadcast_like(number_like(1.0 / int(y_pred.shape[-1]), y_pred), y_pred)
        return losses * (1.0 - self.label_smoothing) + ops.cross_entropy(y_pred, uniform) * self.label_smoothing

    def get_config(self) -> dict[str, Any]:
        return {"ignore_class": self.ignore_class, **super().get_config()}


class CategoricalCrossentropy(_FromLogits):
    """`-sum over j of t[j] log p[j]` for one-hot or other distributions `t`, in nats.

    Args:
        from_logits: whether predictions are logits instead of probabilities. Probabilities are clipped to 1e-7 .. 1 - 1e-7, as
            in Keras; but of a model that ends in softmax the loss is computed from the logits either way, exactly.
        label_smoothing: `s`, 0 to 1; targets become `t (1 - s) + s / classes`.
        name: for errors and logs.

    `y_true` and `y_pred` are both `(batch, ..., classes)`; probabilities are divided by their sum first.

    Raises:
        ValueError: label_smoothing outside 0 to 1; when called, shapes that differ.

    Example:
        >>> loss = fastnn.losses.CategoricalCrossentropy()
        >>> round(float(loss(np.eye(2), np.array([[0.9, 0.1], [0.2, 0.8]]))), 4)
        0.1643
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if self.from_logits:
            return ops.softmax_cross_entropy(y_pred, y_true, self.label_smoothing)
        return ops.cross_entropy(y_pred, _smoothed(y_true, self.label_smoothing))


def _smoothed(targets: Any, smoothing: float) -> Any:
    """Targets over classes, of which a share is spread over all."""
    return targets * (1.0 - smoothing) + smoothing / int(targets.shape[-1]) if smoothing else targets


class CategoricalFocalCrossentropy(_FromLogits):
    """`-alpha sum over j of (1 - p[j])^gamma t[j] log p[j]`: cross-entropy with less weight on what is easy.

    Args:
        alpha: factor.
        gamma: the larger, the less easy samples count.
        from_logits: whether predictions are logits instead of probabilities.
        label_smoothing: `s`, 0 to 1; targets become `t (1 - s) + s / classes`.
        name: for errors and logs.

    `y_true` and `y_pred` are both `(batch, ..., classes)`; probabilities are divided by their sum and clipped to
    1e-7 .. 1 - 1e-7.

    Raises:
        ValueError: alpha or gamma that is no finite number, label_smoothing outside 0 to 1.

    Source:
        Lin, Goyal, Girshick, He, Dollar, "Focal loss for dense object detection", ICCV 2017.

    Example:
        >>> loss = fastnn.losses.CategoricalFocalCrossentropy(alpha=1.0)
        >>> round(float(loss(np.eye(2), np.array([[0.9, 0.1], [0.2, 0.8]]))), 4)
        0.005
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, name=name)
        self.alpha = check_number(self.name, "alpha", alpha, 0.25)
        self.gamma = check_number(self.name, "gamma", gamma, 2.0)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        p = ops.softmax(y_pred) if self.from_logits else y_pred / ops.sum(y_pred, -1, keepdims=True)
        p = ops.clip(p, _EPSILON, 1.0 - _EPSILON)
        losses = ops.negative(_smoothed(y_true, self.label_smoothing) * ops.log(p))
        return ops.sum(losses * (ops.power(1.0 - p, self.gamma) * self.alpha), -1)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "gamma": self.gamma, **super().get_config()}


class BinaryCrossentropy(_FromLogits):
    """`-t log p - (1 - t) log(1 - p)`, the mean over the last axis, in nats.

    Args:
        from_logits: whether predictions are logits; otherwise probabilities, clipped to 1e-7 .. 1 - 1e-7.
        label_smoothing: `s`, 0 to 1; targets become `t (1 - s) + s / 2`.
        name: for errors and logs.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`.

    Raises:
        ValueError: label_smoothing outside 0 to 1.

    Example:
        >>> loss = fastnn.losses.BinaryCrossentropy()
        >>> round(float(loss(np.array([[1.0], [0.0]]), np.array([[0.9], [0.2]]))), 4)
        0.1643
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        targets = _smoothed_binary(y_true, self.label_smoothing)
        if self.from_logits:
            return ops.mean(ops.sigmoid_cross_entropy(y_pred, targets), axes=-1)
        return ops.mean(_binary_losses(targets, y_pred), axes=-1)


def _smoothed_binary(targets: Any, smoothing: float) -> Any:
    return targets * (1.0 - smoothing) + 0.5 * smoothing if smoothing else targets


def _binary_losses(targets: Any, probabilities: Any) -> Any:
    p = ops.clip(probabilities, _EPSILON, 1.0 - _EPSILON)
    return ops.negative(targets * ops.log(p) + (1.0 - targets) * ops.log(1.0 - p))


class BinaryFocalCrossentropy(_FromLogits):
    """Binary cross-entropy times `(1 - q)^gamma`, `q = t p + (1 - t) (1 - p)`: less weight on what is easy; the mean over the
    last axis.

    Args:
        apply_class_balancing: whether to multiply by `alpha` where `t` is 1 and `1 - alpha` where it is 0.
        alpha: weight of class 1.
        gamma: the larger, the less easy samples count.
        from_logits: whether predictions are logits; otherwise probabilities, clipped to 1e-7 .. 1 - 1e-7.
        label_smoothing: `s`, 0 to 1; targets become `t (1 - s) + s / 2`.
        name: for errors and logs.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`.

    Raises:
        ValueError: alpha or gamma that is no finite number, label_smoothing outside 0 to 1.

    Source:
        Lin, Goyal, Girshick, He, Dollar, "Focal loss for dense object detection", ICCV 2017.

    Example:
        >>> loss = fastnn.losses.BinaryFocalCrossentropy()
        >>> round(float(loss(np.array([[1.0], [0.0]]), np.array([[0.9], [0.2]]))), 4)
        0.005
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, name=name)
        self.apply_class_balancing = apply_class_balancing
        self.alpha = check_number(self.name, "alpha", alpha, 0.25)
        self.gamma = check_number(self.name, "gamma", gamma, 2.0)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        t = _smoothed_binary(y_true, self.label_smoothing)
        p = ops.sigmoid(y_pred) if self.from_logits else y_pred
        losses = ops.sigmoid_cross_entropy(y_pred, t) if self.from_logits else _binary_losses(t, p)
        # 1 - q, which may not leave 0 to 1 by a rounding: its power would have no gradient there.
        wrong = ops.clip(t * (1.0 - p) + (1.0 - t) * p, 0.0, 1.0)
        losses = losses * ops.power(wrong, self.gamma)
        if self.apply_class_balancing:
            losses = losses * (t * self.alpha + (1.0 - t) * (1.0 - self.alpha))
        return ops.mean(losses, axes=-1)

    def get_config(self) -> dict[str, Any]:
        own = {"apply_class_balancing": self.apply_class_balancing, "alpha": self.alpha, "gamma": self.gamma}
        return {**own, **super().get_config()}


class MeanSquaredError(Loss):
    """`(y_true - y_pred)^2`, the mean over the last axis.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`.

    Example:
        >>> float(fastnn.losses.MeanSquaredError()(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]])))
        2.0
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_pred - y_true), axes=-1)


class MeanAbsoluteError(Loss):
    """`|y_true - y_pred|`, the mean over the last axis.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`.

    Example:
        >>> float(fastnn.losses.MeanAbsoluteError()(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]])))
        1.0
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.abs(y_pred - y_true), axes=-1)


class MeanAbsolutePercentageError(Loss):
    """`100 |(y_true - y_pred) / y_true|`, the mean over the last axis.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`; a divisor is 1e-7 at least.

    Example:
        >>> float(fastnn.losses.MeanAbsolutePercentageError()(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]])))
        50.0
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        size = ops.maximum(ops.abs(y_true), _EPSILON)
        return ops.mean(ops.abs((y_true - y_pred) / size), axes=-1) * 100.0


class MeanSquaredLogarithmicError(Loss):
    """`(log(1 + y_true) - log(1 + y_pred))^2`, the mean over the last axis.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`; numbers below 1e-7 count as 1e-7.

    Example:
        >>> round(float(fastnn.losses.MeanSquaredLogarithmicError()(np.array([[0.0]]), np.array([[np.e - 1]]))), 4)
        1.0
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        distance = ops.log1p(ops.maximum(y_pred, _EPSILON)) - ops.log1p(ops.maximum(y_true, _EPSILON))
        return ops.mean(ops.square(distance), axes=-1)


class LogCosh(Loss):
    """`log(cosh(y_pred - y_true))`, the mean over the last axis: a square when small, an absolute value when large.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`.

    Example:
        >>> round(float(fastnn.losses.LogCosh()(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))), 4)
        0.6625
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        distance = y_pred - y_true
        return ops.mean(distance + (ops.softplus(distance * -2.0) - float(np.log(2.0))), axes=-1)


class KLDivergence(Loss):
    """`sum over j of t[j] log(t[j] / p[j])`.

    `y_true` and `y_pred` are both distributions `(batch, ..., classes)`, clipped to 1e-7 .. 1.

    Example:
        >>> round(float(fastnn.losses.KLDivergence()(np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]]))), 4)
        0.5108
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        t, p = ops.clip(y_true, _EPSILON, 1.0), ops.clip(y_pred, _EPSILON, 1.0)
        return ops.sum(t * ops.log(t / p), -1)


class Poisson(Loss):
    """`y_pred - y_true log(y_pred)`, the mean over the last axis.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`, none negative; 1e-7 is added before the logarithm.

    Example:
        >>> round(float(fastnn.losses.Poisson()(np.array([[2.0]]), np.array([[np.e]]))), 4)
        0.7183
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(y_pred - y_true * ops.log(y_pred + _EPSILON), axes=-1)


def _signs(y_true: Any) -> Any:
    """Labels -1 and 1; of 0 and 1 alone those are made, as in Keras, which looks at the whole batch."""
    binary = ops.all(ops.logical_or(ops.equal(y_true, 0), ops.equal(y_true, 1)))
    return ops.where(binary, y_true * 2.0 - 1.0, y_true)


class Hinge(Loss):
    """`max(1 - y_true y_pred, 0)`, the mean over the last axis.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`, `y_true` -1 or 1, or in a whole batch 0 or 1.

    Example:
        >>> float(fastnn.losses.Hinge()(np.array([[1.0], [-1.0]]), np.array([[0.5], [-2.0]])))
        0.25
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.relu(1.0 - _signs(y_true) * y_pred), axes=-1)


class SquaredHinge(Loss):
    """`max(1 - y_true y_pred, 0)^2`, the mean over the last axis.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`, `y_true` -1 or 1, or in a whole batch 0 or 1.

    Example:
        >>> float(fastnn.losses.SquaredHinge()(np.array([[1.0], [-1.0]]), np.array([[0.5], [-2.0]])))
        0.125
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(ops.relu(1.0 - _signs(y_true) * y_pred)), axes=-1)


class CategoricalHinge(Loss):
    """`max(n - p + 1, 0)` with `p = sum of t y_pred` and `n` the largest `(1 - t) y_pred`.

    `y_true` and `y_pred` are both `(batch, ..., classes)`.

    Example:
        >>> round(float(fastnn.losses.CategoricalHinge()(np.array([[0.0, 1.0]]), np.array([[0.3, 0.6]]))), 4)
        0.7
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        positive, largest = ops.sum(y_true * y_pred, -1), ops.max((1.0 - y_true) * y_pred, -1)
        return ops.relu(largest - positive + 1.0)


class Huber(Loss):
    """`e^2 / 2` where `|e| <= delta`, else `delta |e| - delta^2 / 2`, with `e = y_pred - y_true`; the mean over the last axis.

    Args:
        delta: where the square becomes an absolute value; above 0.
        name: for errors and logs.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`.

    Raises:
        ValueError: a delta that is not above 0.

    Source:
        Huber, "Robust estimation of a location parameter", 1964.

    Example:
        >>> float(fastnn.losses.Huber()(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]])))
        0.75
    """

    def __init__(self, delta: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.delta = check_number(self.name, "delta", delta, 1.0, "a number above 0", lambda d: d > 0)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        size = ops.abs(y_pred - y_true)
        # With c = min(|e|, delta) both branches are c (|e| - c / 2).
        near = ops.minimum(size, self.delta)
        return ops.mean(near * (size - near * 0.5), axes=-1)

    def get_config(self) -> dict[str, Any]:
        return {"delta": self.delta, **super().get_config()}


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between `y_true` and `y_pred`: -1 for equal directions. A vector of zeros gives 0.

    Args:
        axis: of the vectors.
        name: for errors and logs.

    `y_true` and `y_pred` have one shape; a length below 1e-7 counts as 1e-7.

    Raises:
        TypeError: an axis that is no integer.

    Example:
        >>> round(float(fastnn.losses.CosineSimilarity()(np.array([[1.0, 1.0]]), np.array([[2.0, 0.0]]))), 4)
        -0.7071
    """

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise TypeError(f"{self.name}: axis={axis!r}; expected an integer; pass for example -1")
        self.axis = int(axis)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        def unit(x: Any) -> Any:
            return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), self.axis, keepdims=True), _EPSILON**2))

        return ops.negative(ops.sum(unit(y_true) * unit(y_pred), self.axis))

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis, **super().get_config()}


class FunctionLoss(Loss):
    """A function `(y_true, y_pred) -> one number per sample` as a loss; `get` makes it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(name=getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)


LossLike: TypeAlias = "str | Loss | Callable[..., Any]"

_BY_NAME: dict[str, type[Loss]] = {
    "bce": BinaryCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
    "binary_focal_crossentropy": BinaryFocalCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "categorical_focal_crossentropy": CategoricalFocalCrossentropy,
    "categorical_hinge": CategoricalHinge,
    "cosine_similarity": CosineSimilarity,
    "hinge": Hinge,
    "huber": Huber,
    "kl_divergence": KLDivergence,
    "kld": KLDivergence,
    "log_cosh": LogCosh,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mean_absolute_error": MeanAbsoluteError,
    "mean_absolute_percentage_error": MeanAbsolutePercentageError,
    "mean_squared_error": MeanSquaredError,
    "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
    "poisson": Poisson,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "squared_hinge": SquaredHinge,
}
_ABBREVIATIONS = {"BCE", "KLD", "MAE", "MAPE", "MSE", "MSLE"}  # taken in either case


def get(loss: LossLike) -> Loss:
    """A loss by name.

    Args:
        loss: a name such as `"mse"` or `"MeanSquaredError"`, a Loss, which is returned as it is, or a function
            `(y_true, y_pred) -> one number per sample`.

    Returns:
        A Loss.

    Raises:
        ValueError: a name that does not exist; the nearest ones are given.
        TypeError: a class or something else.

    Example:
        >>> fastnn.losses.get("mse")
        MeanSquaredError()
    """
    if isinstance(loss, str):
        return look_up_class("loss", loss.lower() if loss in _ABBREVIATIONS else loss, _BY_NAME)()
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type):
        raise TypeError(f"loss: the class {loss.__name__}; expected an object; write {loss.__name__}()")
    if callable(loss):
        return FunctionLoss(loss)
    raise TypeError(f"loss: {loss!r}; expected a name, a Loss or a function; pass for example 'mean_squared_error'")
