"""A model that is a list of layers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.layers.core import Input
from fastnn.layers.layer import Layer, assign_all, check_sizes, unique_name
from fastnn.tracing import Array, Tensor, Trace, Variable, current_trace, layer_scope, read_variables
from fastnn.training import Trainer


class Sequential(Trainer):
    """Layers in a row, each fed with the one before.

    The model is built, its weights made, when the shape of its input is known: from `Input`, the first layer's `input_shape`,
    or the first data it sees. Weights and outputs are float32.

    Args:
        layers: layers, the first optionally an `Input`.
        name: default `sequential` with a number.

    Raises:
        ValueError: layers that do not fit, are named alike or come twice.
        TypeError: objects that are no layers.

    Example:
        >>> fastnn.set_seed(0)
        >>> model = fastnn.Sequential(
        ...     [layers.Dense(16, activation="tanh", input_shape=(2,)), layers.Dense(2, activation="softmax")]
        ... )
        >>> model.compile(fastnn.optimizers.Adam(0.05), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
        >>> history = model.fit(x, y, epochs=200, verbose=0)
        >>> model.predict(x).argmax(axis=-1)
        array([0, 1, 1, 0])
    """

    def __init__(self, layers: Sequence[Layer | Input] = (), name: str | None = None) -> None:
        super().__init__()
        if name is not None and not isinstance(name, str):
            raise TypeError(f"Sequential: name={name!r}; expected a string; pass for example name='digits'")
        self.auto_named = not name
        self.name = name or unique_name("sequential")
        self._layers: list[Layer] = []
        self._input_shape: tuple[int, ...] | None = None
        self._output_shapes: list[Any] = []
        self._has_input = False
        self.built = False
        if not isinstance(layers, (list, tuple)):
            raise TypeError(f"{self.name}: layers={layers!r}; expected a list of layers; write [{layers!r}] for one")
        for layer in layers:
            self._append(layer)
        self._build_if_possible()

    # ---- Layers --------------------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return list(self._layers)

    def add(self, layer: Layer | Input) -> None:
        """Appends a layer; one that does not fit is not kept.

        Args:
            layer: a layer, or first of all an `Input`.

        Raises:
            ValueError: it does not fit, or its name is taken.
            TypeError: no layer.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((4,))])
            >>> model.add(layers.Dense(3))
            >>> model.output_shape
            (None, 3)
        """
        before = list(self._layers), self._input_shape
        self._append(layer)
        try:
            self._rebuild()
        except Exception:
            self._layers, self._input_shape = before
            self._rebuild()
            raise

    def pop(self) -> Layer:
        """Removes the last layer and returns it.

        Returns:
            The layer, with its weights.

        Raises:
            ValueError: a model without layers.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(3, input_shape=(4,)), layers.Dense(2)])
            >>> model.pop().units, model.output_shape
            (2, (None, 3))
        """
        if not self._layers:
            raise ValueError(f"{self.name}: pop from a model without layers; expected at least one; add one first")
        layer = self._layers.pop()
        if not self._layers and not self._has_input:
            self._input_shape = None
        self._rebuild()
        return layer

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
        if (name is None) == (index is None):
            raise ValueError(f"{self.name}: get_layer(name={name!r}, index={index!r}); expected one of the two; pass a name")
        if index is not None:
            if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
                raise TypeError(f"{self.name}: get_layer(index={index!r}); expected an integer; pass a name as name=")
            if not -len(self._layers) <= index < len(self._layers):
                raise ValueError(f"{self.name}: layer {index}; expected an index below {len(self._layers)}; see model.layers")
            return self._layers[index]
        from fastnn.utils import look_up

        return look_up("layer", str(name), {layer.name: layer for layer in self._layers})

    def _append(self, layer: Layer | Input) -> None:
        if isinstance(layer, Input):
            if self._layers or self._input_shape is not None:
                raise ValueError(f"{self.name}: Input after other layers; expected it first; move it to the front")
            self._input_shape = layer.shape
            self._has_input = True
            return
        if not isinstance(layer, Layer):
            raise TypeError(
                f"{self.name}: {layer!r}; expected a layer; pass objects such as layers.Dense(10), not classes or numbers"
            )
        if any(layer is other for other in self._layers):
            raise ValueError(f"{self.name}: {layer!r} twice; expected different layers; make a second one")
        if any(layer.name == other.name for other in self._layers):
            if layer.auto_named and not layer.built:  # the other one came out of a file with the name
                layer.name = unique_name(layer.default_name())
                return self._append(layer)
            raise ValueError(f"{self.name}: two layers named '{layer.name}'; expected unique names; pass name=")
        if not self._layers and self._input_shape is None:
            self._input_shape = layer.input_shape
        self._layers.append(layer)

    def _rebuild(self) -> None:
        self.built = False
        self._forget_programs()
        self._build_if_possible()

    def _build_if_possible(self) -> None:
        if self._input_shape is not None and self._layers:
            self.build(self._input_shape)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the weights for samples of this shape.

        Args:
            input_shape: without the batch axis, or with None for it.

        Raises:
            ValueError: lengths that are no positive integers, layers that do not fit.
            TypeError: no tuple.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(3)])
            >>> model.build((4,))
            >>> model.count_params()
            15
        """
        if not isinstance(input_shape, (tuple, list)):
            raise TypeError(
                f"{self.name}: input_shape={input_shape!r}; expected a tuple of lengths; pass for example (28, 28, 1)"
            )
        if len(input_shape) and input_shape[0] is None:
            input_shape = input_shape[1:]  # Keras's form, with the batch axis
        shape = check_sizes(self.name, "input_shape", tuple(input_shape), None)
        self._forget_programs()
        unbuilt = [layer for layer in self._layers if not layer.built]
        try:
            self._trace_shapes(shape)
        except Exception:
            for layer in unbuilt:
                layer.unbuild()
            raise
        self._input_shape = shape
        self.built = True

    def _trace_shapes(self, input_shape: tuple[int, ...]) -> None:
        if not self._layers:
            raise ValueError(f"{self.name}: build of a model without layers; expected at least one; add layers")
        with Trace() as trace:
            x = trace.input("x", "float32", (_core.Extent("batch"), *input_shape))
            self._output_shapes = []
            with layer_scope(self.name):
                for layer in self._layers:
                    if layer.input_shape is not None and layer.input_shape != x.shape[1:]:
                        raise ValueError(
                            f"{layer.name}: input_shape={layer.input_shape} for an input of shape {x.shape}; expected the "
                            "same; leave input_shape to the first layer"
                        )
                    x = layer(x)
                    self._output_shapes.append(x.shape)

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """`(None, ...)`, where None is the batch axis; None before the model is built."""
        return None if self._input_shape is None else (None, *self._input_shape)

    @property
    def output_shape(self) -> tuple[int | None, ...] | None:
        """`(None, ...)`, where None is the batch axis; None before the model is built."""
        if not self.built:
            return None
        return tuple(d if isinstance(d, int) else None for d in self._output_shapes[-1])

    # ---- Computing -----------------------------------------------------------------------------------------------------------

    def call(self, x: Any, training: bool = False) -> Any:
        """The output for a tensor, inside a trace.

        Args:
            x: float32 tensor `(batch, ...)`.
            training: whether dropout and the like are active.

        Returns:
            A tensor.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(3, input_shape=(4,))])
            >>> fastnn.function(lambda x: ops.mean(model.call(x), axes=0))(np.ones((5, 4), np.float32)).shape
            (3,)
        """
        with layer_scope(self.name):
            for layer in self._layers:
                x = layer(x, training)
        return x

    def __call__(self, x: Any, training: bool = False) -> Any:
        """The output for a batch: of a Tensor inside a trace, of an array outside (as `predict`, without batches).

        Args:
            x: `(batch, ...)`.
            training: whether dropout and the like are active.

        Returns:
            A float32 tensor or array.
        """
        if current_trace() is not None:
            if not self.built and isinstance(x, Tensor):
                self.build([int(d) for d in x.shape[1:]])
            return self.call(x, training)
        return self._call_on_array(x, training)

    # ---- Weights -------------------------------------------------------------------------------------------------------------

    @property
    def weights(self) -> list[Variable]:
        """All weights, layer by layer."""
        return [w for layer in self._layers for w in layer.weights]

    @property
    def trainable_variables(self) -> list[Variable]:
        """The weights that training changes."""
        return [w for layer in self._layers for w in layer.trainable_variables]

    trainable_weights = trainable_variables

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
        """Replaces all weights, or none if one does not fit.

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

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the shape of the input as an `Input` once it is known.

        Returns:
            A dict: `name` and `layers`, the layers themselves.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(3, input_shape=(4,))], name="small")
            >>> copy = fastnn.Sequential.from_config(model.get_config())
            >>> copy.name, copy.output_shape
            ('small', (None, 3))
        """
        inputs = [] if self._input_shape is None else [Input(self._input_shape)]
        return {"name": self.name, "layers": [*inputs, *self._layers]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """A model of equal layers, with new weights.

        Args:
            config: what `get_config` returned.

        Returns:
            A model, not compiled.

        Raises:
            TypeError: something in its place that is no layer.

        Example:
            >>> fastnn.Sequential.from_config({"name": "small", "layers": [fastnn.Input((4,)), layers.Dense(3)]}).count_params()
            15
        """
        for layer in config["layers"]:
            if not isinstance(layer, (Layer, Input)):
                raise TypeError(f"{cls.__name__}: {layer!r}; expected a layer; see get_config")
        return cls([type(layer).from_config(layer.get_config()) for layer in config["layers"]], name=config["name"])

    def _require_built(self, what: str) -> None:
        if not self._layers:
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
        for layer, shape in zip(self._layers, self._output_shapes):
            dims = ", ".join(str(d) if isinstance(d, int) else "None" for d in shape)
            rows.append((f"{layer.name} ({type(layer).__name__})", f"({dims})", f"{layer.count_params():,}"))
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
        return f"<Sequential '{self.name}' of {len(self._layers)} layers>"
