"""What reshaping, which costs nothing in a program, makes of the ops of `movement`: one copy at most for each. Any dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.ops.matmul import matmul
from fastnn.ops.movement import _axis, _ints, _is_int, _known, _list, _shape, broadcast_to, concatenate, split, transpose
from fastnn.ops.reshape import reshape
from fastnn.tracing import Tensor, TensorLike, Variable

# ---- Axes ----------------------------------------------------------------------------------------------------------------


def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Any:
    """`x` with two axes exchanged.

    Args:
        x: array of any dtype.
        axis1: an axis, negative ones counted from the last.
        axis2: the other.

    Returns:
        x's dtype.

    Raises:
        ValueError: an axis that x does not have.
        TypeError: axes that are no ints.

    Example:
        >>> ops.swapaxes(np.zeros((2, 3, 4)), 0, -1).shape
        (4, 3, 2)
    """
    order = list(range(len(_shape("swapaxes", x))))
    a, b = _axis("swapaxes", "axis1", axis1, len(order)), _axis("swapaxes", "axis2", axis2, len(order))
    order[a], order[b] = b, a
    return transpose(x, order)


def moveaxis(x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """`x` with axes moved to other places; the others keep their order.

    Args:
        x: array of any dtype.
        source: an axis or several.
        destination: where each of them goes.

    Returns:
        x's dtype.

    Raises:
        ValueError: axes that x does not have, one twice, or not as many in both.
        TypeError: axes that are no ints.

    Example:
        >>> ops.moveaxis(np.zeros((2, 3, 28, 28)), 1, -1).shape
        (2, 28, 28, 3)
    """
    rank = len(_shape("moveaxis", x))
    source_axes = [_axis("moveaxis", "source", a, rank) for a in _ints("moveaxis", "source", source)]
    places = [_axis("moveaxis", "destination", a, rank) for a in _ints("moveaxis", "destination", destination)]
    if len(source_axes) != len(places) or len(set(source_axes)) < len(places) or len(set(places)) < len(places):
        raise ValueError(
            f"moveaxis: source={source} and destination={destination}; expected as many different axes in both; drop or add one"
        )
    order = [a for a in range(rank) if a not in source_axes]
    for place, axis in sorted(zip(places, source_axes)):
        order.insert(place, axis)
    return transpose(x, order)


def expand_dims(x: TensorLike, axis: int | Sequence[int]) -> Any:
    """`x` with axes of length 1 put in; nothing is copied in a program.

    Args:
        x: array of any dtype.
        axis: where they stand in the result, negative ones counted from its last.

    Returns:
        x's dtype. Outside a trace a copy.

    Raises:
        ValueError: a place that the result does not have, or one twice.
        TypeError: no ints.

    Example:
        >>> ops.expand_dims(np.zeros((2, 3)), -1).shape
        (2, 3, 1)
    """
    shape, places = list(_shape("expand_dims", x)), _ints("expand_dims", "axis", axis)
    rank = len(shape) + len(places)
    found = sorted(_axis("expand_dims", "axis", a, rank) for a in places)
    if len(set(found)) < len(found):
        raise ValueError(f"expand_dims: axis={axis}; expected every place once; drop one")
    for place in found:
        shape.insert(place, 1)
    return reshape(x, shape)


def squeeze(x: TensorLike, axis: int | Sequence[int] | None = None) -> Any:
    """`x` without axes of length 1; nothing is copied in a program.

    Args:
        x: array of any dtype.
        axis: those to drop; None, the default, means all axes that have the length 1, which a symbolic one never has.

    Returns:
        x's dtype. Outside a trace a copy.

    Raises:
        ValueError: an axis that x does not have, or of another length.
        TypeError: no ints.

    Example:
        >>> ops.squeeze(np.zeros((2, 1, 3))).shape
        (2, 3)
    """
    shape = _shape("squeeze", x)
    if axis is None:
        dropped = {i for i, n in enumerate(shape) if n == 1}
    else:
        dropped = {_axis("squeeze", "axis", a, len(shape)) for a in _ints("squeeze", "axis", axis)}
    for i in dropped:
        if shape[i] != 1:
            raise ValueError(f"squeeze: axis {i} of shape {shape} has length {shape[i]}; expected 1; slice or reduce it")
    return reshape(x, tuple(n for i, n in enumerate(shape) if i not in dropped))


# ---- Joins and repetitions -----------------------------------------------------------------------------------------------


def stack(xs: Sequence[TensorLike], axis: int = 0) -> Any:
    """The arrays one behind the other along a new axis.

    Args:
        xs: a list of arrays of one dtype and shape.
        axis: where the new axis stands in the result, negative ones counted from its last.

    Returns:
        Their dtype.

    Raises:
        ValueError: shapes that differ, a place that the result does not have.
        TypeError: different dtypes; no list.

    Example:
        >>> ops.stack([np.array([1, 2]), np.array([3, 4])], axis=-1)
        array([[1, 3],
               [2, 4]])
    """
    arrays = _list("stack", xs)
    place = _axis("stack", "axis", axis, len(_shape("stack", arrays[0])) + 1)
    if any(_shape("stack", x) != _shape("stack", arrays[0]) for x in arrays):
        shapes = ", ".join(str(_shape("stack", x)) for x in arrays)
        raise ValueError(f"stack: shapes {shapes}; expected equal ones; reshape or broadcast some")
    return concatenate([expand_dims(x, place) for x in arrays], place)


def unstack(x: TensorLike, axis: int = 0) -> list[Any]:
    """The parts of `x` along an axis, which they do not have any more: the inverse of `stack`.

    Args:
        x: array of any dtype; the axis has a known length.
        axis: negative ones counted from the last.

    Returns:
        A list of arrays of x's dtype.

    Raises:
        ValueError: an axis that x does not have, or of symbolic length.
        TypeError: no int.

    Example:
        >>> ops.unstack(np.array([[1, 2], [3, 4]]), axis=1)
        [array([1, 3]), array([2, 4])]
    """
    shape = _shape("unstack", x)
    place = _axis("unstack", "axis", axis, len(shape))
    n = _known("unstack", "axis", axis, shape[place])
    return [squeeze(part, place) for part in split(x, sizes=(1,) * n, axis=place)] if n else []


def tile(x: TensorLike, repeats: int | Sequence[int]) -> Any:
    """`x` laid side by side: `repeats[k]` times along axis `k`.

    Args:
        x: array of any dtype.
        repeats: one number for each axis; fewer mean the last axes, more put new axes before x's.

    Returns:
        x's dtype.

    Raises:
        ValueError: negative numbers.
        TypeError: no ints.

    Example:
        >>> ops.tile(np.array([1, 2]), (2, 2))
        array([[1, 2, 1, 2],
               [1, 2, 1, 2]])
    """
    counts, shape = _ints("tile", "repeats", repeats), _shape("tile", x)
    counts = (1,) * (len(shape) - len(counts)) + counts
    shape = (1,) * (len(counts) - len(shape)) + shape
    if any(n < 0 for n in counts):
        raise ValueError(f"tile: repeats={repeats}; expected numbers of 0 or more; pass 1 for an axis to leave as it is")
    copies = broadcast_to(reshape(x, [m for n in shape for m in (1, n)]), [m for c, n in zip(counts, shape) for m in (c, n)])
    return reshape(copies, [n * c for c, n in zip(counts, shape)])


def repeat(x: TensorLike, repeats: int, axis: int | None = None) -> Any:
    """`x` with every element repeated `repeats` times along an axis.

    Args:
        x: array of any dtype.
        repeats: an int; NumPy's different number for each element is not supported.
        axis: negative ones counted from the last; None, the default, flattens x first.

    Returns:
        x's dtype.

    Raises:
        ValueError: an axis that x does not have, a negative number.
        TypeError: no ints.

    Example:
        >>> ops.repeat(np.array([[1, 2], [3, 4]]), 2, axis=1)
        array([[1, 1, 2, 2],
               [3, 3, 4, 4]])
    """
    if not _is_int(repeats):
        raise TypeError(f"repeat: repeats={repeats!r}; expected an int; use fastnn.ops.take for a number for each element")
    if repeats < 0:
        raise ValueError(f"repeat: repeats={repeats}; expected 0 or more; pass 1 to leave x as it is")
    if axis is None:
        x, axis = reshape(x, -1), 0
    shape = _shape("repeat", x)
    place = _axis("repeat", "axis", axis, len(shape))
    before, n, behind = shape[:place], shape[place], shape[place + 1 :]
    copies = broadcast_to(reshape(x, (*before, n, 1, *behind)), (*before, n, int(repeats), *behind))
    return reshape(copies, (*before, n * int(repeats), *behind))


def roll(x: TensorLike, shift: int, axis: int | None = None) -> Any:
    """`x` with its elements moved on by `shift` places along an axis; those that leave its end enter at its beginning.

    Args:
        x: array of any dtype; the axis has a known length.
        shift: an int, negative ones move back.
        axis: negative ones counted from the last; None, the default, rolls the flattened array.

    Returns:
        x's shape and dtype.

    Raises:
        ValueError: an axis that x does not have, or of symbolic length.
        TypeError: no ints.

    Example:
        >>> ops.roll(np.arange(5), 2)
        array([3, 4, 0, 1, 2])
    """
    if not _is_int(shift):
        raise TypeError(f"roll: shift={shift!r}; expected an int; roll one axis after the other")
    shape = _shape("roll", x)
    if axis is None:
        return reshape(roll(reshape(x, -1), shift, 0), shape)
    place = _axis("roll", "axis", axis, len(shape))
    n = _known("roll", "axis", axis, shape[place])
    if n == 0 or shift % n == 0:
        return reshape(x, shape)
    head, tail = split(x, [n - shift % n], place)
    return concatenate([tail, head], place)


# ---- Images --------------------------------------------------------------------------------------------------------------


def upsample2d(x: TensorLike, size: int | Sequence[int] = (2, 2), interpolation: str = "nearest") -> Any:
    """Images enlarged by whole factors.

    `"bilinear"` takes pixels as squares: the centre of the result's pixel `i` lies at `(i + 1/2) / factor - 1/2` among x's, and
    beyond the outermost centres the outermost pixels go on (half-pixel centres, as in Keras, and in PyTorch with
    `align_corners=False`).

    Args:
        x: array of shape `(batch, height, width, channels)`, any dtype; a float for `"bilinear"`, with known height and width.
        size: factors of height and width, 1 or more; one int for both.
        interpolation: `"nearest"` or `"bilinear"`.

    Returns:
        Shape `(batch, height * size[0], width * size[1], channels)`, x's dtype.

    Raises:
        ValueError: x without 4 axes, factors below 1, another interpolation.
        TypeError: factors that are no ints, an integer x for `"bilinear"`.

    Example:
        >>> ops.upsample2d(np.array([[1.0, 2.0]]).reshape(1, 1, 2, 1), (1, 2)).ravel()
        array([1., 1., 2., 2.])
        >>> ops.upsample2d(np.array([[1.0, 2.0]]).reshape(1, 1, 2, 1), (1, 2), "bilinear").ravel()
        array([1.  , 1.25, 1.75, 2.  ])
    """
    shape = _shape("upsample2d", x)
    factors = _ints("upsample2d", "size", (size, size) if _is_int(size) else size)
    if len(shape) != 4:
        raise ValueError(f"upsample2d: `x` has shape {shape}; expected 4 axes, (batch, height, width, channels); reshape it")
    if len(factors) != 2 or min(factors) < 1:
        raise ValueError(f"upsample2d: size={size}; expected two factors of 1 or more; pass for example (2, 2)")
    batch, height, width, channels = shape
    if interpolation == "nearest":
        copies = broadcast_to(
            reshape(x, (batch, height, 1, width, 1, channels)), (batch, height, factors[0], width, factors[1], channels)
        )
        return reshape(copies, (batch, height * factors[0], width * factors[1], channels))
    if interpolation != "bilinear":
        raise ValueError(f"upsample2d: interpolation={interpolation!r}; expected 'nearest' or 'bilinear'; choose one")
    if not isinstance(height, int) or not isinstance(width, int):
        raise ValueError(
            f"upsample2d: `x` has shape {shape}; expected a known height and width for 'bilinear'; give them lengths"
        )
    dtype = x.dtype if isinstance(x, (Tensor, Variable)) else np.asarray(x).dtype
    if factors[0] > 1:
        rows = matmul(_interpolation(height, factors[0], dtype), reshape(x, (batch, height, width * channels)))
        x = reshape(rows, (batch, height * factors[0], width, channels))
    return matmul(_interpolation(width, factors[1], dtype), x) if factors[1] > 1 else reshape(x, _shape("upsample2d", x))


def _interpolation(n: int, factor: int, dtype: Any) -> Any:
    """The matrix (n * factor, n) whose rows hold the weights of two neighbours: `u` of the one, `1 - u` of the other."""
    place = (np.arange(n * factor) + 0.5) / factor - 0.5
    left = np.floor(place).astype(np.int64)
    u = place - left
    matrix = np.zeros((n * factor, n))
    rows = np.arange(n * factor)
    np.add.at(matrix, (rows, np.clip(left, 0, n - 1)), 1 - u)
    np.add.at(matrix, (rows, np.clip(left + 1, 0, n - 1)), u)
    return matrix.astype(dtype)
