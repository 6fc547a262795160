"""Layers that move numbers: other shapes, borders, enlarged images, and a table's rows by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import constraints, initializers, ops, regularizers
from fastnn.layers.layer import InputShape, Layer, check_size, check_sizes, given, shape_text
from fastnn.tracing import Tensor, Variable


class Reshape(Layer):
    """Another shape for each sample: `(batch, ...)` to `(batch, *target_shape)`, in row-major order.

    Args:
        target_shape: lengths without the batch axis; one may be -1, the length that is left.

    Raises:
        ValueError: lengths that are no integers of 1 or more, or more than one -1; when called, another number of elements.

    Example:
        >>> layers.Reshape((2, -1))(np.ones((5, 6))).shape
        (5, 2, 3)
    """

    def __init__(
        self, target_shape: Sequence[int], *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        if not isinstance(target_shape, (tuple, list)) or not all(isinstance(n, (int, np.integer)) for n in target_shape):
            raise ValueError(f"{self.name}: target_shape={target_shape!r}; expected a tuple of ints; pass for example (4, -1)")
        self.target_shape = tuple(int(n) for n in target_shape)
        if self.target_shape.count(-1) > 1:
            raise ValueError(f"{self.name}: target_shape={target_shape}; expected at most one -1; give the others a length")
        check_sizes(self.name, "target_shape", tuple(n for n in self.target_shape if n != -1), None)

    def call(self, x: Any, training: bool) -> Any:
        return ops.reshape(x, (x.shape[0], *self.target_shape))

    def get_config(self) -> dict[str, Any]:
        return {"target_shape": self.target_shape, **super().get_config()}


class Permute(Layer):
    """The axes of each sample in another order; see `fastnn.ops.transpose`.

    Args:
        dims: for each axis of the result behind the batch the number of the input's, counted from 1: `(2, 1)` exchanges two.

    Raises:
        ValueError: numbers that are not 1 to n, each once; when called, an input of another number of axes.

    Example:
        >>> layers.Permute((2, 1))(np.ones((5, 3, 4))).shape
        (5, 4, 3)
    """

    def __init__(self, dims: Sequence[int], *, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.dims = check_sizes(self.name, "dims", dims, None)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"{self.name}: dims={self.dims}; expected the numbers 1 to {len(self.dims)}, each once; the batch axis stays"
            )

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, len(self.dims) + 1, f"(batch, ...) with one for each of dims={self.dims}")
        return ops.transpose(x, (0, *self.dims))

    def get_config(self) -> dict[str, Any]:
        return {"dims": self.dims, **super().get_config()}


class RepeatVector(Layer):
    """Each sample's features `n` times: `(batch, features)` to `(batch, n, features)`.

    Args:
        n: how often.

    Raises:
        ValueError: n that is no positive integer; when called, an input without 2 axes.

    Example:
        >>> layers.RepeatVector(3)(np.ones((5, 2))).shape
        (5, 3, 2)
    """

    def __init__(self, n: int, *, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.n = check_size(self.name, "n", n)

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 2, "(batch, features)")
        return ops.repeat(ops.expand_dims(x, 1), self.n, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {"n": self.n, **super().get_config()}


def _ends(where: str, what: str, value: Any) -> tuple[int, int]:
    """(before, after) from Keras's two forms: n, (before, after)."""
    pair = (value, value) if isinstance(value, (int, np.integer)) else value
    good = isinstance(pair, (tuple, list)) and len(pair) == 2
    if not (good and all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in pair)):
        raise ValueError(
            f"{where}: {what}={value!r}; expected an integer of 0 or more, or two, (before, after); pass for example {what}=1"
        )
    return int(pair[0]), int(pair[1])


class ZeroPadding1D(Layer):
    """Zeros before and after sequences; see `fastnn.ops.pad`.

    Args:
        padding: time steps at both ends, or `(before, after)`.

    Input shape `(batch, time, channels)`.

    Raises:
        ValueError: no integers of 0 or more; when called, an input without 3 axes.

    Example:
        >>> layers.ZeroPadding1D((1, 2))(np.ones((1, 4, 3))).shape
        (1, 7, 3)
    """

    def __init__(
        self, padding: int | Sequence[int] = 1, *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.padding = _ends(self.name, "padding", padding)

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 3, "(batch, time, channels)")
        return ops.pad(x, [(0, 0), self.padding, (0, 0)])

    def get_config(self) -> dict[str, Any]:
        return {"padding": self.padding, **super().get_config()}


