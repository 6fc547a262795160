"""Tracing: from Python functions on arrays to graphs.

Outside a trace an op runs at once: NumPy arrays in, NumPy arrays out. Inside, its operands are `Tensor`s and it records a node;
the C++ graph answers with the result's shape, or with the error, at the line that made it.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from fastnn import _core

Array: TypeAlias = NDArray[Any]
Dim: TypeAlias = "int | _core.Extent"
Shape: TypeAlias = tuple[Dim, ...]

_MAX_CONSTANT_BYTES = 1_000_000
_MAX_TRACES = 64  # of one function; each keeps its graph, its plans and the Variables it reads
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class _State(threading.local):
    def __init__(self) -> None:
        self.traces: list[Trace] = []
        self.layers: list[str] = []
        self.scopes: Mapping[str, str] = {}


_state = _State()

# Held while a function is traced or a model built: their code makes Variables, once. One lock for all, so that a fork can wait
# for it: in a child it would stay locked, because the thread that holds it is not there.
building = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=building.acquire, after_in_parent=building.release, after_in_child=building.release)


class Trace:
    """A graph under construction, with what Python knows about it."""

    def __init__(self) -> None:
        self.graph = _core.Graph()
        self._current: dict[int, Tensor] = {}  # id(variable) -> what it reads as
        self._variables: dict[int, Variable] = {}  # keeps the ids above alive
        self._streams = 0
        self._assigned = False
        self.losses: list[tuple[Any, Callable[[], Any]]] = []  # the layers that add to a loss, and what

    def __enter__(self) -> Trace:
        _state.traces.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _state.traces.pop()

    def tensor(self, value: int) -> Tensor:
        return Tensor(self, value)

    def input(self, name: str, dtype: str, shape: Sequence[Dim]) -> Tensor:
        return self.tensor(self.graph.input(name, dtype, tuple(shape)))

    def read(self, variable: Variable) -> Tensor:
        key = id(variable)
        if key not in self._current:
            self._variables[key] = variable
            self._current[key] = self.tensor(self.graph.variable(variable._core))
        return self._current[key]

    def assign(self, variable: Variable, value: Tensor) -> None:
        self.read(variable)
        self.graph.bind_variable(variable._core, value._value)
        self._assigned = True
        self._current[id(variable)] = value

    def variables(self) -> list[Variable]:
        """The Variables that the trace has read or assigned."""
        return list(self._variables.values())

    def assigns(self) -> bool:
        """Whether a run would write any Variable."""
        return self._assigned

    def next_stream(self) -> int:
        """The ordinal of a random op in this trace: its own stream of random numbers."""
        self._streams += 1
        return self._streams - 1


def current_trace() -> Trace | None:
    """The innermost trace of this thread, or None."""
    return _state.traces[-1] if _state.traces else None


class layer_scope:
    """Names the layer that the ops inside belong to; scopes nest into a path such as `sequential/conv2d`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        _state.layers.append(_state.scopes.get(self._name, self._name))

    def __exit__(self, *error: object) -> None:
        _state.layers.pop()


@contextmanager
def renamed_scopes(names: Mapping[str, str]) -> Iterator[None]:
    """While it lasts, layers of these names appear in paths under other ones."""
    before, _state.scopes = _state.scopes, names
    try:
        yield
    finally:
        _state.scopes = before


def layer_path() -> str:
    """The scopes that are open in this thread, as `sequential/conv2d`."""
    return "/".join(_state.layers)


def _user_line() -> str:
    """Where the caller outside this package stands, as `model.py:12`."""
    frame = sys._getframe(2)
    while not (name := _name_outside(frame.f_code.co_filename)):
        if frame.f_back is None:
            return ""
        frame = frame.f_back
    return f"{name}:{frame.f_lineno}"


@functools.cache
def _name_outside(path: str) -> str:
    """The name of a file, empty if it is one of this package."""
    return "" if path.startswith(_PACKAGE) else os.path.basename(path)


