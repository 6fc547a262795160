"""One number at a time, with NumPy's broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ._types import Array, is_nan

__all__ = [
    "abs",
    "add",
    "cast",
    "ceil",
    "clip",
    "cos",
    "divide",
    "elu",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "gelu",
    "greater",
    "greater_equal",
    "hard_sigmoid",
    "hard_silu",
    "leaky_relu",
    "less",
    "less_equal",
    "log",
    "log1p",
    "logical_and",
    "logical_or",
    "maximum",
    "minimum",
    "mish",
    "multiply",
    "negative",
    "not_equal",
    "power",
    "prelu",
    "relu",
    "relu6",
    "round",
    "rsqrt",
    "sigmoid",
    "sigmoid_cross_entropy",
    "sign",
    "silu",
    "sin",
    "softplus",
    "sqrt",
    "square",
    "stop_gradient",
    "subtract",
    "tanh",
    "where",
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


def not_equal(a: Array, b: Array) -> Array:
    """Return where a and b differ, as bool. NaN differs from everything."""
    return np.asarray(np.real(a) != np.real(b))


def less(a: Array, b: Array) -> Array:
    """Return where a < b, as bool."""
    return np.asarray(np.real(a) < np.real(b))


def less_equal(a: Array, b: Array) -> Array:
    """Return where a <= b, as bool."""
    return np.asarray(np.real(a) <= np.real(b))


def greater(a: Array, b: Array) -> Array:
    """Return where a > b, as bool."""
    return np.asarray(np.real(a) > np.real(b))


def greater_equal(a: Array, b: Array) -> Array:
    """Return where a >= b, as bool."""
    return np.asarray(np.real(a) >= np.real(b))


def logical_and(a: Array, b: Array) -> Array:
    """Return where a and b hold."""
    return np.asarray(a & b)


def logical_or(a: Array, b: Array) -> Array:
    """Return where a or b holds."""
    return np.asarray(a | b)


def where(condition: Array, a: Array, b: Array) -> Array:
    """Return a where the condition holds, else b."""
    return np.where(condition, a, b)


def stop_gradient(x: Array) -> Array:
    """Return x."""
    return x


def power(a: Array, b: Array) -> Array:
    """Return y = a^b: 1 for b = 0 and a = 1, NaN for a < 0 where b is no integer."""
    if not (np.iscomplexobj(a) or np.iscomplexobj(b)):
        return np.asarray(np.power(a, b))
    # Of a negative number the complex power would be on another branch.
    odd = (np.real(a) < 0) & (np.mod(np.real(b), 2) == 1)
    return np.asarray(np.power(np.where(np.real(a) < 0, -a, a), b) * np.where(odd, -1, 1))


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


def sign(x: Array) -> Array:
    """Return -1, 0 or 1; NaN stays NaN."""
    return np.asarray(np.sign(np.real(x)))


def floor(x: Array) -> Array:
    """Return the largest integer that is not above x."""
    return np.asarray(np.floor(np.real(x)))


def ceil(x: Array) -> Array:
    """Return the smallest integer that is not below x."""
    return np.asarray(np.ceil(np.real(x)))


def round(x: Array) -> Array:
    """Return the nearest integer, of two the even one."""
    return np.asarray(np.round(np.real(x)))


def rsqrt(x: Array) -> Array:
    """Return y = 1 / sqrt(x); NaN below 0."""
    return np.asarray(1 / np.sqrt(x))


def expm1(x: Array) -> Array:
    """Return y = e^x - 1."""
    return np.asarray(np.expm1(x))


def log1p(x: Array) -> Array:
    """Return y = ln(1 + x)."""
    return np.asarray(np.log1p(x))


def sin(x: Array) -> Array:
    """Return y = sin x."""
    return np.asarray(np.sin(x))


def cos(x: Array) -> Array:
    """Return y = cos x."""
    return np.asarray(np.cos(x))


def _erf_series(x: Array) -> Array:
    """Return erf(x) for |x| <= 1/2: 2 / sqrt(pi) e^(-x^2) times the sum over n of 2^n x^(2n+1) / (1 3 ... (2n+1))."""
    term = total = x
    for n in range(1, 20):
        term = term * (2 * x * x / (2 * n + 1))
        total = total + term
    return np.asarray(2 / math.sqrt(math.pi) * np.exp(-x * x) * total)


def _erfc_fraction(x: Array) -> Array:
    """Return erfc(x) for x >= 1/2 by Laplace's continued fraction, e^(-x^2) / sqrt(pi) / (x + 1/2 / (x + 2/2 / (x + ...)))."""
    rest = np.zeros_like(x)
    for n in range(700, 0, -1):
        rest = n / 2 / (x + rest)
    return np.asarray(np.exp(-x * x) / (x + rest) / math.sqrt(math.pi))


