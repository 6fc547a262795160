"""Elementwise arithmetic and activations, with NumPy's broadcasting.

`a` and `b` have shapes that broadcast, `x` any shape; the result has the broadcast shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, Variable, apply, number_like


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


def not_equal(a: TensorLike, b: TensorLike) -> Any:
    """Whether `a != b`, any dtype; a bool array. NaN differs from everything. It has no derivative.

    >>> ops.not_equal(np.array([1, 2, 3]), 2)
    array([ True, False,  True])
    """
    return apply("not_equal", [a, b])


def less(a: TensorLike, b: TensorLike) -> Any:
    """Whether `a < b`, any dtype; a bool array. False beside a NaN. It has no derivative.

    >>> ops.less(np.array([1, 2, 3]), 2)
    array([ True, False, False])
    """
    return apply("less", [a, b])


def less_equal(a: TensorLike, b: TensorLike) -> Any:
    """Whether `a <= b`, any dtype; a bool array. False beside a NaN. It has no derivative.

    >>> ops.less_equal(np.array([1, 2, 3]), 2)
    array([ True,  True, False])
    """
    return apply("less_equal", [a, b])


def greater(a: TensorLike, b: TensorLike) -> Any:
    """Whether `a > b`, any dtype; a bool array. False beside a NaN. It has no derivative.

    >>> ops.greater(np.array([1, 2, 3]), 2)
    array([False, False,  True])
    """
    return apply("greater", [a, b])


def greater_equal(a: TensorLike, b: TensorLike) -> Any:
    """Whether `a >= b`, any dtype; a bool array. False beside a NaN. It has no derivative.

    >>> ops.greater_equal(np.array([1, 2, 3]), 2)
    array([False,  True,  True])
    """
    return apply("greater_equal", [a, b])


def logical_and(a: TensorLike, b: TensorLike) -> Any:
    """Whether `a` and `b` both hold; bool arrays.

    >>> ops.logical_and(np.array([True, True, False]), np.array([True, False, False]))
    array([ True, False, False])
    """
    return apply("logical_and", [a, b])


def logical_or(a: TensorLike, b: TensorLike) -> Any:
    """Whether `a` or `b` holds; bool arrays.

    >>> ops.logical_or(np.array([True, True, False]), np.array([True, False, False]))
    array([ True,  True, False])
    """
    return apply("logical_or", [a, b])


def logical_not(x: TensorLike) -> Any:
    """Whether `x` is False, or a number that is 0; a bool array.

    >>> ops.logical_not(np.array([True, False]))
    array([False,  True])
    """
    return equal(x, False)


def where(condition: TensorLike, a: TensorLike, b: TensorLike) -> Any:
    """`a` where the condition holds, else `b`; all three broadcast.

    No gradient passes to what is not chosen, but what it is made of may still be NaN there: the gradient of `sqrt(x)` where
    `x` is 0 is 0 times infinity. Choose `x` itself first, as in `sqrt(where(x > 0, x, 1))`.

    Args:
        condition: bool array.
        a: array of any dtype, or a number.
        b: likewise, of a's dtype.

    Returns:
        The broadcast shape, the dtype of a and b.

    Raises:
        ValueError: shapes that do not broadcast.
        TypeError: a condition that is not bool; dtypes that differ.

    Example:
        >>> x = np.array([-1.0, 2.0])
        >>> ops.where(ops.greater(x, 0), x, 0.0)
        array([0., 2.])
    """
    return apply("where", [condition, number_like(a, b), number_like(b, a)])


@vjp("where")
def _where(node: Node, dy: Tensor) -> Cotangents:
    condition, a, b = node.inputs
    return None, _fit(where(condition, dy, 0.0), a), _fit(where(condition, 0.0, dy), b)  # type: ignore[arg-type]


def stop_gradient(x: TensorLike) -> Any:
    """`x`, numbers, through which no gradient passes.

    >>> fastnn.grad(lambda x: ops.sum(x * ops.stop_gradient(x)))(np.array([3.0]))
    array([3.])
    """
    return apply("stop_gradient", [x])


@vjp("stop_gradient")
@vjp("sign")
@vjp("floor")
@vjp("ceil")
@vjp("round")
def _constant(node: Node, dy: Tensor) -> Cotangents:
    return (None,)


def power(a: TensorLike, b: TensorLike) -> Any:
    """`a^b`, floats. `a^0` and `1^b` are 1 even of NaN; NaN where `a < 0` and `b` is no integer.

    The gradient by `b` is `y log(a)`, 0 where `a` is 0 and NaN where it is negative.

    >>> ops.power(np.array([2.0, 4.0]), np.array([3.0, -0.5]))
    array([8. , 0.5])
    """
    return apply("power", [a, b])


@vjp("power")
def _power(node: Node, dy: Tensor) -> Cotangents:
    a, b = node.inputs
    assert a is not None and b is not None
    # b a^(b - 1), where b = 0 gives 0 and not 0 times infinity at a = 0.
    da = dy * (b * power(a, where(equal(b, 0.0), 1.0, b - 1.0)))
    db = dy * (node.outputs[0] * log(where(equal(a, 0.0), 1.0, a)))
    return _fit(da, a), _fit(db, b)


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


@vjp("hard_sigmoid")
@vjp("relu")
@vjp("relu6")
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


@vjp("silu")
@vjp("mish")
@vjp("gelu")
def _sloped(node: Node, dy: Tensor, dslope: Tensor | None = None) -> Cotangents:
    if dslope is not None:
        raise ValueError(f"op {node.op!r} has no derivative of its slope; expected its first result alone; differentiate that")
    attributes = {name: value for name, value in node.attributes.items() if name != "slope"}
    return (apply(f"{node.op}_backward", [dy, node.inputs[0]], **attributes),)


@vjp("abs")
@vjp("elu")
@vjp("leaky_relu")
@vjp("hard_silu")
@vjp("clip")
def _from_operand(node: Node, dy: Tensor) -> Cotangents:
    return (apply(f"{node.op}_backward", [dy, node.inputs[0]], **node.attributes),)


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


def sign(x: TensorLike) -> Any:
    """-1, 0 or 1, as `x` is below, at or above 0; floats. NaN stays NaN; the derivative is 0.

    >>> ops.sign(np.array([-2.5, 0.0, 3.0]))
    array([-1.,  0.,  1.])
    """
    return apply("sign", [x])


def floor(x: TensorLike) -> Any:
    """The largest integer that is not above `x`, floats; the derivative is 0.

    >>> ops.floor(np.array([-1.5, 1.5]))
    array([-2.,  1.])
    """
    return apply("floor", [x])


def ceil(x: TensorLike) -> Any:
    """The smallest integer that is not below `x`, floats; the derivative is 0.

    >>> ops.ceil(np.array([-1.5, 1.5]))
    array([-1.,  2.])
    """
    return apply("ceil", [x])


def round(x: TensorLike) -> Any:
    """The integer nearest to `x`, of two the even one, floats; the derivative is 0.

    >>> ops.round(np.array([0.5, 1.5, 2.6]))
    array([0., 2., 3.])
    """
    return apply("round", [x])


def reciprocal(x: TensorLike) -> Any:
    """`1 / x`, floats.

    >>> ops.reciprocal(np.array([4.0, -0.5]))
    array([ 0.25, -2.  ])
    """
    return divide(1.0, x)


def rsqrt(x: TensorLike) -> Any:
    """`1 / sqrt(x)`, floats; inf at 0, NaN below.

    >>> ops.rsqrt(np.array([4.0, 0.25]))
    array([0.5, 2. ])
    """
    return apply("rsqrt", [x])


@vjp("rsqrt")
def _rsqrt(node: Node, dy: Tensor) -> Cotangents:
    y = node.outputs[0]
    return (dy * (y * square(y) * -0.5),)


def expm1(x: TensorLike) -> Any:
    """`e^x - 1`, floats; exact for small `x` too.

    >>> ops.expm1(np.array([0.0, 1e-20]))
    array([0.e+00, 1.e-20])
    """
    return apply("expm1", [x])


@vjp("expm1")
def _expm1(node: Node, dy: Tensor) -> Cotangents:
    return (dy * exp(node.inputs[0]),)  # type: ignore[arg-type]  # y + 1 has lost what is left of it below 0


def log1p(x: TensorLike) -> Any:
    """`log(1 + x)`, floats; exact for small `x` too.

    >>> ops.log1p(np.array([0.0, 1e-20]))
    array([0.e+00, 1.e-20])
    """
    return apply("log1p", [x])


@vjp("log1p")
def _log1p(node: Node, dy: Tensor) -> Cotangents:
    return (dy / (node.inputs[0] + 1.0),)  # type: ignore[operator]


def erf(x: TensorLike) -> Any:
    """The error function, `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to `x`, floats.

    >>> ops.erf(np.array([0.0, 1.0])).round(4)
    array([0.    , 0.8427])
    """
    return apply("erf", [x])


@vjp("erf")
def _erf(node: Node, dy: Tensor) -> Cotangents:
    return (dy * (exp(negative(square(node.inputs[0]))) * 1.1283791670955126),)  # type: ignore[arg-type]


def sin(x: TensorLike) -> Any:
    """The sine of `x` in radians, floats, any size.

    >>> ops.sin(np.array([0.0, np.pi / 2]))
    array([0., 1.])
    """
    return apply("sin", [x])


@vjp("sin")
def _sin(node: Node, dy: Tensor) -> Cotangents:
    return (dy * cos(node.inputs[0]),)  # type: ignore[arg-type]


def cos(x: TensorLike) -> Any:
    """The cosine of `x` in radians, floats, any size.

    >>> ops.cos(np.array([0.0, np.pi]))
    array([ 1., -1.])
    """
    return apply("cos", [x])


@vjp("cos")
def _cos(node: Node, dy: Tensor) -> Cotangents:
    return (negative(dy * sin(node.inputs[0])),)  # type: ignore[arg-type]


# ---- Activations -------------------------------------------------------------------------------------------------------------


def softplus(x: TensorLike) -> Any:
    """`log(1 + e^x)`, floats, without overflow: `max(x, 0) + log(1 + e^-|x|)`.

    >>> ops.softplus(np.array([0.0, 1000.0])).round(4)
    array([6.931e-01, 1.000e+03])
    """
    return apply("softplus", [x])


@vjp("softplus")
def _softplus(node: Node, dy: Tensor) -> Cotangents:
    return (dy * sigmoid(node.inputs[0]),)  # type: ignore[arg-type]


def silu(x: TensorLike) -> Any:
    """`x sigmoid(x)`, floats; also called swish.

    >>> ops.silu(np.array([-np.inf, 0.0, 20.0])).round(4)
    array([-0.,  0., 20.])
    """
    return apply("silu", [x])


def mish(x: TensorLike) -> Any:
    """`x tanh(log(1 + e^x))`, floats.

    >>> ops.mish(np.array([0.0, 1.0])).round(4)
    array([0.    , 0.8651])
    """
    return apply("mish", [x])


def gelu(x: TensorLike, approximate: bool = False) -> Any:
    """`x P(X <= x)` for a standard normal `X`, which is `x (1 + erf(x / sqrt(2))) / 2`.

    Args:
        x: float array of any shape.
        approximate: whether to compute `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2` instead, which is off by 5e-4 at
            most; GPT-2 and BERT's first code use it. False is the default of Keras's activation and of PyTorch; JAX's and
            `keras.ops.gelu`'s is True.

    Returns:
        x's shape and dtype.

    Raises:
        TypeError: x's dtype; approximate is no bool.

    Source:
        Hendrycks, Gimpel, "Gaussian error linear units", 2016.

    Example:
        >>> ops.gelu(np.array([0.0, 1.0])).round(4), ops.gelu(np.array([0.0, 1.0]), approximate=True).round(4)
        (array([0.    , 0.8413]), array([0.    , 0.8412]))
    """
    return apply("gelu", [x], approximate=approximate)


def elu(x: TensorLike, alpha: float = 1.0, scale: float = 1.0) -> Any:
    """`scale x` where `x > 0`, else `scale alpha (e^x - 1)`. The derivative at 0 is `scale alpha`.

    Args:
        x: float array of any shape.
        alpha: minus the limit below.
        scale: of the whole, as in selu.

    Returns:
        x's shape and dtype.

    Source:
        Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential linear units", ICLR 2016.

    Example:
        >>> ops.elu(np.array([-1.0, 2.0])).round(4)
        array([-0.6321,  2.    ])
    """
    return apply("elu", [x], alpha=float(alpha), scale=float(scale))


def selu(x: TensorLike) -> Any:
    """`elu` of `x` with the alpha and scale that keep the mean at 0 and the variance at 1, floats.

    >>> ops.selu(np.array([-1.0, 2.0])).round(4)
    array([-1.1113,  2.1014])
    """
    # Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", 2017.
    return elu(x, alpha=1.6732632423543772, scale=1.0507009873554805)


def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Any:
    """`x` where `x > 0`, else `negative_slope x`. The derivative at 0 is `negative_slope`.

    Args:
        x: float array of any shape.
        negative_slope: 0.2 as in Keras's function; its layer LeakyReLU has 0.3, PyTorch 0.01.

    Returns:
        x's shape and dtype.

    Example:
        >>> ops.leaky_relu(np.array([-1.0, 2.0]))
        array([-0.2,  2. ])
    """
    return apply("leaky_relu", [x], negative_slope=float(negative_slope))


def prelu(x: TensorLike, alpha: TensorLike) -> Any:
    """`x` where `x > 0`, else `alpha x`, with an `alpha` that is learnt; both broadcast.

    Args:
        x: float array, such as `(batch, ..., channels)`.
        alpha: float array, such as `(channels,)`. Its derivative is `x` where `x <= 0`, else 0.

    Returns:
        The broadcast shape, x's dtype.

    Raises:
        ValueError: shapes that do not broadcast.

    Source:
        He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.

    Example:
        >>> ops.prelu(np.array([[-1.0, -1.0], [2.0, 2.0]]), np.array([0.1, 0.5]))
        array([[-0.1, -0.5],
               [ 2. ,  2. ]])
    """
    return apply("prelu", [x, alpha])


@vjp("prelu")
def _prelu(node: Node, dy: Tensor) -> Cotangents:
    return tuple(
        _fit(apply(f"prelu_backward_{which}", [dy, *node.inputs]), operand)
        for which, operand in zip(("x", "alpha"), node.inputs)
    )


def relu6(x: TensorLike) -> Any:
    """`min(max(x, 0), 6)`, floats; the derivative at 0 and 6 is 0.

    >>> ops.relu6(np.array([-1.0, 2.0, 8.0]))
    array([0., 2., 6.])
    """
    return apply("relu6", [x])


def hard_sigmoid(x: TensorLike) -> Any:
    """`min(max(x / 6 + 1/2, 0), 1)`, floats; the derivative at -3 and 3 is 0.

    >>> ops.hard_sigmoid(np.array([-4.0, 0.0, 1.5]))
    array([0.  , 0.5 , 0.75])
    """
    return apply("hard_sigmoid", [x])


def hard_silu(x: TensorLike) -> Any:
    """`x hard_sigmoid(x)`, floats; also called hard swish. The derivative is 0 at -3 and 1 at 3.

    >>> ops.hard_silu(np.array([-4.0, 1.0, 4.0])).round(4)
    array([-0.    ,  0.6667,  4.    ])
    """
    return apply("hard_silu", [x])


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
