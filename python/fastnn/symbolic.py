"""Symbolic tensors: what `fastnn.Input` returns, and what layers and ops return for them.

A functional model is a net of calls of layers and ops, which these record. A model replays them whenever it is traced, because
a layer computes differently while training. Only shapes are worked out at once, so that an error appears at the line that made
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn.tracing import Shape, Symbolic, Tensor, Trace, apply, flatten, unflatten

__all__ = ["Call", "Operation", "SymbolicTensor", "record"]


class SymbolicTensor(Symbolic):
    """A tensor of a model under construction: a shape, a dtype and the call that makes it.

    It goes wherever a Tensor goes: into layers, ops, `+ - * / @`. Args are for those who record calls.

    Args:
        shape: with a symbolic extent for the batch.
        dtype: its name.
        call: the call whose result it is; None of an input.
        index: which of the call's results.

    Example:
        >>> x = fastnn.Input((4,))
        >>> y = layers.Dense(3)(x) * 2.0
        >>> y
        <SymbolicTensor float32 (batch, 3)>
    """

    def __init__(self, shape: Shape, dtype: str, call: Call | None = None, index: int = 0) -> None:
        self.shape = shape
        self.dtype = dtype
        self.call = call
        self.index = index

    def record(self, op: str, operands: Sequence[Any], attributes: dict[str, Any]) -> list[Any]:
        return list(record(Operation(op, attributes), operands))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError(
            f"{self!r}: has no numbers; expected an operation of fastnn.ops or a layer; make a model of it, and call that with "
            "arrays"
        )

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r}: has no truth value; expected an operation of fastnn.ops; use where, maximum or a mask")

    def __repr__(self) -> str:
        return f"<SymbolicTensor {self.dtype} ({', '.join(map(str, self.shape))}{',' * (len(self.shape) == 1)})>"


class Operation:
    """An op with its attributes, to be called on operands as layers are.

    Args:
        op: its name in the op table.
        attributes: by name.

    Example:
        >>> fastnn.symbolic.Operation("relu", {})(np.array([-1.0, 2.0]))
        (array([0., 2.]),)
    """

    def __init__(self, op: str, attributes: dict[str, Any]) -> None:
        self.op = op
        self.attributes = attributes

    def __call__(self, *operands: Any) -> tuple[Any, ...]:
        return apply(self.op, operands, outputs=1, **self.attributes)


class Call:
    """One call of a layer or op: what was called with what, symbolic tensors among it.

    Args:
        target: the layer or Operation.
        arguments: positional arguments and a dict of the others.

    Example:
        >>> y = layers.Flatten(name="flat")(fastnn.Input((2, 3)))
        >>> y.call.target.name, len(y.call.inputs)
        ('flat', 1)
    """

    def __init__(self, target: Callable[..., Any], arguments: tuple[Sequence[Any], dict[str, Any]]) -> None:
        self.target = target
        self.leaves, self.structure = flatten((list(arguments[0]), arguments[1]))

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors among the arguments."""
        return [leaf for leaf in self.leaves if isinstance(leaf, SymbolicTensor)]

    def replay(self, value_of: Callable[[SymbolicTensor], Any]) -> list[Any]:
        """The call's results as a list, with other values in the place of symbolic tensors.

        Args:
            value_of: the value of a symbolic tensor.
        """
        leaves = [value_of(leaf) if isinstance(leaf, SymbolicTensor) else leaf for leaf in self.leaves]
        arguments, options = unflatten(self.structure, leaves)
        return flatten(self.target(*arguments, **options))[0]


def record(target: Callable[..., Any], arguments: Sequence[Any], options: dict[str, Any] | None = None) -> Any:
    """Symbolic tensors for the results of a call, in the form in which the target returns them.

    Args:
        target: a layer or Operation.
        arguments: symbolic tensors and whatever else it takes.
        options: the arguments by name.

    Returns:
        A symbolic tensor, or tuples, lists or dicts of them.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> fastnn.symbolic.record(layers.Dense(2), [fastnn.Input((3,))])
        <SymbolicTensor float32 (batch, 2)>
    """
    call = Call(target, (arguments, options or {}))
    with Trace() as trace:
        leaves = [
            trace.input(f"input {i}", leaf.dtype, leaf.shape) if isinstance(leaf, SymbolicTensor) else leaf
            for i, leaf in enumerate(call.leaves)
        ]
        positional, named = unflatten(call.structure, leaves)
        results, structure = flatten(target(*positional, **named))
    for result in results:
        if not isinstance(result, Tensor):
            raise TypeError(f"{target!r}: returned {result!r}; expected tensors, because the model is recorded; return those")
    return unflatten(structure, [SymbolicTensor(r.shape, r.dtype, call, i) for i, r in enumerate(results)])