class _Operators:
    """What Tensor and Variable share: Python's arithmetic, spelled with ops."""

    shape: Any
    dtype: Any

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        """`array + tensor` comes here, because NumPy asks the right operand first."""
        if method == "__call__" and not options and ufunc.__name__ in ("add", "subtract", "multiply", "divide", "matmul"):
            return getattr(_ops(), ufunc.__name__)(*operands)
        return getattr(ufunc, method)(*(x.__array__() if isinstance(x, _Operators) else x for x in operands), **options)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        raise TypeError(f"{self!r}: has no __array__; expected one; override it")

    def __add__(self, other: Any) -> Any:
        return _ops().add(self, other)

    def __radd__(self, other: Any) -> Any:
        return _ops().add(other, self)

    def __sub__(self, other: Any) -> Any:
        return _ops().subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return _ops().subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return _ops().multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return _ops().multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return _ops().divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _ops().divide(other, self)

    def __matmul__(self, other: Any) -> Any:
        return _ops().matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _ops().matmul(other, self)

    def __neg__(self) -> Any:
        return _ops().negative(self)

    def __getitem__(self, key: Any) -> Any:
        """`x[2, ..., ::-1, None]`: ints, slices, None and Ellipsis, as in NumPy."""
        from fastnn.ops.movement import basic_index

        return basic_index(self, key)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)


def _ops() -> Any:
    from fastnn import ops

    return ops


class Tensor(_Operators):
    """A value inside a trace. It has a shape and a dtype but no numbers yet.

    `shape` is a tuple of ints, and of symbolic extents for axes whose length may differ between calls (`batch`). The operators
    `+ - * / @` work as on arrays, and so do brackets with ints, slices, None and `...`. Whatever would need the numbers (`if`,
    `int()`, comparisons, NumPy functions) raises TypeError and says what to use instead. `Trace` makes Tensors; users only meet
    them.

    Args:
        trace: the trace it belongs to.
        value: its number there.

    Example:
        >>> @fastnn.function(shapes=[("batch", 3)])
        ... def f(x):
        ...     print(x, x.dtype, x.shape[1])
        ...     return x * 2
        >>> y = f(np.ones((2, 3)))
        <Tensor float64 (batch, 3)> float64 3
    """

    __slots__ = ("_trace", "_value")

    def __init__(self, trace: Trace, value: int) -> None:
        self._trace = trace
        self._value = value

    @property
    def shape(self) -> Shape:
        return self._trace.graph.shape(self._value)

    @property
    def dtype(self) -> str:
        return self._trace.graph.dtype(self._value)

    def __repr__(self) -> str:
        return f"<Tensor {self.dtype} {self.shape}>"

    def _refuse(self, what: str, instead: str) -> TypeError:
        where = layer_path() or _user_line()
        return TypeError(
            f"{where}: {what} of a traced {self!r}; expected an operation that needs no numbers, because a trace is recorded "
            f"once and run many times; {instead}"
        )

    def __bool__(self) -> bool:
        raise self._refuse("the truth value", "use fastnn.ops.where, maximum or clip instead of `if`")

    def __int__(self) -> int:
        raise self._refuse("int()", "use fastnn.ops.cast, or return the tensor and convert the result")

    def __index__(self) -> int:
        raise self._refuse("an index", "use fastnn.ops.take, or pass a Python int")

    def __float__(self) -> float:
        raise self._refuse("float()", "use fastnn.ops.cast, or return the tensor and convert the result")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        raise self._refuse("a NumPy function", "use the function of the same name in fastnn.ops")

    def __array_function__(self, function: Callable[..., Any], *args: object) -> Any:
        raise self._refuse(f"numpy.{function.__name__}", "use the function of the same name in fastnn.ops")

    def _compare(self, other: object) -> bool:
        raise self._refuse("a comparison", "use fastnn.ops.equal, less, greater and so on")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _compare
    __hash__ = object.__hash__

    def __iter__(self) -> Iterator[Any]:
        raise self._refuse("iteration", "use fastnn.ops on the whole tensor")

    def __len__(self) -> int:
        raise self._refuse("len()", "use its .shape")


