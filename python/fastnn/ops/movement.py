"""Moving numbers: other orders of axes, parts, joins and borders. Any dtype; nothing is computed."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.reshape import reshape
from fastnn.tracing import Dim, Tensor, TensorLike, Variable, apply, as_tensor

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


# ---- Orders of axes ------------------------------------------------------------------------------------------------------


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


# ---- Parts ---------------------------------------------------------------------------------------------------------------


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
        parts = tuple(b - a for a, b in itertools.pairwise(edges))
        if edges != sorted(edges):
            raise ValueError(f"split: indices_or_sections={cuts}; expected places in ascending order; sort them")
    return list(apply("split", [x], outputs=len(parts), sizes=parts, axis=axis))


@vjp("split")
def _split(node: Node, *dys: Tensor | None) -> Cotangents:
    filled = [broadcast_to(as_tensor(0, y.dtype), y.shape) if dy is None else dy for dy, y in zip(dys, node.outputs)]
    return (apply("concatenate", filled, axis=node.attributes["axis"]),)


# ---- Joins ---------------------------------------------------------------------------------------------------------------


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


# ---- Borders -------------------------------------------------------------------------------------------------------------


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
