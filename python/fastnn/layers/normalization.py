"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import initializers, ops
from fastnn.batches import numeric
from fastnn.layers.layer import InputShape, Layer, check_size
from fastnn.layers.merging import unit
from fastnn.tracing import Variable
from fastnn.utils import check_number


class _Normalization(Layer):
    """What they share: gamma and beta, one number per channel, and epsilon."""

    def __init__(
        self,
        axis: int,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: initializers.InitializerLike,
        gamma_initializer: initializers.InitializerLike,
        name: str | None,
        input_shape: Sequence[int] | None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        if axis not in (-1, [-1], (-1,)):  # Keras makes a list of it
            raise ValueError(
                f"{self.name}: axis={axis!r}; expected -1, the channels, which come last; move the axis there with a transpose"
            )
        self.axis = -1
        self.epsilon = check_number(self.name, "epsilon", epsilon, 1e-3, "a finite number > 0", lambda e: e > 0.0)
        self.center, self.scale = _check_flag(self.name, "center", center), _check_flag(self.name, "scale", scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def build(self, input_shape: InputShape) -> None:
        channels = input_shape[-1] if len(input_shape) >= 2 else None
        if channels is None:
            raise ValueError(
                f"{self.name}: input of shape {input_shape}; expected a last axis of known length, (batch, ..., channels); "
                "reshape the input"
            )
        if self.scale:
            self.gamma = self.add_weight("gamma", (channels,), self.gamma_initializer)
        if self.center:
            self.beta = self.add_weight("beta", (channels,), self.beta_initializer)

    def get_config(self) -> dict[str, Any]:
        return {
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": self.beta_initializer,
            "gamma_initializer": self.gamma_initializer,
            **super().get_config(),
        }


class BatchNormalization(_Normalization):
    """Each channel with mean 0 and deviation 1 over the batch, times gamma, plus beta; see `fastnn.ops.batch_norm`.

    In training the statistics are those of the batch, and moving averages follow them,
    `moving = moving momentum + statistic (1 - momentum)`; otherwise, and where the layer is not trainable, the moving averages
    are used. They are written when a step
    commits, so a failed step leaves them as they were.

    Args:
        axis: -1; the channels come last.
        momentum: of the moving averages, at least 0 and at most 1.
        epsilon: above 0, added to the variance.
        center: whether there is a beta.
        scale: whether there is a gamma.
        beta_initializer: of beta, shape `(channels,)`.
        gamma_initializer: of gamma, likewise.
        moving_mean_initializer: of the moving mean, likewise.
        moving_variance_initializer: of the moving variance, likewise.

    Input and output shape `(batch, ..., channels)`. The weights are gamma, beta and, not trainable, moving_mean and
    moving_variance, in Keras's order. The moving variance is of the variance that divides by the number of elements, as in
    Keras; PyTorch's divides by one less, and its momentum is 1 minus ours.

    Raises:
        ValueError: an option outside its range; when built, an input without channels.

    Source:
        Ioffe and Szegedy, "Batch normalization", ICML 2015, arXiv:1502.03167.

    Example:
        >>> norm = layers.BatchNormalization(momentum=0.5)
        >>> norm(np.array([[1.0], [3.0]]), training=True).round(2).ravel()
        array([-1.,  1.], dtype=float32)
        >>> norm.moving_mean.numpy(), norm.moving_variance.numpy()
        (array([1.], dtype=float32), array([1.], dtype=float32))
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: initializers.InitializerLike = "zeros",
        gamma_initializer: initializers.InitializerLike = "ones",
        moving_mean_initializer: initializers.InitializerLike = "zeros",
        moving_variance_initializer: initializers.InitializerLike = "ones",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(axis, epsilon, center, scale, beta_initializer, gamma_initializer, name, input_shape)
        self.momentum = check_number(self.name, "momentum", momentum, 0.99, "0 <= momentum <= 1", lambda m: 0.0 <= m <= 1.0)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.moving_mean: Variable
        self.moving_variance: Variable

    def build(self, input_shape: InputShape) -> None:
        super().build(input_shape)
        channels = input_shape[-1]
        assert channels is not None
        self.moving_mean = self.add_weight("moving_mean", (channels,), self.moving_mean_initializer, trainable=False)
        self.moving_variance = self.add_weight(
            "moving_variance", (channels,), self.moving_variance_initializer, trainable=False
        )

    def call(self, x: Any, training: bool) -> Any:
        if not (training and self.trainable):
            return ops.batch_norm_inference(
                x, self.moving_mean, self.moving_variance, self.gamma, self.beta, epsilon=self.epsilon
            )
        y, mean, variance = ops.batch_norm(x, self.gamma, self.beta, epsilon=self.epsilon)
        for moving, statistic in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + statistic * (1.0 - self.momentum))
        return y

    def get_config(self) -> dict[str, Any]:
        return {
            "momentum": self.momentum,
            "moving_mean_initializer": self.moving_mean_initializer,
            "moving_variance_initializer": self.moving_variance_initializer,
            **super().get_config(),
        }


class LayerNormalization(_Normalization):
    """Each row, the last axis, with mean 0 and deviation 1, times gamma, plus beta; see `fastnn.ops.layer_norm`.

    Args:
        axis: -1; the channels come last.
        epsilon: above 0, added to the variance.
        center: whether there is a beta.
        scale: whether there is a gamma.
        beta_initializer: of beta, shape `(channels,)`.
        gamma_initializer: of gamma, likewise.

    Input and output shape `(batch, ..., channels)`.

    Raises:
        ValueError: an option outside its range; when built, an input without channels.

    Source:
        Ba, Kiros, Hinton, "Layer normalization", 2016, arXiv:1607.06450.

    Example:
        >>> layers.LayerNormalization()(np.array([[1.0, 3.0], [10.0, 30.0]])).round(2)
        array([[-1.,  1.],
               [-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: initializers.InitializerLike = "zeros",
        gamma_initializer: initializers.InitializerLike = "ones",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(axis, epsilon, center, scale, beta_initializer, gamma_initializer, name, input_shape)

    def call(self, x: Any, training: bool) -> Any:
        return ops.layer_norm(x, self.gamma, self.beta, epsilon=self.epsilon)


class RMSNormalization(Layer):
    """Each row, the last axis, over the root of its mean square, times scale; see `fastnn.ops.rms_norm`.

    Args:
        axis: -1; the channels come last.
        epsilon: above 0, added to the mean square.

    Input and output shape `(batch, ..., channels)`. The weight is `scale`, shape `(channels,)`, which begins as ones.

    Raises:
        ValueError: an option outside its range; when built, an input without channels.

    Source:
        Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019, arXiv:1910.07467.

    Example:
        >>> layers.RMSNormalization()(np.array([[3.0, 4.0, 0.0, 0.0]])).round(3)
        array([[1.2, 1.6, 0. , 0. ]], dtype=float32)
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-6,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        if axis != -1:
            raise ValueError(
                f"{self.name}: axis={axis!r}; expected -1, the channels, which come last; move the axis there with a transpose"
            )
        self.axis = -1
        self.epsilon = check_number(self.name, "epsilon", epsilon, 1e-6, "a finite number > 0", lambda e: e > 0.0)
        self.scale: Variable

    def build(self, input_shape: InputShape) -> None:
        channels = input_shape[-1] if len(input_shape) >= 2 else None
        if channels is None:
            raise ValueError(
                f"{self.name}: input of shape {input_shape}; expected a last axis of known length, (batch, ..., channels); "
                "reshape the input"
            )
        self.scale = self.add_weight("scale", (channels,), initializers.Ones())

    def call(self, x: Any, training: bool) -> Any:
        return ops.rms_norm(x, self.scale, epsilon=self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis, "epsilon": self.epsilon, **super().get_config()}


class GroupNormalization(_Normalization):
    """Each sample's groups of channels with mean 0 and deviation 1, times gamma, plus beta; see `fastnn.ops.group_norm`.

    Args:
        groups: how many runs of channels; -1 for as many as there are channels (instance normalisation).
        axis: -1; the channels come last.
        epsilon: above 0, added to the variance.
        center: whether there is a beta.
        scale: whether there is a gamma.
        beta_initializer: of beta, shape `(channels,)`.
        gamma_initializer: of gamma, likewise.

    Input and output shape `(batch, ..., channels)`.

    Raises:
        ValueError: an option outside its range; when built, channels that the groups do not divide.

    Source:
        Wu and He, "Group normalization", ECCV 2018, arXiv:1803.08494.

    Example:
        >>> layers.GroupNormalization(groups=2)(np.array([[1.0, 3.0, 10.0, 30.0]])).round(2)
        array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: initializers.InitializerLike = "zeros",
        gamma_initializer: initializers.InitializerLike = "ones",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(axis, epsilon, center, scale, beta_initializer, gamma_initializer, name, input_shape)
        self.groups = -1 if groups == -1 else check_size(self.name, "groups", groups)

    def build(self, input_shape: InputShape) -> None:
        channels = input_shape[-1] if len(input_shape) >= 2 else None
        if channels is not None and self.groups > 0 and channels % self.groups:
            raise ValueError(
                f"{self.name}: groups={self.groups} for {channels} channels; expected a number that divides them; pass another "
                "one, or -1 for a group per channel"
            )
        super().build(input_shape)

    def call(self, x: Any, training: bool) -> Any:
        groups = x.shape[-1] if self.groups == -1 else self.groups
        return ops.group_norm(x, self.gamma, self.beta, groups=groups, epsilon=self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {"groups": self.groups, **super().get_config()}


class UnitNormalization(Layer):
    """Numbers divided by the root of the sum of their squares along axes, or by 1e-12 where that is larger.

    Args:
        axis: one axis, or several whose numbers are summed together.

    Input and output have the same shape.

    Raises:
        ValueError: when called, an axis that the input does not have.
        TypeError: no integers.

    Example:
        >>> layers.UnitNormalization()(np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([[0.6, 0.8],
               [0. , 0. ]], dtype=float32)
    """

    def __init__(
        self, axis: int | Sequence[int] = -1, *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.axis = _check_axes(self.name, axis)

    def call(self, x: Any, training: bool) -> Any:
        return unit(x, self.axis, 1e-12)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis, **super().get_config()}


class Normalization(Layer):
    """`(x - mean) / sqrt(variance)` with the mean and the variance of data that `adapt` has seen, or that are given.

    Args:
        axis: the axes whose every place has a mean and a variance of its own, not the batch; None for one mean of everything.
        mean: to be used as it is, instead of `adapt`: a number, or numbers for the places of these axes.
        variance: likewise; both are given or none.
        invert: compute `x sqrt(variance) + mean` instead.

    Input and output have the same shape. Deviations below 1e-7 count as 1e-7. Unless mean and variance are given, they are
    weights that are not trained, `mean` and `variance`, which begin as 0 and 1, and behind them is `count`, which is 0 as in
    Keras.

    Raises:
        ValueError: one of mean and variance alone, of different shapes or not finite, a variance below 0; when built, axes that
            the input does not have, or of unknown length.
        TypeError: axes that are no integers, a flag that is none.

    Example:
        >>> norm = layers.Normalization()
        >>> norm.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
        >>> norm(np.array([[1.0, 40.0]]))
        array([[-1.,  2.]], dtype=float32)
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.axis = None if axis is None or axis == () else _check_axes(self.name, axis)
        self.invert = _check_flag(self.name, "invert", invert)
        if (mean is None) != (variance is None):
            raise ValueError(f"{self.name}: one of mean and variance; expected both or none; pass the other one too")
        self._given: tuple[Any, Any] | None = None
        if mean is not None:
            pair = numeric(f"{self.name}: mean", mean), numeric(f"{self.name}: variance", variance)
            if pair[0].shape != pair[1].shape or not all(np.isfinite(a).all() for a in pair) or (pair[1] < 0).any():
                raise ValueError(
                    f"{self.name}: mean={mean!r} and variance={variance!r}; expected finite numbers, as many of both, and no "
                    "variance below 0; check how they were computed"
                )
            self._given = pair[0].tolist(), pair[1].tolist()
        self.mean: Variable | None = None
        self.variance: Variable | None = None

    def _kept(self, rank: int) -> list[int]:
        axes = () if self.axis is None else (self.axis,) if isinstance(self.axis, int) else self.axis
        kept = sorted(axis % rank for axis in axes if -rank <= axis < rank)
        if len(set(kept)) != len(axes) or 0 in kept:
            raise ValueError(
                f"{self.name}: axis={self.axis} of an input with {rank} axes; expected some of those behind the batch, 1 to "
                f"{rank - 1}; pass others, or None"
            )
        return kept

    def build(self, input_shape: InputShape) -> None:
        lengths = [input_shape[axis] for axis in self._kept(len(input_shape))]
        if None in lengths:
            raise ValueError(
                f"{self.name}: input of shape {input_shape}; expected axes of known length for axis={self.axis}; pass others"
            )
        shape = [n for n in lengths if n is not None]
        if self._given is None:
            self.mean = self.add_weight("mean", shape, initializers.Zeros(), trainable=False)
            self.variance = self.add_weight("variance", shape, initializers.Ones(), trainable=False)
            # Nothing reads it. Keras's layer has it, and lists of weights go from one to the other.
            self.add_weight("count", (), initializers.Zeros(), trainable=False)
            return
        try:
            np.broadcast_to(self._given[0], shape)
        except ValueError:
            raise ValueError(
                f"{self.name}: a mean of shape {np.shape(self._given[0])} for an input of shape {input_shape} and "
                f"axis={self.axis}; expected one that broadcasts to {tuple(shape)}; pass a number for each place of the axes"
            ) from None

    def adapt(self, data: Any) -> None:
        """Takes mean and variance from data, in place of those from earlier data; makes the weights if there are none.

        Args:
            data: an array of samples, or an iterable of batches: arrays, or tuples whose first entry is one.

        Raises:
            ValueError: mean and variance were given; no samples, numbers that are not finite, shapes that do not fit.
            TypeError: no numbers.
        """
        if self._given is not None:
            raise ValueError(f"{self.name}: adapt of a layer whose mean is given; expected none; leave out mean and variance")
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for entry in [data] if isinstance(data, np.ndarray) else data:
            batch = numeric(f"{self.name}: adapt", entry[0] if isinstance(entry, tuple) else entry).astype(np.float64)
            if not np.isfinite(batch).all():
                raise ValueError(f"{self.name}: adapt: numbers that are not finite; expected finite ones; replace the others")
            if not self.built:
                self.build((None, *batch.shape[1:]))
                self.built = True
            kept = self._kept(batch.ndim)
            shape = tuple(batch.shape[axis] for axis in kept)
            assert self.mean is not None and self.variance is not None
            if shape != self.mean.shape:
                raise ValueError(
                    f"{self.name}: adapt: a batch of shape {batch.shape}; expected {self.mean.shape} along axis={self.axis}; "
                    "reshape it"
                )
            over = tuple(axis for axis in range(batch.ndim) if axis not in kept)
            if (n := batch.size // max(1, int(np.prod(shape)))) == 0:
                continue
            own = batch.mean(axis=over)
            # Chan, Golub, LeVeque: the squares of the distances from the mean of both parts.
            squares = squares + batch.var(axis=over) * n + (own - mean) ** 2 * (count * n / (count + n))
            mean = mean + (own - mean) * (n / (count + n))
            count += n
        if count == 0:
            raise ValueError(f"{self.name}: adapt: no samples; expected at least one; check how the data was loaded")
        assert self.mean is not None and self.variance is not None
        self.mean.assign(np.asarray(mean, np.float32))
        self.variance.assign(np.asarray(squares / count, np.float32))

    def call(self, x: Any, training: bool) -> Any:
        kept = self._kept(len(x.shape))
        wide = [n if axis in kept else 1 for axis, n in enumerate(x.shape)]
        if self.mean is not None and self.variance is not None:
            mean, variance = ops.reshape(self.mean, wide), ops.reshape(self.variance, wide)
            deviation = ops.maximum(ops.sqrt(variance), 1e-7)
        else:
            assert self._given is not None
            shape = [x.shape[axis] for axis in kept]
            mean, variance = (np.broadcast_to(np.asarray(a, np.float32), shape).reshape(wide) for a in self._given)
            deviation = np.maximum(np.sqrt(variance), np.float32(1e-7))
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def get_config(self) -> dict[str, Any]:
        given = {} if self._given is None else {"mean": self._given[0], "variance": self._given[1]}
        return {"axis": self.axis, **given, "invert": self.invert, **super().get_config()}


def _check_axes(where: str, axis: Any) -> int | tuple[int, ...]:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    if not axes or not all(isinstance(a, (int, np.integer)) and not isinstance(a, bool) for a in axes):
        raise TypeError(f"{where}: axis={axis!r}; expected an integer, or several in a tuple; pass for example -1")
    return tuple(int(a) for a in axes) if isinstance(axis, (tuple, list)) else int(axis)


def _check_flag(where: str, what: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{where}: {what}={value!r}; expected True or False; pass one of them")
    return value
