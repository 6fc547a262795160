"""Layers that disturb what passes through them while training: dropout and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.layers.layer import Layer, given, shape_text
from fastnn.tracing import Variable
from fastnn.utils import check_number, check_seed, generator


def random_state(name: str, seed: int | None) -> Variable:
    """[seed, step] of a layer that draws numbers; a seed of None takes one of the library's generator."""
    base, stream = generator.next_key() if seed is None else (seed, 0)
    state = np.array([(base + stream * 0x9E3779B97F4A7C15) % 2**63, 0], np.int64)
    return Variable(state, name=f"{name}/random_state", trainable=False)


def advance(state: Variable) -> None:
    """To the next step, when a run commits, so that a failed step is repeated with the same numbers."""
    state.assign(state + np.array([0, 1], np.int64))


class _Noise(Layer):
    """What they share: outside training nothing happens; a random state advances with every step."""

    def __init__(self, seed: int | None, name: str | None, input_shape: Sequence[int] | None) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.seed = None if seed is None else check_seed(self.name, seed)
        self.random_state = random_state(self.name, self.seed)

    def call(self, x: Any, training: bool) -> Any:
        if not training or self._strength() == 0.0:
            return x
        y = self._disturbed(x)
        advance(self.random_state)
        return y

    def _strength(self) -> float:
        raise TypeError(f"{self.name}: has no _strength(); expected one; override it")

    def _disturbed(self, x: Any) -> Any:
        raise TypeError(f"{self.name}: has no _disturbed(x); expected one; override it")


class _WithRate(_Noise):
    def __init__(self, rate: float, seed: int | None, name: str | None, input_shape: Sequence[int] | None) -> None:
        super().__init__(seed, name, input_shape)
        self.rate = check_number(self.name, "rate", rate, 0.5, "0 <= rate < 1, the share to drop", lambda r: 0.0 <= r < 1.0)

    def _strength(self) -> float:
        return self.rate

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "seed": self.seed, **super().get_config()}


class _WithMask(_WithRate):
    """Elements are dropped by themselves, or as many together as a mask of another shape has them in common."""

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(rate, seed, name, input_shape)
        good = noise_shape is None or (
            isinstance(noise_shape, (tuple, list))
            and all(n is None or (isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 1) for n in noise_shape)
        )
        if not good:
            raise ValueError(
                f"{self.name}: noise_shape={noise_shape!r}; expected a positive length or None for each axis, the batch too; "
                "pass for example (None, 1, None)"
            )
        self.noise_shape = None if noise_shape is None else tuple(None if n is None else int(n) for n in noise_shape)

    def _masked(self, x: Any) -> Any:
        """Ones in the shape of the mask, or x itself where that is its shape."""
        if self.noise_shape is None:
            return x
        fits = len(self.noise_shape) == len(x.shape)
        if not fits or any(n not in (None, 1) and n != m for n, m in zip(self.noise_shape, x.shape)):
            raise ValueError(
                f"{self.name}: noise_shape={self.noise_shape} for an input of shape {shape_text(x)}; expected None, 1 or the "
                "input's length for each of its axes; pass another one"
            )
        return ops.ones(tuple(m if n is None else n for n, m in zip(self.noise_shape, x.shape)), x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**given(noise_shape=self.noise_shape), **super().get_config()}


class Dropout(_WithMask):
    """While training, sets elements to zero with probability `rate` and scales the others by `1 / (1 - rate)`.

    Args:
        rate: at least 0 and below 1.
        noise_shape: of the mask; along an axis of length 1 all elements are dropped together. None stands for an axis as
            long as the input's, and in the place of the tuple for a mask of the input's shape.
        seed: of this layer's masks; default one from the library's generator (`fastnn.set_seed`).

    Input and output have the same shape. Each committed step has a mask of its own.

    Raises:
        ValueError: a rate, a length or a seed outside its range; when called, an input that the mask does not fit.
        TypeError: a seed that is no integer.

    Source:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural networks from
        overfitting", JMLR 2014.

    Example:
        >>> dropout = layers.Dropout(0.5, seed=0)
        >>> dropout(np.ones((1, 3)))
        array([[1., 1., 1.]], dtype=float32)
        >>> sorted(set(dropout(np.ones((1, 100)), training=True).ravel().tolist()))
        [0.0, 2.0]
    """

    def _disturbed(self, x: Any) -> Any:
        mask = ops.dropout(self._masked(x), self.random_state, rate=self.rate)
        return mask if self.noise_shape is None else x * mask


class _SpatialDropout(_WithRate):
    _axes = ""

    def __init__(
        self, rate: float, seed: int | None = None, *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(rate, seed, name, input_shape)

    def _disturbed(self, x: Any) -> Any:
        self.expect_rank(x, self._axes.count(",") + 1, self._axes)
        ones = ops.ones((x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1]), x.dtype)
        return x * ops.dropout(ones, self.random_state, rate=self.rate)


