from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, autodiff, ops
from harness import EXACT, Array, Case, Operand, Refused, array, check, normal

DTYPES = ("float64", "int32", "int64", "uint8", "bool")
MOST, LEAST = 2**63 - 1, -(2**63)


def numbers(dtype: str, *shape: int) -> Operand:
    return Operand(shape, lambda rng: rng.integers(0, 2 if dtype == "bool" else 200, shape), dtype)


# ---- The ops -----------------------------------------------------------------------------------------------------------------


def transposes() -> list[Case]:
    found = [Case("transpose", [normal(*s)], bound=EXACT) for s in [(), (1,), (5,), (2, 3), (3, 0, 2), (2, 1, 3), (2, 3, 4, 5)]]
    for shape in [(3, 17), (16, 16), (33, 15), (130, 257), (300, 4), (3, 9000)]:
        found.append(Case("transpose", [normal(*shape)], {"axes": (1, 0)}, EXACT))
    for axes in permutations(range(3)):
        found.append(Case("transpose", [normal(4, 5, 19)], {"axes": axes}, EXACT))
    for axes in [(0, 2, 1, 3), (0, 3, 1, 2), (0, 2, 3, 1), (3, 2, 1, 0), (2, 0, -1, 1)]:
        found.append(Case("transpose", [normal(2, 7, 4, 33)], {"axes": axes}, EXACT))
    found.append(Case("transpose", [normal(3, 70, 40, 33)], {"axes": (2, 0, 3, 1)}, EXACT))
    found.append(Case("transpose", [normal(2, 3, 2, 3, 2)], {"axes": (4, 1, 3, 0, 2)}, EXACT))
    for dtype in DTYPES:
        found += [Case("transpose", [numbers(dtype, *s)], {"axes": a}) for s, a in [((70, 45), (1, 0)), ((3, 9, 5), (0, 2, 1))]]
        found.append(Case("transpose", [numbers(dtype, 2, 5, 3, 7)], {"axes": (0, 2, 1, 3)}))
    return found


def broadcasts() -> list[Case]:
    pairs: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((), (3, 4)),
        ((), ()),
        ((5,), (5,)),
        ((1,), (0,)),
        ((5,), (3, 5)),
        ((5, 1), (5, 4)),
        ((2, 1, 3), (2, 6, 3)),
        ((2, 3, 1, 5, 1, 7), (2, 3, 2, 5, 3, 7)),
        ((1, 200), (300, 200)),
        ((300, 1), (300, 200)),
        ((0, 1), (0, 4)),
        ((1,), (40000,)),
    ]
    found = [Case("broadcast_to", [normal(*x)], {"shape": y}, EXACT, None if np.prod(y) else []) for x, y in pairs]
    return found + [Case("broadcast_to", [numbers(d, 2, 1, 3)], {"shape": (4, 2, 5, 3)}) for d in DTYPES]


# shape, begin, end, strides, drop
SLICES: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    ((), (), (), (), ()),
    ((7,), (2,), (5,), (), ()),
    ((7,), (2,), (2,), (), ()),
    ((7,), (5,), (2,), (), ()),
    ((7,), (-3,), (MOST,), (), ()),
    ((7,), (1,), (100,), (2,), ()),
    ((7,), (MOST,), (LEAST,), (-1,), ()),
    ((7,), (-2,), (0,), (-2,), ()),
    ((7,), (0,), (MOST,), (MOST,), ()),
    ((7,), (6,), (LEAST,), (LEAST,), ()),
    ((7,), (3,), (MOST,), (), (0,)),
    ((7,), (-7,), (-7,), (3,), (0,)),
    ((4, 6), (1,), (3,), (), ()),
    ((4, 6), (0, 1), (4, 5), (1, 3), ()),
    ((4, 6), (0, 2), (4, 2), (1, 1), (1,)),
    ((4, 6), (3, MOST), (LEAST, LEAST), (-2, -1), ()),
    ((4, 6), (1, 2), (MOST, MOST), (), (0, 1)),
    ((3, 40, 17), (0, 3, 2), (3, 39, 16), (), ()),
    ((3, 40, 17), (2, 39, 16), (LEAST, 5, LEAST), (-1, -3, -4), ()),
    ((3, 40, 17), (0, 7), (MOST, 8), (), (1,)),
    ((2, 30, 30, 5), (0, 1, 1, 0), (2, 29, 29, 5), (1, 2, 2, 1), ()),
    ((130, 257), (0, MOST), (MOST, LEAST), (1, -1), ()),
    ((0, 4), (0, 1), (MOST, 3), (), ()),
    ((3, 0), (1,), (MOST,), (), ()),
    ((9, 20011), (1, 5), (8, 20000), (), ()),
]


