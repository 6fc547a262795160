"""Moving numbers: other orders of axes, parts, joins, borders and repetitions. Any dtype; nothing is computed.

Reshaping costs nothing in a program, so what can be said with it is: `expand_dims` and `squeeze` are views, `stack`, `tile` and
`repeat` one copy between two.
"""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.reshape import reshape
from fastnn.tracing import Dim, Tensor, TensorLike, Variable, apply

# Beyond every end, as NumPy's None.
_MOST, _LEAST = 2**63 - 1, -(2**63)


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def _ints(where: str, what: str, value: Any) -> tuple[int, ...]:
    """An int or several, as a tuple."""
    items = (value,) if _is_int(value) else value
    if not isinstance(items, (tuple, list, np.ndarray)) or not all(map(_is_int, items)):
        raise TypeError(f"{where}: {what}={value!r}; expected an int or a tuple of ints; pass for example {what}=(0, 1)")
    return tuple(int(i) for i in items)


def _shape(where: str, x: Any) -> tuple[Dim, ...]:
    if isinstance(x, (Tensor, Variable, np.ndarray, np.generic)):
        return tuple(x.shape)
    if isinstance(x, (bool, int, float)):
        return ()
    raise TypeError(f"{where}: {type(x).__name__}; expected an array, a Tensor or a Variable; convert it with np.asarray")


def _axis(where: str, what: str, axis: Any, rank: int) -> int:
    """An axis counted from the first."""
    if not _is_int(axis):
        raise TypeError(f"{where}: {what}={axis!r}; expected an int; pass for example {what}=-1")
    if not -rank <= axis < rank:
        raise ValueError(f"{where}: {what}={axis} of {rank} axes; expected {-rank} to {rank - 1}; choose another axis")
    return int(axis) % rank


def _known(where: str, what: str, axis: int, length: Dim, instead: str = "give the axis a length") -> int:
    if not isinstance(length, int):
        raise ValueError(f"{where}: {what}={axis} has the symbolic length {length}; expected a number; {instead}")
    return length


# ---- Orders of axes --------------------------------------------------------------------------------------------------------


def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Any:
    """`x` with its axes in another order: the result's axis `k` is x's axis `axes[k]`.

    Args:
        x: array of any dtype.
        axes: every axis of x once, negative ones counted from the last; None, the default, reverses them.

    Returns:
        x's dtype.

    Raises:
        ValueError: axes that are not each of x's once.
        TypeError: axes that are no ints.

    Example:
        >>> ops.transpose(np.arange(6).reshape(2, 3))
        array([[0, 3],
               [1, 4],
               [2, 5]])
        >>> ops.transpose(np.zeros((2, 16, 4, 8)), (0, 2, 1, 3)).shape
        (2, 4, 16, 8)
    """
    return apply("transpose", [x], axes=None if axes is None else _ints("transpose", "axes", axes))


@vjp("transpose")
def _transpose(node: Node, dy: Tensor) -> Cotangents:
    axes = node.attributes["axes"]
    inverse = None if axes is None else tuple(int(i) for i in np.argsort(np.array(axes) % max(dy.ndim, 1)))
    return (apply("transpose", [dy], axes=inverse),)


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


# ---- Views -----------------------------------------------------------------------------------------------------------------


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


# ---- Parts -----------------------------------------------------------------------------------------------------------------


