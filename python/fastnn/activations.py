"""Activation functions by name: linear, relu, sigmoid, softmax, tanh. The functions are those of `fastnn.ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from fastnn.ops import relu, sigmoid, softmax, tanh
from fastnn.utils import look_up

ActivationLike: TypeAlias = "str | Callable[..., Any] | None"


def linear(x: Any) -> Any:
    """`x` itself.

    >>> fastnn.activations.linear(np.array([-1.0, 2.0]))
    array([-1.,  2.])
    """
    return x


_BY_NAME: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "relu": relu,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "tanh": tanh,
}


def get(activation: ActivationLike) -> Callable[..., Any]:
    """An activation function by name.

    Args:
        activation: a name, a function of one array or tensor (returned as it is), or None for `linear`.

    Returns:
        The function.

    Raises:
        ValueError: a name that does not exist; the nearest ones are given.
        TypeError: neither a name nor a function.

    Example:
        >>> fastnn.activations.get("relu") is ops.relu
        True
    """
    if activation is None:
        return linear
    if isinstance(activation, str):
        return look_up("activation", activation, _BY_NAME)
    if callable(activation):
        return activation
    raise TypeError(f"activation: {activation!r}; expected a name, a function or None; pass for example 'relu'")


def serialize(activation: Callable[..., Any]) -> str | Callable[..., Any]:
    """The name of a built-in activation, or the function itself: the inverse of `get`, for configurations.

    Args:
        activation: a function.

    Returns:
        A string or the function.

    Example:
        >>> fastnn.activations.serialize(ops.tanh)
        'tanh'
    """
    return next((name for name, function in _BY_NAME.items() if function is activation), activation)


__all__ = ["get", "linear", "relu", "serialize", "sigmoid", "softmax", "tanh"]