def slices() -> list[Case]:
    found = []
    for shape, begin, end, strides, drop in SLICES:
        attributes = {"begin": begin, "end": end, "strides": strides, "drop": drop}
        y = Case("slice", [], attributes).evaluate([np.zeros(shape)])[0].shape
        found.append(Case("slice", [normal(*shape)], attributes, EXACT, None if np.prod(y) else []))
        found.append(Case("slice_backward", [normal(*y), normal(*shape)], attributes, EXACT, [0]))
        found += [Case("slice", [numbers(d, *shape)], attributes) for d in DTYPES if len(shape) == 2]
        found += [Case("slice_backward", [numbers(d, *y), numbers(d, *shape)], attributes) for d in DTYPES if shape == (4, 6)]
    return found


PADDINGS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((5,), (2, 3)),
    ((5,), (0, 0)),
    ((5,), (4, 1)),
    ((3, 4), (0, 0, 2, 1)),
    ((3, 4), (2, 1, 0, 3)),
    ((2, 5, 6, 3), (0, 0, 1, 2, 3, 0, 0, 0)),
    ((2, 3, 4, 2), (1, 0, 1, 2, 2, 2, 1, 1)),
    ((40, 300), (20, 3, 5, 290)),
    ((1, 20000), (0, 0, 7, 9)),
]


def pads() -> list[Case]:
    found = []
    for shape, paddings in PADDINGS:
        for mode in ("constant", "edge", "reflect", "symmetric"):
            if mode == "reflect" and any(max(paddings[2 * i : 2 * i + 2]) >= n for i, n in enumerate(shape)):
                continue
            found.append(Case("pad", [normal(*shape)], {"paddings": paddings, "mode": mode}, EXACT))
        found.append(Case("pad", [normal(*shape)], {"paddings": paddings, "value": -1.5}, EXACT))
    found += [Case("pad", [normal(*s)], {"paddings": (1, 2, 2, 0)}, EXACT) for s in [(0, 3), (3, 0)]]
    for dtype in DTYPES:
        found += [Case("pad", [numbers(dtype, 4, 5)], {"paddings": (1, 2, 2, 0), "value": v}) for v in (0.0, 1.0)]
        found.append(Case("pad", [numbers(dtype, 4, 5)], {"paddings": (1, 2, 2, 0), "mode": "symmetric"}))
    found += [Case("pad", [numbers("int32", 3)], {"paddings": (1, 1), "value": v}) for v in (-(2.0**31), 2.0**31 - 1)]
    return found


JOINS: list[tuple[list[tuple[int, ...]], int]] = [
    ([(3,)], 0),
    ([(3,), (1,), (4,)], 0),
    ([(2, 3), (2, 5)], 1),
    ([(2, 3), (1, 3)], 0),
    ([(2, 3), (2, 1)], -1),
    ([(2, 3, 4), (2, 0, 4), (2, 2, 4)], 1),
    ([(2, 3, 4), (1, 3, 4)], -3),
    ([(0, 4), (0, 2)], 1),
    ([(40, 130), (40, 300), (40, 17)], 1),
    ([(9, 5000), (3, 5000)], 0),
    ([(2, 2)] * 9, 0),
]


def joins() -> list[Case]:
    found = []
    for shapes, axis in JOINS:
        whole = np.concatenate([np.zeros(s) for s in shapes], axis).shape
        sizes = tuple(s[axis] for s in shapes)
        found.append(Case("concatenate", [normal(*s) for s in shapes], {"axis": axis}, EXACT))
        found.append(Case("split", [normal(*whole)], {"sizes": sizes, "axis": axis}, EXACT))
    for dtype in DTYPES:
        found.append(Case("concatenate", [numbers(dtype, 3, 5), numbers(dtype, 3, 17)], {"axis": 1}))
        found.append(Case("split", [numbers(dtype, 3, 22)], {"sizes": (5, 17), "axis": 1}))
    return found


