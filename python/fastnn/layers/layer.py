"""The base of all layers."""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from fastnn import constraints, ops, regularizers
from fastnn.symbolic import SymbolicTensor, record
from fastnn.tracing import (
    Array,
    Tensor,
    Variable,
    current_trace,
    flatten,
    layer_scope,
    named_variables,
    read_variables,
    rectangular,
    write_variables,
)

InputShape: TypeAlias = "tuple[int | None, ...]"  # None is an axis of any length: the batch
_ARRAYS = (Tensor, Variable, np.ndarray, np.generic)


class _Calling(threading.local):
    training: bool = False  # of the call that is going on


_calling = _Calling()


class _Loading(threading.local):
    weights: Callable[[str, tuple[int, ...]], Array] | None = None


_loading = _Loading()


@contextmanager
def initial_weights(source: Callable[[str, tuple[int, ...]], Array]) -> Iterator[None]:
    """While it lasts, weights made in this thread begin as `source(name, shape)` instead of what initializers say."""
    before, _loading.weights = _loading.weights, source
    try:
        yield
    finally:
        _loading.weights = before


_counters: dict[str, itertools.count[int]] = {}


def unique_name(base: str) -> str:
    """`conv2d`, then `conv2d_1`, `conv2d_2`, ..."""
    number = next(_counters.setdefault(base, itertools.count()))
    return base if number == 0 else f"{base}_{number}"


@functools.cache
def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])", "_", name).lower()


@functools.cache
def takes_training(call: Callable[..., Any]) -> bool:
    """Whether a layer's `call` wants to know."""
    return "training" in inspect.signature(call).parameters


@functools.cache
def _may_hold_layers(kind: Any) -> bool:
    """Whether an object of this class is a layer or can hold some: few attributes are."""
    return issubclass(kind, (Layer, list, tuple, dict))


