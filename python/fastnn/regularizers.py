"""Regularizers: what weights themselves add to the loss.

A layer takes them as `kernel_regularizer`, `bias_regularizer` and so on, by name, as objects, or as functions of the weight
that return one number. While a model trains and evaluates, its loss is that of the data plus that of every weight that is
trained, as in Keras. A loop of one's own adds `sum(layer.losses)`. As
`activity_regularizer` it is a function of a layer's output, and what it returns is divided by the length of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from fastnn import ops
from fastnn.utils import check_number, look_up

__all__ = ["L1", "L1L2", "L2", "Regularizer", "get"]


class Regularizer:
    """Base class: a function of a weight, with a configuration that files store.

    Example:
        >>> class Quartic(fastnn.regularizers.Regularizer):
        ...     def __call__(self, x):
        ...         return ops.sum(ops.square(ops.square(x)))
        >>> dense = layers.Dense(1, kernel_initializer="ones", kernel_regularizer=Quartic(), input_shape=(3,))
        >>> y = dense(np.ones((1, 3)))
        >>> float(dense.losses[0])
        3.0
    """

    def __call__(self, x: Any) -> Any:
        """What the weight adds to the loss; a subclass implements it.

        Args:
            x: the weight.

        Returns:
            One number.

        Raises:
            TypeError: the subclass has no such method.
        """
        raise TypeError(f"{type(self).__name__}: has no __call__(x); expected one; override it")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A regularizer from what `get_config` returned.

        Args:
            config: the constructor's arguments by name.
        """
        return cls(**config)


def _factor(what: str, value: float) -> float:
    return check_number("regularizer", what, value, 0.01, "a finite number >= 0", lambda v: v >= 0.0)


class L1L2(Regularizer):
    """`l1 sum |x| + l2 sum x^2`.

    Args:
        l1: at least 0.
        l2: likewise. By the name "l1_l2" both are 0.01.

    Raises:
        ValueError: a factor outside its range.

    Example:
        >>> round(float(fastnn.regularizers.L1L2(l1=0.5, l2=0.25)(np.array([2.0, -4.0]))), 4)
        8.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = _factor("l1", l1), _factor("l2", l2)

    def __call__(self, x: Any) -> Any:
        return ops.sum(ops.abs(x)) * self.l1 + ops.sum(ops.square(x)) * self.l2

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """`l1 sum |x|`, which makes many numbers small.

    Args:
        l1: at least 0.

    Raises:
        ValueError: a factor outside its range.

    Example:
        >>> float(fastnn.regularizers.L1(0.5)(np.array([2.0, -4.0])))
        3.0
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor("l1", l1)

    def __call__(self, x: Any) -> Any:
        return ops.sum(ops.abs(x)) * self.l1

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(Regularizer):
    """`l2 sum x^2`, which keeps numbers from growing large.

    Args:
        l2: at least 0.

    Raises:
        ValueError: a factor outside its range.

    Example:
        >>> float(fastnn.regularizers.L2(0.5)(np.array([2.0, -4.0])))
        10.0
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor("l2", l2)

    def __call__(self, x: Any) -> Any:
        return ops.sum(ops.square(x)) * self.l2

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


RegularizerLike: TypeAlias = "str | Callable[[Any], Any] | None"

_BY_NAME: dict[str, Callable[[], Regularizer]] = {
    "L1": L1,
    "L1L2": lambda: L1L2(0.01, 0.01),
    "L2": L2,
    "l1": L1,
    "l1_l2": lambda: L1L2(0.01, 0.01),
    "l2": L2,
}


def get(regularizer: RegularizerLike) -> Callable[[Any], Any] | None:
    """A regularizer by name.

    Args:
        regularizer: `"l1"`, `"l2"`, `"l1_l2"`, or a function of a weight, which is returned as it is, as None is.

    Returns:
        A function, or None.

    Raises:
        ValueError: a name that does not exist; the nearest ones are given.
        TypeError: neither a name nor a function; a class.

    Example:
        >>> fastnn.regularizers.get("l2").get_config()
        {'l2': 0.01}
    """
    if isinstance(regularizer, str):
        return look_up("regularizer", regularizer, _BY_NAME)()
    if regularizer is None or (callable(regularizer) and not isinstance(regularizer, type)):
        return regularizer
    raise TypeError(f"regularizer: {regularizer!r}; expected a name or a function of a weight; pass for example 'l2'")