class Symbolic(_Operators):
    """A value that records what is done with it: a symbolic tensor of a model under construction (fastnn.symbolic)."""

    def record(self, op: str, operands: Sequence[Any], attributes: dict[str, Any]) -> list[Any]:
        """What the op's results are; a subclass implements it."""
        raise TypeError(f"{type(self).__name__}: has no record; expected one; override it")


class Variable(_Operators):
    """Memory that outlives runs: a weight, an optimizer slot, a counter.

    Outside a trace it holds numbers: `numpy()` copies them out, `assign` writes at once. Inside a trace it reads as a Tensor,
    `assign` rebinds it, and what was bound last is written when the run commits. Operators `+ - * / @` and brackets work as on
    arrays.

    Args:
        value: an array, or a number.
        name: for errors and summaries.
        trainable: whether optimizers may change it.
        dtype: float32, float64, int32, int64, uint8 or bool; converts `value`. Default its own, where Python floats and lists
            of them mean float32, ints int64.

    Raises:
        TypeError: a value of another dtype. ValueError: rows of unequal length.

    Example:
        >>> counter = fastnn.Variable(0, name="counter")
        >>> @fastnn.function
        ... def count():
        ...     counter.assign(counter + 1)
        >>> count(); count()
        >>> counter, int(counter)
        (<Variable 'counter' int64 ()>, 2)
    """

    def __init__(self, value: Any, *, name: str = "variable", trainable: bool = True, dtype: str | None = None) -> None:
        array = rectangular(f"variable '{name}'", value)
        if dtype is None and not isinstance(value, (np.ndarray, np.generic)):
            dtype = {"f": "float32", "i": "int64", "b": "bool"}.get(array.dtype.kind)
        if dtype is not None:
            array = array.astype(dtype)
        self._core = _core.Variable(name, array)
        self.trainable = trainable
        # What the weight adds to the loss, and what an update does to its new value: functions of it, or None.
        self.regularizer: Callable[[Any], Any] | None = None
        self.constraint: Callable[[Any], Any] | None = None

    @property
    def name(self) -> str:
        """The name that errors and summaries show; assignable."""
        return self._core.name

    @name.setter
    def name(self, name: str) -> None:
        self._core.name = name

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes, a tuple of ints."""
        return self._core.shape

    @property
    def dtype(self) -> str:
        """The name of the dtype, for example `float32`."""
        return self._core.dtype

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return int(np.prod(self.shape, dtype=np.int64))

    def numpy(self) -> Array:
        """A copy of the value.

        Returns:
            An array of the Variable's shape and dtype.

        Raises:
            TypeError: inside a trace, where it has no value yet.

        Example:
            >>> fastnn.Variable([1.0, 2.0]).numpy()
            array([1., 2.], dtype=float32)
        """
        if (trace := current_trace()) is not None:
            raise trace.read(self)._refuse(f"numpy() of variable '{self.name}'", "use the variable itself as an operand")
        return self._core.read()

    def assign(self, value: Any) -> None:
        """Outside a trace writes the value; inside, makes it what the run commits.

        Args:
            value: an array or tensor of the Variable's shape and dtype; a Python number fills it.

        Raises:
            ValueError: another shape or dtype.
            TypeError: no numbers, or a number that an integer dtype does not hold.

        Example:
            >>> w = fastnn.Variable([1.0, 2.0])
            >>> w.assign(0.5)
            >>> w.numpy()
            array([0.5, 0.5], dtype=float32)
        """
        trace = current_trace()
        if trace is not None:
            trace.assign(self, as_tensor(value, self.dtype))
            return
        if isinstance(value, (bool, int, float)):
            value = np.full(self.shape, _number(value, self.dtype))
        self._core.write(rectangular(f"variable '{self.name}'", value))

    __iter__: Any = None  # or Python would iterate by the brackets

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __float__(self) -> float:
        return float(self.numpy())

    def __reduce__(self) -> Any:
        """For `copy` and `pickle`: a Variable of its own with the same value."""
        return _variable, (self.numpy(), self.name, self.trainable, self.regularizer, self.constraint)

    def __repr__(self) -> str:
        return f"<Variable '{self.name}' {self.dtype} {self.shape}>"


def _variable(value: Array, name: str, trainable: bool, regularizer: Any, constraint: Any) -> Variable:
    variable = Variable(value, name=name, trainable=trainable)
    variable.regularizer, variable.constraint = regularizer, constraint
    return variable


def named_variables(owner: object) -> dict[str, Variable]:
    """The Variables that are attributes of an object, by their names without leading underscores."""
    return {name.lstrip("_"): value for name, value in vars(owner).items() if isinstance(value, Variable)}


def read_variables(variables: Sequence[Variable]) -> list[Array]:
    """Copies of the values as of one moment: no step commits in between."""
    values: list[Array] = _core.read_variables([v._core for v in variables])
    return values


def write_variables(variables: Sequence[Variable], values: Sequence[Array]) -> None:
    """New values for all of them at once, or for none: no prediction sees some old and some new ones."""
    _core.write_variables([v._core for v in variables], list(values))


TensorLike: TypeAlias = "Tensor | Variable | Array | np.generic | float | int"


def as_tensor(value: Any, dtype: str | None = None) -> Tensor:
    """`value` as a Tensor of the current trace; Python numbers take `dtype`."""
    trace = current_trace()
    if trace is None:
        raise TypeError("as_tensor: called outside a trace; expected to be inside fastnn.function; use the array itself")
    if isinstance(value, Tensor):
        if value._trace is not trace:
            raise ValueError(
                f"{value!r}: comes from another trace; expected a tensor of this one; return it from its function, or keep it "
                "in a fastnn.Variable"
            )
        return value
    if isinstance(value, Variable):
        return trace.read(value)
    if isinstance(value, (bool, int, float)):
        return trace.tensor(trace.graph.constant(_number(value, dtype or "float32")))
    if not isinstance(value, (np.ndarray, np.generic)):
        raise TypeError(
            f"operand: {type(value).__name__}; expected an array, a Tensor, a Variable or a number; convert it with np.asarray"
        )
    array = np.asarray(value)
    if array.nbytes > _MAX_CONSTANT_BYTES:
        raise ValueError(
            f"operand: an array of {array.nbytes:,} bytes captured while tracing; expected at most {_MAX_CONSTANT_BYTES:,}, "
            "because a captured array is copied into the program; pass it as an argument or make it a fastnn.Variable"
        )
    return trace.tensor(trace.graph.constant(array))


def rectangular(where: str, value: Any) -> Array:
    """`value` as an array; rows of unequal length are an error."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{where}: {error}; expected rows of equal length; pad or crop them") from None


