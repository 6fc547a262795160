"""Layers that make one tensor of several: sums, products, extremes, concatenation, dot products."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.layers.layer import Layer, shape_text


class _Merging(Layer):
    """What they share: a list of at least `_least` inputs, and at most `_most` of them, whose batches are equally long."""

    _least = 1
    _most: int | None = None

    def _inputs(self, xs: Any) -> list[Any]:
        if not isinstance(xs, (list, tuple)):
            raise ValueError(f"{self.name}: input of shape {shape_text(xs)}; expected a list of inputs; write layer([a, b])")
        if len(xs) < self._least or (self._most is not None and len(xs) > self._most):
            wanted = f"{self._least}" if self._least == self._most else f"at least {self._least}"
            raise ValueError(f"{self.name}: a list of {len(xs)}; expected {wanted}; pass that many")
        samples = {x.shape[0] for x in xs if x.shape and isinstance(x.shape[0], int)}
        if len(samples) > 1 or not all(x.shape for x in xs):
            raise ValueError(
                f"{self.name}: inputs of shapes {_shapes_text(xs)}; expected (batch, ...) with as many samples each; pass "
                "batches of equal length"
            )
        return list(xs)


def _shapes_text(xs: Sequence[Any]) -> str:
    return ", ".join(shape_text(x) for x in xs)


class _Elementwise(_Merging):
    """Elements that stand at the same place; axes of length 1 are repeated."""

    _op: Callable[[Any, Any], Any]

    def call(self, xs: Any, training: bool) -> Any:
        xs = self._inputs(xs)
        rank = max(len(x.shape) for x in xs)
        # Keras's rule: axes are added behind the batch, so that a row for each sample meets every pixel of the sample.
        wide = [ops.reshape(x, (x.shape[0], *(1,) * (rank - len(x.shape)), *x.shape[1:])) for x in xs]
        return functools.reduce(type(self)._op, wide)


class Add(_Elementwise):
    """`a + b + ...`, element by element.

    The inputs are a list. Axes of length 1 are repeated; an input with fewer axes gets some of length 1 behind the batch, so
    that `(batch, channels)` is added to every pixel of `(batch, height, width, channels)`.

    Raises:
        ValueError: when called, no list, an empty one, shapes that do not fit, batches of different lengths.

    Example:
        >>> layers.Add()([np.ones((1, 2, 2)), np.array([[10.0, 20.0]])])
        array([[[11., 21.],
                [11., 21.]]], dtype=float32)
        >>> x = fastnn.Input((8,))
        >>> layers.Add()([x, layers.Dense(8)(x)])
        <SymbolicTensor float32 (batch, 8)>
    """

    _op = staticmethod(ops.add)


class Subtract(_Elementwise):
    """`a - b`, element by element, of a list of two; see `Add` for shapes.

    Raises:
        ValueError: when called, no list of two, shapes that do not fit, batches of different lengths.

    Example:
        >>> layers.Subtract()([np.array([[5.0, 2.0]]), np.array([[1.0, 1.0]])])
        array([[4., 1.]], dtype=float32)
    """

    _op = staticmethod(ops.subtract)
    _least = _most = 2


class Multiply(_Elementwise):
    """`a b ...`, element by element, of a list; see `Add` for shapes.

    Raises:
        ValueError: as `Add`.

    Example:
        >>> layers.Multiply()([np.array([[5.0, 2.0]]), np.array([[2.0, 3.0]])])
        array([[10.,  6.]], dtype=float32)
    """

    _op = staticmethod(ops.multiply)


class Average(_Elementwise):
    """The mean of a list, element by element; see `Add` for shapes.

    Raises:
        ValueError: as `Add`.

    Example:
        >>> layers.Average()([np.array([[5.0, 2.0]]), np.array([[1.0, 3.0]])])
        array([[3. , 2.5]], dtype=float32)
    """

    _op = staticmethod(ops.add)

    def call(self, xs: Any, training: bool) -> Any:
        return super().call(xs, training) / len(xs)


class Maximum(_Elementwise):
    """The largest of a list, element by element; see `Add` for shapes. The gradient goes to the first of equal ones.

    Raises:
        ValueError: as `Add`.

    Example:
        >>> layers.Maximum()([np.array([[5.0, 2.0]]), np.array([[1.0, 3.0]])])
        array([[5., 3.]], dtype=float32)
    """

    _op = staticmethod(ops.maximum)


class Minimum(_Elementwise):
    """The smallest of a list, element by element; see `Add` for shapes. The gradient goes to the first of equal ones.

    Raises:
        ValueError: as `Add`.

    Example:
        >>> layers.Minimum()([np.array([[5.0, 2.0]]), np.array([[1.0, 3.0]])])
        array([[1., 2.]], dtype=float32)
    """

    _op = staticmethod(ops.minimum)


class Concatenate(_Merging):
    """The inputs of a list one behind the other along an axis.

    Args:
        axis: the others have equal lengths; not the batch.

    Raises:
        ValueError: the batch axis; when called, no list, an empty one, shapes that do not fit.
        TypeError: an axis that is no integer.

    Example:
        >>> layers.Concatenate()([np.ones((2, 4, 3)), np.ones((2, 4, 5))]).shape
        (2, 4, 8)
    """

    def __init__(self, axis: int = -1, *, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise TypeError(f"{self.name}: axis={axis!r}; expected an integer; pass for example -1")
        self.axis = int(axis)

    def call(self, xs: Any, training: bool) -> Any:
        xs = self._inputs(xs)
        rank = len(xs[0].shape)
        if not -rank < self.axis < rank or self.axis == 0:
            raise ValueError(
                f"{self.name}: axis={self.axis} of inputs of shapes {_shapes_text(xs)}; expected one behind the batch, 1 to "
                f"{rank - 1} or {1 - rank} to -1; pass another one"
            )
        return ops.concatenate(xs, axis=self.axis)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis, **super().get_config()}


class Dot(_Merging):
    """`y[b, ..., ...] = sum over n of x[b, ..., n, ...] z[b, ..., n, ...]` of a list `[x, z]`: products along one axis of each.

    Args:
        axes: the axis of both, or one for each, of equal length; not the batch, which is axis 0.
        normalize: divide both by their norms along these axes first, so that the result is the cosine of an angle.

    The result has the other axes of x, then those of z; `(batch, 1)` where there are none.

    Raises:
        ValueError: axes that are none; when called, no list of two, axes that they do not have or of different lengths.
        TypeError: a flag that is none.

    Example:
        >>> layers.Dot(axes=1)([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])])
        array([[11.]], dtype=float32)
        >>> layers.Dot(axes=(2, 1))([np.ones((5, 4, 3)), np.ones((5, 3, 7))]).shape
        (5, 4, 7)
    """

    _least = _most = 2

    def __init__(
        self,
        axes: int | Sequence[int],
        normalize: bool = False,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)

        def is_axis(value: Any) -> bool:
            return isinstance(value, (int, np.integer)) and not isinstance(value, bool)

        pair: Any = (axes, axes) if is_axis(axes) else axes
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and all(is_axis(axis) and axis != 0 for axis in pair)):
            raise ValueError(
                f"{self.name}: axes={axes!r}; expected an axis behind the batch, or one for each input; pass for example (2, 1)"
            )
        if not isinstance(normalize, bool):
            raise TypeError(f"{self.name}: normalize={normalize!r}; expected True or False; pass one of them")
        self.axes = int(pair[0]), int(pair[1])
        self.normalize = normalize

    def call(self, xs: Any, training: bool) -> Any:
        xs = self._inputs(xs)
        lengths, others, matrices = [], [], []
        for x, axis in zip(xs, self.axes):
            if not -len(x.shape) < axis < len(x.shape):
                raise ValueError(
                    f"{self.name}: axes={self.axes} of inputs of shapes {_shapes_text(xs)}; expected axes that they have "
                    "behind the batch; pass others"
                )
            if self.normalize:
                x = unit(x, axis, 1e-7)
            x = ops.moveaxis(x, axis, -1)
            batch, *other, length = x.shape
            lengths.append(length)
            others += other
            matrices.append(ops.reshape(x, (batch, int(np.prod(other)), length)))
        if lengths[0] != lengths[1]:
            raise ValueError(
                f"{self.name}: axes={self.axes} of inputs of shapes {_shapes_text(xs)}, of lengths {lengths[0]} and "
                f"{lengths[1]}; expected equal lengths; pass other axes"
            )
        y = ops.matmul(*matrices, transpose_b=True)
        return ops.reshape(y, (y.shape[0], *(others or (1,))))

    def get_config(self) -> dict[str, Any]:
        return {"axes": self.axes, "normalize": self.normalize, **super().get_config()}


def unit(x: Any, axes: int | tuple[int, ...], least: float) -> Any:
    """`x` divided by its norm along axes, or by `least` where that is larger."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axes, keepdims=True), least**2))