def slice(
    x: TensorLike,
    begin: Sequence[int | None],
    end: Sequence[int | None],
    strides: Sequence[int] | None = None,
    *,
    drop: Sequence[int] = (),
) -> Any:
    """`x[begin[0]:end[0]:strides[0], begin[1]:end[1]:strides[1], ...]`. Tensors and Variables have the brackets too.

    An axis of symbolic length can be taken whole, backwards, or at one place (in `drop`): those have a length that is known.

    Args:
        x: array of any dtype.
        begin: where each of the first axes begins, negative numbers counted from its end; None is its first element, or its
            last where the stride is negative. Axes behind the last number are taken whole.
        end: where it ends, that place not included; None means beyond the last element, or before the first.
        strides: steps, negative ones backwards; default 1.
        drop: axes that are taken at `begin` alone and drop out of the shape.

    Returns:
        x's dtype. Places beyond an end are cut off, as in NumPy.

    Raises:
        ValueError: more numbers than axes, a stride of 0, a dropped axis that has no such place, another part of a symbolic
            axis.
        TypeError: numbers that are no ints.

    Example:
        >>> x = np.arange(12).reshape(3, 4)
        >>> ops.slice(x, (1, None), (None, -1), (1, 2))
        array([[ 4,  6],
               [ 8, 10]])
        >>> ops.slice(x, (-1,), (None,), drop=(0,))
        array([ 8,  9, 10, 11])
    """
    steps = () if strides is None else _ints("slice", "strides", strides)

    def numbers(what: str, values: Sequence[int | None], forwards: int, backwards: int) -> tuple[int, ...]:
        signs = [*steps, *[1] * len(values)]
        return _ints("slice", what, [(forwards if s >= 0 else backwards) if v is None else v for v, s in zip(values, signs)])

    return apply(
        "slice",
        [x],
        begin=numbers("begin", begin, 0, _MOST),
        end=numbers("end", end, _MOST, _LEAST),
        strides=steps,
        drop=_ints("slice", "drop", tuple(drop)),
    )


@vjp("slice")
def _slice(node: Node, dy: Tensor) -> Cotangents:
    return (apply("slice_backward", [dy, node.inputs[0]], **node.attributes),)


@vjp("slice_backward")
def _slice_backward(node: Node, ddx: Tensor) -> Cotangents:
    return apply("slice", [ddx], **node.attributes), None


def basic_index(x: Any, key: Any) -> Any:
    """`x[key]` of a Tensor or a Variable, for ints, slices, None and Ellipsis."""
    keys, shape = key if isinstance(key, tuple) else (key,), _shape("index", x)
    where = f"index of shape {shape}"
    used = sum(k is not None and k is not Ellipsis for k in keys)
    if used > len(shape) or sum(k is Ellipsis for k in keys) > 1:
        raise ValueError(
            f"{where}: {used} places and {len(keys) - used} others; expected at most {len(shape)} and one `...`; drop some"
        )
    begin: list[Any] = []
    end: list[Any] = []
    strides: list[int] = []
    drop: list[int] = []
    kept: list[bool] = []  # per axis of the result: is it one of the slice's? Else it is new.
    for k in keys:
        axis = len(begin)
        if k is None:
            kept.append(False)
        elif k is Ellipsis:
            whole = len(shape) - used
            begin += [None] * whole
            end += [None] * whole
            strides += [1] * whole
            kept += [True] * whole
        elif isinstance(k, builtins.slice):
            stop = None if isinstance(k.stop, _core.Extent) and k.stop == shape[axis] else k.stop
            parts = [None if v is None else v.__index__() if hasattr(v, "__index__") else v for v in (k.start, stop, k.step)]
            begin.append(parts[0])
            end.append(parts[1])
            strides.append(1 if parts[2] is None else parts[2])
            kept.append(True)
        elif _is_int(k):
            begin.append(int(k))
            end.append(None)
            strides.append(1)
            drop.append(axis)
        else:
            raise TypeError(
                f"{where}: by {type(k).__name__}; expected ints, slices, None and `...`; use fastnn.ops.take(x, indices, axis) "
                "for elements by number"
            )
    if any(b is not None or e is not None for b, e in zip(begin, end)) or any(s != 1 for s in strides):
        x = slice(x, begin, end, strides, drop=drop)
    kept += [True] * (len(shape) - len(drop) - sum(kept))
    if all(kept):
        return x if isinstance(x, Tensor) else reshape(x, x.shape) if isinstance(x, Variable) else x
    rest = iter(x.shape)
    return reshape(x, tuple(next(rest) if keep else 1 for keep in kept))


