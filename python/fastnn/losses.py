"""Losses: `loss(y_true, y_pred)`; training minimises the mean over samples.

Predictions are float arrays `(batch, ..., classes)` or `(batch, ..., outputs)`, `y_true` goes before `y_pred` as in Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from fastnn import ops
from fastnn.tracing import TensorLike
from fastnn.utils import look_up

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "get",
]


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

    def __init__(self, name: str | None = None) -> None:
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
    def __init__(self, from_logits: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.from_logits = from_logits

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, **super().get_config()}


class SparseCategoricalCrossentropy(_FromLogits):
    """`-log p[label]` for integer labels, in nats.

    Args:
        from_logits: whether predictions are logits instead of probabilities. Probabilities are clipped to 1e-7 .. 1 - 1e-7, as
            in Keras; but of a model that ends in softmax the loss is computed from the logits either way, exactly.
        name: for errors and logs.

    `y_true` is integers `(batch, ...)`, each at least 0 and below `classes`; `y_pred` `(batch, ..., classes)`.

    Raises:
        ValueError: when called, a label outside the classes, whose position is named.

    Example:
        >>> loss = fastnn.losses.SparseCategoricalCrossentropy()
        >>> round(float(loss(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))), 4)
        0.1643
    """

    sparse_labels = True

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return (ops.sparse_softmax_cross_entropy if self.from_logits else ops.sparse_cross_entropy)(y_pred, y_true)


class CategoricalCrossentropy(_FromLogits):
    """`-sum over j of t[j] log p[j]` for one-hot or other distributions `t`, in nats.

    Args:
        from_logits: whether predictions are logits instead of probabilities. Probabilities are clipped to 1e-7 .. 1 - 1e-7, as
            in Keras; but of a model that ends in softmax the loss is computed from the logits either way, exactly.
        name: for errors and logs.

    `y_true` and `y_pred` are both `(batch, ..., classes)`; probabilities are divided by their sum first.

    Raises:
        ValueError: when called, shapes that differ.

    Example:
        >>> loss = fastnn.losses.CategoricalCrossentropy()
        >>> round(float(loss(np.eye(2), np.array([[0.9, 0.1], [0.2, 0.8]]))), 4)
        0.1643
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return (ops.softmax_cross_entropy if self.from_logits else ops.cross_entropy)(y_pred, y_true)


class BinaryCrossentropy(_FromLogits):
    """`-t log p - (1 - t) log(1 - p)`, the mean over the last axis, in nats.

    Args:
        from_logits: whether predictions are logits; otherwise probabilities, clipped to 1e-7 .. 1 - 1e-7.
        name: for errors and logs.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`.

    Example:
        >>> loss = fastnn.losses.BinaryCrossentropy()
        >>> round(float(loss(np.array([[1.0], [0.0]]), np.array([[0.9], [0.2]]))), 4)
        0.1643
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if self.from_logits:
            return ops.mean(ops.sigmoid_cross_entropy(y_pred, y_true), axes=-1)
        p = ops.clip(y_pred, 1e-7, 1.0 - 1e-7)
        likelihood = y_true * ops.log(p) + (1.0 - y_true) * ops.log(1.0 - p)
        return -ops.mean(likelihood, axes=-1)


class MeanSquaredError(Loss):
    """`(y_true - y_pred)^2`, the mean over the last axis.

    `y_true` and `y_pred` are both `(batch, ..., outputs)`.

    Example:
        >>> float(fastnn.losses.MeanSquaredError()(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]])))
        2.0
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_pred - y_true), axes=-1)


class FunctionLoss(Loss):
    """A function `(y_true, y_pred) -> one number per sample` as a loss; `get` makes it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)


LossLike: TypeAlias = "str | Loss | Callable[..., Any]"

_BY_NAME: dict[str, type[Loss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
}


def get(loss: LossLike) -> Loss:
    """A loss by name.

    Args:
        loss: a name such as `"mse"`, a Loss, which is returned as it is, or a function
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
        return look_up("loss", loss, _BY_NAME)()
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type):
        raise TypeError(f"loss: the class {loss.__name__}; expected an object; write {loss.__name__}()")
    if callable(loss):
        return FunctionLoss(loss)
    raise TypeError(f"loss: {loss!r}; expected a name, a Loss or a function; pass for example 'mean_squared_error'")
