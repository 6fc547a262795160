"""Initial weights. All draw from the library's own generator, so `fastnn.set_seed` repeats them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from fastnn import _core
from fastnn.tracing import Array
from fastnn.utils import generator, look_up


class Initializer:
    """Base class: `initializer(shape, dtype) -> array`. A subclass with parameters returns them from `get_config`."""

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        raise TypeError(f"{type(self).__name__}: has no __call__; expected one returning an array; override it")

    def get_config(self) -> dict[str, Any]:
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs feed one unit, and how many units one input feeds; the last two axes are (inputs, units)."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class _Random(Initializer):
    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def _key(self) -> tuple[int, int]:
        return generator.next_key() if self.seed is None else (self.seed, 0)

    def _uniform(self, shape: Sequence[int], dtype: str, low: float, high: float) -> Array:
        draws: Array = _core.random_uniform(*self._key(), 0, list(shape), dtype)
        draws *= high - low
        draws += low
        return draws

    def _normal(self, shape: Sequence[int], dtype: str, mean: float, stddev: float, truncated: bool) -> Array:
        """Box and Muller's transform; truncated draws beyond two standard deviations are drawn again."""
        key, count = self._key(), math.prod(shape)
        values = np.empty(0)
        step = 0
        while len(values) < count:
            u = _core.random_uniform(*key, step, [2, count], "float64")
            z = np.sqrt(-2.0 * np.log1p(-u[0])) * np.cos(2.0 * np.pi * u[1])
            values = np.concatenate([values, z[np.abs(z) <= 2.0] if truncated else z])
            step += 1
        return np.asarray(mean + stddev * values[:count].reshape(shape), dtype)


class RandomUniform(_Random):
    """Uniform on `minval .. maxval`."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return self._uniform(shape, dtype, self.minval, self.maxval)

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


class RandomNormal(_Random):
    """Normal with `mean` and `stddev`."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return self._normal(shape, dtype, self.mean, self.stddev, truncated=False)

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class GlorotUniform(_Random):
    """Uniform on `+-sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio, AISTATS 2010); the default of Dense and Conv2D."""

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        limit = math.sqrt(6.0 / max(1, sum(_fans(shape))))
        return self._uniform(shape, dtype, -limit, limit)


# A normal cut off at two standard deviations has this standard deviation.
_TRUNCATED_STDDEV = 0.87962566103423978


class GlorotNormal(_Random):
    """Normal of variance `2 / (fan_in + fan_out)`, truncated at two standard deviations."""

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        stddev = math.sqrt(2.0 / max(1, sum(_fans(shape)))) / _TRUNCATED_STDDEV
        return self._normal(shape, dtype, 0.0, stddev, truncated=True)


class HeUniform(_Random):
    """Uniform on `+-sqrt(6 / fan_in)` (He, Zhang, Ren, Sun, ICCV 2015), for ReLU layers."""

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        limit = math.sqrt(6.0 / max(1, _fans(shape)[0]))
        return self._uniform(shape, dtype, -limit, limit)


class HeNormal(_Random):
    """Normal of variance `2 / fan_in`, truncated at two standard deviations."""

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        stddev = math.sqrt(2.0 / max(1, _fans(shape)[0])) / _TRUNCATED_STDDEV
        return self._normal(shape, dtype, 0.0, stddev, truncated=True)


class Constant(Initializer):
    """Every element `value`."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.full(shape, self.value, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}


class Zeros(Initializer):
    """Every element 0."""

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """Every element 1."""

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.ones(shape, dtype)


InitializerLike: TypeAlias = "str | Initializer | Callable[..., Array]"

_BY_NAME: dict[str, type[Initializer]] = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "ones": Ones,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "zeros": Zeros,
}


def get(initializer: InitializerLike) -> Callable[..., Array]:
    """An initializer by name, or the object itself."""
    if isinstance(initializer, str):
        return look_up("initializer", initializer, _BY_NAME)()
    if isinstance(initializer, type):
        raise TypeError(f"initializer: the class {initializer.__name__}; expected an object; write {initializer.__name__}()")
    if callable(initializer):
        return initializer
    raise TypeError(f"initializer: {initializer!r}; expected a name or an object; pass for example 'glorot_uniform'")