def split(
    x: TensorLike, indices_or_sections: int | Sequence[int] | None = None, axis: int = 0, *, sizes: Sequence[Dim] | None = None
) -> list[Any]:
    """`x` in parts along an axis.

    Args:
        x: array of any dtype.
        indices_or_sections: an int, the number of equal parts; or a sequence of places to cut at: `[2, 5]` makes the parts
            `:2`, `2:5` and `5:`.
        axis: negative ones counted from the last.
        sizes: instead of them the length of each part, symbolic ones too.

    Returns:
        A list of arrays of x's dtype.

    Raises:
        ValueError: an axis that x does not have, or that cannot be cut so.
        TypeError: no ints; both or none of `indices_or_sections` and `sizes`.

    Example:
        >>> ops.split(np.arange(6), 3)
        [array([0, 1]), array([2, 3]), array([4, 5])]
        >>> [part.shape for part in ops.split(np.zeros((2, 6)), [1, 4], axis=1)]
        [(2, 1), (2, 3), (2, 2)]
    """
    shape = _shape("split", x)
    length = shape[_axis("split", "axis", axis, len(shape))]
    if (sizes is None) == (indices_or_sections is None):
        raise TypeError("split: both or none of indices_or_sections and sizes; expected one of them; pass the number of parts")
    if sizes is not None:
        parts: tuple[Dim, ...] = tuple(sizes)
    elif _is_int(indices_or_sections):
        sections = int(indices_or_sections)  # type: ignore[arg-type]
        number = _known("split", "axis", axis, length, "pass `sizes`")
        if sections < 1 or number % sections != 0:
            raise ValueError(
                f"split: {sections} sections of axis {axis}, whose length is {length}; expected a divisor of it; pass the "
                "places to cut at instead"
            )
        parts = (number // sections,) * sections
    else:
        cuts = _ints("split", "indices_or_sections", indices_or_sections)
        length = _known("split", "axis", axis, length, "pass `sizes`")
        edges = [0, *(min(max(c + length if c < 0 else c, 0), length) for c in cuts), length]
        parts = tuple(max(b - a, 0) for a, b in itertools.pairwise(edges))
        if sum(parts) != length:
            raise ValueError(f"split: indices_or_sections={cuts}; expected places in ascending order; sort them")
    return list(apply("split", [x], outputs=len(parts), sizes=parts, axis=axis))


@vjp("split")
def _split(node: Node, *dys: Tensor | None) -> Cotangents:
    filled = [full(y.shape, 0, y.dtype) if dy is None else dy for dy, y in zip(dys, node.outputs)]
    return (apply("concatenate", filled, axis=node.attributes["axis"]),)


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


# ---- Joins -----------------------------------------------------------------------------------------------------------------


def _list(where: str, xs: Any) -> list[Any]:
    if not isinstance(xs, (list, tuple)) or len(xs) == 0:
        what = "an empty list" if isinstance(xs, (list, tuple)) else type(xs).__name__
        raise TypeError(f"{where}: {what}; expected a list of arrays; pass [a, b]")
    return list(xs)


def concatenate(xs: Sequence[TensorLike], axis: int = 0) -> Any:
    """The arrays one behind the other along an axis that they have.

    Args:
        xs: a list of arrays of one dtype and of shapes that are equal but for this axis. Symbolic lengths have a sum where
            they are multiples of one symbol.
        axis: negative ones counted from the last.

    Returns:
        Their dtype.

    Raises:
        ValueError: shapes that do not fit, an axis that they do not have.
        TypeError: different dtypes; no list.

    Example:
        >>> ops.concatenate([np.array([1, 2]), np.array([3])])
        array([1, 2, 3])
    """
    return apply("concatenate", _list("concatenate", xs), axis=axis)


@vjp("concatenate")
def _concatenate(node: Node, dy: Tensor) -> Cotangents:
    axis = node.attributes["axis"]
    sizes = tuple(x.shape[axis] for x in node.inputs if x is not None)
    return apply("split", [dy], outputs=len(sizes), sizes=sizes, axis=axis)


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


# ---- Borders ---------------------------------------------------------------------------------------------------------------


def pad(x: TensorLike, paddings: Sequence[Sequence[int]], mode: str = "constant", value: float = 0) -> Any:
    """`x` with a border.

    Args:
        x: array of any dtype.
        paddings: for every axis a pair, the elements before and after it. A symbolic axis takes (0, 0) only.
        mode: `"constant"` writes `value`; `"edge"` repeats the outermost element; `"reflect"` mirrors at it (c b | a b c | b
            a), `"symmetric"` beside it (b a | a b c | c b).
        value: of mode `"constant"`; Keras calls it `constant_values`.

    Returns:
        x's dtype.

    Raises:
        ValueError: pairs that do not fit x, negative numbers, a mode that does not exist, a mirror image longer than x, a value
            that x's dtype does not hold.
        TypeError: no pairs of ints.

    Example:
        >>> ops.pad(np.array([1, 2, 3]), [(1, 2)])
        array([0, 1, 2, 3, 0, 0])
        >>> ops.pad(np.array([1, 2, 3]), [(2, 1)], mode="reflect")
        array([3, 2, 1, 2, 3, 2])
    """
    good = isinstance(paddings, (tuple, list, np.ndarray)) and all(
        isinstance(p, (tuple, list, np.ndarray)) and len(p) == 2 and all(map(_is_int, p)) for p in paddings
    )
    if not good:
        raise TypeError(
            f"pad: paddings={paddings!r}; expected a pair of ints for every axis; pass for example [(0, 0), (1, 1)]"
        )
    if not isinstance(value, (int, float)):
        raise TypeError(f"pad: value={value!r}; expected a number; pass for example 0")
    return apply("pad", [x], paddings=tuple(int(n) for pair in paddings for n in pair), mode=mode, value=float(value))


@vjp("pad")
def _pad(node: Node, dy: Tensor) -> Cotangents:
    (x,) = node.inputs
    assert x is not None
    paddings, mode = node.attributes["paddings"], node.attributes["mode"]
    pairs = list(zip(paddings[::2], paddings[1::2]))

    def part(y: Tensor, axis: int, begin: int, end: int) -> Any:
        return slice(y, [None] * axis + [begin], [None] * axis + [end])

    # y is x with its borders of one axis after the other, so dx adds them up in the opposite order.
    dx = dy
    for axis, (before, after) in enumerate(pairs):
        n = x.shape[axis]
        if (before, after) == (0, 0):
            continue
        assert isinstance(n, int)
        whole, dx = dx, part(dx, axis, before, before + n)
        skip, edge = int(mode == "reflect"), mode == "edge"
        if before and mode != "constant":
            dx = dx + _inside(part(whole, axis, 0, before), axis, n, 0 if edge else skip, edge)
        if after and mode != "constant":
            first = n - 1 if edge else n - after - skip
            dx = dx + _inside(part(whole, axis, before + n, before + n + after), axis, n, first, edge)
    return (dx,)


def _inside(border: Any, axis: int, n: int, first: int, edge: bool) -> Any:
    """A border's gradient where its elements came from: in reverse from place `first` of `n` on, or all from there."""
    border = apply("sum", [border], axes=(axis,), keepdims=True) if edge else flip(border, axis)
    around = (first, n - first - border.shape[axis])
    return pad(border, [around if a == axis else (0, 0) for a in range(border.ndim)])


# ---- Repetitions -----------------------------------------------------------------------------------------------------------


def broadcast_to(x: TensorLike, shape: Dim | Sequence[Dim]) -> Any:
    """`x` repeated along axes of length 1, and along new ones before its first.

    Args:
        x: array of any dtype.
        shape: ints and symbolic extents (`y.shape[0]`), or a single one.

    Returns:
        An array of this shape, x's dtype.

    Raises:
        ValueError: a shape that x does not broadcast to.

    Example:
        >>> ops.broadcast_to(np.array([1, 2]), (2, 2))
        array([[1, 2],
               [1, 2]])
    """
    return apply("broadcast_to", [x], shape=tuple(shape) if isinstance(shape, Sequence) else (shape,))


@vjp("broadcast_to")
def _broadcast_to(node: Node, dy: Tensor) -> Cotangents:
    return (apply("sum_to_like", [dy, node.inputs[0]]),)


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
    counts, shape = list(_ints("tile", "repeats", repeats)), list(_shape("tile", x))
    counts = [1] * (len(shape) - len(counts)) + counts
    shape = [1] * (len(counts) - len(shape)) + shape
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


def flip(x: TensorLike, axis: int | Sequence[int] | None = None) -> Any:
    """`x` backwards along one axis or several.

    Args:
        x: array of any dtype.
        axis: negative ones counted from the last; None, the default, means all.

    Returns:
        x's dtype.

    Raises:
        ValueError: an axis that x does not have.
        TypeError: no ints.

    Example:
        >>> ops.flip(np.array([[1, 2], [3, 4]]), axis=1)
        array([[2, 1],
               [4, 3]])
    """
    rank = len(_shape("flip", x))
    axes = range(rank) if axis is None else [_axis("flip", "axis", a, rank) for a in _ints("flip", "axis", axis)]
    return slice(x, [None] * rank, [None] * rank, [-1 if a in axes else 1 for a in range(rank)])


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
    from fastnn.ops.matmul import matmul

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


# ---- Constants -------------------------------------------------------------------------------------------------------------


def full(shape: Dim | Sequence[Dim], fill_value: float, dtype: str = "float32") -> Any:
    """An array that holds one number.

    Args:
        shape: ints and symbolic extents, or a single one.
        fill_value: a Python number.
        dtype: its name.

    Returns:
        An array of this shape and dtype.

    Raises:
        ValueError: a negative length. TypeError: a number that the dtype does not hold.

    Example:
        >>> ops.full((2, 2), 7, "int64")
        array([[7, 7],
               [7, 7]])
    """
    if dtype not in ("float32", "float64", "int32", "int64", "uint8", "bool"):
        raise TypeError(f"full: dtype={dtype!r}; expected float32, float64, int32, int64, uint8 or bool; choose one")
    number = np.asarray(fill_value)
    with np.errstate(over="ignore", invalid="ignore"):
        value = number.astype(dtype)
    if number.ndim or number.dtype.kind not in "fiub" or (np.dtype(dtype).kind != "f" and value != number):
        raise TypeError(
            f"full: fill_value={fill_value!r} in {dtype}; expected a number that the dtype holds; choose another dtype"
        )
    return broadcast_to(value, shape)


def zeros(shape: Dim | Sequence[Dim], dtype: str = "float32") -> Any:
    """An array of zeros; see `full`.

    Args:
        shape: ints and symbolic extents, or a single one.
        dtype: its name.

    Example:
        >>> ops.zeros(3)
        array([0., 0., 0.], dtype=float32)
    """
    return full(shape, 0, dtype)


def ones(shape: Dim | Sequence[Dim], dtype: str = "float32") -> Any:
    """An array of ones; see `full`.

    Args:
        shape: ints and symbolic extents, or a single one.
        dtype: its name.

    Example:
        >>> ops.ones((1, 2))
        array([[1., 1.]], dtype=float32)
    """
    return full(shape, 1, dtype)


def arange(start: int | float, stop: int | float | None = None, step: int | float = 1, dtype: str | None = None) -> Any:
    """The numbers `start`, `start + step`, ... before `stop`. Lengths of symbolic axes have no number to count to.

    Args:
        start: the first; with no `stop`, that is `stop`, and the first is 0.
        stop: where they end, not included.
        step: from each to the next.
        dtype: default int64, or float32 where one of the others is a float.

    Returns:
        An array of shape `(n,)`.

    Raises:
        TypeError: no numbers. ValueError: a step of 0.

    Example:
        >>> ops.arange(4)
        array([0, 1, 2, 3])
    """
    numbers = [n for n in (start, stop, step) if n is not None]
    if any(isinstance(n, bool) or not isinstance(n, (int, float, np.integer, np.floating)) for n in numbers):
        raise TypeError(f"arange: start={start}, stop={stop}, step={step}; expected numbers; give a symbolic axis a length")
    if step == 0 or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f"arange: start={start}, stop={stop}, step={step}; expected finite numbers, and not 0 as the step; pass step=1"
        )
    dtype = dtype or ("float32" if any(isinstance(n, (float, np.floating)) for n in numbers) else "int64")
    first, behind = (0, start) if stop is None else (start, stop)
    return broadcast_to(np.arange(first, behind, step).astype(dtype), max(math.ceil((behind - first) / step), 0))