CASES = [*transposes(), *broadcasts(), *slices(), *pads(), *joins()]
CASES.append(Case("concatenate", [normal(2, 3), normal(1, 3)], bound=EXACT, note="defaults"))
CASES.append(Case("split", [normal(3, 3)], {"sizes": (2, 1)}, EXACT, note="defaults"))

CUT = {"begin": (0,), "end": (1,)}
REFUSED = [
    Refused("transpose", [array(2, 3)], {"axes": (0,)}, ValueError, "axes=(0,) for `x` of shape (2, 3)"),
    Refused("transpose", [array(2, 3)], {"axes": (0, 0)}, ValueError, "axes=(0, 0)"),
    Refused("transpose", [array(2, 3)], {"axes": (0, 2)}, ValueError, "axes=(0, 2)"),
    Refused("transpose", [array(2, 3)], {"axes": 1}, TypeError, "axes=1"),
    Refused("transpose", [array(*[1] * 33)], {}, ValueError, "33 axes; expected at most 32"),
    Refused("broadcast_to", [array(2, 3)], {"shape": (2, 4)}, ValueError, "(2, 4)"),
    Refused("broadcast_to", [array(2, 3)], {"shape": (3,)}, ValueError, "`x` has shape (2, 3) and shape=(3,)"),
    Refused("broadcast_to", [array(1, 3)], {"shape": (-1, 3)}, ValueError, "shape=(-1, 3)"),
    Refused("broadcast_to", [array(3)], {"shape": 3}, TypeError, "shape=3"),
    Refused("slice", [array(3)], {"begin": (0, 0), "end": (1, 1)}, ValueError, "expected at most 1 numbers"),
    Refused("slice", [array(3, 3)], {"begin": (0,), "end": (1, 1)}, ValueError, "begin=(0,), end=(1, 1)"),
    Refused("slice", [array(3)], {**CUT, "strides": (0,)}, ValueError, "strides=(0,); expected no 0"),
    Refused("slice", [array(3)], {**CUT, "strides": (1, 1)}, ValueError, "strides=(1, 1)"),
    Refused("slice", [array(3)], {**CUT, "drop": (1,)}, ValueError, "drop=(1,)"),
    Refused("slice", [array(3)], {**CUT, "drop": (0, 0)}, ValueError, "drop=(0, 0)"),
    Refused("slice", [array(3)], {"begin": (3,), "end": (MOST,), "drop": (0,)}, ValueError, "index 3 on axis 0 of shape (3,)"),
    Refused("slice", [array(3)], {"begin": (-4,), "end": (MOST,), "drop": (0,)}, ValueError, "from -3 to 2"),
    Refused("slice", [array(0)], {**CUT, "drop": (0,)}, ValueError, "an axis that is not empty"),
    Refused("slice", [array(3)], {"begin": 1, "end": (2,)}, TypeError, "begin=1"),
    Refused("slice_backward", [array(2), array(3)], CUT, ValueError, "`dy` has shape (2,); expected (1,)"),
    Refused("slice_backward", [array(1), array(3, dtype="float64")], CUT, TypeError, "`x` is float64"),
    Refused("pad", [array(2, 3)], {"paddings": (1, 1)}, ValueError, "paddings=(1, 1) for `x` of shape (2, 3); expected 4"),
    Refused("pad", [array(3)], {"paddings": (1, -1)}, ValueError, "paddings=(1, -1)"),
    Refused("pad", [array(3)], {"paddings": (1, 1), "mode": "wrap"}, ValueError, "mode='wrap'"),
    Refused("pad", [array(3)], {"paddings": (1, 1), "mode": "edge", "value": 1.0}, ValueError, "value=1 with mode='edge'"),
    Refused("pad", [array(3)], {"paddings": (3, 0), "mode": "reflect"}, ValueError, "expected at most 2"),
    Refused("pad", [array(3)], {"paddings": (0, 4), "mode": "symmetric"}, ValueError, "expected at most 3"),
    Refused("pad", [array(0)], {"paddings": (0, 1), "mode": "edge"}, ValueError, "expected at most 0"),
    Refused("pad", [array(3, dtype="uint8")], {"paddings": (0, 1), "value": 256.0}, ValueError, "value=256 for `x`"),
    Refused("pad", [array(3, dtype="int32")], {"paddings": (0, 1), "value": 0.5}, ValueError, "which is int32"),
    Refused("pad", [array(3, dtype="int64")], {"paddings": (0, 1), "value": np.nan}, ValueError, "which is int64"),
    Refused("pad", [array(3, dtype="bool")], {"paddings": (0, 1), "value": 2.0}, ValueError, "which is bool"),
    Refused("pad", [array(3)], {"paddings": (MOST, MOST)}, ValueError, "fewer than 2^63"),
    Refused("pad", [array(3)], {"paddings": 1}, TypeError, "paddings=1"),
    Refused("concatenate", [], {}, ValueError, "no operands"),
    Refused(
        "concatenate", [array(2, 3), array(3, 4)], {"axis": 1}, ValueError, "operand 1 has shape (3, 4) and operand 0 (2, 3)"
    ),
    Refused("concatenate", [array(2, 3), array(3)], {}, ValueError, "operand 1 has shape (3,)"),
    Refused("concatenate", [array(2), array(2)], {"axis": 1}, ValueError, "axis=1"),
    Refused("concatenate", [array(), array()], {}, ValueError, "single number"),
    Refused(
        "concatenate", [array(2), array(2, dtype="float64")], {}, TypeError, "operand 1 is float64 and operand 0 is float32"
    ),
    Refused("split", [array(6)], {"sizes": (2, 3)}, ValueError, "sizes=(2, 3) for axis 0"),
    Refused("split", [array(6)], {"sizes": (8, -2)}, ValueError, "sizes=(8, -2)"),
    Refused("split", [array(6)], {"sizes": ()}, ValueError, "sizes=()"),
    Refused("split", [array(6)], {"sizes": (6,), "axis": 1}, ValueError, "axis=1"),
    Refused("split", [array(6)], {"sizes": 2}, TypeError, "sizes=2"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_movement(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_movement_refuses(refused: Any) -> None:
    refused.check()


# ---- What is made of them ----------------------------------------------------------------------------------------------------


def enlarged(x: Array, size: tuple[int, int]) -> Array:
    """Half-pixel bilinear interpolation, from its definition."""
    for axis, factor in ((1, size[0]), (2, size[1])):
        n = x.shape[axis]
        place = np.clip((np.arange(n * factor) + 0.5) / factor - 0.5, 0, n - 1)
        low = np.floor(place).astype(int)
        u = (place - low).reshape([-1 if a == axis else 1 for a in range(4)])
        x = (1 - u) * np.take(x, low, axis) + u * np.take(x, np.minimum(low + 1, n - 1), axis)
    return x


# name -> the function on tensors, the same on arrays, the shape of its operand behind the batch axis. All are linear.
COMPOSED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], tuple[int, ...]]] = {
    "swapaxes": (lambda x: ops.swapaxes(x, 1, -1), lambda x: np.swapaxes(x, 1, -1), (3, 4)),
    "moveaxis": (lambda x: ops.moveaxis(x, (1, 2), (-1, 0)), lambda x: np.moveaxis(x, (1, 2), (-1, 0)), (3, 4)),
    "expand_dims": (lambda x: ops.expand_dims(x, (0, -1)), lambda x: np.expand_dims(x, (0, -1)), (3,)),
    "squeeze": (lambda x: ops.squeeze(x, (1, -1)), lambda x: np.squeeze(x, (1, -1)), (1, 3, 1)),
    "split": (lambda x: ops.split(x, 3, axis=1)[1], lambda x: np.split(x, 3, axis=1)[1], (6, 2)),
    "split-at": (lambda x: ops.split(x, [1, -2], -1)[1] * 2, lambda x: np.split(x, [1, -2], -1)[1] * 2, (6,)),
    "split-all": (
        lambda x: sum((k + 1) * part for k, part in enumerate(ops.split(x, 3, axis=1))),
        lambda x: sum((k + 1) * part for k, part in enumerate(np.split(x, 3, axis=1))),
        (6, 2),
    ),
    "stack": (lambda x: ops.stack([x, x * 2, x], axis=1), lambda x: np.stack([x, x * 2, x], axis=1), (3,)),
    "unstack": (lambda x: ops.unstack(x, 1)[2], lambda x: x[:, 2], (3, 2)),
    "concatenate": (lambda x: ops.concatenate([x, x * 3, x]), lambda x: np.concatenate([x, x * 3, x]), (3,)),
    "tile": (lambda x: ops.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), (2, 4)),
    "tile-few": (lambda x: ops.tile(x, 2), lambda x: np.tile(x, 2), (2, 4)),
    "tile-more": (lambda x: ops.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), (4,)),
    "repeat": (lambda x: ops.repeat(x, 3, axis=1), lambda x: np.repeat(x, 3, axis=1), (2, 4)),
    "repeat-flat": (lambda x: ops.repeat(x, 2), lambda x: np.repeat(x, 2), (3,)),
    "flip": (ops.flip, np.flip, (3, 2)),
    "flip-one": (lambda x: ops.flip(x, (0, -1)), lambda x: np.flip(x, (0, -1)), (3, 2)),
    "roll": (lambda x: ops.roll(x, 2, axis=1), lambda x: np.roll(x, 2, axis=1), (5, 2)),
    "roll-back": (lambda x: ops.roll(x, -7, axis=-1), lambda x: np.roll(x, -7, axis=-1), (5,)),
    "roll-nothing": (lambda x: ops.roll(x, 10, axis=-1), lambda x: np.roll(x, 10, axis=-1), (5,)),
    "nearest": (lambda x: ops.upsample2d(x, (2, 3)), lambda x: x.repeat(2, 1).repeat(3, 2), (3, 4, 5)),
    "bilinear": (lambda x: ops.upsample2d(x, (2, 3), "bilinear"), lambda x: enlarged(x, (2, 3)), (3, 4, 5)),
    "bilinear-one": (lambda x: ops.upsample2d(x, (1, 4), "bilinear"), lambda x: enlarged(x, (1, 4)), (1, 2, 1)),
    "index": (lambda x: ops.multiply(x, 1)[:, 1, ..., ::-2, None], lambda x: x[:, 1, ..., ::-2, None], (3, 2, 5)),
    "index-batch": (lambda x: ops.multiply(x, 1)[-1], lambda x: x[-1], (3, 2)),
    "index-new": (lambda x: ops.multiply(x, 1)[None, ..., None], lambda x: x[None, ..., None], (3, 2)),
    "index-reversed": (lambda x: ops.multiply(x, 1)[::-1, 1:], lambda x: x[::-1, 1:], (3, 2)),
    "pad": (
        lambda x: ops.pad(x, [(0, 0), (2, 1), (1, 1)], "reflect"),
        lambda x: np.pad(x, [(0, 0), (2, 1), (1, 1)], "reflect"),
        (3, 2),
    ),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_compositions(name: str) -> None:
    f, numpy_f, tail = COMPOSED[name]
    rng = np.random.default_rng(3)
    for dtype in ("float32", "int64"):
        x = (100 * rng.standard_normal((7, *tail))).astype(dtype)
        if dtype == "int64" and "bilinear" in name:
            continue
        y = f(x) if "index" not in name else fastnn.function(f)(x)
        tolerance = {"rtol": 1e-5, "atol": 1e-4} if "bilinear" in name else {"rtol": 0.0}
        np.testing.assert_allclose(y, numpy_f(x), **tolerance)
        assert y.dtype == x.dtype and y.shape == numpy_f(x).shape

    def traced(x: Any) -> Any:
        y = f(x)
        # A cotangent of y's shape without naming it: y's own square.
        return y, autodiff.backward([y], [y * y], [x])[0]

    symbolic = fastnn.function(traced, shapes=[("batch", *tail)])
    for batch in (1, 7, 32):
        x, v = rng.standard_normal((2, batch, *tail))
        y, dx = symbolic(x)
        np.testing.assert_allclose(y, numpy_f(x), rtol=1e-12, atol=1e-12)
        left, right = np.vdot(y * y, numpy_f(v)), np.vdot(dx, v)
        assert abs(left - right) <= 1e-10 * (np.abs(y * y).sum() + np.abs(dx).sum()), (left, right)
        for got, fresh in zip((y, dx), fastnn.function(traced)(x)):
            np.testing.assert_array_equal(got, fresh)


