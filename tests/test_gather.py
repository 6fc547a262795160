from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, ops
from fastnn.tracing import layer_scope
from harness import EXACT, Case, Operand, Refused, array, assert_house_form, check, given, integers, normal, roundings

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


def rows(dtype: str, *shape: int) -> Operand:
    if dtype.startswith("float"):
        values = np.random.default_rng(1).integers(0, 200, shape) / 4  # exact in every dtype, or cut in the same place
        return given(values, dtype)
    return integers(0, 2 if dtype == "bool" else 200, *shape, dtype=dtype)


# Numbers that integers do not hold, row by row: the conversion is that of cast.
BEYOND = given(np.resize([1e30, -1e30, np.inf, -np.inf, np.nan, 300.0, -1.5, 2.0**31, -(2.0**31), 2.0**63], (40, 37)))

SIZES: list[tuple[tuple[int, ...], int]] = [
    ((1,), 1),
    ((5,), 9),
    ((7, 3), 5),
    ((4, 16), 17),
    ((9, 3, 5, 2), 4),
    ((4, 0), 3),
    ((3, 5), 0),
    ((300, 784), 64),
    ((9, 20011), 7),
]

CASES = [
    *(Case("gather_rows", [normal(*shape), integers(0, shape[0], n)], bound=EXACT) for shape, n in SIZES),
    *(
        Case("gather_rows", [rows(source, 11, 37), integers(0, 11, 20)], {"dtype": to}, EXACT)
        for source, to in product(DTYPES, ("", *DTYPES))
    ),
    Case("gather_rows", [rows("uint8", 300, 28, 28, 1), integers(0, 300, 128)], {"dtype": "float32"}, EXACT),
    *(
        Case("gather_rows", [BEYOND, integers(0, 40, 9)], {"dtype": to}, EXACT, note="beyond")
        for to in ("int32", "int64", "uint8", "bool")
    ),
    Case("gather_rows", [rows("uint8", 4), given([3, 3, 0], "int64")], bound=EXACT, note="repeats"),
]

# x's shape, the indices', the axis
TAKES: list[tuple[tuple[int, ...], tuple[int, ...], int]] = [
    ((1,), (1,), 0),
    ((5,), (), 0),
    ((5,), (3, 4), 0),
    ((7, 3), (5,), 0),
    ((7, 3), (2, 5), 0),
    ((7, 3), (2, 5), 1),
    ((4, 5, 6), (3,), -2),
    ((4, 5, 6), (2, 2), 1),
    ((65, 130), (4, 33), 0),
    ((4, 0), (3,), 0),
    ((3, 5), (0,), 1),
    ((2, 3, 300), (7,), 2),
    ((9, 20011), (4,), 0),
    ((3, 400, 70), (1000,), 1),
]


def takes() -> list[Case]:
    found = []
    for i, (shape, places, axis) in enumerate(TAKES):
        indices = integers(0, shape[axis], *places, dtype=("int64", "int32")[i % 2])
        y = np.take(np.zeros(shape), np.zeros(places, np.int64), axis).shape
        found.append(Case("take", [normal(*shape), indices], {"axis": axis}, EXACT))
        n = int(np.prod(places, dtype=np.int64))
        found.append(Case("take_backward", [normal(*y), indices, normal(*shape)], {"axis": axis}, roundings(n), [0]))
    found += [Case("take", [rows(d, 6, 5), integers(0, 5, 9, dtype="int32")], {"axis": 1}) for d in DTYPES[1:]]
    return found


def one_hots() -> list[Case]:
    found = []
    for shape, classes, axis in [((), 3, -1), ((5,), 1, -1), ((5,), 7, 0), ((2, 3), 4, 1), ((2, 3), 10, -3), ((0, 3), 2, -1)]:
        for dtype in ("int32", "int64"):
            found.append(Case("one_hot", [integers(0, classes, *shape, dtype=dtype)], {"num_classes": classes, "axis": axis}))
    found += [Case("one_hot", [integers(0, 9, 40)], {"num_classes": 9, "dtype": d}) for d in DTYPES]
    found += [Case("one_hot", [integers(0, 900, 70, 5)], {"num_classes": 900, "axis": a}) for a in (1, 2)]
    return found


CASES += [*takes(), *one_hots()]

