"""Dense, Flatten, Activation, Identity, ActivityRegularization, Rescaling, Input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import _core, activations, constraints, initializers, ops, regularizers
from fastnn.layers.layer import InputShape, Layer, check_size, check_sizes, given, unique_name
from fastnn.symbolic import SymbolicTensor
from fastnn.tracing import Variable
from fastnn.utils import check_number


class Input(SymbolicTensor):
    """The input of a model: the first entry of a Sequential, or a symbolic tensor that layers and ops are applied to.

    Args:
        shape: lengths of the axes of one sample, without the batch axis.
        name: for messages, and for passing arrays by name; default `input` with a number.
        dtype: what `fit` and `predict` convert the data to: float32, or int32 or int64 for a model of token ids.

    Raises:
        ValueError: lengths that are no positive integers, another dtype.

    Example:
        >>> x = fastnn.Input(shape=(28, 28, 1))
        >>> model = fastnn.Model(x, layers.Flatten()(x))
        >>> model.output_shape
        (None, 784)
        >>> fastnn.Sequential([fastnn.Input((4,)), layers.Dense(2)]).output_shape
        (None, 2)
    """

    def __init__(self, shape: Sequence[int], name: str | None = None, dtype: str = "float32") -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"Input: name={name!r}; expected a string; pass for example name='image'")
        if dtype not in ("float32", "int32", "int64"):
            raise ValueError(f"Input: dtype={dtype!r}; expected 'float32', 'int32' or 'int64'; pass one of them")
        self.sample_shape = check_sizes("Input", "shape", tuple(shape) if isinstance(shape, (tuple, list)) else shape, None)
        super().__init__((_core.Extent("batch"), *self.sample_shape), dtype)
        self.auto_named = not name
        self.name = name or unique_name("input")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"shape": self.sample_shape, "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Input:
        """An Input from what `get_config` returned.

        Args:
            config: the constructor's arguments by name.
        """
        return cls(**config)

    def __repr__(self) -> str:
        return f"<Input '{self.name}' {self.dtype} {self.sample_shape}>"


class Dense(Layer):
    """Fully connected layer: `y = activation(x kernel + bias)`, over the last axis.

    Args:
        units: length of the result's last axis.
        activation: a name, a function or None.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel, shape `(features, units)`.
        bias_initializer: of the bias, shape `(units,)`.
        kernel_regularizer: what the kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        bias_regularizer: likewise the bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        kernel_constraint: what is done to the kernel after an update: a name or object of `fastnn.constraints`, or None.
        bias_constraint: likewise to the bias.

    Input shape `(batch, ..., features)`, output shape `(batch, ..., units)`.

    Raises:
        ValueError: units that are no positive integer, names that do not exist; when built, a last axis of unknown length.

    Example:
        >>> dense = layers.Dense(3, activation="relu")
        >>> dense(np.ones((2, 4))).shape, dense.count_params()
        ((2, 3), 15)
    """

    def __init__(
        self,
        units: int,
        activation: activations.ActivationLike = None,
        use_bias: bool = True,
        kernel_initializer: initializers.InitializerLike = "glorot_uniform",
        bias_initializer: initializers.InitializerLike = "zeros",
        *,
        kernel_regularizer: regularizers.RegularizerLike = None,
        bias_regularizer: regularizers.RegularizerLike = None,
        activity_regularizer: regularizers.RegularizerLike = None,
        kernel_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, activity_regularizer=activity_regularizer)
        self.units = check_size(self.name, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel: Variable
        self.bias: Variable | None = None

    def build(self, input_shape: InputShape) -> None:
        features = input_shape[-1] if len(input_shape) > 1 else None
        if features is None:
            raise ValueError(
                f"{self.name}: input of shape {input_shape}; expected a last axis of known length, (batch, ..., features); "
                "flatten the input or add an axis"
            )
        self.kernel = self.add_weight(
            "kernel",
            (features, self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                (self.units,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, x: Any, training: bool) -> Any:
        return self.activation(ops.dense(x, self.kernel, self.bias))

    def get_config(self) -> dict[str, Any]:
        return {
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            **given(
                kernel_regularizer=self.kernel_regularizer,
                kernel_constraint=self.kernel_constraint,
                bias_regularizer=self.bias_regularizer,
                bias_constraint=self.bias_constraint,
            ),
            **super().get_config(),
        }


class Flatten(Layer):
    """All axes but the batch as one: `(batch, a, b, ...)` to `(batch, a b ...)`, in row-major order.

    Example:
        >>> layers.Flatten()(np.ones((2, 3, 4))).shape
        (2, 12)
    """

    def call(self, x: Any, training: bool) -> Any:
        return ops.reshape(x, (x.shape[0], -1))


class Activation(Layer):
    """An activation as a layer of its own; input and output have the same shape.

    Args:
        activation: a name or a function.

    Raises:
        ValueError: a name that does not exist; the nearest ones are given.

    Example:
        >>> layers.Activation("relu")(np.array([[-1.0, 2.0]]))
        array([[0., 2.]], dtype=float32)
    """

    def __init__(
        self,
        activation: activations.ActivationLike,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.activation = activations.get(activation)

    def call(self, x: Any, training: bool) -> Any:
        return self.activation(x)

    def get_config(self) -> dict[str, Any]:
        return {"activation": activations.serialize(self.activation), **super().get_config()}


class Identity(Layer):
    """Its input, as it is: a place for another layer, or a name for a tensor.

    Example:
        >>> layers.Identity()(np.array([[-1.0, 2.0]]))
        array([[-1.,  2.]], dtype=float32)
    """

    def call(self, x: Any, training: bool) -> Any:
        return x


class ActivityRegularization(Layer):
    """Its input, as it is, of which `l1 sum |x| + l2 sum x^2`, divided by the length of the batch, is added to the loss.

    Args:
        l1: at least 0.
        l2: likewise.

    Raises:
        ValueError: a factor outside its range.

    Example:
        >>> model = fastnn.Sequential([layers.ActivityRegularization(l2=0.5, input_shape=(3,)), layers.Dense(1, "relu")])
        >>> model.compile("sgd", loss="mse")
        >>> model.evaluate(np.full((4, 3), 2.0), model.predict(np.full((4, 3), 2.0)))
        6.0
    """

    def __init__(
        self, l1: float = 0.0, l2: float = 0.0, *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, activity_regularizer=regularizers.L1L2(l1, l2))
        self.l1, self.l2 = float(l1), float(l2)

    def call(self, x: Any, training: bool) -> Any:
        return x

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]
        return {"l1": self.l1, "l2": self.l2, **config}


class Rescaling(Layer):
    """`y = x scale + offset`, for example `Rescaling(1 / 255)` for images of bytes. Input and output have the same shape.

    Args:
        scale: factor.
        offset: added afterwards.

    Raises:
        ValueError: not a finite number.

    Example:
        >>> layers.Rescaling(1 / 255)(np.array([[0, 255]], np.uint8))
        array([[0., 1.]], dtype=float32)
    """

    def __init__(
        self,
        scale: float,
        offset: float = 0.0,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.scale = check_number(self.name, "scale", scale, 1 / 255)
        self.offset = check_number(self.name, "offset", offset, 0.0)

    def call(self, x: Any, training: bool) -> Any:
        scaled = x * self.scale
        return scaled + self.offset if self.offset else scaled

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale, "offset": self.offset, **super().get_config()}
