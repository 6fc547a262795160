"""Differentiation: backward nodes for the graph that a trace has recorded.

Each op has a rule `vjp(node, cotangents) -> cotangents of its inputs`, in `ops/<stem>.py`. None stands for zero and is never
computed. Rules may compute more than is asked for: what nothing depends on is removed when the program is planned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fastnn import _core
from fastnn.tracing import (
    Array,
    Function,
    Tensor,
    Trace,
    Variable,
    apply,
    as_tensor,
    current_trace,
    flatten,
    layer_scope,
    unflatten,
)


@dataclass(frozen=True)
class Node:
    """A recorded op, as its rule sees it."""

    op: str
    inputs: list[Tensor | None]
    outputs: list[Tensor]
    attributes: dict[str, Any]


Cotangents: TypeAlias = "Sequence[Tensor | None]"
Rule: TypeAlias = Callable[..., Cotangents]
_RULES: dict[str, Rule] = {}


def vjp(op: str) -> Callable[[Rule], Rule]:
    """Registers the derivative of an op: a function `rule(node, *cotangents of the outputs) -> cotangents of the inputs`.

    `vjp` stands for vector-Jacobian product: for `y = f(x)` and a cotangent `dy` the rule records `dx = J^T dy` with ops. None
    stands for a zero that nobody computes.

        @vjp("square")
        def _square(node, dy):
            (x,) = node.inputs
            return (dy * (x * 2.0),)

    Args:
        op: the op's name.

    Returns:
        A decorator, which returns the rule unchanged.
    """

    def register(rule: Rule) -> Rule:
        _RULES[op] = rule
        return rule

    return register


def differentiable_ops() -> frozenset[str]:
    """The names of the ops that have a derivative.

    Example:
        >>> names = fastnn.autodiff.differentiable_ops()
        >>> "conv2d" in names, "argmax" in names
        (True, False)
    """
    import fastnn.ops  # noqa: F401  the rules stand beside the ops

    return frozenset(_RULES)


def backward(outputs: Sequence[Tensor], cotangents: Cotangents, wrt: Sequence[Tensor]) -> list[Tensor | None]:
    """Appends the backward pass to a trace: for each `w` of `wrt` the sum over outputs `y` of `(dy / dw)^T u`.

    Args:
        outputs: tensors of one trace.
        cotangents: `u`, one for each output, of its shape and dtype, or None for zero.
        wrt: tensors of the trace to differentiate by, intermediate results too.

    Returns:
        One tensor of each w's shape and dtype, or None where no output depends on it.

    Raises:
        ValueError: the way leads through an op that has no derivative, which is named with its layer or line.

    Example:
        >>> @fastnn.function
        ... def f(x):
        ...     y = ops.square(x)
        ...     return fastnn.autodiff.backward([y], [y], [x])[0]  # 2 x y
        >>> f(np.array([1.0, 3.0]))
        array([ 2., 54.])
    """
    import fastnn.ops  # noqa: F401

    trace = outputs[0]._trace
    trace.graph.fuse()  # fused ops have better derivatives than their parts
    depends = {t._value for t in wrt}
    nodes = _unfuse_on_the_way(trace.graph, depends)
    for _, inputs, results, *_ in nodes:
        if any(i in depends for i in inputs):
            depends.update(results)

    total: dict[int, Tensor] = {}

    def add(value: int, cotangent: Tensor) -> None:
        total[value] = apply("add", [total[value], cotangent]) if value in total else cotangent

    for output, cotangent in zip(outputs, cotangents):
        if cotangent is not None and output._value in depends:
            add(output._value, cotangent)

    for op, inputs, results, attributes, layer, line in reversed(nodes):
        incoming = [total.get(r) for r in results]
        if all(c is None for c in incoming) or not any(i in depends for i in inputs):
            continue
        rule = _RULES.get(op)
        if rule is None:
            raise ValueError(
                f"{layer or line}: op '{op}' has no derivative; expected a differentiable path from the loss to the variables; "
                "replace the op, or leave the variables behind it out"
            )
        node = Node(
            op, [None if i is None else trace.tensor(i) for i in inputs], [trace.tensor(r) for r in results], attributes
        )
        with layer_scope(layer) if layer else layer_scope("gradient"):
            for value, cotangent in zip(inputs, rule(node, *incoming)):
                if cotangent is not None and value in depends:
                    add(value, cotangent)
    return [total.get(t._value) for t in wrt]


def _unfuse_on_the_way(graph: _core.Graph, wrt: set[int]) -> list[Any]:
    """The graph's nodes, those that read past one of `wrt` as they were before fusion.

    Fusion reads past values in the middle, such as the probabilities between softmax and cross-entropy. Whoever asks for the
    gradient by such a value gets the path through it.
    """
    nodes = graph.nodes()
    originals = {original[2][0]: original for original in graph.replaced()}
    if not originals:
        return nodes
    maker = {result: node for node in nodes for result in node[2]}
    for k, (_, inputs, results, *_) in enumerate(nodes):
        original = originals.get(results[0]) if results else None
        passed = [] if original is None else [i for i in original[1] if i not in inputs]
        while passed:
            value = passed.pop()
            if value in wrt:
                nodes[k] = original
                break
            passed += [i for i in maker[value][1] if i not in inputs] if value in maker else []
    return nodes


def _zeros_like(x: Tensor) -> Tensor:
    zeros: Tensor = apply("broadcast_like", [as_tensor(0.0, x.dtype), x])
    return zeros


def _ones_like(x: Tensor) -> Tensor:
    return as_tensor(1.0, x.dtype)


def value_and_grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    *,
    variables: Sequence[Variable] | None = None,
    has_aux: bool = False,
) -> Callable[..., Any]:
    """A function that returns `(f(...), gradient of f)`.

    Args:
        f: a function whose result is one float (shape `()`), or with `has_aux` a pair (float, anything).
        argnums: which positional arguments to differentiate by, each a float array or a nest of them; a sequence of numbers
            gives a tuple of gradients.
        variables: differentiate by these Variables instead, which `f` reads; the gradients come as a list in their order.
        has_aux: whether `f` returns extra results, which are passed on: `((value, extra), gradient)`.

    Returns:
        A function of f's arguments; gradients have the shapes and dtypes of what they belong to. Called on arrays it is traced
        and run as one program, as `fastnn.function` does; inside a trace it records. It nests, for second derivatives.

    Raises:
        ValueError: f's result is not a float of shape `()`, or depends on its arguments through an op with no derivative.
        TypeError: an argument to differentiate by is no float; f is no function, argnums no ints.

    Example:
        >>> f = fastnn.value_and_grad(lambda x: ops.sum(x * x))
        >>> value, gradient = f(np.array([1.0, 2.0, 3.0]))
        >>> float(value), gradient
        (14.0, array([2., 4., 6.]))
    """

    if not callable(f):
        raise TypeError(f"value_and_grad: {f!r}; expected a function; pass one")
    if not all(isinstance(i, int) for i in (argnums if isinstance(argnums, (tuple, list)) else (argnums,))):
        raise TypeError(f"value_and_grad: argnums={argnums!r}; expected an int or several; pass for example argnums=(0, 1)")

    def traced(*args: Any, **kwargs: Any) -> Any:
        if variables is not None:
            wrt_tree: Any = [as_tensor(v) for v in variables]
        else:
            numbers = [argnums] if isinstance(argnums, int) else list(argnums)
            if any(not -len(args) <= i < len(args) for i in numbers):
                raise ValueError(
                    f"value_and_grad: argnums={argnums} of {len(args)} positional arguments; expected numbers below that; pass "
                    "the arguments to differentiate by in order, without names"
                )
            wrt_tree = tuple(args[i] for i in numbers)
        leaves, structure = flatten(wrt_tree)
        wrt = [as_tensor(leaf) for leaf in leaves]
        for w in wrt:
            if not w.dtype.startswith("float"):
                raise TypeError(f"value_and_grad: by a {w.dtype} of shape {w.shape}; expected a float; cast it first")
        if variables is None:
            # Views of their own: f may also read the same value in another way, which does not count.
            wrt = [apply("reshape", [w], shape=w.shape) for w in wrt]
            replaced = list(args)
            for i, tree in zip(numbers, unflatten(structure, wrt)):
                replaced[i] = tree
            args = tuple(replaced)
        result = f(*args, **kwargs)
        value, aux = result if has_aux else (result, None)
        if not isinstance(value, Tensor) or value.shape != () or not value.dtype.startswith("float"):
            raise ValueError(
                f"value_and_grad: the function returned {value!r}; expected one float of shape (); reduce it with "
                "fastnn.ops.mean or fastnn.ops.sum"
            )
        gradients = backward([value], [_ones_like(value)], wrt)
        filled = [_zeros_like(w) if g is None else g for g, w in zip(gradients, wrt)]
        tree = unflatten(structure, filled)
        if variables is None and isinstance(argnums, int):
            tree = tree[0]
        return ((value, aux) if has_aux else value), tree

    whole = Function(traced, name=getattr(f, "__name__", "function"))

    def call(*args: Any, **kwargs: Any) -> Any:
        return traced(*args, **kwargs) if current_trace() is not None else whole(*args, **kwargs)

    return call


def grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, *, variables: Sequence[Variable] | None = None
) -> Callable[..., Any]:
    """A function that returns the gradient of `f` alone.

    Args:
        f: as for `value_and_grad`.
        argnums: likewise.
        variables: likewise.

    Returns:
        A function of f's arguments.

    Raises:
        ValueError, TypeError: as `value_and_grad`.

    Example:
        >>> fastnn.grad(lambda x: ops.sum(ops.tanh(x)))(np.zeros(2))
        array([1., 1.])
        >>> second = fastnn.grad(lambda x: ops.sum(fastnn.grad(lambda x: ops.sum(x * x * x))(x)))
        >>> second(np.array([2.0]))
        array([12.])
    """
    both = value_and_grad(f, argnums, variables=variables)

    def call(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return call


def pullback(
    f: Callable[..., Any], inputs: Sequence[Array], cotangents: Sequence[Array]
) -> tuple[list[Array], list[Array | None]]:
    """The outputs of `f(*inputs)`, and for each float input the cotangent `J^T u` of the outputs' cotangents `u`.

    Args:
        f: a function of arrays that returns one array, or a tuple or list of them.
        inputs: its arguments.
        cotangents: one for each float output, of its shape and dtype.

    Returns:
        The list of outputs, and the list of the inputs' cotangents, None for those that are no floats.

    Raises:
        ValueError: the way leads through an op that has no derivative.

    Example:
        >>> outputs, (dx,) = fastnn.autodiff.pullback(ops.square, [np.array([1.0, 2.0])], [np.array([10.0, 1.0])])
        >>> outputs[0], dx
        (array([1., 4.]), array([20.,  4.]))
    """
    differentiable = [np.asarray(x).dtype.kind == "f" for x in inputs]

    def traced(xs: list[Tensor], us: list[Tensor]) -> Any:
        result = f(*xs)
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        paired = [(y, u) for y, u in zip([y for y in outputs if y.dtype.startswith("float")], us)]
        wrt = [x for x, d in zip(xs, differentiable) if d]
        gradients = backward([y for y, _ in paired], [u for _, u in paired], wrt)
        return outputs, [_zeros_like(w) if g is None else g for g, w in zip(gradients, wrt)]

    outputs, gradients = Function(traced)(list(inputs), list(cotangents))
    remaining = iter(gradients)
    return outputs, [next(remaining) if d else None for d in differentiable]


__all__ = ["Node", "Trace", "backward", "differentiable_ops", "grad", "pullback", "value_and_grad", "vjp"]