def _number(value: float, dtype: str) -> Array:
    """A Python number in the dtype of what it meets; TypeError where it does not fit into it."""
    if not dtype.startswith("float"):
        low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if not (low <= value <= high and value == int(value)):
            raise TypeError(
                f"operand: {value!r} beside an operand of dtype {dtype}; expected a number that {dtype} holds; cast the other "
                "operand with fastnn.ops.cast"
            )
    return np.asarray(value, dtype)


def _weak_dtype(operands: Sequence[Any]) -> str:
    """The dtype that Python numbers take among these operands: that of the first operand that is not one."""
    for operand in operands:
        if isinstance(operand, (Tensor, Variable, Symbolic)):
            return str(operand.dtype)
        if isinstance(operand, (np.ndarray, np.generic)):
            return dtype_name(operand.dtype)
    return "float32"


@functools.cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """Its name, which NumPy composes anew each time."""
    return dtype.name


def made_by(x: Any) -> str | None:
    """The op that a tensor is the result of; None for an input, and outside a trace."""
    if not isinstance(x, Tensor):
        return None
    return next((op for op, _, outputs, *_ in reversed(x._trace.graph.nodes()) if x._value in outputs), None)


def number_like(x: Any, other: Any) -> Any:
    """A Python number `x` in the dtype of what stands beside it; anything else as it is."""
    return _number(x, _weak_dtype([other])) if isinstance(x, (bool, int, float)) else x