class Cropping1D(Layer):
    """Sequences without their ends.

    Args:
        cropping: time steps cut off at both ends, or `(before, after)`.

    Input shape `(batch, time, channels)`.

    Raises:
        ValueError: no integers of 0 or more; when called, an input without 3 axes, or of which nothing would be left.

    Example:
        >>> layers.Cropping1D((1, 0))(np.arange(3.0).reshape(1, 3, 1)).ravel()
        array([1., 2.], dtype=float32)
    """

    def __init__(
        self, cropping: int | Sequence[int] = (1, 1), *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.cropping = _ends(self.name, "cropping", cropping)

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 3, "(batch, time, channels)")
        before, after = self.cropping
        if isinstance(x.shape[1], int) and before + after >= x.shape[1]:
            raise ValueError(
                f"{self.name}: input of shape {shape_text(x)} and cropping={self.cropping}; expected more time steps than "
                "are cut off; crop less"
            )
        return ops.slice(x, (None, before), (None, -after or None))

    def get_config(self) -> dict[str, Any]:
        return {"cropping": self.cropping, **super().get_config()}


class UpSampling1D(Layer):
    """Sequences with each time step several times.

    Args:
        size: how often.

    Input shape `(batch, time, channels)`.

    Raises:
        ValueError: a size that is no positive integer; when called, an input without 3 axes.

    Example:
        >>> layers.UpSampling1D(2)(np.arange(2.0).reshape(1, 2, 1)).ravel()
        array([0., 0., 1., 1.], dtype=float32)
    """

    def __init__(self, size: int = 2, *, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.size = check_size(self.name, "size", size)

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 3, "(batch, time, channels)")
        return ops.repeat(x, self.size, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {"size": self.size, **super().get_config()}


def _borders(where: str, what: str, value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, bottom), (left, right)) from Keras's three forms: n, (height, width), ((top, bottom), (left, right))."""

    def pair(item: Any) -> Any:
        return (item, item) if isinstance(item, (int, np.integer)) and not isinstance(item, bool) else item

    items = pair(value)
    good = isinstance(items, (tuple, list)) and len(items) == 2
    pairs = [pair(item) for item in items] if good else []
    for p in pairs:
        good = good and isinstance(p, (tuple, list)) and len(p) == 2
        good = good and all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in p)
    if not good:
        raise ValueError(
            f"{where}: {what}={value!r}; expected an integer of 0 or more, one for height and one for width, or "
            f"((top, bottom), (left, right)); pass for example {what}=1"
        )
    (top, bottom), (left, right) = pairs
    return (int(top), int(bottom)), (int(left), int(right))


class ZeroPadding2D(Layer):
    """A border of zeros around images; see `fastnn.ops.pad`.

    Args:
        padding: pixels on every side; or `(height, width)`, on top and bottom and on the left and right; or
            `((top, bottom), (left, right))`.

    Input shape `(batch, height, width, channels)`.

    Raises:
        ValueError: no integers of 0 or more; when called, an input without 4 axes.

    Example:
        >>> layers.ZeroPadding2D(((1, 0), (2, 2)))(np.ones((1, 4, 4, 3))).shape
        (1, 5, 8, 3)
    """

    def __init__(self, padding: Any = (1, 1), *, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.padding = _borders(self.name, "padding", padding)

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 4, "(batch, height, width, channels)")
        return ops.pad(x, [(0, 0), *self.padding, (0, 0)])

    def get_config(self) -> dict[str, Any]:
        return {"padding": self.padding, **super().get_config()}


