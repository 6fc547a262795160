"""Convolutional layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import activations, constraints, initializers, ops, regularizers
from fastnn.layers.layer import InputShape, Layer, check_size, check_sizes, given
from fastnn.ops.pool2d import as_image, as_sequence
from fastnn.tracing import Variable


class _Convolution(Layer):
    """What convolutions share: a window over `rank` axes, an activation, a bias."""

    _rank = 2
    _paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str,
        dilation_rate: int | Sequence[int],
        activation: activations.ActivationLike,
        use_bias: bool,
        bias_initializer: initializers.InitializerLike,
        bias_regularizer: regularizers.RegularizerLike,
        bias_constraint: constraints.ConstraintLike,
        activity_regularizer: regularizers.RegularizerLike,
        name: str | None,
        input_shape: Sequence[int] | None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, activity_regularizer=activity_regularizer)
        self.kernel_size = check_sizes(self.name, "kernel_size", kernel_size, self._rank)
        self.strides = check_sizes(self.name, "strides", strides, self._rank)
        self.dilation_rate = check_sizes(self.name, "dilation_rate", dilation_rate, self._rank)
        if any(s > 1 and d > 1 for s, d in zip(self.strides, self.dilation_rate)):
            raise ValueError(
                f"{self.name}: strides={self.strides} with dilation_rate={self.dilation_rate}; expected one of them to be 1 "
                "along each axis; choose which"
            )
        self.padding = check_padding(self.name, padding, self._paddings)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: Variable | None = None

    def _channels(self, input_shape: InputShape) -> int:
        channels = input_shape[-1] if len(input_shape) == self._rank + 2 else None
        if channels is not None:
            return channels
        if self._rank == 1:
            raise ValueError(
                f"{self.name}: input of shape {input_shape}; expected 3 axes, (batch, time, channels); reshape the input, for "
                "example sequences[..., None] for one number per time step"
            )
        raise ValueError(
            f"{self.name}: input of shape {input_shape}; expected 4 axes, (batch, height, width, channels); reshape the "
            "input, for example images[..., None] for grey images"
        )

    def _add_bias(self, filters: int) -> None:
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                (filters,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _plain(self, sizes: tuple[int, ...]) -> Any:
        return sizes[0] if self._rank == 1 else sizes

    def get_config(self) -> dict[str, Any]:
        return {
            "kernel_size": self._plain(self.kernel_size),
            "strides": self._plain(self.strides),
            "padding": self.padding,
            "dilation_rate": self._plain(self.dilation_rate),
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": self.bias_initializer,
            **given(
                bias_regularizer=self.bias_regularizer,
                bias_constraint=self.bias_constraint,
            ),
            **super().get_config(),
        }


def _check_groups(where: str, groups: int, filters: int) -> int:
    if check_size(where, "groups", groups) > filters or filters % groups:
        raise ValueError(
            f"{where}: groups={groups} for {filters} filters; expected a number that divides them; pass another one"
        )
    return groups


def _as_row(kernel: Variable) -> Any:
    """A kernel over time as one over images of one row."""
    return ops.reshape(kernel, (1, *kernel.shape))


class _GroupedConvolution(_Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
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
        super().__init__(
            kernel_size,
            strides,
            padding,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            activity_regularizer,
            name,
            input_shape,
        )
        self.filters = check_size(self.name, "filters", filters)
        self.groups = _check_groups(self.name, groups, self.filters)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.kernel: Variable

    def build(self, input_shape: InputShape) -> None:
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{self.name}: groups={self.groups} for {channels} input channels; expected a number that divides them; pass "
                "another one"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(
            "kernel",
            shape,
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._add_bias(self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            "filters": self.filters,
            "groups": self.groups,
            "kernel_initializer": self.kernel_initializer,
            **given(
                kernel_regularizer=self.kernel_regularizer,
                kernel_constraint=self.kernel_constraint,
            ),
            **super().get_config(),
        }


class Conv2D(_GroupedConvolution):
    """Two-dimensional convolution: `y = activation(conv2d(x, kernel) + bias)`; see `fastnn.ops.conv2d` for the sum.

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window in pixels; one int for both.
        strides: steps of the window in pixels; one int for both.
        padding: `"valid"` or `"same"`.
        dilation_rate: distance of the window's taps in pixels; one int for both. Along an axis it or the stride is 1.
        groups: of channels, each with filters of its own; divides the channels of input and output.
        activation: a name, a function or None.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel, shape `(KH, KW, channels / groups, filters)`.
        bias_initializer: of the bias, shape `(filters,)`.
        kernel_regularizer: what the kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        bias_regularizer: likewise the bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        kernel_constraint: what is done to the kernel after an update: a name or object of `fastnn.constraints`, or None.
        bias_constraint: likewise to the bias.

    Input shape `(batch, height, width, channels)`, output shape `(batch, OH, OW, filters)`. Unlike Keras's layer it has no
    `data_format`.

    Raises:
        ValueError: sizes that are no positive integers, names that do not exist; when built, an input without 4 axes or smaller
            than the window, or channels that the groups do not divide.

    Example:
        >>> conv = layers.Conv2D(8, 3, padding="same", activation="relu")
        >>> conv(np.ones((1, 28, 28, 1))).shape, conv.count_params()
        ((1, 28, 28, 8), 80)
    """

    def call(self, x: Any, training: bool) -> Any:
        y = ops.conv2d(
            x,
            self.kernel,
            self.bias,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            groups=self.groups,
        )
        return self.activation(y)


class Conv1D(_GroupedConvolution):
    """Convolution over time: `y = activation(conv1d(x, kernel) + bias)`; see `fastnn.ops.conv1d` for the sum.

    Args:
        filters: number of output channels.
        kernel_size: length of the window.
        strides: its step.
        padding: `"valid"`, `"same"`, or `"causal"`, where the output sees nothing of the input after it.
        dilation_rate: distance of the window's taps. It or the stride is 1.
        groups: of channels, each with filters of its own; divides the channels of input and output.
        activation: a name, a function or None.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel, shape `(K, channels / groups, filters)`.
        bias_initializer: of the bias, shape `(filters,)`.
        kernel_regularizer: what the kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        bias_regularizer: likewise the bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        kernel_constraint: what is done to the kernel after an update: a name or object of `fastnn.constraints`, or None.
        bias_constraint: likewise to the bias.

    Input shape `(batch, time, channels)`, output shape `(batch, steps, filters)`.

    Raises:
        ValueError: sizes that are no positive integers, names that do not exist; when built, an input without 3 axes or shorter
            than the window, or channels that the groups do not divide.

    Example:
        >>> conv = layers.Conv1D(8, 3, padding="causal")
        >>> conv(np.ones((1, 20, 4))).shape, conv.count_params()
        ((1, 20, 8), 104)
    """

    _rank = 1
    _paddings = ("valid", "same", "causal")

    def call(self, x: Any, training: bool) -> Any:
        y = ops.conv1d(
            x,
            self.kernel,
            self.bias,
            strides=self.strides[0],
            padding=self.padding,
            dilation_rate=self.dilation_rate[0],
            groups=self.groups,
        )
        return self.activation(y)


class _TransposedConvolution(_Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        dilation_rate: int | Sequence[int] = 1,
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
        super().__init__(
            kernel_size,
            strides,
            padding,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            activity_regularizer,
            name,
            input_shape,
        )
        self.filters = check_size(self.name, "filters", filters)
        self.output_padding: tuple[int, ...] | None = None
        if output_padding is not None:
            sizes = (output_padding,) * self._rank if isinstance(output_padding, int) else tuple(output_padding)
            good = len(sizes) == self._rank and all(isinstance(n, int) and 0 <= n < s for n, s in zip(sizes, self.strides))
            if not good:
                raise ValueError(
                    f"{self.name}: output_padding={output_padding!r} with strides={self.strides}; expected {self._rank} of "
                    "at least 0 and below the strides, or one for all; pass for example output_padding=0"
                )
            self.output_padding = sizes
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.kernel: Variable

    def build(self, input_shape: InputShape) -> None:
        channels = self._channels(input_shape)
        self.kernel = self.add_weight(
            "kernel",
            (*self.kernel_size, self.filters, channels),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._add_bias(self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            "filters": self.filters,
            "output_padding": None if self.output_padding is None else self._plain(self.output_padding),
            "kernel_initializer": self.kernel_initializer,
            **given(
                kernel_regularizer=self.kernel_regularizer,
                kernel_constraint=self.kernel_constraint,
            ),
            **super().get_config(),
        }


class Conv2DTranspose(_TransposedConvolution):
    """The transpose of a convolution, which makes images larger: `y = activation(conv2d_transpose(x, kernel) + bias)`.

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window in pixels; one int for both.
        strides: how many times larger the image becomes; one int for both.
        padding: `"valid"` or `"same"`.
        output_padding: see `fastnn.ops.conv2d_transpose`; one int for both.
        dilation_rate: distance of the window's taps in pixels; one int for both. Along an axis it or the stride is 1.
        activation: a name, a function or None.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel, shape `(KH, KW, filters, channels)`.
        bias_initializer: of the bias, shape `(filters,)`.
        kernel_regularizer: what the kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        bias_regularizer: likewise the bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        kernel_constraint: what is done to the kernel after an update: a name or object of `fastnn.constraints`, or None.
        bias_constraint: likewise to the bias.

    Input shape `(batch, height, width, channels)`, output shape `(batch, OH, OW, filters)`, sizes as for the op.

    Raises:
        ValueError: sizes that are no positive integers, names that do not exist; when built, an input without 4 axes.

    Example:
        >>> conv = layers.Conv2DTranspose(8, 3, strides=2, padding="same")
        >>> conv(np.ones((1, 7, 7, 4))).shape, conv.count_params()
        ((1, 14, 14, 8), 296)
    """

    def call(self, x: Any, training: bool) -> Any:
        y = ops.conv2d_transpose(
            x,
            self.kernel,
            self.bias,
            strides=self.strides,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
        )
        return self.activation(y)


class Conv1DTranspose(_TransposedConvolution):
    """The transpose of a convolution over time, which makes sequences longer; see `fastnn.ops.conv2d_transpose`.

    Args:
        filters: number of output channels.
        kernel_size: length of the window.
        strides: how many times longer the sequence becomes.
        padding: `"valid"` or `"same"`.
        output_padding: see `fastnn.ops.conv2d_transpose`.
        dilation_rate: distance of the window's taps. It or the stride is 1.
        activation: a name, a function or None.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel, shape `(K, filters, channels)`.
        bias_initializer: of the bias, shape `(filters,)`.
        kernel_regularizer: what the kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        bias_regularizer: likewise the bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        kernel_constraint: what is done to the kernel after an update: a name or object of `fastnn.constraints`, or None.
        bias_constraint: likewise to the bias.

    Input shape `(batch, time, channels)`, output shape `(batch, steps, filters)`.

    Raises:
        ValueError: sizes that are no positive integers, names that do not exist; when built, an input without 3 axes.

    Example:
        >>> conv = layers.Conv1DTranspose(8, 3, strides=2, padding="same")
        >>> conv(np.ones((1, 7, 4))).shape, conv.count_params()
        ((1, 14, 8), 104)
    """

    _rank = 1

    def call(self, x: Any, training: bool) -> Any:
        y = ops.conv2d_transpose(
            as_image(self.name, x),
            _as_row(self.kernel),
            self.bias,
            strides=(1, *self.strides),
            padding=self.padding,
            output_padding=None if self.output_padding is None else (0, *self.output_padding),
            dilation_rate=(1, *self.dilation_rate),
        )
        return self.activation(as_sequence(y))


class _DepthwiseConvolution(_Convolution):
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        dilation_rate: int | Sequence[int] = 1,
        activation: activations.ActivationLike = None,
        use_bias: bool = True,
        depthwise_initializer: initializers.InitializerLike = "glorot_uniform",
        bias_initializer: initializers.InitializerLike = "zeros",
        *,
        depthwise_regularizer: regularizers.RegularizerLike = None,
        bias_regularizer: regularizers.RegularizerLike = None,
        activity_regularizer: regularizers.RegularizerLike = None,
        depthwise_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            activity_regularizer,
            name,
            input_shape,
        )
        self.depth_multiplier = check_size(self.name, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.kernel: Variable

    def build(self, input_shape: InputShape) -> None:
        channels = self._channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.add_weight(
            "kernel",
            shape,
            self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self._add_bias(channels * self.depth_multiplier)

    def get_config(self) -> dict[str, Any]:
        return {
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": self.depthwise_initializer,
            **given(
                depthwise_regularizer=self.depthwise_regularizer,
                depthwise_constraint=self.depthwise_constraint,
            ),
            **super().get_config(),
        }


class DepthwiseConv2D(_DepthwiseConvolution):
    """Convolution of each channel by itself: `y = activation(depthwise_conv2d(x, kernel) + bias)`.

    Args:
        kernel_size: height and width of the window in pixels; one int for both.
        strides: steps of the window in pixels; one int for both.
        padding: `"valid"` or `"same"`.
        depth_multiplier: number of filters for each channel.
        dilation_rate: distance of the window's taps in pixels; one int for both. Along an axis it or the stride is 1.
        activation: a name, a function or None.
        use_bias: whether to add a bias.
        depthwise_initializer: of the kernel, shape `(KH, KW, channels, depth_multiplier)`.
        bias_initializer: of the bias, shape `(channels * depth_multiplier,)`.
        depthwise_regularizer: what the kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        bias_regularizer: likewise the bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        depthwise_constraint: what is done to the kernel after an update: a name or object of `fastnn.constraints`, or None.
        bias_constraint: likewise to the bias.

    Input shape `(batch, height, width, channels)`, output shape `(batch, OH, OW, channels * depth_multiplier)`.

    Raises:
        ValueError: sizes that are no positive integers, names that do not exist; when built, an input without 4 axes or smaller
            than the window.

    Example:
        >>> conv = layers.DepthwiseConv2D(3, padding="same")
        >>> conv(np.ones((1, 7, 7, 4))).shape, conv.count_params()
        ((1, 7, 7, 4), 40)
    """

    def call(self, x: Any, training: bool) -> Any:
        y = ops.depthwise_conv2d(
            x, self.kernel, self.bias, strides=self.strides, padding=self.padding, dilation_rate=self.dilation_rate
        )
        return self.activation(y)


class DepthwiseConv1D(_DepthwiseConvolution):
    """Convolution over time of each channel by itself; see `fastnn.ops.depthwise_conv2d`.

    Args:
        kernel_size: length of the window.
        strides: its step.
        padding: `"valid"` or `"same"`.
        depth_multiplier: number of filters for each channel.
        dilation_rate: distance of the window's taps. It or the stride is 1.
        activation: a name, a function or None.
        use_bias: whether to add a bias.
        depthwise_initializer: of the kernel, shape `(K, channels, depth_multiplier)`.
        bias_initializer: of the bias, shape `(channels * depth_multiplier,)`.
        depthwise_regularizer: what the kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        bias_regularizer: likewise the bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        depthwise_constraint: what is done to the kernel after an update: a name or object of `fastnn.constraints`, or None.
        bias_constraint: likewise to the bias.

    Input shape `(batch, time, channels)`, output shape `(batch, steps, channels * depth_multiplier)`.

    Raises:
        ValueError: sizes that are no positive integers, names that do not exist; when built, an input without 3 axes or shorter
            than the window.

    Example:
        >>> conv = layers.DepthwiseConv1D(3, padding="same")
        >>> conv(np.ones((1, 7, 4))).shape, conv.count_params()
        ((1, 7, 4), 16)
    """

    _rank = 1

    def call(self, x: Any, training: bool) -> Any:
        y = ops.depthwise_conv2d(
            as_image(self.name, x),
            _as_row(self.kernel),
            self.bias,
            strides=(1, *self.strides),
            padding=self.padding,
            dilation_rate=(1, *self.dilation_rate),
        )
        return self.activation(as_sequence(y))


class _SeparableConvolution(_Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: activations.ActivationLike = None,
        use_bias: bool = True,
        depthwise_initializer: initializers.InitializerLike = "glorot_uniform",
        pointwise_initializer: initializers.InitializerLike = "glorot_uniform",
        bias_initializer: initializers.InitializerLike = "zeros",
        *,
        depthwise_regularizer: regularizers.RegularizerLike = None,
        pointwise_regularizer: regularizers.RegularizerLike = None,
        bias_regularizer: regularizers.RegularizerLike = None,
        activity_regularizer: regularizers.RegularizerLike = None,
        depthwise_constraint: constraints.ConstraintLike = None,
        pointwise_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            activity_regularizer,
            name,
            input_shape,
        )
        self.filters = check_size(self.name, "filters", filters)
        self.depth_multiplier = check_size(self.name, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.pointwise_constraint = constraints.get(pointwise_constraint)
        self.depthwise_kernel: Variable
        self.pointwise_kernel: Variable

    def build(self, input_shape: InputShape) -> None:
        channels = self._channels(input_shape)
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        pointwise = (*(1 for _ in self.kernel_size), channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = self.add_weight(
            "depthwise_kernel",
            depthwise,
            self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self.pointwise_kernel = self.add_weight(
            "pointwise_kernel",
            pointwise,
            self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
        )
        self._add_bias(self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": self.depthwise_initializer,
            "pointwise_initializer": self.pointwise_initializer,
            **given(
                depthwise_regularizer=self.depthwise_regularizer,
                depthwise_constraint=self.depthwise_constraint,
                pointwise_regularizer=self.pointwise_regularizer,
                pointwise_constraint=self.pointwise_constraint,
            ),
            **super().get_config(),
        }


class SeparableConv2D(_SeparableConvolution):
    """A depthwise convolution, then one over channels: `y = activation(separable_conv2d(x, ...) + bias)`.

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window in pixels; one int for both.
        strides: steps of the window in pixels; one int for both.
        padding: `"valid"` or `"same"`.
        dilation_rate: distance of the window's taps in pixels; one int for both. Along an axis it or the stride is 1.
        depth_multiplier: number of filters for each channel in between.
        activation: a name, a function or None.
        use_bias: whether to add a bias.
        depthwise_initializer: of the first kernel, shape `(KH, KW, channels, depth_multiplier)`.
        pointwise_initializer: of the second, shape `(1, 1, channels * depth_multiplier, filters)`.
        bias_initializer: of the bias, shape `(filters,)`.
        depthwise_regularizer: what the first kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        pointwise_regularizer: likewise the second.
        bias_regularizer: likewise the bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        depthwise_constraint: what is done to the kernel after an update: a name or object of `fastnn.constraints`, or None.
        pointwise_constraint: likewise to the second.
        bias_constraint: likewise to the bias.

    Input shape `(batch, height, width, channels)`, output shape `(batch, OH, OW, filters)`.

    Raises:
        ValueError: sizes that are no positive integers, names that do not exist; when built, an input without 4 axes or smaller
            than the window.

    Example:
        >>> conv = layers.SeparableConv2D(8, 3, padding="same")
        >>> conv(np.ones((1, 7, 7, 4))).shape, conv.count_params()
        ((1, 7, 7, 8), 76)
    """

    def call(self, x: Any, training: bool) -> Any:
        y = ops.separable_conv2d(
            x,
            self.depthwise_kernel,
            self.pointwise_kernel,
            self.bias,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
        )
        return self.activation(y)


class SeparableConv1D(_SeparableConvolution):
    """A depthwise convolution over time, then one over channels; see `fastnn.ops.separable_conv2d`.

    Args:
        filters: number of output channels.
        kernel_size: length of the window.
        strides: its step.
        padding: `"valid"` or `"same"`.
        dilation_rate: distance of the window's taps. It or the stride is 1.
        depth_multiplier: number of filters for each channel in between.
        activation: a name, a function or None.
        use_bias: whether to add a bias.
        depthwise_initializer: of the first kernel, shape `(K, channels, depth_multiplier)`.
        pointwise_initializer: of the second, shape `(1, channels * depth_multiplier, filters)`.
        bias_initializer: of the bias, shape `(filters,)`.
        depthwise_regularizer: what the first kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        pointwise_regularizer: likewise the second.
        bias_regularizer: likewise the bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        depthwise_constraint: what is done to the first kernel after an update: a name or object of `fastnn.constraints`.
        pointwise_constraint: likewise to the second.
        bias_constraint: likewise to the bias.

    Input shape `(batch, time, channels)`, output shape `(batch, steps, filters)`.

    Raises:
        ValueError: sizes that are no positive integers, names that do not exist; when built, an input without 3 axes or shorter
            than the window.

    Example:
        >>> conv = layers.SeparableConv1D(8, 3, padding="same")
        >>> conv(np.ones((1, 7, 4))).shape, conv.count_params()
        ((1, 7, 8), 52)
    """

    _rank = 1

    def call(self, x: Any, training: bool) -> Any:
        y = ops.separable_conv2d(
            as_image(self.name, x),
            _as_row(self.depthwise_kernel),
            _as_row(self.pointwise_kernel),
            self.bias,
            strides=(1, *self.strides),
            padding=self.padding,
            dilation_rate=(1, *self.dilation_rate),
        )
        return self.activation(as_sequence(y))


def check_padding(where: str, padding: str, known: Sequence[str] = ("valid", "same")) -> str:
    """`padding` in lower case, if it is one of these."""
    if not isinstance(padding, str) or padding.lower() not in known:
        words = " or ".join(repr(word) for word in known)
        raise ValueError(f"{where}: padding={padding!r}; expected {words}; pass one of them")
    return padding.lower()
