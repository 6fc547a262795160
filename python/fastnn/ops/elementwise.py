"""Elementwise arithmetic and activations, with NumPy's broadcasting."""

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
    """`a + b`."""
    return apply("add", [a, b])


@vjp("add")
def _add(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    return _fit(dy, a), _fit(dy, b)


def subtract(a: TensorLike, b: TensorLike) -> Any:
    """`a - b`."""
    return apply("subtract", [a, b])


@vjp("subtract")
def _subtract(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    return _fit(dy, a), _fit(negative(dy), b)


def multiply(a: TensorLike, b: TensorLike) -> Any:
    """`a b`."""
    return apply("multiply", [a, b])


@vjp("multiply")
def _multiply(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    assert a is not None and b is not None
    return _fit(dy * b, a), _fit(dy * a, b)


def divide(a: TensorLike, b: TensorLike) -> Any:
    """`a / b`, floats only."""
    return apply("divide", [a, b])


@vjp("divide")
def _divide(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    assert b is not None
    da = dy / b
    return _fit(da, a), _fit(negative(da * node.outputs[0]), b)


def maximum(a: TensorLike, b: TensorLike) -> Any:
    """The larger of `a` and `b`; NaN if either is. The gradient of equal values goes to `a`."""
    return apply("maximum", [a, b])


def minimum(a: TensorLike, b: TensorLike) -> Any:
    """The smaller of `a` and `b`; NaN if either is. The gradient of equal values goes to `a`."""
    return apply("minimum", [a, b])


@vjp("maximum")
@vjp("minimum")
def _extremum(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    return tuple(_fit(apply(f"{node.op}_backward_{which}", [dy, a, b]), x) for which, x in (("a", a), ("b", b)))


def equal(a: TensorLike, b: TensorLike) -> Any:
    """Whether `a == b`, as bool."""
    return apply("equal", [a, b])


def negative(x: TensorLike) -> Any:
    """`-x`."""
    return apply("negative", [x])


@vjp("negative")
def _negative(node: Node, dy: Tensor) -> Cotangents:
    return (negative(dy),)


def relu(x: TensorLike) -> Any:
    """`max(x, 0)`; its derivative at 0 is 0.

    Example:
        >>> import fastnn, numpy as np
        >>> fastnn.ops.relu(np.array([-1.0, 2.0]))
        array([0., 2.])
    """
    return apply("relu", [x])


def sigmoid(x: TensorLike) -> Any:
    """`1 / (1 + exp(-x))`."""
    return apply("sigmoid", [x])


def tanh(x: TensorLike) -> Any:
    """The hyperbolic tangent."""
    return apply("tanh", [x])


def sqrt(x: TensorLike) -> Any:
    """The square root; NaN below 0."""
    return apply("sqrt", [x])


@vjp("relu")
@vjp("sigmoid")
@vjp("tanh")
@vjp("sqrt")
def _from_result(node: Node, dy: Tensor) -> Cotangents:
    # These derivatives are functions of the result, so the operand need not be kept.
    return (apply(f"{node.op}_backward", [dy, node.outputs[0]]),)


def exp(x: TensorLike) -> Any:
    """The exponential."""
    return apply("exp", [x])


@vjp("exp")
def _exp(node: Node, dy: Tensor) -> Cotangents:
    return (dy * node.outputs[0],)


def log(x: TensorLike) -> Any:
    """The natural logarithm; -inf at 0, NaN below."""
    return apply("log", [x])


@vjp("log")
def _log(node: Node, dy: Tensor) -> Cotangents:
    return (dy / node.inputs[0],)


def square(x: TensorLike) -> Any:
    """`x x`."""
    return apply("square", [x])


@vjp("square")
def _square(node: Node, dy: Tensor) -> Cotangents:
    (x,) = node.inputs
    assert x is not None
    return (dy * (x * 2.0),)


def abs(x: TensorLike) -> Any:
    """`|x|`; its derivative at 0 is 0."""
    return apply("abs", [x])


@vjp("abs")
def _abs(node: Node, dy: Tensor) -> Cotangents:
    return (apply("abs_backward", [dy, node.inputs[0]]),)


def clip(x: TensorLike, minimum: float, maximum: float) -> Any:
    """`x` limited to `minimum .. maximum`; its derivative is 1 inside and at the limits, 0 outside."""
    for what, limit in (("minimum", minimum), ("maximum", maximum)):
        if isinstance(limit, bool) or not isinstance(limit, (int, float, np.integer, np.floating)):
            raise TypeError(f"clip: {what}={limit!r}; expected a number; for an array use fastnn.ops.maximum and minimum")
    return apply("clip", [x], minimum=float(minimum), maximum=float(maximum))


@vjp("clip")
def _clip(node: Node, dy: Tensor) -> Cotangents:
    return (apply("clip_backward", [dy, node.inputs[0]], **node.attributes),)


def sigmoid_cross_entropy(logits: TensorLike, targets: TensorLike) -> Any:
    """`-t log s(z) - (1 - t) log(1 - s(z))` with `s` the sigmoid, computed without overflow from the logits `z`."""
    return apply("sigmoid_cross_entropy", [logits, targets])


@vjp("sigmoid_cross_entropy")
def _sigmoid_cross_entropy(node: Node, dloss: Tensor) -> Cotangents:
    z, t = node.inputs
    # loss = max(z, 0) - z t + log(1 + exp(-|z|)); its derivative by z is s(z) - t, by t is -z.
    return _fit(dloss * (sigmoid(z) - t), z), _fit(negative(dloss * z), t)  # type: ignore[arg-type]


def cast(x: TensorLike, dtype: str) -> Any:
    """`x` in another dtype: float to integer truncates, anything to bool asks whether it is not 0."""
    if isinstance(x, (Tensor, Variable)) and x.dtype == dtype:
        return x
    return apply("cast", [x], dtype=dtype)


@vjp("cast")
def _cast(node: Node, dy: Tensor) -> Cotangents:
    (x,) = node.inputs
    assert x is not None
    return (apply("cast", [dy], dtype=x.dtype) if x.dtype.startswith("float") else None,)
