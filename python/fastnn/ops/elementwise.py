"""Elementwise arithmetic and activations, with NumPy's broadcasting.

`a` and `b` have shapes that broadcast, `x` any shape; the result has the broadcast shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, Variable, apply


def _fit(dy: Tensor, operand: Tensor | None) -> Tensor:
    """The cotangent of an operand that was broadcast: summed over the axes that were stretched."""
    assert operand is not None
    return dy if dy.shape == operand.shape else apply("sum_to_like", [dy, operand])


def add(a: TensorLike, b: TensorLike) -> Any:
    """`a + b`, numbers.

    >>> ops.add(np.array([1.0, 2.0]), 1)
    array([2., 3.])
    """
    return apply("add", [a, b])


@vjp("add")
def _add(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    return _fit(dy, a), _fit(dy, b)


def subtract(a: TensorLike, b: TensorLike) -> Any:
    """`a - b`, numbers.

    >>> ops.subtract(np.array([1.0, 2.0]), 1)
    array([0., 1.])
    """
    return apply("subtract", [a, b])


@vjp("subtract")
def _subtract(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    return _fit(dy, a), _fit(negative(dy), b)


def multiply(a: TensorLike, b: TensorLike) -> Any:
    """`a b`, numbers.

    >>> ops.multiply(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    array([3., 8.])
    """
    return apply("multiply", [a, b])


@vjp("multiply")
def _multiply(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    assert a is not None and b is not None
    return _fit(dy * b, a), _fit(dy * a, b)


def divide(a: TensorLike, b: TensorLike) -> Any:
    """`a / b`, floats only. As in NumPy `1 / 0` is inf and `0 / 0` NaN, without a warning.

    >>> ops.divide(np.array([1.0, 3.0]), np.array([2.0, 0.0]))
    array([0.5, inf])
    """
    return apply("divide", [a, b])


@vjp("divide")
def _divide(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    assert b is not None
    da = dy / b
    return _fit(da, a), _fit(negative(da * node.outputs[0]), b)


def maximum(a: TensorLike, b: TensorLike) -> Any:
    """The larger of `a` and `b`, numbers; NaN if either is. The gradient of equal values goes to `a`.

    >>> ops.maximum(np.array([1.0, 5.0]), np.array([3.0, 4.0]))
    array([3., 5.])
    """
    return apply("maximum", [a, b])


def minimum(a: TensorLike, b: TensorLike) -> Any:
    """The smaller of `a` and `b`, numbers; NaN if either is. The gradient of equal values goes to `a`.

    >>> ops.minimum(np.array([1.0, 5.0]), np.array([3.0, 4.0]))
    array([1., 4.])
    """
    return apply("minimum", [a, b])


@vjp("maximum")
@vjp("minimum")
def _extremum(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    return tuple(_fit(apply(f"{node.op}_backward_{which}", [dy, a, b]), x) for which, x in (("a", a), ("b", b)))


def equal(a: TensorLike, b: TensorLike) -> Any:
    """Whether `a == b`, any dtype; a bool array. NaN equals nothing. It has no derivative.

    >>> ops.equal(np.array([1, 2, 3]), 2)
    array([False,  True, False])
    """
    return apply("equal", [a, b])


def negative(x: TensorLike) -> Any:
    """`-x`, numbers.

    >>> ops.negative(np.array([1.0, -2.0]))
    array([-1.,  2.])
    """
    return apply("negative", [x])


@vjp("negative")
def _negative(node: Node, dy: Tensor) -> Cotangents:
    return (negative(dy),)


def relu(x: TensorLike) -> Any:
    """`max(x, 0)`, floats. NaN stays NaN; the derivative at 0 is 0.

    >>> ops.relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return apply("relu", [x])


def sigmoid(x: TensorLike) -> Any:
    """`1 / (1 + exp(-x))`, floats; no overflow for any `x`.

    >>> ops.sigmoid(np.array([-1000.0, 0.0]))
    array([0. , 0.5])
    """
    return apply("sigmoid", [x])


def tanh(x: TensorLike) -> Any:
    """The hyperbolic tangent of `x`, floats.

    >>> ops.tanh(np.array([0.0, 1000.0]))
    array([0., 1.])
    """
    return apply("tanh", [x])


def sqrt(x: TensorLike) -> Any:
    """The square root of `x`, floats; NaN below 0. The derivative at 0 is inf.

    >>> ops.sqrt(np.array([4.0, -1.0]))
    array([ 2., nan])
    """
    return apply("sqrt", [x])


@vjp("relu")
@vjp("sigmoid")
@vjp("tanh")
@vjp("sqrt")
def _from_result(node: Node, dy: Tensor) -> Cotangents:
    # These derivatives are functions of the result, so the operand need not be kept.
    return (apply(f"{node.op}_backward", [dy, node.outputs[0]]),)


def exp(x: TensorLike) -> Any:
    """`e^x`, floats.

    >>> ops.exp(np.array([0.0, -np.inf]))
    array([1., 0.])
    """
    return apply("exp", [x])


@vjp("exp")
def _exp(node: Node, dy: Tensor) -> Cotangents:
    return (dy * node.outputs[0],)


def log(x: TensorLike) -> Any:
    """The natural logarithm of `x`, floats; -inf at 0, NaN below.

    >>> ops.log(np.array([1.0, 0.0]))
    array([  0., -inf])
    """
    return apply("log", [x])


@vjp("log")
def _log(node: Node, dy: Tensor) -> Cotangents:
    return (dy / node.inputs[0],)


def square(x: TensorLike) -> Any:
    """`x x`, numbers.

    >>> ops.square(np.array([3, -4]))
    array([ 9, 16])
    """
    return apply("square", [x])


@vjp("square")
def _square(node: Node, dy: Tensor) -> Cotangents:
    (x,) = node.inputs
    assert x is not None
    return (dy * (x * 2.0),)


def abs(x: TensorLike) -> Any:
    """`|x|`, numbers; the derivative at 0 is 0.

    >>> ops.abs(np.array([-1.5, 2.0]))
    array([1.5, 2. ])
    """
    return apply("abs", [x])


@vjp("abs")
def _abs(node: Node, dy: Tensor) -> Cotangents:
    return (apply("abs_backward", [dy, node.inputs[0]]),)


def clip(x: TensorLike, minimum: float, maximum: float) -> Any:
    """`min(max(x, minimum), maximum)`; the derivative is 1 inside and at the limits, 0 outside.

    Args:
        x: float array of any shape.
        minimum: a Python number.
        maximum: a Python number, at least `minimum`.

    Raises:
        ValueError: minimum > maximum.
        TypeError: a limit that is no number.

    Example:
        >>> ops.clip(np.array([-2.0, 0.5, 2.0]), 0.0, 1.0)
        array([0. , 0.5, 1. ])
    """
    for what, limit in (("minimum", minimum), ("maximum", maximum)):
        if isinstance(limit, bool) or not isinstance(limit, (int, float, np.integer, np.floating)):
            raise TypeError(f"clip: {what}={limit!r}; expected a number; for an array use fastnn.ops.maximum and minimum")
    return apply("clip", [x], minimum=float(minimum), maximum=float(maximum))


@vjp("clip")
def _clip(node: Node, dy: Tensor) -> Cotangents:
    return (apply("clip_backward", [dy, node.inputs[0]], **node.attributes),)


def sigmoid_cross_entropy(logits: TensorLike, targets: TensorLike) -> Any:
    """`loss = -t log s(z) - (1 - t) log(1 - s(z))` with `s` the sigmoid, from the logits `z` without overflow.

    Computed as `max(z, 0) - z t + log(1 + exp(-|z|))`. The gradient by `z` is `s(z) - t`, that by `t` is `-z`.

    Args:
        logits: `z`, float array `(...)`.
        targets: `t`, the same shape and dtype, usually 0 or 1.

    Returns:
        `(...)`, one loss per element.

    Example:
        >>> ops.sigmoid_cross_entropy(np.array([0.0, 1000.0]), np.array([1.0, 1.0])).round(4)
        array([0.6931, 0.    ])
    """
    return apply("sigmoid_cross_entropy", [logits, targets])


@vjp("sigmoid_cross_entropy")
def _sigmoid_cross_entropy(node: Node, dloss: Tensor) -> Cotangents:
    z, t = node.inputs
    # loss = max(z, 0) - z t + log(1 + exp(-|z|)); its derivative by z is s(z) - t, by t is -z.
    return _fit(dloss * (sigmoid(z) - t), z), _fit(negative(dloss * z), t)  # type: ignore[arg-type]


def cast(x: TensorLike, dtype: str) -> Any:
    """`x` in another dtype.

    Float to integer truncates towards 0, values beyond the integer's range become its nearest limit, NaN becomes 0; integers
    wrap around, as in NumPy. Anything to bool asks whether it is not 0. Gradients flow from float to float.

    Args:
        x: array of any dtype and shape.
        dtype: the name of a dtype: float32, float64, int32, int64, uint8 or bool.

    Returns:
        x's shape.

    Raises:
        TypeError: a name that is none of these.

    Example:
        >>> ops.cast(np.array([-1.7, 1.7]), "int64")
        array([-1,  1])
    """
    if isinstance(x, (Tensor, Variable)) and x.dtype == dtype:
        return x
    return apply("cast", [x], dtype=dtype)


@vjp("cast")
def _cast(node: Node, dy: Tensor) -> Cotangents:
    (x,) = node.inputs
    assert x is not None
    return (apply("cast", [dy], dtype=x.dtype) if x.dtype.startswith("float") else None,)
