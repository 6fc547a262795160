"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from fastnn.ops import relu, sigmoid, softmax, tanh
from fastnn.utils import look_up

ActivationLike: TypeAlias = "str | Callable[..., Any] | None"


def linear(x: Any) -> Any:
    """`x` itself."""
    return x


_BY_NAME: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "relu": relu,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "tanh": tanh,
}


def get(activation: ActivationLike) -> Callable[..., Any]:
    """An activation by name, `linear` for None, or the function itself."""
    if activation is None:
        return linear
    if isinstance(activation, str):
        return look_up("activation", activation, _BY_NAME)
    if callable(activation):
        return activation
    raise TypeError(f"activation: {activation!r}; expected a name, a function or None; pass for example 'relu'")


def serialize(activation: Callable[..., Any]) -> str | Callable[..., Any]:
    """The name of a built-in activation, or the function itself."""
    return next((name for name, function in _BY_NAME.items() if function is activation), activation)


__all__ = ["get", "linear", "relu", "serialize", "sigmoid", "softmax", "tanh"]
