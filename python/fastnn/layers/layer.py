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

from fastnn.tracing import (
    Array,
    Tensor,
    Variable,
    layer_scope,
    named_variables,
    read_variables,
    rectangular,
    write_variables,
)

InputShape: TypeAlias = "tuple[int | None, ...]"  # None is an axis of any length: the batch


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


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])", "_", name).lower()


@functools.cache
def _takes_training(call: Callable[..., Any]) -> bool:
    return "training" in inspect.signature(call).parameters


class Layer:
    """A function with weights.

    A subclass makes its weights in `build(input_shape)`, where None stands for the batch axis, and computes in
    `call(x, training)` or `call(x)` with `fastnn.ops`. It runs on arrays (converted to float32) as well as inside a trace;
    weights are float32. Layers inside layers are not supported yet: a model refuses to train weights that are not its own
    layers'.

    Args:
        name: default the class's name with a number.
        input_shape: of one sample, for the first layer of a model.

    Example:
        >>> class Scale(layers.Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight("factor", (input_shape[-1],), fastnn.initializers.get("ones"))
        ...     def call(self, x):
        ...         return x * self.factor
        >>> scale = Scale()
        >>> scale(np.array([[1.0, 2.0]]))
        array([[1., 2.]], dtype=float32)
        >>> scale.count_params()
        2
    """

    def __init__(self, *, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: name={name!r}; expected a string; pass for example name='hidden'")
        self.auto_named = not name
        self.name = name or unique_name(self.default_name())
        self.input_shape = None if input_shape is None else check_sizes(self.name, "input_shape", input_shape, None)
        self.built = False
        self._weights: dict[str, Variable] = {}

    @classmethod
    def default_name(cls) -> str:
        """The class's name as names of layers are written: `max_pooling2d`."""
        return _snake_case(cls.__name__)

    def build(self, input_shape: InputShape) -> None:
        """Makes the weights; the first call does it. The default has none.

        Args:
            input_shape: with None for the batch axis.
        """

    def call(self, x: Any, training: bool) -> Any:
        """Computes the output; a subclass implements it.

        Args:
            x: float32 array or tensor.
            training: whether dropout and the like are active.

        Returns:
            An array or tensor.

        Raises:
            TypeError: the subclass has no such method.
        """
        raise TypeError(f"{self.name}: has no call(x, training); expected one; override it")

    def __call__(self, x: Any, training: bool = False) -> Any:
        if not isinstance(x, (Tensor, Variable)):
            x = np.asarray(x)
            if x.dtype.kind in "fiub":
                x = x.astype(np.float32, copy=False)  # as `predict` does: the weights are float32
        was_built = self.built
        with layer_scope(self.name):
            try:
                if not self.built:
                    self.build(tuple(d if isinstance(d, int) else None for d in x.shape))
                    self.built = True
                return self.call(x, training) if _takes_training(type(self).call) else self.call(x)  # type: ignore[call-arg]
            except Exception:
                if not was_built:
                    self.unbuild()
                raise

    def unbuild(self) -> None:
        """Forgets the weights; the next call makes new ones."""
        self.built = False
        self._weights = {}

    def add_weight(
        self, name: str, shape: Sequence[int], initializer: Callable[..., Array], *, trainable: bool = True
    ) -> Variable:
        """Makes a weight of this layer, a float32 Variable named `layer/name`.

        Args:
            name: within the layer, where no other weight has it; files name the weight by it.
            shape: ints.
            initializer: a function `(shape, dtype) -> array`.
            trainable: whether optimizers may change it.

        Returns:
            The Variable.

        Raises:
            ValueError: a name that is taken.
        """
        if name in self._weights:
            raise ValueError(f"{self.name}: add_weight('{name}') twice; expected different names; name what it is for")
        full_name, stored = f"{self.name}/{name}", _loading.weights
        value = initializer(tuple(shape), "float32") if stored is None else stored(full_name, tuple(shape))
        weight = self._weights[name] = Variable(value, name=full_name, trainable=trainable)
        return weight

    @property
    def weights(self) -> list[Variable]:
        """The weights in the order they were made."""
        return list(self._weights.values())

    def named_weights(self) -> dict[str, Variable]:
        """The weights by their names within the layer, in the order they were made."""
        return dict(self._weights)

    def named_variables(self) -> dict[str, Variable]:
        """Everything the layer remembers, by names within the layer: its weights, then Variables that are attributes.

        Raises:
            ValueError: a weight and another Variable of one name.
        """
        weights = {id(w) for w in self.weights}
        others = {name: v for name, v in named_variables(self).items() if id(v) not in weights}
        for name in others.keys() & self._weights.keys():
            raise ValueError(
                f"{self.name}: a weight and another Variable are named '{name}'; expected different names; rename one"
            )
        return self._weights | others

    @property
    def trainable_variables(self) -> list[Variable]:
        """The weights that training changes."""
        return [w for w in self.weights if w.trainable]

    @property
    def trainable(self) -> bool:
        """Whether training changes the layer's weights."""
        return all(w.trainable for w in self.weights)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if value != self.trainable:
            raise ValueError(
                f"{self.name}: trainable={value}; expected {self.trainable}, because layers cannot be frozen yet; leave the "
                "weights out of the list that a training loop of your own differentiates by"
            )

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
        """The constructor's arguments, so that `from_config(get_config())` makes an equal layer with new weights."""
        config: dict[str, Any] = {"name": self.name}
        if self.input_shape is not None:
            config["input_shape"] = self.input_shape
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A layer from what `get_config` returned, with new weights.

        Args:
            config: the constructor's arguments by name.
        """
        return cls(**config)

    def expect_rank(self, x: Any, rank: int, axes: str) -> None:
        """Raises unless `x` has `rank` axes; the layer's path is added by the op or here."""
        if len(x.shape) != rank:
            raise ValueError(f"{self.name}: input of shape {shape_text(x)}; expected {rank} axes, {axes}; reshape the input")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.name}'>"


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