class Layer:
    """A function with weights.

    A subclass makes its weights in `build(input_shape)`, where None stands for the batch axis, and computes in
    `call(x, training)` or `call(x)` with `fastnn.ops` and other layers. Layers that are its attributes, also in lists, tuples
    and dicts, belong to it: their weights are its own, trained and saved with it. It runs on arrays (floats converted to
    float32) as well as inside a trace, and on the symbolic tensors of `fastnn.Input`; weights are float32.

    Args:
        name: default the class's name with a number.
        input_shape: of one sample, for the first layer of a model.
        activity_regularizer: what the layer's output adds to the loss, divided by the length of the batch: a name or object of
            `fastnn.regularizers`, a function of the output, or None.

    Example:
        >>> class Residual(layers.Layer):
        ...     def __init__(self, units, **options):
        ...         super().__init__(**options)
        ...         self.dense = layers.Dense(units, activation="relu")
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight("factor", (input_shape[-1],), fastnn.initializers.Ones())
        ...     def call(self, x):
        ...         return x * self.factor + self.dense(x)
        >>> residual = Residual(2)
        >>> residual(np.ones((3, 2))).shape, residual.count_params()
        ((3, 2), 8)
    """

    # What integers are converted to before `call`: a layer that takes them as they are, such as one of token ids, says None.
    input_dtype: str | None = "float32"

    def __init__(
        self,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        activity_regularizer: regularizers.RegularizerLike = None,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: name={name!r}; expected a string; pass for example name='hidden'")
        self.auto_named = not name
        self.name = name or unique_name(self.default_name())
        self._declared_shape = None if input_shape is None else check_sizes(self.name, "input_shape", input_shape, None)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._output_shapes: Any = None  # of the last call
        self.built = False
        self._trainable = True
        self._weights: dict[str, Variable] = {}

    @classmethod
    def default_name(cls) -> str:
        """The class's name as names of layers are written: `max_pooling2d`."""
        return _snake_case(cls.__name__)

    # ---- What a subclass implements ------------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Makes the weights; the first call does it. The default has none.

        Args:
            input_shape: with None for the batch axis; of a list of inputs, a list.
        """

    def call(self, x: Any, training: bool) -> Any:
        """Computes the output; a subclass implements it.

        Args:
            x: float32 array or tensor, or what else the layer takes.
            training: whether dropout and the like are active; left out where it makes no difference.

        Returns:
            An array or tensor.

        Raises:
            TypeError: the subclass has no such method.
        """
        raise TypeError(f"{self.name}: has no call(x, training); expected one; override it")

    def __call__(self, x: Any, *others: Any, training: bool | None = None, **options: Any) -> Any:
        """The output for an input; makes the weights at the first call.

        Args:
            x: an array, a tensor, or a list, tuple or dict of them.
            others: what else `call` takes.
            training: whether dropout and the like are active; default as in the layer or model that this call is part of, else
                False.
            options: what else `call` takes by name.

        Returns:
            What `call` returned.
        """
        alone = isinstance(x, Tensor) and not others and not options
        if not alone and any(isinstance(leaf, SymbolicTensor) for leaf in flatten((x, others, options))[0]):
            return record(self, (x, *others), options if training is None else {**options, "training": training})
        x = self._converted(x)
        if training is None:
            training = _calling.training
        was_built = self.built
        built_before = set() if was_built else {id(layer) for _, layer in self._walk() if layer.built}
        before, _calling.training = _calling.training, training
        with layer_scope(self.name):
            try:
                if not self.built:
                    self.build(shapes_of(x))
                    self.built = True
                if takes_training(type(self).call):
                    options = {**options, "training": training}
                result = self.call(x, *others, **options)
                self._output_shapes = shapes_of(result)
                if self.activity_regularizer is not None and (trace := current_trace()) is not None:
                    # Computed when the losses are asked for: a prediction does not need it.
                    trace.losses += [(self, functools.partial(self._activity, output)) for output in flatten(result)[0]]
                return result
            except Exception:
                if not was_built:
                    for _, layer in self._walk():
                        if id(layer) not in built_before:
                            layer.unbuild()
                raise
            finally:
                _calling.training = before

    def _converted(self, x: Any) -> Any:
        """Arrays as `predict` would take them: floats as float32, integers as `input_dtype`."""
        if isinstance(x, (Tensor, Variable)):
            return x
        if isinstance(x, (list, tuple)) and any(isinstance(item, _ARRAYS) for item in x):
            return [self._converted(item) for item in x]
        if isinstance(x, dict):
            return {key: self._converted(item) for key, item in x.items()}
        array = np.asarray(x)
        if array.dtype.kind == "f" or (array.dtype.kind in "iub" and self.input_dtype is not None):
            array = array.astype("float32" if array.dtype.kind == "f" else self.input_dtype, copy=False)
        return array

    def _activity(self, output: Any) -> Any:
        assert self.activity_regularizer is not None
        loss = self.activity_regularizer(output)
        return loss / ops.sum(ops.ones(output.shape[:1], output.dtype)) if output.shape else loss

    def add_loss(self, loss: Any) -> None:
        """Adds a number to the loss of the models that this layer is part of, while `call` is traced.

        It is part of `losses` of the layer and of those above within that trace. Outside a trace nothing is computed of losses.

        Args:
            loss: a tensor made in `call`; of several numbers the sum counts.

        Example:
            >>> class Sparse(layers.Layer):
            ...     def call(self, x):
            ...         self.add_loss(ops.mean(ops.abs(x)) * 0.1)
            ...         return x
            >>> model = fastnn.Sequential([Sparse(input_shape=(4,)), layers.Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd", loss="mse")
            >>> round(model.evaluate(np.ones((8, 4)), np.zeros((8, 1))), 6)
            0.1
        """
        if (trace := current_trace()) is not None:
            trace.losses.append((self, lambda: ops.sum(loss)))

    def unbuild(self) -> None:
        """Forgets the weights; the next call makes new ones."""
        self.built = False
        self._weights = {}

    # ---- Weights -------------------------------------------------------------------------------------------------------------

    def add_weight(
        self,
        name: str,
        shape: Sequence[int],
        initializer: Callable[..., Array],
        *,
        trainable: bool = True,
        regularizer: regularizers.RegularizerLike = None,
        constraint: constraints.ConstraintLike = None,
    ) -> Variable:
        """Makes a weight of this layer, a float32 Variable named `layer/name`.

        Args:
            name: within the layer, where no other weight has it; files name the weight by it.
            shape: ints.
            initializer: a function `(shape, dtype) -> array`.
            trainable: whether optimizers may change it.
            regularizer: what it adds to the loss: a name, a function of it, or None.
            constraint: what is done to it after an update, likewise.

        Returns:
            The Variable.

        Raises:
            ValueError: a name that is taken, or of a regularizer or constraint that does not exist.
        """
        if name in self._weights:
            raise ValueError(f"{self.name}: add_weight('{name}') twice; expected different names; name what it is for")
        full_name, stored = f"{self.name}/{name}", _loading.weights
        value = initializer(tuple(shape), "float32") if stored is None else stored(full_name, tuple(shape))
        weight = self._weights[name] = Variable(value, name=full_name, trainable=trainable)
        weight.regularizer, weight.constraint = regularizers.get(regularizer), constraints.get(constraint)
        return weight

    def named_layers(self) -> dict[str, Layer]:
        """The layers that belong to this one, by the names of its attributes: `attention`, `blocks/0`."""
        found: dict[str, Layer] = {}

        def look(name: str, value: Any) -> None:
            if isinstance(value, Layer):
                found[name] = value
            elif isinstance(value, (list, tuple)):
                for i, item in enumerate(value):
                    if _may_hold_layers(item.__class__):
                        look(f"{name}/{i}", item)
            elif isinstance(value, dict):
                for key, item in value.items():
                    if _may_hold_layers(item.__class__):
                        look(f"{name}/{key}", item)

        for name, value in vars(self).items():
            if _may_hold_layers(value.__class__) and name != "_weights":
                look(name.lstrip("_"), value)
        return found

    def _walk(self, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Layer]]:
        """This layer and all below it, each once, with the paths of their names: `blocks/0/`."""
        seen = set() if seen is None else seen
        if id(self) not in seen:
            seen.add(id(self))
            yield path, self
            for name, layer in self.named_layers().items():
                yield from layer._walk(f"{path}{name}/", seen)

    def named_weights(self) -> dict[str, Variable]:
        """The weights, those of the layers below included, by their names within this one: `dense/kernel`."""
        return {path + name: weight for path, layer in self._walk() for name, weight in layer._weights.items()}

    def named_variables(self) -> dict[str, Variable]:
        """Everything to remember, by names within this layer: weights, then Variables that are attributes.

        Raises:
            ValueError: two of one name.
        """
        below = list(self._walk())
        named = {path + name: weight for path, layer in below for name, weight in layer._weights.items()}
        weights = {id(w) for w in named.values()}
        for path, layer in below:
            for name, variable in named_variables(layer).items():
                if id(variable) in weights:
                    continue
                if path + name in named:
                    raise ValueError(
                        f"{self.name}: a weight and another Variable are named '{path + name}'; expected different names; "
                        "rename one"
                    )
                named[path + name] = variable
        return named

    @property
    def weights(self) -> list[Variable]:
        """All weights: its own in the order they were made, then those of the layers below."""
        return list(self.named_weights().values())

    @property
    def output_shape(self) -> Any:
        """The shape of what the last call returned, with None for the batch axis; None before the first call."""
        return self._output_shapes

    @property
    def trainable_variables(self) -> list[Variable]:
        """The weights that training changes."""
        below = [layer for _, layer in self._walk()]
        frozen = {id(w) for layer in below if not layer._trainable for w in layer._weights.values()}
        return [w for layer in below for w in layer._weights.values() if w.trainable and id(w) not in frozen]

    @property
    def losses(self) -> list[Any]:
        """What is added to the loss of the data, a list of numbers: for each weight that training changes and that has a
        regularizer, and, within a trace, for each call in it with an activity regularizer or `add_loss`.
        """
        of_weights = [w.regularizer(w) for w in self.trainable_variables if w.regularizer is not None]
        trace = current_trace()
        if trace is None or not trace.losses:
            return of_weights
        own = {id(layer) for _, layer in self._walk()}
        return [loss() for layer, loss in trace.losses if id(layer) in own] + of_weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """The same."""
        return self.trainable_variables

    @property
    def trainable(self) -> bool:
        """Whether training changes the layer's weights; assigning it holds for all layers below. A model that is compiled
        already has to be compiled again.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{self.name}: trainable={value!r}; expected True or False; pass one of them")
        for _, layer in self._walk():
            layer._trainable = bool(value)

    def count_params(self) -> int:
        """How many numbers the weights hold."""
        return sum(w.size for w in self.weights)

    def get_weights(self) -> list[Array]:
        """Copies of the weights, in order."""
        return read_variables(self.weights)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replaces the weights; all or none, so that arrays that do not fit change nothing.

        Args:
            weights: one array per weight, in the order of `get_weights`, of its shape and any numeric dtype.

        Raises:
            ValueError: another number of arrays, another shape, rows of unequal length.
            TypeError: no list, or arrays that hold no numbers.
        """
        assign_all(self.name, self.weights, weights)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and `trainable` where it is False: `from_config(get_config())` makes an equal layer with
        new weights.
        """
        config: dict[str, Any] = {"name": self.name}
        if self._declared_shape is not None:
            config["input_shape"] = self._declared_shape
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = self.activity_regularizer
        if not self._trainable:
            config["trainable"] = False
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` returned, with new weights.

        Args:
            config: the constructor's arguments by name.
        """
        config = dict(config)
        trainable = config.pop("trainable", True)
        layer = cls(**config)
        if not trainable:
            layer.trainable = False
        return layer

    def expect_rank(self, x: Any, rank: int, axes: str) -> None:
        """Raises unless `x` has `rank` axes; the layer's path is added by the op or here."""
        if len(x.shape) != rank:
            raise ValueError(f"{self.name}: input of shape {shape_text(x)}; expected {rank} axes, {axes}; reshape the input")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.name}'>"


def given(**options: Any) -> dict[str, Any]:
    """The options that are not None: a configuration says no more than the user did."""
    return {name: value for name, value in options.items() if value is not None}


def shapes_of(x: Any) -> Any:
    """The shape of a layer's input, with None for lengths that are no numbers; of a list or dict of them likewise."""
    if isinstance(x, (list, tuple)):
        return [shapes_of(item) for item in x]
    if isinstance(x, dict):
        return {key: shapes_of(item) for key, item in x.items()}
    return tuple(d if isinstance(d, int) else None for d in getattr(x, "shape", ()))


def shape_text(x: Any) -> str:
    """The shape of an array or a tensor, for errors."""
    return str(tuple(x.shape)) if not isinstance(x, Tensor) else "(" + ", ".join(map(str, x.shape)) + ")"


def assign_all(where: str, variables: Sequence[Variable], values: Sequence[Any]) -> None:
    """Writes one array per variable, or nothing if one does not fit."""
    if not isinstance(values, (list, tuple, np.ndarray)):
        raise TypeError(f"{where}: weights of type {type(values).__name__}; expected a list of arrays; see get_weights()")
    if len(values) != len(variables):
        raise ValueError(f"{where}: {len(values)} arrays; expected {len(variables)}, one per weight; see get_weights()")
    arrays = [rectangular(f"{where}: '{variable.name}'", value) for variable, value in zip(variables, values)]
    for variable, array in zip(variables, arrays):
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"{where}: '{variable.name}' given an array of dtype {array.dtype}; expected numbers; nothing was changed: "
                "convert it with .astype('float32')"
            )
        if array.shape != variable.shape:
            raise ValueError(
                f"{where}: '{variable.name}' given an array of shape {array.shape}; expected {variable.shape}; nothing was "
                "changed"
            )
    write_variables(variables, [array.astype(v.dtype, copy=False) for v, array in zip(variables, arrays)])


def check_sizes(where: str, what: str, value: Any, count: int | None) -> tuple[int, ...]:
    """`value` as a tuple of positive ints: `count` of them (one int stands for all), or any number."""
    items = (value,) * (count or 1) if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else value
    good = (
        isinstance(items, (tuple, list))
        and (count is None or len(items) == count)
        and all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) and i >= 1 for i in items)
    )
    if not good:
        wanted = "a tuple of positive integers" if count is None else f"{count} positive integers, or one for all"
        raise ValueError(f"{where}: {what}={value!r}; expected {wanted}; pass for example {(3,) * (count or 1)}")
    return tuple(int(i) for i in items)


def check_size(where: str, what: str, value: Any) -> int:
    """`value` as a positive int."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{where}: {what}={value!r}; expected a positive integer; pass for example 64")
    return int(value)