def test_one_trace_for_all_batches() -> None:
    """An attention block on token ids, forward and backward, planned at three batch sizes from one trace."""
    rng = np.random.default_rng(5)
    table = fastnn.Variable(rng.standard_normal((11, 12)), name="table")
    w = fastnn.Variable(rng.standard_normal((12, 36)) / 4, name="w")
    place = rng.standard_normal((6, 12))

    def loss(ids: Any) -> Any:
        x = ops.take(table, ids, axis=0) + place
        heads = ops.split(ops.matmul(x, w), 3, axis=-1)
        q, k, v = (ops.transpose(ops.reshape(h, (h.shape[0], 6, 3, 4)), (0, 2, 1, 3)) for h in heads)
        mixed = ops.matmul(ops.softmax(ops.matmul(q, k, transpose_b=True) * 0.5), v)
        y = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (ids.shape[0], 6, 12))
        y = ops.concatenate([y, ops.flip(x, 1)], axis=-1)[:, ::2]
        y = ops.pad(y, [(0, 0), (1, 1), (0, 0)], "symmetric") * ops.one_hot(ids[:, :5], 24, dtype="float64")
        return ops.mean(ops.square(ops.stack([y[:, -1], y[:, 0]], axis=1)))

    whole = fastnn.value_and_grad(loss, variables=[table, w])
    symbolic = fastnn.function(lambda ids: whole(ids), shapes=[("batch", 6)])
    for batch in (1, 7, 32):
        ids = rng.integers(0, 11, (batch, 6))
        value, gradients = symbolic(ids)
        fresh_value, fresh = fastnn.function(lambda ids: whole(ids))(ids)
        assert value == fresh_value
        for got, want in zip(gradients, fresh):
            assert np.any(got)
            np.testing.assert_array_equal(got, want)
    h = 1e-6
    numeric = []
    for step in (h, -h):
        moved = table.numpy()
        moved[ids[0, 0], 3] += step
        before = table.numpy()
        table.assign(moved)
        numeric.append(symbolic(ids)[0])
        table.assign(before)
    assert abs((numeric[0] - numeric[1]) / (2 * h) - gradients[0][ids[0, 0], 3]) <= 1e-7