class SpatialDropout1D(_SpatialDropout):
    """`Dropout` of whole channels: those of a sample that are dropped are zero at all times.

    Args:
        rate: at least 0 and below 1.
        seed: as for `Dropout`.

    Input and output shape `(batch, time, channels)`.

    Raises:
        ValueError: a rate or a seed outside its range; in training, an input without 3 axes.
        TypeError: a seed that is no integer.

    Source:
        Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization using convolutional networks", CVPR 2015,
        arXiv:1411.4280.

    Example:
        >>> y = layers.SpatialDropout1D(0.5, seed=0)(np.ones((1, 5, 100)), training=True)
        >>> sorted(set(y.sum(axis=1).ravel().tolist()))
        [0.0, 10.0]
    """

    _axes = "(batch, time, channels)"


class SpatialDropout2D(_SpatialDropout):
    """`Dropout` of whole channels: those of an image that are dropped are zero at all pixels.

    Args:
        rate: at least 0 and below 1.
        seed: as for `Dropout`.

    Input and output shape `(batch, height, width, channels)`.

    Raises:
        ValueError: a rate or a seed outside its range; in training, an input without 4 axes.
        TypeError: a seed that is no integer.

    Source:
        As `SpatialDropout1D`.

    Example:
        >>> y = layers.SpatialDropout2D(0.5, seed=0)(np.ones((1, 2, 2, 100)), training=True)
        >>> sorted(set(y.sum(axis=(1, 2)).ravel().tolist()))
        [0.0, 8.0]
    """

    _axes = "(batch, height, width, channels)"


class AlphaDropout(_WithMask):
    """While training, sets elements to what `selu` has far below 0, with probability `rate`, and rescales all of them.

    `y = a (x or alpha') + b` with `alpha' = -1.7581`, `a = ((1 - rate) (1 + rate alpha'^2))^(-1/2)` and `b = -a alpha' rate`:
    what has mean 0 and deviation 1 keeps them, as the layers of networks with `selu` should.

    Args:
        rate: at least 0 and below 1.
        noise_shape: as for `Dropout`.
        seed: likewise.

    Input and output have the same shape.

    Raises:
        ValueError: a rate, a length or a seed outside its range; when called, an input that the mask does not fit.
        TypeError: a seed that is no integer.

    Source:
        Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NeurIPS 2017, arXiv:1706.02515.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((100, 100))
        >>> y = layers.AlphaDropout(0.3, seed=0)(x, training=True)
        >>> bool(abs(y.mean()) < 0.05 and abs(y.std() - 1) < 0.05)
        True
    """

    def _disturbed(self, x: Any) -> Any:
        lowest = -1.0507009873554805 * 1.6732632423543772  # of selu
        a = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5
        kept = ops.greater_equal(ops.random_uniform(self._masked(x), self.random_state), self.rate)
        return ops.where(kept, x, lowest) * a - a * lowest * self.rate


class GaussianDropout(_WithRate):
    """While training, multiplies by random numbers of a normal distribution with mean 1 and variance `rate / (1 - rate)`.

    Args:
        rate: at least 0 and below 1; `Dropout` of that rate has this variance.
        seed: as for `Dropout`.

    Input and output have the same shape.

    Raises:
        ValueError: a rate or a seed outside its range.
        TypeError: a seed that is no integer.

    Source:
        As `Dropout`, section 10.

    Example:
        >>> y = layers.GaussianDropout(0.2, seed=0)(np.ones((100, 100)), training=True)
        >>> bool(abs(y.mean() - 1) < 0.02 and abs(y.std() - 0.5) < 0.02)
        True
    """

    def __init__(
        self, rate: float, seed: int | None = None, *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(rate, seed, name, input_shape)

    def _disturbed(self, x: Any) -> Any:
        return x * (ops.random_normal(x, self.random_state) * math.sqrt(self.rate / (1 - self.rate)) + 1.0)


class GaussianNoise(_Noise):
    """While training, adds random numbers of a normal distribution with mean 0.

    Args:
        stddev: their standard deviation, at least 0.
        seed: as for `Dropout`.

    Input and output have the same shape.

    Raises:
        ValueError: a deviation or a seed outside its range.
        TypeError: a seed that is no integer.

    Example:
        >>> y = layers.GaussianNoise(0.5, seed=0)(np.zeros((100, 100)), training=True)
        >>> bool(abs(y.mean()) < 0.02 and abs(y.std() - 0.5) < 0.02)
        True
    """

    def __init__(
        self, stddev: float, seed: int | None = None, *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(seed, name, input_shape)
        self.stddev = check_number(self.name, "stddev", stddev, 0.1, "a number of at least 0", lambda s: s >= 0.0)

    def _strength(self) -> float:
        return self.stddev

    def _disturbed(self, x: Any) -> Any:
        return x + ops.random_normal(x, self.random_state) * self.stddev

    def get_config(self) -> dict[str, Any]:
        return {"stddev": self.stddev, "seed": self.seed, **super().get_config()}
