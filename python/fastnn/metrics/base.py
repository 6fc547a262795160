"""The base of all metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.tracing import Variable, named_variables


class Metric:
    """Base class: the mean of `call(y_true, y_pred)`, one number per sample, over everything seen since `reset`.

    The sums are float64 Variables, so that 60,000 small numbers add up exactly enough, and part of the program, so that
    updating them costs no Python. Outside a program `update_state` adds at once. A metric that is no mean names its own sums
    in `state`, adds to them with `fastnn.ops` in `update_state` and computes in `result`, which may return an array: logs
    and `History` hold numbers only and leave such a metric out; its `result` is there to be read.

    Args:
        name: in logs and `History`.
        state: the shapes of what it remembers, float64 Variables that begin as 0 and become attributes of these names; default
            `total` and `count`.

    Example:
        >>> class MeanAbsoluteError(fastnn.metrics.Metric):
        ...     def call(self, y_true, y_pred):
        ...         return ops.mean(ops.abs(y_pred - y_true), axes=-1)
        >>> metric = MeanAbsoluteError("mae")
        >>> metric.update_state(np.zeros((2, 1)), np.array([[1.0], [-3.0]]))
        >>> metric.result()
        2.0
        >>> class Largest(fastnn.metrics.Metric):
        ...     def __init__(self, name="largest"):
        ...         super().__init__(name, {"top": ()})
        ...     def update_state(self, y_true, y_pred):
        ...         self.top.assign(ops.maximum(self.top, ops.cast(ops.max(y_pred), "float64")))
        ...     def result(self):
        ...         return float(self.top)
        >>> metric = Largest()
        >>> metric.update_state(None, np.array([3.0, 1.0])); metric.update_state(None, np.array([2.0]))
        >>> metric.result()
        3.0
    """

    total: Variable
    count: Variable

    def __init__(self, name: str, state: Mapping[str, Sequence[int]] | None = None) -> None:
        self.name = name
        self._remember({"total": (), "count": ()} if state is None else state)

    def _remember(self, state: Mapping[str, Sequence[int]]) -> None:
        for what, shape in state.items():
            setattr(self, what, Variable(np.zeros(tuple(shape), np.float64), name=f"{self.name}/{what}", trainable=False))

    def build(self, output_shape: Sequence[int | None]) -> None:
        """Makes what it remembers where that depends on the shape of predictions; the first batch does it.

        The default does nothing.

        Args:
            output_shape: `(batch, ...)`; the batch may be None.
        """

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

    def update(self, values: Any, sample_weight: Any = None) -> None:
        """Adds one number per sample.

        Args:
            values: array or tensor of any shape and dtype.
            sample_weight: how much each sample counts in the mean, `(batch,)`; None for all alike.
        """
        values = ops.cast(values, "float64")
        each: Any = np.float64(1.0)
        if sample_weight is not None:
            each = ops.cast(sample_weight, "float64")
            each = ops.reshape(each, (each.shape[0], *(1 for _ in values.shape[1:])))
            values = values * each
        self.total.assign(self.total + ops.sum(values))
        self.count.assign(self.count + ops.sum(ops.broadcast_like(each, values)))

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
        """Forgets everything seen: all Variables that are attributes become 0."""
        for variable in named_variables(self).values():
            variable.assign(0.0)

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
