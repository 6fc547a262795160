"""One number at a time, with NumPy's broadcasting."""

from __future__ import annotations

import numpy as np

from ._types import Array, is_nan

__all__ = [
    "abs",
    "add",
    "cast",
    "clip",
    "divide",
    "equal",
    "exp",
    "log",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "relu",
    "sigmoid",
    "sigmoid_cross_entropy",
    "sqrt",
    "square",
    "subtract",
    "tanh",
]


def add(a: Array, b: Array) -> Array:
    """Return y = a + b."""
    return np.asarray(a + b)


def subtract(a: Array, b: Array) -> Array:
    """Return y = a - b."""
    return np.asarray(a - b)


def multiply(a: Array, b: Array) -> Array:
    """Return y = a b."""
    return np.asarray(a * b)


def divide(a: Array, b: Array) -> Array:
    """Return y = a / b."""
    return np.asarray(a / b)


def maximum(a: Array, b: Array) -> Array:
    """Return the larger one; a for equal ones; NaN if either is NaN."""
    return np.where(is_nan(a) | (np.real(a) >= np.real(b)), a, b)


def minimum(a: Array, b: Array) -> Array:
    """Return the smaller one; a for equal ones; NaN if either is NaN."""
    return np.where(is_nan(a) | (np.real(a) <= np.real(b)), a, b)


def equal(a: Array, b: Array) -> Array:
    """Return where a = b, as bool. NaN equals nothing."""
    return np.asarray(np.real(a) == np.real(b))


def negative(x: Array) -> Array:
    """Return y = -x."""
    return np.asarray(-x)


def relu(x: Array) -> Array:
    """Return y = x where x > 0, else 0; NaN stays NaN."""
    return np.where(np.real(x) <= 0, np.zeros_like(x), x)


def abs(x: Array) -> Array:
    """Return y = |x|, as x sign(x)."""
    return np.asarray(x * np.sign(np.real(x)))


def sigmoid(x: Array) -> Array:
    """Return y = 1 / (1 + e^-x), without overflow for large |x|."""
    e = np.exp(-abs(x))
    return np.where(np.real(x) < 0, e / (1 + e), 1 / (1 + e))


def tanh(x: Array) -> Array:
    """Return y = tanh(x)."""
    return np.asarray(np.tanh(x))


def exp(x: Array) -> Array:
    """Return y = e^x."""
    return np.asarray(np.exp(x))


def log(x: Array) -> Array:
    """Return y = ln x; -inf at 0, NaN below it."""
    return np.asarray(np.log(x))


def sqrt(x: Array) -> Array:
    """Return y = sqrt(x); NaN below 0."""
    return np.asarray(np.sqrt(x))


def square(x: Array) -> Array:
    """Return y = x^2."""
    return np.asarray(x * x)


def clip(x: Array, *, minimum: float, maximum: float) -> Array:
    """Return x, or the bound that it is beyond; NaN stays NaN."""
    lower, upper = np.full_like(x, minimum), np.full_like(x, maximum)
    return np.where(np.real(x) < minimum, lower, np.where(np.real(x) > maximum, upper, x))


def sigmoid_cross_entropy(logits: Array, targets: Array) -> Array:
    """Return the cross entropy of sigmoid(z) against t, max(z, 0) - z t + log(1 + e^-|z|)."""
    return np.asarray(relu(logits) - logits * targets + np.log1p(np.exp(-abs(logits))))


def cast(x: Array, *, dtype: str) -> Array:
    """Return x in another dtype.

    Floats are cut towards zero, stop at the ends of an integer's range, and become 0 if NaN; integers wrap; bool is x != 0.
    """
    wanted = np.dtype(dtype)
    if wanted.kind == "f" and np.iscomplexobj(x):
        return x  # a float that carries its derivative
    x = np.real(x)
    if wanted.kind not in "iu" or x.dtype.kind != "f":
        return x.astype(wanted)
    limits = np.iinfo(wanted)
    lowest, highest = float(limits.min), float(limits.max)
    y = np.where((x > lowest) & (x < highest), x, 0).astype(wanted)
    return np.where(x >= highest, wanted.type(limits.max), np.where(x <= lowest, wanted.type(limits.min), y))
