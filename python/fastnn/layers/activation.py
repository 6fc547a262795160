"""Activations that have parameters: ReLU, LeakyReLU, PReLU, ELU, Softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import initializers, ops
from fastnn.layers.layer import InputShape, Layer
from fastnn.tracing import Variable
from fastnn.utils import check_number


class ReLU(Layer):
    """`max_value` where `x` is not below it, `x` where it is above `threshold`, else `negative_slope (x - threshold)`.

    Args:
        max_value: at least 0, or None for no limit.
        negative_slope: at least 0.
        threshold: at least 0.

    Input and output have the same shape.

    Raises:
        ValueError: a number outside its range.

    Example:
        >>> layers.ReLU(max_value=6.0)(np.array([[-1.0, 2.0, 8.0]]))
        array([[0., 2., 6.]], dtype=float32)
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)

        def check(what: str, value: float) -> float:
            return check_number(self.name, what, value, 0.1, "a number of at least 0", lambda v: v >= 0)

        self.max_value = None if max_value is None else check("max_value", max_value)
        self.negative_slope = check("negative_slope", negative_slope)
        self.threshold = check("threshold", threshold)

    def call(self, x: Any, training: bool) -> Any:
        if self.threshold == 0:
            if self.negative_slope == 0 and self.max_value == 6:
                return ops.relu6(x)
            y = ops.leaky_relu(x, self.negative_slope) if self.negative_slope else ops.relu(x)
        else:
            below = (x - self.threshold) * self.negative_slope if self.negative_slope else 0.0
            y = ops.where(ops.greater(x, self.threshold), x, below)
        return y if self.max_value is None else ops.minimum(y, self.max_value)

    def get_config(self) -> dict[str, Any]:
        own = {"max_value": self.max_value, "negative_slope": self.negative_slope, "threshold": self.threshold}
        return {**own, **super().get_config()}


class LeakyReLU(Layer):
    """`x` where it is above 0, else `negative_slope x`.

    Args:
        negative_slope: 0.3, while the function `leaky_relu` has 0.2; both as in Keras.

    Input and output have the same shape.

    Raises:
        ValueError: no finite number.

    Source:
        Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Example:
        >>> layers.LeakyReLU()(np.array([[-1.0, 2.0]]))
        array([[-0.3,  2. ]], dtype=float32)
    """

    def __init__(
        self, negative_slope: float = 0.3, *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.negative_slope = check_number(self.name, "negative_slope", negative_slope, 0.3)

    def call(self, x: Any, training: bool) -> Any:
        return ops.leaky_relu(x, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {"negative_slope": self.negative_slope, **super().get_config()}


class PReLU(Layer):
    """`x` where it is above 0, else `alpha x` with an `alpha` that is trained.

    Args:
        alpha_initializer: of alpha, which has the shape of a sample.
        shared_axes: along which alpha has length 1, counted from 1 behind the batch: `[1, 2]` for one alpha per channel of
            an image.

    Input and output have the same shape.

    Raises:
        ValueError: axes that are none; when built, an axis of unknown length that is not shared.

    Source:
        He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.

    Example:
        >>> prelu = layers.PReLU(shared_axes=[1, 2])
        >>> prelu(np.full((2, 5, 5, 3), -1.0)).shape, prelu.alpha.shape
        ((2, 5, 5, 3), (1, 1, 3))
    """

    def __init__(
        self,
        alpha_initializer: initializers.InitializerLike = "zeros",
        shared_axes: int | Sequence[int] | None = None,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.alpha_initializer = initializers.get(alpha_initializer)
        axes = (shared_axes,) if isinstance(shared_axes, (int, np.integer)) else shared_axes
        good = axes is None or (
            isinstance(axes, (tuple, list))
            and all(isinstance(a, (int, np.integer)) and not isinstance(a, bool) and a >= 1 for a in axes)
        )
        if not good:
            raise ValueError(
                f"{self.name}: shared_axes={shared_axes!r}; expected axes from 1, the first behind the batch; pass for example "
                "[1, 2]"
            )
        self.shared_axes = None if axes is None else tuple(int(a) for a in axes)
        self.alpha: Variable

    def build(self, input_shape: InputShape) -> None:
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            if axis > len(shape):
                raise ValueError(
                    f"{self.name}: shared_axes={self.shared_axes} for an input of shape {input_shape}; expected axes from 1 to "
                    f"{len(shape)}; drop {axis}"
                )
            shape[axis - 1] = 1
        if None in shape:
            raise ValueError(
                f"{self.name}: input of shape {input_shape}; expected axes of known length behind the batch; share the others: "
                f"shared_axes={[axis for axis, n in enumerate(input_shape) if axis and n is None]}"
            )
        self.alpha = self.add_weight("alpha", [n for n in shape if n is not None], self.alpha_initializer)

    def call(self, x: Any, training: bool) -> Any:
        return ops.prelu(x, self.alpha)

    def get_config(self) -> dict[str, Any]:
        own = {"alpha_initializer": self.alpha_initializer, "shared_axes": self.shared_axes}
        return {**own, **super().get_config()}


class ELU(Layer):
    """`x` where it is above 0, else `alpha (e^x - 1)`.

    Args:
        alpha: minus the limit below.

    Input and output have the same shape.

    Raises:
        ValueError: no finite number.

    Example:
        >>> layers.ELU()(np.array([[-1.0, 2.0]])).round(4)
        array([[-0.6321,  2.    ]], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, *, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.alpha = check_number(self.name, "alpha", alpha, 1.0)

    def call(self, x: Any, training: bool) -> Any:
        return ops.elu(x, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, **super().get_config()}


class Softmax(Layer):
    """`exp(x)` over its sum along an axis.

    Args:
        axis: of the classes; there is no mask as in Keras.

    Input and output have the same shape.

    Raises:
        ValueError: when called, an axis that the input does not have.
        TypeError: no integer.

    Example:
        >>> layers.Softmax()(np.zeros((1, 4)))
        array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    def __init__(self, axis: int = -1, *, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise TypeError(f"{self.name}: axis={axis!r}; expected an integer; pass for example -1")
        self.axis = int(axis)

    def call(self, x: Any, training: bool) -> Any:
        return ops.softmax(x, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis, **super().get_config()}
