"""A model that is a list of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.layers.core import Input
from fastnn.layers.layer import Layer, check_sizes, unique_name
from fastnn.models.model import Model, portable_names


class Sequential(Model):
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
        super().__init__(name=name)
        self._layers: list[Layer] = []
        self._input_shape: tuple[int, ...] | None = None
        self._input: Input | None = None  # the entry of the list, if there was one
        if not isinstance(layers, (list, tuple)):
            raise TypeError(f"{self.name}: layers={layers!r}; expected a list of layers; write [{layers!r}] for one")
        for layer in layers:
            self._append(layer)
        self._build_if_possible()

    # ---- Layers --------------------------------------------------------------------------------------------------------------

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
        if not self._layers and self._input is None:
            self._input_shape = None
        self._rebuild()
        return layer

    def named_layers(self) -> dict[str, Layer]:
        """The layers in order, by the names that files give them.

        Example:
            >>> list(fastnn.Sequential([layers.Dense(2), layers.Dense(2, name="last")]).named_layers())
            ['dense', 'last']
        """
        return portable_names(self._layers)

    def _append(self, layer: Layer | Input) -> None:
        if isinstance(layer, Input):
            if self._layers or self._input_shape is not None:
                raise ValueError(f"{self.name}: Input after other layers; expected it first; move it to the front")
            self._input_shape, self._input = layer.sample_shape, layer
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
            inner = layer.input_shape if isinstance(layer, Model) else None
            self._input_shape = layer._declared_shape if inner is None else inner[1:]
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
        if not self._layers:
            raise ValueError(f"{self.name}: build of a model without layers; expected at least one; add layers")
        shape = check_sizes(self.name, "input_shape", tuple(input_shape), None)
        if self._input is not None and self._input.sample_shape == shape:
            self._build_with([self._input], None)
        else:
            ids = self._layers[0].input_dtype is None
            self._build_with([Input(shape, name="x", dtype="int32" if ids else "float32")], None)
        self._input_shape = shape

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
        for layer in self._layers:
            if layer._declared_shape is not None and layer._declared_shape != x.shape[1:]:
                raise ValueError(
                    f"{layer.name}: input_shape={layer._declared_shape} for an input of shape {x.shape}; expected the same; "
                    "leave input_shape to the first layer"
                )
            x = layer(x, training=training)
        return x

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
        if self._input is not None:
            inputs = [self._input]
        elif self._input_shape is not None:
            inputs = self._inputs or [Input(self._input_shape, name="x")]
        else:
            inputs = []
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
