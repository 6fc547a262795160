"""Initial weights: `initializer(shape, dtype) -> array`.

All draw from the library's own generator, so `fastnn.set_seed` repeats them; one with a `seed` of its own returns the same
numbers at every call. `fan_in` is how many inputs feed one unit, `fan_out` how many units one input feeds: for a kernel
`(features, units)` these two, for a convolution's `(KH, KW, channels, filters)` each times the window, `KH KW`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from fastnn import _core
from fastnn.tracing import Array
from fastnn.utils import check_number, check_seed, generator, look_up_class

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "Zeros",
    "get",
]


class Initializer:
    """Base class. A subclass implements `__call__(shape, dtype)`, and `get_config` if it has parameters.

    Layers take a plain function `(shape, dtype) -> array` too.

    Example:
        >>> class Diagonal(fastnn.initializers.Initializer):
        ...     def __call__(self, shape, dtype="float32"):
        ...         return np.eye(*shape, dtype=dtype)
        >>> layers.Dense(2, kernel_initializer=Diagonal(), use_bias=False)(np.array([[3.0, 4.0]]))
        array([[3., 4.]], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        """An array of this shape.

        Args:
            shape: ints.
            dtype: float32 or float64.

        Raises:
            TypeError: the subclass has no such method.
        """
        raise TypeError(f"{type(self).__name__}: has no __call__; expected one returning an array; override it")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal one."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """An initializer from what `get_config` returned.

        Args:
            config: the arguments by name.
        """
        return cls(**config)

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
        self.seed = None if seed is None else check_seed(type(self).__name__, seed)

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
    """Uniform on `minval .. maxval`.

    Args:
        minval: default -0.05.
        maxval: default 0.05; at least `minval`.
        seed: 0 or greater: the same numbers at every call. Default: other ones at each, from the library's generator.

    Raises:
        ValueError: limits that are no finite numbers or in the wrong order.
        TypeError: a seed that is no integer.

    Example:
        >>> w = fastnn.initializers.RandomUniform(-1.0, 1.0, seed=0)((100, 100))
        >>> bool(np.abs(w).max() <= 1.0), abs(round(float(w.mean()), 1))
        (True, 0.0)
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = check_number("RandomUniform", "minval", minval, -0.05)
        self.maxval = check_number(
            "RandomUniform", "maxval", maxval, 0.05, f"a number of at least minval={minval}", lambda v: v >= minval
        )

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return self._uniform(shape, dtype, self.minval, self.maxval)

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


class RandomNormal(_Random):
    """Normal with `mean` and `stddev`.

    Args:
        mean: default 0.
        stddev: default 0.05; not negative.
        seed: 0 or greater: the same numbers at every call. Default: other ones at each, from the library's generator.

    Raises:
        ValueError: parameters that are no finite numbers, a negative stddev.
        TypeError: a seed that is no integer.

    Source:
        Box and Muller, "A note on the generation of random normal deviates", Ann. Math. Stat. 1958.

    Example:
        >>> w = fastnn.initializers.RandomNormal(stddev=2.0, seed=0)((100, 100))
        >>> round(float(w.std()), 1)
        2.0
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = check_number("RandomNormal", "mean", mean, 0.0)
        self.stddev = check_number("RandomNormal", "stddev", stddev, 0.05, "a finite number >= 0", lambda v: v >= 0.0)

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return self._normal(shape, dtype, self.mean, self.stddev, truncated=False)

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class GlorotUniform(_Random):
    """Uniform on `-limit .. limit` with `limit = sqrt(6 / (fan_in + fan_out))`; the default of Dense and Conv2D.

    Args:
        seed: 0 or greater: the same numbers at every call. Default: other ones at each, from the library's generator.

    Raises:
        ValueError: a seed outside 0 <= seed < 2**63.
        TypeError: a seed that is no integer.

    Source:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.

    Example:
        >>> w = fastnn.initializers.GlorotUniform(seed=0)((3, 3))
        >>> w.dtype, bool(np.abs(w).max() <= 1.0)
        (dtype('float32'), True)
    """

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        limit = math.sqrt(6.0 / max(1, sum(_fans(shape))))
        return self._uniform(shape, dtype, -limit, limit)


# A normal cut off at two standard deviations has this standard deviation.
_TRUNCATED_STDDEV = 0.87962566103423978


class GlorotNormal(_Random):
    """Normal of variance `2 / (fan_in + fan_out)`, truncated at two standard deviations of the uncut normal.

    Args:
        seed: 0 or greater: the same numbers at every call. Default: other ones at each, from the library's generator.

    Raises:
        ValueError: a seed outside 0 <= seed < 2**63.
        TypeError: a seed that is no integer.

    Source:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.

    Example:
        >>> w = fastnn.initializers.GlorotNormal(seed=0)((200, 200))
        >>> round(float(w.var() * 200), 1)
        1.0
    """

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        stddev = math.sqrt(2.0 / max(1, sum(_fans(shape)))) / _TRUNCATED_STDDEV
        return self._normal(shape, dtype, 0.0, stddev, truncated=True)


class HeUniform(_Random):
    """Uniform on `-limit .. limit` with `limit = sqrt(6 / fan_in)`, for layers with ReLU.

    Args:
        seed: 0 or greater: the same numbers at every call. Default: other ones at each, from the library's generator.

    Raises:
        ValueError: a seed outside 0 <= seed < 2**63.
        TypeError: a seed that is no integer.

    Source:
        He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852.

    Example:
        >>> w = fastnn.initializers.HeUniform(seed=0)((6, 4))
        >>> bool(np.abs(w).max() <= 1.0)
        True
    """

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        limit = math.sqrt(6.0 / max(1, _fans(shape)[0]))
        return self._uniform(shape, dtype, -limit, limit)


class HeNormal(_Random):
    """Normal of variance `2 / fan_in`, truncated at two standard deviations of the uncut normal; for layers with ReLU.

    Args:
        seed: 0 or greater: the same numbers at every call. Default: other ones at each, from the library's generator.

    Raises:
        ValueError: a seed outside 0 <= seed < 2**63.
        TypeError: a seed that is no integer.

    Source:
        He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852.

    Example:
        >>> w = fastnn.initializers.HeNormal(seed=0)((200, 200))
        >>> round(float(w.var() * 200), 1)
        2.0
    """

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        stddev = math.sqrt(2.0 / max(1, _fans(shape)[0])) / _TRUNCATED_STDDEV
        return self._normal(shape, dtype, 0.0, stddev, truncated=True)


class Orthogonal(_Random):
    """Columns, or where there are fewer rows than columns rows, of length `gain` at right angles to each other.

    Args:
        gain: factor.
        seed: as for `RandomUniform`.

    Of more than two axes all but the last are one. A recurrent kernel of that kind neither stretches nor shrinks a state.

    Raises:
        ValueError: when called, fewer than two axes.

    Source:
        Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", ICLR
        2014, arXiv:1312.6120.

    Example:
        >>> q = fastnn.initializers.Orthogonal()((3, 5))
        >>> bool(np.allclose(q @ q.T, np.eye(3), atol=1e-6))
        True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = check_number("Orthogonal", "gain", gain, 1.0)

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: shape {tuple(shape)}; expected at least 2 axes; use another initializer for it")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = self._normal((max(rows, columns), min(rows, columns)), "float64", 0.0, 1.0, truncated=False)
        q, r = np.linalg.qr(tall)
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # or the decomposition would prefer some directions
        return np.asarray(self.gain * (q if rows >= columns else q.T).reshape(shape), dtype)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, **super().get_config()}