@overload
def apply(op: str, operands: Sequence[Any], *, outputs: None = None, **attributes: Any) -> Any: ...
@overload
def apply(op: str, operands: Sequence[Any], *, outputs: int, **attributes: Any) -> tuple[Any, ...]: ...
def apply(op: str, operands: Sequence[Any], *, outputs: int | None = None, **attributes: Any) -> Any:
    """Runs or records one op. Returns its only result, or with `outputs` a tuple of all of them."""
    # Most ops meet no Python number, and a dtype's name is not for free.
    weak = _weak_dtype(operands) if any([isinstance(x, (bool, int, float)) for x in operands]) else "float32"
    trace = current_trace()
    try:
        if trace is not None:
            values = [None if x is None else as_tensor(x, weak)._value for x in operands]
            ids = trace.graph.node(op, values, attributes, layer_path(), _user_line())
            results: list[Any] = [trace.tensor(i) for i in ids]
        elif (symbolic := next((x for x in operands if isinstance(x, Symbolic)), None)) is not None:
            results = symbolic.record(op, operands, attributes)
        else:
            results = _core.execute(op, [_as_array(x, weak) for x in operands], attributes)
    except (ValueError, TypeError) as error:
        path = layer_path()
        if not path or str(error).startswith(path):
            raise
        raise type(error)(f"{path}: {error}") from None
    return tuple(results) if outputs is not None else results[0]


def _as_array(value: Any, weak: str) -> Array | None:
    if value is None or isinstance(value, np.ndarray):
        return value
    if isinstance(value, Variable):
        return value.numpy()
    if isinstance(value, (bool, int, float)):
        return _number(value, weak)
    if isinstance(value, np.generic):
        return np.asarray(value)
    if isinstance(value, Tensor):
        raise TypeError(
            f"{value!r}: used outside the trace it belongs to; expected arrays here; return it from the traced function"
        )
    raise TypeError(f"operand: {type(value).__name__}; expected an array, a Variable or a number; convert it with np.asarray")