class Cropping2D(Layer):
    """Images without their border.

    Args:
        cropping: pixels on every side; or `(height, width)`, on top and bottom and on the left and right; or
            `((top, bottom), (left, right))`.

    Input shape `(batch, height, width, channels)`.

    Raises:
        ValueError: no integers of 0 or more; when called, an input without 4 axes, or of which nothing would be left.

    Example:
        >>> layers.Cropping2D(((1, 0), (2, 1)))(np.ones((1, 4, 4, 3))).shape
        (1, 3, 1, 3)
    """

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.cropping = _borders(self.name, "cropping", cropping)

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 4, "(batch, height, width, channels)")
        (top, bottom), (left, right) = self.cropping
        for n, cut in ((x.shape[1], top + bottom), (x.shape[2], left + right)):
            if isinstance(n, int) and cut >= n:
                raise ValueError(
                    f"{self.name}: input of shape {shape_text(x)} and cropping={self.cropping}; expected more pixels than are "
                    "cut off; crop less"
                )
        return ops.slice(x, (None, top, left), (None, -bottom or None, -right or None))

    def get_config(self) -> dict[str, Any]:
        return {"cropping": self.cropping, **super().get_config()}


class UpSampling2D(Layer):
    """Images enlarged by whole factors; see `fastnn.ops.upsample2d`, which says where the centres of pixels lie.

    Args:
        size: factors of height and width; one int for both.
        interpolation: `"nearest"` or `"bilinear"`.

    Input shape `(batch, height, width, channels)`.

    Raises:
        ValueError: factors that are no positive integers, another interpolation; when called, an input without 4 axes.

    Example:
        >>> layers.UpSampling2D((2, 3))(np.ones((1, 4, 5, 3))).shape
        (1, 8, 15, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        interpolation: str = "nearest",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.size = check_sizes(self.name, "size", size, 2)
        if interpolation not in ("nearest", "bilinear"):
            raise ValueError(
                f"{self.name}: interpolation={interpolation!r}; expected 'nearest' or 'bilinear'; choose one of them"
            )
        self.interpolation = interpolation

    def call(self, x: Any, training: bool) -> Any:
        self.expect_rank(x, 4, "(batch, height, width, channels)")
        return ops.upsample2d(x, self.size, self.interpolation)

    def get_config(self) -> dict[str, Any]:
        return {"size": self.size, "interpolation": self.interpolation, **super().get_config()}


class Embedding(Layer):
    """A vector of weights for each number: `y[...] = embeddings[x[...]]`.

    Args:
        input_dim: how many numbers there are; x holds 0 to `input_dim - 1`.
        output_dim: length of a vector.
        embeddings_initializer: of the table, shape `(input_dim, output_dim)`.
        embeddings_regularizer: what the table adds to the loss: a name or object of `fastnn.regularizers`, or None.
        embeddings_constraint: what is done to the table after an update: a name or object of `fastnn.constraints`, or None.

    Input shape `(batch, ...)`, output shape `(batch, ..., output_dim)`. Numbers that come as floats, as a model passes them
    on, are cut to integers. The gradient is summed in the order of x: the same bits for any number of threads.

    Raises:
        ValueError: sizes that are no positive integers; when run, a number out of range, the layer is named.
        TypeError: when called, float32 numbers for a table of more than 2^24 vectors, which they cannot tell apart.

    Example:
        >>> embedding = layers.Embedding(100, 8)
        >>> embedding(np.array([[1, 5, 99]])).shape, embedding.count_params()
        ((1, 3, 8), 800)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: initializers.InitializerLike = "uniform",
        *,
        embeddings_regularizer: regularizers.RegularizerLike = None,
        embeddings_constraint: constraints.ConstraintLike = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.input_dim = check_size(self.name, "input_dim", input_dim)
        self.output_dim = check_size(self.name, "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.embeddings: Variable

    def build(self, input_shape: InputShape) -> None:
        self.embeddings = self.add_weight(
            "embeddings",
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, x: Any, training: bool) -> Any:
        dtype = x.dtype if isinstance(x, (Tensor, Variable)) else np.asarray(x).dtype.name
        if dtype == "float32" and self.input_dim > 2**24:
            raise TypeError(
                f"{self.name}: numbers in float32 for {self.input_dim} vectors; expected integers, because float32 holds "
                "all of them up to 2^24 only; call the layer on an int32 tensor"
            )
        return ops.take(self.embeddings, x if dtype in ("int32", "int64") else ops.cast(x, dtype="int32"), axis=0)

    def get_config(self) -> dict[str, Any]:
        return {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": self.embeddings_initializer,
            **given(
                embeddings_regularizer=self.embeddings_regularizer,
                embeddings_constraint=self.embeddings_constraint,
            ),
            **super().get_config(),
        }