I = np.zeros(2, np.int64)  # noqa: E741
REFUSED = [
    Refused("gather_rows", [array(), I], {}, ValueError, "`x` is a single number"),
    Refused("gather_rows", [array(3, 2), array(2, 2, dtype="int64")], {}, ValueError, "`indices` has shape (2, 2)"),
    Refused("gather_rows", [array(3, 2), array(2)], {}, TypeError, "`indices` is float32"),
    Refused("gather_rows", [array(3, 2), array(2, dtype="int32")], {}, TypeError, "`indices` is int32"),
    Refused("take", [array(), I], {"axis": 0}, ValueError, "`x` is a single number"),
    Refused("take", [array(3, 2), I], {"axis": 2}, ValueError, "axis=2 for `x` of shape (3, 2)"),
    Refused("take", [array(3, 2), array(2)], {"axis": 0}, TypeError, "`indices` is float32"),
    Refused("take", [array(3, 2), array(2, dtype="uint8")], {"axis": 0}, TypeError, "`indices` is uint8"),
    Refused("take_backward", [array(2, 3), I, array(3, 2)], {"axis": 0}, ValueError, "`dy` has shape (2, 3); expected (2, 2)"),
    Refused("take_backward", [array(2, dtype="int32"), I, array(3, dtype="int32")], {"axis": 0}, TypeError, "`dy` is int32"),
    Refused("take_backward", [array(2), I, array(3, dtype="float64")], {"axis": 0}, TypeError, "`x` is float64"),
    Refused("one_hot", [I], {"num_classes": 0}, ValueError, "num_classes=0"),
    Refused("one_hot", [I], {"num_classes": 3, "axis": 2}, ValueError, "axis=2"),
    Refused("one_hot", [array(3)], {"num_classes": 3}, TypeError, "`indices` is float32"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gather(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_gather_refuses(refused: Any) -> None:
    refused.check()


def test_gather_names_a_dtype_it_does_not_know() -> None:
    with pytest.raises(TypeError, match=r"float16.*; expected float32, float64.*; "):
        _core.execute("gather_rows", [array(3), I], {"dtype": "float16"})


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("bad", [-1, 10, 2**31 - 1])
def test_numbers_out_of_range_are_reported(isa: str, dtype: str, bad: int) -> None:
    _core._use_isa(isa)
    _core._serial_below(0)
    x, indices = np.ones((3, 10, 40), np.float32), np.zeros((50, 100), dtype)
    indices.reshape(-1)[[1234, 4321]] = bad
    dy = np.ones((3, 50, 100, 40), np.float32)
    for op, operands, attributes in (
        ("take", [x, indices], {"axis": 1}),
        ("take_backward", [dy, indices, x], {"axis": 1}),
        ("one_hot", [indices], {"num_classes": 10, "axis": 0}),
        ("one_hot", [indices], {"num_classes": 10}),
    ):
        for threads in (1, 4):
            _core.set_num_threads(threads)
            with pytest.raises(ValueError, match=f"index {bad} at position 1234 ") as caught:
                _core.execute(op, operands, attributes)
            assert_house_form(str(caught.value), op)


def test_a_failed_step_names_the_layer_and_changes_nothing() -> None:
    table = fastnn.Variable(np.ones((4, 2), np.float32))

    @fastnn.function
    def step(ids: Any) -> Any:
        with layer_scope("embedding"):
            loss, (gradient,) = fastnn.value_and_grad(lambda: ops.sum(ops.take(table, ids, 0)), variables=[table])()
        table.assign(table - gradient)
        return loss

    with pytest.raises(ValueError, match="embedding: take: index 4 at position 1"):
        step(np.array([0, 4]))
    np.testing.assert_array_equal(table.numpy(), np.ones((4, 2)))
    step(np.array([3, 3]))
    np.testing.assert_array_equal(table.numpy()[3], [-1, -1])


def test_numbers_as_lists() -> None:
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(ops.take(x, [2, 0], axis=0), x[[2, 0]])
    np.testing.assert_array_equal(ops.take(x, 1, axis=1), x[:, 1])
    np.testing.assert_array_equal(ops.take(x, [[11], [0]]), [[11.0], [0.0]])
    np.testing.assert_array_equal(ops.one_hot([1, 0], 2, dtype="int64"), [[0, 1], [1, 0]])


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", ["", "float32"])
@pytest.mark.parametrize("bad", [-1, 10, 2**62])
def test_indices_out_of_range_are_reported(isa: str, dtype: str, bad: int) -> None:
    """The first bad index counts, whichever thread finds one first."""
    _core._use_isa(isa)
    _core._serial_below(0)
    x, indices = np.ones((10, 400), np.uint8), np.zeros(5000, np.int64)
    indices[[1234, 4321]] = bad
    for threads in (1, 4):
        _core.set_num_threads(threads)
        with pytest.raises(ValueError, match=f"index {bad} at position 1234") as caught:
            _core.execute("gather_rows", [x, indices], {"dtype": dtype})
        assert_house_form(str(caught.value), "gather_rows")
