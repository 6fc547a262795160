"""Activation functions by Keras's names, with its defaults. Those of `fastnn.ops` are the same functions here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from fastnn import ops
from fastnn.ops import (
    elu,
    gelu,
    hard_sigmoid,
    hard_silu,
    leaky_relu,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from fastnn.ops import exp as exponential
from fastnn.utils import look_up

ActivationLike: TypeAlias = "str | Callable[..., Any] | None"

# What follows is rare, and made of other ops: a pass or two more over memory, no loss of accuracy.


def linear(x: Any) -> Any:
    """`x` itself.

    >>> fastnn.activations.linear(np.array([-1.0, 2.0]))
    array([-1.,  2.])
    """
    return x


def celu(x: Any, alpha: float = 1.0) -> Any:
    """`max(x, 0) + min(alpha (e^(x / alpha) - 1), 0)`, whose slope has no jump for any `alpha > 0`.

    >>> fastnn.activations.celu(np.array([-1.0, 2.0]), alpha=2.0).round(4)
    array([-0.7869,  2.    ])
    """
    return relu(x) + ops.expm1(ops.minimum(x, 0.0) * (1.0 / alpha)) * alpha


def softsign(x: Any) -> Any:
    """`x / (1 + |x|)`.

    >>> fastnn.activations.softsign(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """
    return x / (ops.abs(x) + 1.0)


def squareplus(x: Any, b: float = 4.0) -> Any:
    """`(x + sqrt(x^2 + b)) / 2`.

    >>> fastnn.activations.squareplus(np.array([0.0, 1.5]))
    array([1., 2.])
    """
    return (x + ops.sqrt(ops.square(x) + b)) * 0.5


def log_sigmoid(x: Any) -> Any:
    """`log(sigmoid(x))`, without the logarithm of 0.

    >>> fastnn.activations.log_sigmoid(np.array([-1000.0, 0.0])).round(4)
    array([-1.000e+03, -6.931e-01])
    """
    return ops.negative(softplus(ops.negative(x)))


def hard_tanh(x: Any) -> Any:
    """`min(max(x, -1), 1)`.

    >>> fastnn.activations.hard_tanh(np.array([-3.0, 0.5]))
    array([-1. ,  0.5])
    """
    return ops.clip(x, -1.0, 1.0)


def tanh_shrink(x: Any) -> Any:
    """`x - tanh(x)`.

    >>> fastnn.activations.tanh_shrink(np.array([0.0, 1.0])).round(4)
    array([0.    , 0.2384])
    """
    return x - tanh(x)


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` moved towards 0 by `threshold`, 0 where it is not farther away.

    >>> fastnn.activations.soft_shrink(np.array([-2.0, 0.3, 2.0]))
    array([-1.5,  0. ,  1.5])
    """
    return x - ops.clip(x, -threshold, threshold)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """`x` where `|x| > threshold`, else 0.

    >>> fastnn.activations.hard_shrink(np.array([-2.0, 0.3, 2.0]))
    array([-2.,  0.,  2.])
    """
    return ops.where(ops.greater(ops.abs(x), threshold), x, 0.0)


def sparse_sigmoid(x: Any) -> Any:
    """`min(max((x + 1) / 2, 0), 1)`.

    >>> fastnn.activations.sparse_sigmoid(np.array([-2.0, 0.0, 0.5]))
    array([0.  , 0.5 , 0.75])
    """
    return ops.clip(x * 0.5 + 0.5, 0.0, 1.0)


def sparse_plus(x: Any) -> Any:
    """0 up to -1, `(x + 1)^2 / 4` up to 1, `x` beyond.

    >>> fastnn.activations.sparse_plus(np.array([-2.0, 0.0, 3.0]))
    array([0.  , 0.25, 3.  ])
    """
    return ops.where(ops.less(x, 1.0), ops.square(relu(x + 1.0)) * 0.25, x)


def glu(x: Any, axis: int = -1) -> Any:
    """`a sigmoid(b)`, where `a` and `b` are the halves of `x` along an axis.

    Args:
        x: float array, of even length along the axis.
        axis: of the halves.

    Returns:
        x's dtype, half as long along the axis.

    Raises:
        ValueError: an axis that x does not have, or whose length is not even.

    Source:
        Dauphin, Fan, Auli, Grangier, "Language modeling with gated convolutional networks", ICML 2017, arXiv:1612.08083.

    Example:
        >>> fastnn.activations.glu(np.array([1.0, 2.0, 0.0, 0.0]))
        array([0.5, 1. ])
    """
    a, b = ops.split(x, 2, axis)
    return a * sigmoid(b)


def sparsemax(x: Any) -> Any:
    """The distribution nearest to `x`, over the last axis: `max(x - t, 0)` with the `t` that makes the sum 1.

    Args:
        x: float array `(..., classes)`. Its last axis has a known length; there is no `axis` as in Keras.

    Returns:
        x's shape and dtype; often many zeros.

    Source:
        Martins, Astudillo, "From softmax to sparsemax", ICML 2016.

    Example:
        >>> fastnn.activations.sparsemax(np.array([1.0, 0.5, -1.0]))
        array([0.75, 0.25, 0.  ])
    """
    n = int(x.shape[-1])
    largest, _ = ops.top_k(x, n)
    # The k largest are in, for the last k at which the k-th still is above the t of these k, t = (their sum - 1) / k.
    number = np.arange(1, n + 1).astype(x.dtype)
    inside = ops.greater(largest * number + 1.0, ops.cumsum(largest))
    count = ops.sum(ops.cast(inside, np.dtype(x.dtype).name), -1, keepdims=True)
    t = (ops.sum(ops.where(inside, largest, 0.0), -1, keepdims=True) - 1.0) / count
    return relu(x - t)


_BY_NAME: dict[str, Callable[..., Any]] = {
    "celu": celu,
    "elu": elu,
    "exponential": exponential,
    "gelu": gelu,
    "glu": glu,
    "hard_shrink": hard_shrink,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "hard_tanh": hard_tanh,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "soft_shrink": soft_shrink,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "sparsemax": sparsemax,
    "squareplus": squareplus,
    "swish": silu,
    "tanh": tanh,
    "tanh_shrink": tanh_shrink,
}
hard_swish, swish = hard_silu, silu


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


__all__ = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
]
