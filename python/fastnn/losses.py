"""Losses: `loss(y_true, y_pred)` gives one number per sample; training minimises their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from fastnn import ops
from fastnn.tracing import TensorLike
from fastnn.utils import look_up


class Loss:
    """Base class. A subclass implements `call(y_true, y_pred)`, written with `fastnn.ops`, one number per sample.

    Called on arrays or tensors a loss returns the mean over all samples.
    """

    # Whether the labels are class numbers, without the axis that predictions have.
    sparse_labels = False

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__

    def call(self, y_true: Any, y_pred: Any) -> Any:
        raise TypeError(f"{self.name}: has no call(y_true, y_pred); expected one; override it")

    def __call__(self, y_true: TensorLike, y_pred: TensorLike) -> Any:
        return ops.mean(self.call(y_true, y_pred))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class SparseCategoricalCrossentropy(Loss):
    """`-log p[label]` for integer labels.

    Args:
        from_logits: whether predictions are logits instead of probabilities. After a softmax layer the loss is computed from
            the logits either way.
    """

    sparse_labels = True

    def __init__(self, from_logits: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return (ops.sparse_softmax_cross_entropy if self.from_logits else ops.sparse_cross_entropy)(y_pred, y_true)


class CategoricalCrossentropy(Loss):
    """`-sum t log p` for one-hot or other distributions `t`.

    Args:
        from_logits: whether predictions are logits instead of probabilities.
    """

    def __init__(self, from_logits: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return (ops.softmax_cross_entropy if self.from_logits else ops.cross_entropy)(y_pred, y_true)


class BinaryCrossentropy(Loss):
    """`-t log p - (1 - t) log(1 - p)`, the mean over the last axis.

    Args:
        from_logits: whether predictions are logits; otherwise probabilities, clipped to 1e-7 .. 1 - 1e-7.
    """

    def __init__(self, from_logits: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if self.from_logits:
            return ops.mean(ops.sigmoid_cross_entropy(y_pred, y_true), axes=-1)
        p = ops.clip(y_pred, 1e-7, 1.0 - 1e-7)
        likelihood = y_true * ops.log(p) + (1.0 - y_true) * ops.log(1.0 - p)
        return -ops.mean(likelihood, axes=-1)


class MeanSquaredError(Loss):
    """`mean of (y_true - y_pred)^2` over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_pred - y_true), axes=-1)


class _FunctionLoss(Loss):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(getattr(function, "__name__", "loss"))
        self._function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self._function(y_true, y_pred)


LossLike: TypeAlias = "str | Loss | Callable[..., Any]"

_BY_NAME: dict[str, type[Loss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
}


def get(loss: LossLike) -> Loss:
    """A loss by name, the object itself, or a function `(y_true, y_pred) -> one number per sample`."""
    if isinstance(loss, str):
        return look_up("loss", loss, _BY_NAME)()
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type):
        raise TypeError(f"loss: the class {loss.__name__}; expected an object; write {loss.__name__}()")
    if callable(loss):
        return _FunctionLoss(loss)
    raise TypeError(f"loss: {loss!r}; expected a name, a Loss or a function; pass for example 'mean_squared_error'")