class Constant(Initializer):
    """Every element `value`.

    Args:
        value: a number, or an array that broadcasts to the shape.

    Example:
        >>> fastnn.initializers.Constant(0.5)((2,))
        array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.full(shape, self.value, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}


class Zeros(Initializer):
    """Every element 0; the default of biases.

    Example:
        >>> fastnn.initializers.Zeros()((2,))
        array([0., 0.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """Every element 1.

    Example:
        >>> fastnn.initializers.Ones()((2,))
        array([1., 1.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.ones(shape, dtype)


InitializerLike: TypeAlias = "str | Initializer | Callable[..., Array]"

_BY_NAME: dict[str, type[Initializer]] = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "normal": RandomNormal,
    "one": Ones,
    "ones": Ones,
    "orthogonal": Orthogonal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "uniform": RandomUniform,
    "zero": Zeros,
    "zeros": Zeros,
}


def get(initializer: InitializerLike) -> Callable[..., Array]:
    """An initializer by name.

    Args:
        initializer: a name such as `"he_normal"` or `"HeNormal"`, or an Initializer or function, which is returned as it is.

    Returns:
        A function `(shape, dtype) -> array`.

    Raises:
        ValueError: a name that does not exist; the nearest ones are given.
        TypeError: a class or something else.

    Example:
        >>> fastnn.initializers.get("ones")
        Ones()
    """
    if isinstance(initializer, str):
        return look_up_class("initializer", initializer, _BY_NAME)()
    if isinstance(initializer, type):
        raise TypeError(f"initializer: the class {initializer.__name__}; expected an object; write {initializer.__name__}()")
    if callable(initializer):
        return initializer
    raise TypeError(f"initializer: {initializer!r}; expected a name or an object; pass for example 'glorot_uniform'")
