"""What all models have in common: weights, summary, training, files."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.layers.core import Input
from fastnn.layers.layer import Layer, assign_all, check_sizes, shapes_of, takes_training
from fastnn.symbolic import SymbolicTensor
from fastnn.tracing import Array, Trace, current_trace, flatten, layer_scope, read_variables, unflatten
from fastnn.training import Trainer
from fastnn.utils import look_up


class Model(Trainer, Layer):
    """A layer that can be trained by itself.

    `Model(inputs, outputs)` is a functional model: everything between symbolic tensors, with branches, layers used twice,
    several inputs and outputs. A subclass makes layers as attributes in `__init__` and uses them in `call(x, training)`; it is
    built, its weights made, when the shape of its input is known from data or `build`. Weights and outputs are float32.

    Args:
        inputs: an `Input`, or a list or dict of them.
        outputs: symbolic tensors computed from these, one or a list or dict of them.
        name: default the class's name with a number.
        arguments, options: what the constructor of a subclass takes instead.

    Raises:
        ValueError: outputs that need other inputs, layers that are named alike.
        TypeError: something in their place that is no symbolic tensor.

    Example:
        >>> x = fastnn.Input((8,))
        >>> hidden = layers.Dense(8, activation="relu")(x)
        >>> fastnn.Model(x, layers.Dense(1)(x + hidden)).count_params()
        81
        >>> class Residual(fastnn.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden, self.last = layers.Dense(8, activation="relu"), layers.Dense(1)
        ...     def call(self, x):
        ...         return self.last(x + self.hidden(x))
        >>> model = Residual()
        >>> model.predict(np.ones((2, 8))).shape, model.count_params()
        ((2, 1), 81)
    """

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        if cls is Model and (arguments or "inputs" in options or "outputs" in options):
            from fastnn.models.functional import Functional

            return object.__new__(Functional)
        return object.__new__(cls)

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        if inputs is not None or outputs is not None:
            raise TypeError(
                f"{type(self).__name__}: inputs and outputs of a subclass; expected call(x) to compute; write "
                "fastnn.Model(inputs, outputs) for a functional model"
            )
        Trainer.__init__(self)
        Layer.__init__(self, name=name)

    # ---- Layers --------------------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return list(self.named_layers().values())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by name or by index.

        Args:
            name: the layer's name.
            index: its place, negative ones counted from the last.

        Returns:
            The layer.

        Raises:
            ValueError: none or both given, or no such layer; the nearest names are given.
            TypeError: an index that is no integer.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(3, name="hidden"), layers.Dense(2)])
            >>> model.get_layer("hidden") is model.get_layer(index=0)
            True
        """
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError(f"{self.name}: get_layer(name={name!r}, index={index!r}); expected one of the two; pass a name")
        if index is not None:
            if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
                raise TypeError(f"{self.name}: get_layer(index={index!r}); expected an integer; pass a name as name=")
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"{self.name}: layer {index}; expected an index below {len(layers)}; see model.layers")
            return layers[index]
        return look_up("layer", str(name), {layer.name: layer for layer in layers})

    # ---- Shapes --------------------------------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Makes the weights for inputs of this shape.

        Args:
            input_shape: with None for the batch axis or without it; a list or dict of such for several inputs.

        Raises:
            ValueError: lengths that are no positive integers, layers that do not fit.

        Example:
            >>> class Classifier(fastnn.Model):
            ...     def __init__(self):
            ...         super().__init__()
            ...         self.dense = layers.Dense(3)
            ...     def call(self, x):
            ...         return self.dense(x)
            >>> model = Classifier()
            >>> model.build((None, 4))
            >>> model.count_params()
            15
        """
        single = isinstance(input_shape, tuple) or all(d is None or isinstance(d, int) for d in input_shape)
        leaves, structure = ([input_shape], None) if single else _flatten_shapes(input_shape)
        names = sorted(input_shape) if isinstance(input_shape, dict) else [f"input_{i + 1}" for i in range(len(leaves))]
        dtype = "int32" if self.input_dtype is None else "float32"
        self._build_with([self._input_of(name, shape, dtype) for name, shape in zip(names, leaves)], structure)

    def _input_of(self, name: str, shape: Sequence[int | None], dtype: str) -> Input:
        shape = shape[1:] if len(shape) and shape[0] is None else shape
        return Input(check_sizes(self.name, "input_shape", tuple(shape), None), name=name, dtype=dtype)

    def _build_on(self, x: Any, where: str) -> None:
        several = isinstance(x, dict) or (isinstance(x, (list, tuple)) and all(isinstance(part, np.ndarray) for part in x))
        if not several:
            super()._build_on(x, where)
            leaves, structure = [np.asarray(x)], None
        else:
            leaves, structure = flatten(x)
            self.build([a.shape[1:] for a in leaves] if not isinstance(x, dict) else {k: np.shape(a)[1:] for k, a in x.items()})
        if not self._inputs or (self.input_dtype is None and not self.built):  # a subclass has a build of its own
            keys = sorted(x) if isinstance(x, dict) else [f"input_{i + 1}" for i in range(len(leaves))]
            dtypes = ["int32" if self.input_dtype is None and a.dtype.kind in "iub" else "float32" for a in leaves]
            self._build_with([Input(a.shape[1:], name=k, dtype=d) for a, k, d in zip(leaves, keys, dtypes)], structure)

    def _build_with(self, inputs: list[Input], structure: Any) -> None:
        """Traces the model once, so that its layers make their weights and the form of its outputs is known."""
        self._forget_programs()
        before = {id(layer) for _, layer in self._walk() if layer.built}
        try:
            with Trace() as trace, layer_scope(self.name):
                x = unflatten(structure, [trace.input(spec.name, spec.dtype, spec.shape) for spec in inputs])
                outputs = self.call(x, training=False) if takes_training(type(self).call) else self.call(x)
        except Exception:
            for _, layer in self._walk():
                if id(layer) not in before and layer is not self:
                    layer.unbuild()
            raise
        leaves, _ = flatten(outputs)
        self._output_shapes = shapes_of(outputs)
        if not self._output_names:
            keys = sorted(outputs) if isinstance(outputs, dict) else [f"output_{i + 1}" for i in range(len(leaves))]
            self._output_names = keys if len(leaves) > 1 else []
        self._inputs, self._structure = inputs, structure
        self.built = True

    @property
    def input_shape(self) -> Any:
        """`(None, ...)`, where None is the batch axis; of several inputs a list or dict. None before the model is built."""
        if not self.built:
            return None
        return unflatten(self._structure, [(None, *spec.sample_shape) for spec in self._inputs])

    @property
    def output_shape(self) -> Any:
        """`(None, ...)`, where None is the batch axis; of several outputs a list or dict. None before the model is built."""
        return self._output_shapes if self.built else None

    # ---- Computing -----------------------------------------------------------------------------------------------------------

    def __call__(self, x: Any, *others: Any, training: bool | None = None, **options: Any) -> Any:
        """The output for a batch: of tensors as any layer, of arrays as one program (as `predict`, without batches).

        Args:
            x: `(batch, ...)`; of several inputs a list or a dict.
            others: what else `call` takes, of tensors.
            training: whether dropout and the like are active; default as in the layer or model that this call is part of.
            options: what else `call` takes by name, of tensors.

        Returns:
            What `call` returned; of arrays, arrays.
        """
        symbolic = any(isinstance(leaf, SymbolicTensor) for leaf in flatten((x, others, options))[0])
        if current_trace() is None and not symbolic and not others and not options:
            return self._call_on_array(x, bool(training))
        return Layer.__call__(self, x, *others, training=training, **options)

    # ---- Weights -------------------------------------------------------------------------------------------------------------

    def get_weights(self) -> list[Array]:
        """Copies of all weights, layer by layer.

        Returns:
            A list of float32 arrays.

        Example:
            >>> [w.shape for w in fastnn.Sequential([layers.Dense(3, input_shape=(4,))]).get_weights()]
            [(4, 3), (3,)]
        """
        return read_variables(self.weights)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replaces all weights at once, or none if one does not fit.

        Args:
            weights: one array per weight, in the order of `get_weights`, of its shape and any numeric dtype.

        Raises:
            ValueError: another number of arrays, another shape, rows of unequal length; a model that is not built.
            TypeError: no list, or arrays that hold no numbers.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(2,))])
            >>> model.set_weights([[[1.0], [2.0]], [0.5]])
            >>> model.predict(np.array([[10.0, 1.0]]))
            array([[12.5]], dtype=float32)
        """
        self._require_built("set_weights")
        assign_all(self.name, self.weights, weights)

    def count_params(self) -> int:
        """How many numbers the weights hold.

        Raises:
            ValueError: a model that is not built.

        Example:
            >>> fastnn.Sequential([layers.Dense(3, input_shape=(4,))]).count_params()
            15
        """
        self._require_built("count_params")
        return sum(w.size for w in self.weights)

    def _require_built(self, what: str) -> None:
        if not self.layers and not self.built:
            raise ValueError(f"{self.name}: {what} of a model without layers; expected at least one; add layers")
        if not self.built:
            raise ValueError(
                f"{self.name}: {what} before the shape of the input is known; expected a built model; give the first layer an "
                "input_shape, or call build, fit or predict first"
            )

    def summary(self, print_fn: Callable[[str], Any] | None = None) -> None:
        """Prints layers, output shapes, weights, and the memory of its programs at batch 32.

        Args:
            print_fn: takes the whole text; default standard output.

        Raises:
            ValueError: a model that is not built.

        Example:
            >>> fastnn.Sequential([layers.Dense(3, name="hidden", input_shape=(4,))], name="small").summary()
            Model "small"
            ------------------------------------
            Layer           Output shape  Params
            ...
            hidden (Dense)  (None, 3)         15
            ...
            Parameters: 15, trainable 15
            Memory of a prediction program at batch 32: ...
        """
        self._require_built("summary")
        rows = [("Layer", "Output shape", "Params")]
        for layer in self.layers:
            shape = "?" if layer.output_shape is None else str(layer.output_shape)
            rows.append((f"{layer.name} ({type(layer).__name__})", shape, f"{layer.count_params():,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        rule = "-" * (sum(widths) + 4)
        lines = [f'Model "{self.name}"', rule]
        for row in rows:
            lines.append(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}")
            if row is rows[0]:
                lines.append(rule)
        trainable = sum(v.size for v in self.trainable_variables)
        lines += [rule, f"Parameters: {self.count_params():,}, trainable {trainable:,}"]
        for what, planned, unshared in self._memory(batch_size=32):
            lines.append(
                f"Memory of a {what} program at batch 32: {planned / 1e6:.2f} MB planned, {unshared / 1e6:.2f} MB for all "
                "intermediates without sharing"
            )
        text = "\n".join(lines)
        if print_fn is None:
            sys.stdout.write(text + "\n")
        else:
            print_fn(text)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.name}' of {len(self.layers)} layers>"


def portable_names(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Layers by the names of files: as the user named them, else numbered within the model.

    `conv2d_7`, because the process has made seven others, is `conv2d` in the file: the same model gives the same file, and
    the weights of one fit another that is made in the same way.
    """
    taken = {layer.name for layer in layers if not layer.auto_named}
    numbers: dict[str, itertools.count[int]] = {}
    named: dict[str, Layer] = {}
    for layer in layers:
        name = layer.name
        if layer.auto_named:
            base = layer.default_name()
            candidates = (f"{base}_{n}" if n else base for n in numbers.setdefault(base, itertools.count()))
            name = next(candidate for candidate in candidates if candidate not in taken)
        named[name] = layer
    return named


def _flatten_shapes(shapes: Any) -> tuple[list[Any], Any]:
    """The shapes in a list or dict, and its structure."""
    items = shapes.values() if isinstance(shapes, dict) else shapes
    placeholders = {key: i for i, key in enumerate(shapes)} if isinstance(shapes, dict) else list(range(len(shapes)))
    order, structure = flatten(placeholders)
    items = list(items)
    return [items[i] for i in order], structure
