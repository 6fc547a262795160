"""Convolutional layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import activations, initializers, ops
from fastnn.layers.layer import InputShape, Layer, check_size, check_sizes
from fastnn.tracing import Variable


class Conv2D(Layer):
    """Two-dimensional convolution: `y = activation(conv2d(x, kernel) + bias)`; see `fastnn.ops.conv2d` for the sum.

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window in pixels; one int for both.
        strides: steps of the window in pixels; one int for both.
        padding: `"valid"` or `"same"`.
        activation: a name, a function or None.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel, shape `(KH, KW, channels, filters)`.
        bias_initializer: of the bias, shape `(filters,)`.

    Input shape `(batch, height, width, channels)`, output shape `(batch, OH, OW, filters)`. Unlike Keras's layer it has no
    `data_format`, `dilation_rate` or `groups`.

    Raises:
        ValueError: sizes that are no positive integers, names that do not exist; when built, an input without 4 axes or smaller
            than the window.

    Example:
        >>> conv = layers.Conv2D(8, 3, padding="same", activation="relu")
        >>> conv(np.ones((1, 28, 28, 1))).shape, conv.count_params()
        ((1, 28, 28, 8), 80)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        activation: activations.ActivationLike = None,
        use_bias: bool = True,
        kernel_initializer: initializers.InitializerLike = "glorot_uniform",
        bias_initializer: initializers.InitializerLike = "zeros",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.filters = check_size(self.name, "filters", filters)
        self.kernel_size = check_sizes(self.name, "kernel_size", kernel_size, 2)
        self.strides = check_sizes(self.name, "strides", strides, 2)
        self.padding = check_padding(self.name, padding)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel: Variable
        self.bias: Variable | None = None

    def build(self, input_shape: InputShape) -> None:
        channels = input_shape[-1] if len(input_shape) == 4 else None
        if channels is None:
            raise ValueError(
                f"{self.name}: input of shape {input_shape}; expected 4 axes, (batch, height, width, channels); reshape the "
                "input, for example images[..., None] for grey images"
            )
        self.kernel = self.add_weight("kernel", (*self.kernel_size, channels, self.filters), self.kernel_initializer)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.filters,), self.bias_initializer)

    def call(self, x: Any, training: bool) -> Any:
        y = ops.conv2d(x, self.kernel, self.bias, strides=self.strides, padding=self.padding)
        return self.activation(y)

    def get_config(self) -> dict[str, Any]:
        return {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            **super().get_config(),
        }


def check_padding(where: str, padding: str) -> str:
    """`padding` in lower case, if it is one."""
    if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
        raise ValueError(f"{where}: padding={padding!r}; expected 'valid' or 'same'; pass one of them")
    return padding.lower()