# ---- Nested arguments --------------------------------------------------------------------------------------------------------


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of nested tuples, lists and dicts, and a hashable description that `unflatten` takes.

    Named tuples keep their type; other subclasses become tuple, list or dict. Dicts are taken in the order of their keys.
    """
    if isinstance(tree, Tensor):
        return [tree], None
    leaves: list[Any] = []

    def walk(node: Any) -> Any:
        if isinstance(node, (tuple, list)):
            kind: Any = list if isinstance(node, list) else type(node) if hasattr(node, "_fields") else tuple
            return (kind, tuple(walk(child) for child in node))
        if isinstance(node, dict):
            try:
                keys = sorted(node)
            except TypeError:
                raise TypeError(
                    f"nested arguments: a dict with the keys {', '.join(map(repr, node))}; expected keys with an order, "
                    "because it is the order of the arrays; use strings"
                ) from None
            return (dict, tuple((key, walk(node[key])) for key in keys))
        leaves.append(node)
        return None

    structure = walk(tree)
    return leaves, structure


def unflatten(structure: Any, leaves: Sequence[Any]) -> Any:
    """The inverse of `flatten`."""
    if structure is None:
        return leaves[0]
    remaining = iter(leaves)

    def build(node: Any) -> Any:
        if node is None:
            return next(remaining)
        kind, children = node
        if kind is dict:
            return {key: build(child) for key, child in children}
        items = [build(child) for child in children]
        return kind(items) if kind in (list, tuple) else kind._make(items)

    return build(structure)


# ---- Functions ---------------------------------------------------------------------------------------------------------------


class Function:
    """A Python function that is traced once per kind of arguments and then runs as one program; `fastnn.function` makes it.

    Arrays are passed at each call; everything else (numbers, strings, None, Variables) is fixed in the trace, and another
    value traces again. With `shapes`, axes named by strings may have any length without a new trace. Called inside a trace it
    becomes part of it.

    Args:
        function: the function.
        shapes: as for `fastnn.function`.
        name: for errors; default the function's own.

    Example:
        >>> f = fastnn.tracing.Function(lambda x, scale: ops.sum(x) * scale)
        >>> float(f(np.ones(3), 2))
        6.0
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        shapes: Sequence[Sequence[int | str]] | None = None,
        name: str | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"function: {function!r}; expected a function; pass one, or write @fastnn.function above it")
        good = shapes is None or (
            isinstance(shapes, (list, tuple))
            and all(isinstance(shape, (list, tuple)) and all(isinstance(d, (int, str)) for d in shape) for shape in shapes)
        )
        if not good:
            raise TypeError(
                f"function: shapes={shapes!r}; expected a list of one shape per array; pass for example shapes=[('batch', 3)]"
            )
        self._function = function
        self._shapes = shapes
        self._traces: OrderedDict[Any, tuple[_core.Function, Any, list[Any]]] = OrderedDict()  # the latest used last
        self.__name__ = name or getattr(function, "__name__", "function")
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if current_trace() is not None:
            return self._function(*args, **kwargs)
        return self._run(args, kwargs, commit=True)

    def compute(self, /, *args: Any, **kwargs: Any) -> Any:
        """What a call would return, without the commit: no Variable changes.

        Args:
            args: as for a call.
            kwargs: as for a call.

        Raises:
            ValueError: inside a trace, where only the whole program commits.

        Example:
            >>> total = fastnn.Variable(0.0)
            >>> @fastnn.function
            ... def add(x):
            ...     total.assign(total + x)
            ...     return total + 0
            >>> float(add.compute(np.float32(3.0))), float(total)
            (3.0, 0.0)
        """
        if current_trace() is not None:
            raise ValueError(
                f"{self.__name__}: compute called inside a trace; expected to be outside, because what commits is the whole "
                "program; call the function itself"
            )
        return self._run(args, kwargs, commit=False)

    def _run(self, args: Any, kwargs: Any, commit: bool) -> Any:
        traced, structure, fixed, arrays = self._prepare(args, kwargs)
        results = iter(traced.run(arrays, commit))
        return unflatten(structure, [next(results) if leaf is _TRACED else leaf for leaf in fixed])

    def describe(self, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The program for these arguments, which is planned but not run.

        Args:
            args: as for a call.
            kwargs: as for a call.

        Returns:
            `isa`, `steps` (a list of dicts: op, variant, tasks, flops, bytes, layer, line, ...), `arena_bytes` (memory the
            program needs), `intermediate_bytes` (what all intermediates would need without sharing), `estimated_seconds` on
            one thread.

        Example:
            >>> program = fastnn.function(lambda x: ops.sum(ops.exp(x))).describe(np.ones(100))
            >>> [step["op"] for step in program["steps"]], program["steps"][0]["flops"] >= 100
            (['exp', 'sum'], True)
        """
        traced, _, _, arrays = self._prepare(args, kwargs)
        return traced.describe([list(array.shape) for array in arrays])

    def _prepare(self, args: Any, kwargs: Any) -> tuple[_core.Function, Any, list[Any], list[Array]]:
        leaves, structure = flatten((args, kwargs))
        arrays = [np.asarray(leaf) for leaf in leaves if isinstance(leaf, (np.ndarray, np.generic))]
        shapes = [self._shape_of(i, array) for i, array in enumerate(arrays)]
        signature = iter((dtype_name(array.dtype), shape) for array, shape in zip(arrays, shapes))
        key = (
            structure,
            tuple(next(signature) if isinstance(leaf, (np.ndarray, np.generic)) else self._static_key(leaf) for leaf in leaves),
        )
        found = self._traces.get(key)
        if found is None:
            with building:
                found = self._traces.get(key)  # another thread may have been faster
                if found is None:
                    found = self._traces[key] = self._trace(leaves, structure, shapes)
                    if len(self._traces) > _MAX_TRACES:
                        self._traces.popitem(last=False)  # a run of it holds it still
        else:
            with suppress(KeyError):  # another thread may have dropped it
                self._traces.move_to_end(key)
        traced, result_structure, fixed = found
        return traced, result_structure, fixed, arrays

    def _static_key(self, leaf: Any) -> Any:
        # 1, 1.0 and True are equal but not the same constant, and neither are 0.0 and -0.0. The Variable itself, not its id:
        # the key keeps it alive, so that no other one can take its place.
        try:
            hash(leaf)
        except TypeError:
            raise TypeError(
                f"{self.__name__}: an argument of type {type(leaf).__name__}; expected arrays, or hashable values that the "
                "trace fixes, such as numbers, strings and Variables, also in tuples, lists and dicts; convert it, for example "
                "a set to a frozenset"
            ) from None
        return (type(leaf), repr(leaf) if isinstance(leaf, float) else leaf)

    def _shape_of(self, i: int, array: Array) -> tuple[int | str, ...]:
        if self._shapes is None:
            return array.shape
        if i >= len(self._shapes):
            raise ValueError(
                f"{self.__name__}: more than {len(self._shapes)} arrays; expected one for each of shapes={self._shapes}; "
                "give every array argument a shape"
            )
        declared = tuple(self._shapes[i])
        fits = len(declared) == array.ndim and all(
            isinstance(want, str) or want == have for want, have in zip(declared, array.shape)
        )
        if not fits:
            raise ValueError(f"{self.__name__}: array {i} has shape {array.shape}; expected {declared}; reshape the array")
        return declared

    def _trace(self, leaves: list[Any], structure: Any, shapes: list[tuple[int | str, ...]]) -> Any:
        with Trace() as trace:
            inputs: list[Any] = []
            shape = iter(shapes)
            for leaf in leaves:
                if isinstance(leaf, (np.ndarray, np.generic)):
                    dims = [_core.Extent(d) if isinstance(d, str) else d for d in next(shape)]
                    inputs.append(trace.input(f"argument {len(inputs)}", np.asarray(leaf).dtype.name, dims))
                else:
                    inputs.append(leaf)
            args, kwargs = unflatten(structure, inputs)
            results, result_structure = flatten(self._function(*args, **kwargs))
            results = [as_tensor(r) if isinstance(r, (np.ndarray, Variable)) else r for r in results]
            trace.graph.set_outputs([r._value for r in results if isinstance(r, Tensor)])
            trace.graph.fuse()
        return (
            _core.Function(trace.graph),
            result_structure,
            [_TRACED if isinstance(r, Tensor) else r for r in results],
        )


_TRACED = object()  # stands for a result that the program computes


def function(f: Callable[..., Any] | None = None, *, shapes: Sequence[Sequence[int | str]] | None = None) -> Any:
    """Makes a Python function run as one planned program. Also a decorator.

    The function is traced, run once on Tensors to record its ops, for each kind of arguments: shapes and dtypes of arrays, and
    the values of everything else, which are constants of the trace. The 64 traces used last are kept; a function called with
    more shapes than that should name the axes that vary in `shapes`.

    Args:
        f: a function of arrays (also nested in tuples, named tuples, lists and dicts) written with `fastnn.ops`, layers and
            Variables. Other arguments must be hashable.
        shapes: one shape per array argument, in order (keywords in the order of their names); an axis given as a string
            (`"batch"`) may have any length at each call, equal names meaning equal lengths.

    Returns:
        A function with the same arguments and results, NumPy arrays in and out. Assignments to Variables are committed when
        the whole call has succeeded; a call that fails changes nothing. `f.compute(...)` runs without the commit,
        `f.describe(...)` shows the program.

    Raises:
        ValueError: when called, arrays that do not fit `shapes`, and what ops raise.
        TypeError: f is no function, or shapes no list of shapes; when called, an argument that is not hashable.

    Example:
        >>> @fastnn.function(shapes=[("batch", 2)])
        ... def double(x):
        ...     return ops.relu(x) * 2.0
        >>> double(np.array([[-1.0, 3.0]], np.float32))
        array([[0., 6.]], dtype=float32)
    """
    if f is None:
        return lambda g: Function(g, shapes=shapes)
    return Function(f, shapes=shapes)
