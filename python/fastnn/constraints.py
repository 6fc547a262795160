"""Constraints: where weights have to be after every update.

A layer takes them as `kernel_constraint`, `bias_constraint` and so on, by name, as objects, or as functions from a weight to
the nearest one allowed. The optimizer's update applies them to the new value, as part of the same step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from fastnn import ops
from fastnn.utils import check_number, look_up

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get"]

_EPSILON = 1e-7  # Keras's


class Constraint:
    """Base class: a function from a weight to one of its shape that is allowed, with a configuration that files store.

    Example:
        >>> class Below(fastnn.constraints.Constraint):
        ...     def __call__(self, w):
        ...         return ops.minimum(w, 0.5)
        >>> model = fastnn.Sequential([layers.Dense(1, kernel_constraint=Below(), input_shape=(3,))])
        >>> model.compile("sgd", loss="mse")
        >>> loss = model.train_on_batch(np.ones((1, 3)), np.full((1, 1), 1e3))
        >>> model.get_weights()[0].ravel()
        array([0.5, 0.5, 0.5], dtype=float32)
    """

    def __call__(self, w: Any) -> Any:
        """The weight that is allowed; a subclass implements it.

        Args:
            w: the new value of a weight.

        Returns:
            An array or tensor of its shape.

        Raises:
            TypeError: the subclass has no such method.
        """
        raise TypeError(f"{type(self).__name__}: has no __call__(w); expected one; override it")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A constraint from what `get_config` returned.

        Args:
            config: the constructor's arguments by name.
        """
        return cls(**config)


class _Norm(Constraint):
    def __init__(self, axis: int | Sequence[int]) -> None:
        axes = axis if isinstance(axis, (list, tuple)) else [axis]
        if not axes or any(isinstance(a, bool) or not isinstance(a, int) for a in axes):
            raise TypeError(f"constraint: axis={axis!r}; expected an integer or a list of them; pass for example axis=0")
        self.axis = axis if isinstance(axis, int) else list(axes)

    def _norms(self, w: Any) -> Any:
        axes = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        return ops.sqrt(ops.sum(ops.square(w), axes=axes, keepdims=True))

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class MaxNorm(_Norm):
    """Vectors along `axis` are scaled down to the norm `max_value` where they are longer.

    Args:
        max_value: at least 0.
        axis: one or several; 0, the default, for a `Dense` layer, whose units have a column each; `[0, 1, 2]` for `Conv2D`.

    Raises:
        ValueError: max_value outside its range. TypeError: an axis that is no integer.

    Source:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural networks from
        overfitting", JMLR 2014.

    Example:
        >>> fastnn.constraints.MaxNorm(1.0)(np.array([[3.0, 0.5], [4.0, 0.0]])).round(4)
        array([[0.6, 0.5],
               [0.8, 0. ]])
    """

    def __init__(self, max_value: float = 2.0, axis: int | Sequence[int] = 0) -> None:
        super().__init__(axis)
        self.max_value = check_number("constraint", "max_value", max_value, 2.0, "a finite number >= 0", lambda v: v >= 0.0)

    def __call__(self, w: Any) -> Any:
        norms = self._norms(w)
        return w * (ops.clip(norms, 0.0, self.max_value) / (norms + _EPSILON))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, **super().get_config()}


class NonNeg(Constraint):
    """Negative numbers become 0.

    Example:
        >>> fastnn.constraints.NonNeg()(np.array([-1.0, 2.0]))
        array([0., 2.])
    """

    def __call__(self, w: Any) -> Any:
        return ops.maximum(w, 0.0)


class UnitNorm(_Norm):
    """Vectors along `axis` get the norm 1.

    Args:
        axis: as for `MaxNorm`.

    Raises:
        TypeError: an axis that is no integer.

    Example:
        >>> fastnn.constraints.UnitNorm()(np.array([[3.0, 0.5], [4.0, 0.0]])).round(4)
        array([[0.6, 1. ],
               [0.8, 0. ]])
    """

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        super().__init__(axis)

    def __call__(self, w: Any) -> Any:
        return w / (self._norms(w) + _EPSILON)


class MinMaxNorm(_Norm):
    """The norms of vectors along `axis` are moved into a range, by the share `rate` of the way.

    Args:
        min_value: at least 0.
        max_value: at least `min_value`.
        rate: above 0, at most 1: all the way.
        axis: as for `MaxNorm`.

    Raises:
        ValueError: a number outside its range. TypeError: an axis that is no integer.

    Example:
        >>> fastnn.constraints.MinMaxNorm(1.0, 2.0)(np.array([[3.0, 0.5], [4.0, 0.0]])).round(4)
        array([[1.2, 1. ],
               [1.6, 0. ]])
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0
    ) -> None:
        super().__init__(axis)
        self.min_value = check_number("constraint", "min_value", min_value, 0.0, "a finite number >= 0", lambda v: v >= 0.0)
        expected = f"a finite number >= min_value, {self.min_value}"
        self.max_value = check_number("constraint", "max_value", max_value, 1.0, expected, lambda v: v >= self.min_value)
        self.rate = check_number("constraint", "rate", rate, 1.0, "0 < rate <= 1", lambda r: 0.0 < r <= 1.0)

    def __call__(self, w: Any) -> Any:
        norms = self._norms(w)
        wanted = ops.clip(norms, self.min_value, self.max_value) * self.rate + norms * (1.0 - self.rate)
        return w * (wanted / (norms + _EPSILON))

    def get_config(self) -> dict[str, Any]:
        own = {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate}
        return {**own, **super().get_config()}


ConstraintLike: TypeAlias = "str | Callable[[Any], Any] | None"

_BY_NAME: dict[str, type[Any]] = {
    "MaxNorm": MaxNorm,
    "MinMaxNorm": MinMaxNorm,
    "NonNeg": NonNeg,
    "UnitNorm": UnitNorm,
    "max_norm": MaxNorm,
    "min_max_norm": MinMaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
}


def get(constraint: ConstraintLike) -> Callable[[Any], Any] | None:
    """A constraint by name.

    Args:
        constraint: `"max_norm"`, `"non_neg"`, `"unit_norm"`, `"min_max_norm"`, or a function of a weight, which is returned as
            it is, as None is.

    Returns:
        A function, or None.

    Raises:
        ValueError: a name that does not exist; the nearest ones are given.
        TypeError: neither a name nor a function; a class.

    Example:
        >>> fastnn.constraints.get("max_norm").get_config()
        {'max_value': 2.0, 'axis': 0}
    """
    if isinstance(constraint, str):
        chosen: Callable[[Any], Any] = look_up("constraint", constraint, _BY_NAME)()
        return chosen
    if constraint is None or (callable(constraint) and not isinstance(constraint, type)):
        return constraint
    raise TypeError(f"constraint: {constraint!r}; expected a name or a function of a weight; pass for example 'non_neg'")