def test_symbols_stay_symbols() -> None:
    shapes = []

    def f(x: Any) -> Any:
        y = ops.concatenate([x, x, ops.flip(x)])
        parts = ops.split(y, sizes=(x.shape[0] * 2, x.shape[0]))
        shapes.append((str(y.shape), str(parts[0].shape), str(ops.tile(x, (4, 1)).shape), str(x[: x.shape[0], 0].shape)))
        return parts[1]

    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(fastnn.function(f, shapes=[("batch", 3)])(x), np.flip(x))
    assert shapes == [("(3*batch, 3)", "(2*batch, 3)", "(4*batch, 3)", "(batch,)")]


@pytest.mark.parametrize(
    ("f", "error", "words"),
    [
        (lambda x: x[1:], ValueError, "symbolic length batch"),
        (lambda x: x[:2], ValueError, "symbolic length batch"),
        (lambda x: ops.pad(x, [(1, 0), (0, 0)]), ValueError, "whose length is the symbol batch"),
        (lambda x: ops.concatenate([x, np.ones((1, 3))]), ValueError, "batch and 1 along axis 0"),
        (lambda x: ops.split(x, 2), ValueError, "symbolic length batch"),
        (lambda x: ops.unstack(x), ValueError, "symbolic length batch"),
        (lambda x: ops.roll(x, 1, 0), ValueError, "symbolic length batch"),
        (lambda x: ops.upsample2d(x), ValueError, "expected 4 axes"),
        (lambda x: x[0, 0, 0], ValueError, "index of shape"),
        (lambda x: x[..., ...], ValueError, "index of shape"),
        (lambda x: x[:, 3], ValueError, "index 3 on axis 1"),
        (lambda x: x[np.array([0, 1])], TypeError, "fastnn.ops.take"),
        (lambda x: x[:, [0, 1]], TypeError, "fastnn.ops.take"),
        (lambda x: x[True], TypeError, "fastnn.ops.take"),
        (lambda x: x["a"], TypeError, "fastnn.ops.take"),
        (lambda x: x[:, 0.5:], TypeError, "begin="),
        (lambda x: x[:, ::0], ValueError, "expected no 0"),
        (lambda x: ops.squeeze(x, 1), ValueError, "has length 3; expected 1"),
        (lambda x: ops.expand_dims(x, (0, 0)), ValueError, "every place once"),
        (lambda x: ops.expand_dims(x, 4), ValueError, "axis=4 of 3 axes"),
        (lambda x: ops.moveaxis(x, (0, 1), 0), ValueError, "as many different axes"),
        (lambda x: ops.swapaxes(x, 0, 2), ValueError, "axis2=2 of 2 axes"),
        (lambda x: ops.stack([x, x[:, 0]]), ValueError, "expected equal ones"),
        (lambda x: ops.concatenate(x), TypeError, "expected a list"),
        (lambda x: ops.repeat(x, [1, 2, 3], 1), TypeError, "expected an int"),
        (lambda x: ops.repeat(x, -1, 1), ValueError, "expected 0 or more"),
        (lambda x: ops.tile(x, -1), ValueError, "0 or more"),
        (lambda x: ops.pad(x, 1), TypeError, "a pair of ints for every axis"),
        (lambda x: ops.transpose(x, 1.5), TypeError, "axes=1.5"),
        (lambda x: ops.split(x, 2, axis=1), ValueError, "2 sections of axis 1"),
        (lambda x: ops.split(x, [2, 1], axis=1), ValueError, "ascending"),
        (lambda x: ops.split(x, axis=1), TypeError, "one of them"),
        (lambda x: ops.full((2,), 0.5, "int32"), TypeError, "fill_value=0.5"),
        (lambda x: ops.full((2,), 0.5, "float16"), TypeError, "dtype='float16'"),
        (lambda x: ops.full((-2,), 0.5), ValueError, "(-2,)"),
        (lambda x: ops.arange(x.shape[0]), TypeError, "symbolic"),
        (lambda x: ops.arange(0, 5, 0), ValueError, "not 0"),
    ],
)
def test_what_does_not_fit(f: Callable[[Any], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        fastnn.function(f, shapes=[("batch", 3)])(np.ones((2, 3)))
    assert words in str(caught.value), str(caught.value)
    assert len(str(caught.value).split("; ")) >= 3, str(caught.value)


def test_a_place_that_a_batch_does_not_have() -> None:
    third = fastnn.function(lambda x: x[2], shapes=[("batch", 3)])
    np.testing.assert_array_equal(third(np.arange(9.0).reshape(3, 3)), [6.0, 7.0, 8.0])
    with pytest.raises(ValueError, match=r"index 2 on axis 0 of shape \(2, 3\)"):
        third(np.ones((2, 3)))


def test_variables_have_brackets() -> None:
    x = np.arange(12.0).reshape(3, 4)
    v = fastnn.Variable(x)
    for key in [1, -1, (1, 2), np.s_[1:], np.s_[..., ::-1], None, np.s_[:, None, 1:3], ..., np.int64(2)]:
        got = v[key]
        np.testing.assert_array_equal(got, x[key])
        assert isinstance(got, np.ndarray)
    with pytest.raises(TypeError, match="not iterable"):
        iter(v)


def test_constants() -> None:
    for dtype in ("float32", "float64", "int32", "int64", "uint8", "bool"):
        got = ops.full((2, 3), 1, dtype)
        np.testing.assert_array_equal(got, np.ones((2, 3)))
        assert got.dtype == dtype
    assert ops.zeros((0, 2)).shape == (0, 2) and ops.ones(2).dtype == np.float32
    for arguments in [(5,), (2, 9, 3), (9, 2, -2), (0,), (3, 1), (0.0, 1.0, 0.25)]:
        np.testing.assert_array_equal(ops.arange(*arguments), np.arange(*arguments))
    ones = fastnn.function(lambda x: ops.full((x.shape[0], 2), 3.0, "float64") + x, shapes=[("batch", 2)])
    np.testing.assert_array_equal(ones(np.ones((4, 2))), np.full((4, 2), 4.0))


def test_bits_move_untouched() -> None:
    """Signalling NaNs and denormals included."""
    patterns = np.arange(2**23 + 2**22 - 300, 2**23 + 2**22 + 300, dtype=np.uint32) * np.uint32(0x155) + np.uint32(0x7F800001)
    x = patterns.view(np.float32).reshape(20, 30)
    for isa in _core.available_isas():
        _core._use_isa(isa)
        assert ops.transpose(x).tobytes() == np.array(x.T, order="C").tobytes()
        assert ops.flip(x).tobytes() == np.array(x[::-1, ::-1], order="C").tobytes()
        assert ops.concatenate([x, x]).tobytes() == np.concatenate([x, x]).tobytes()
        tiny = np.full((17, 19), 1e-40, np.float32)
        assert ops.transpose(tiny).tobytes() == np.array(tiny.T, order="C").tobytes()