def _clamped(x: Array, low: float, high: float) -> Array:
    return np.where(np.real(x) < low, np.full_like(x, low), np.where(np.real(x) > high, np.full_like(x, high), x))


def erf(x: Array) -> Array:
    """Return y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    beyond = np.sign(np.real(x)) * (1 - _erfc_fraction(_clamped(abs(x), 0.5, 40.0)))
    return np.where(np.abs(np.real(x)) < 0.5, _erf_series(_clamped(x, -0.5, 0.5)), beyond)


def _normal(x: Array) -> Array:
    """Return P(X <= x) for a standard normal X."""
    z = x / math.sqrt(2)
    return np.where(np.real(z) < -0.5, _erfc_fraction(_clamped(-z, 0.5, 40.0)) / 2, (1 + erf(z)) / 2)


def gelu(x: Array, *, approximate: bool = False, slope: bool = False) -> Array | tuple[Array, Array]:
    """Return y = x P(X <= x) for a standard normal X, or x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    With `slope` dy/dx as well.
    """
    near = _clamped(x, -1000.0, 1000.0)
    if approximate:
        factor = 2 * math.sqrt(2 / math.pi)
        s = sigmoid(factor * (near + 0.044715 * near**3))
        y = _limited(x, lambda x: x * sigmoid(factor * (x + 0.044715 * x**3)))
        return (y, np.asarray(s + near * s * (1 - s) * factor * (1 + 3 * 0.044715 * near**2))) if slope else y
    y = _limited(x, lambda x: x * _normal(x))
    return (y, np.asarray(_normal(near) + near * np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi))) if slope else y


def _limited(x: Array, f: Callable[[Array], Array]) -> Array:
    """Return f(x), 0 at minus infinity."""
    return np.where(np.real(x) == -np.inf, np.zeros_like(x), f(np.where(np.real(x) == -np.inf, np.zeros_like(x), x)))


def softplus(x: Array) -> Array:
    """Return y = ln(1 + e^x)."""
    return np.asarray(relu(x) + np.log1p(np.exp(-abs(x))))


def silu(x: Array, *, slope: bool = False) -> Array | tuple[Array, Array]:
    """Return y = x / (1 + e^-x), with `slope` dy/dx as well."""
    y, near = _limited(x, lambda x: x * sigmoid(x)), _clamped(x, -1000.0, 1000.0)
    s = sigmoid(near)
    return (y, np.asarray(s + near * s * (1 - s))) if slope else y


def mish(x: Array, *, slope: bool = False) -> Array | tuple[Array, Array]:
    """Return y = x tanh(ln(1 + e^x)), with `slope` dy/dx as well."""
    y, near = _limited(x, lambda x: x * np.tanh(softplus(x))), _clamped(x, -1000.0, 1000.0)
    t = np.tanh(softplus(near))
    return (y, np.asarray(t + near * (1 - t**2) * sigmoid(near))) if slope else y


def elu(x: Array, *, alpha: float = 1.0, scale: float = 1.0) -> Array:
    """Return y = scale x where x > 0, else scale alpha (e^x - 1)."""
    below = np.where(np.real(x) > 0, np.zeros_like(x), x)
    return np.asarray(scale * np.where(np.real(x) > 0, x, alpha * np.expm1(below)))


def leaky_relu(x: Array, *, negative_slope: float = 0.2) -> Array:
    """Return y = x where x > 0, else negative_slope x."""
    return np.where(np.real(x) > 0, x, negative_slope * x)


def prelu(x: Array, alpha: Array) -> Array:
    """Return y = x where x > 0, else alpha x."""
    return np.where(np.real(x) > 0, x, alpha * x)


def relu6(x: Array) -> Array:
    """Return y = min(max(x, 0), 6)."""
    return clip(x, minimum=0.0, maximum=6.0)


def hard_sigmoid(x: Array) -> Array:
    """Return y = min(max(x / 6 + 1/2, 0), 1)."""
    return clip(x / 6 + 0.5, minimum=0.0, maximum=1.0)


def hard_silu(x: Array) -> Array:
    """Return y = x hard_sigmoid(x)."""
    return _limited(x, lambda x: x * hard_sigmoid(x))


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
