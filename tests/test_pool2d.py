from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from fastnn import _core, kernels, ops
from fastnn.reference import forward_ops
from harness import EXACT, Case, Refused, array, check, distinct, given, normal, roundings

Pair = tuple[int, int]


def winners(x: Any, attributes: dict[str, Any]) -> Any:
    return forward_ops["max_pool2d"](x, **attributes)[1]


def cases(shape: tuple[int, int, int, int], pool_size: Pair, strides: Pair, padding: str) -> list[Case]:
    attributes = {"pool_size": pool_size, "strides": strides, "padding": padding}
    argmax = winners(np.random.default_rng(5).standard_normal(shape), attributes)
    windows = int(np.prod([-(-k // s) for k, s in zip(pool_size, strides)]))  # that one pixel can lie in
    backward = Case(
        "max_pool2d_backward",
        [normal(*argmax.shape), given(argmax, "uint8")],
        {"image_size": shape[1:3], **attributes},
        roundings(windows),
    )
    # A mean: as many additions as the window has positions, and a division; back, one share per window that sees the pixel.
    return [
        Case("max_pool2d", [distinct(*shape)], attributes, EXACT),
        backward,
        Case("average_pool2d", [normal(*shape)], attributes, roundings(int(np.prod(pool_size)) + 1)),
        Case(
            "average_pool2d_backward", [normal(*argmax.shape)], {"image_size": shape[1:3], **attributes}, roundings(windows + 2)
        ),
    ]


GEOMETRIES: list[tuple[tuple[int, int, int, int], Pair, Pair, str]] = [
    ((1, 2, 2, 1), (2, 2), (2, 2), "valid"),
    # Channels around the width of a vector: 16 floats or 8 doubles at most.
    *(((2, 4, 6, c), (2, 2), (2, 2), p) for c, p in product([1, 7, 8, 9, 15, 16, 17, 33], ["valid", "same"])),
    # Windows that overlap, touch, and leave gaps; images that they do not divide.
    *(
        ((2, 7, 8, 3), size, strides, padding)
        for size, strides, padding in product(
            [(1, 1), (2, 2), (3, 2), (1, 4)], [(1, 1), (2, 2), (3, 1), (2, 5)], ["valid", "same"]
        )
    ),
    ((2, 3, 2, 5), (5, 5), (1, 1), "same"),
    ((2, 16, 16, 3), (16, 16), (16, 16), "valid"),  # 256 places: the last fits in uint8
    ((9, 24, 24, 20), (2, 2), (2, 2), "valid"),
    ((1, 60, 90, 33), (3, 3), (2, 2), "same"),
    # A last window that is cut off, that fits, that would begin outside, that is the only one.
    *(
        ((2, height, width, 3), size, strides, "ceil")
        for height, width, size, strides in [
            (7, 8, (2, 3), (2, 3)),
            (7, 8, (3, 2), (2, 2)),
            (7, 8, (3, 3), (1, 3)),
            (5, 6, (2, 1), (4, 4)),
            (4, 5, (1, 2), (4, 4)),
            (2, 3, (5, 3), (2, 1)),
            (1, 1, (3, 2), (1, 2)),
        ]
    ),
    ((1, 61, 90, 33), (3, 3), (2, 2), "ceil"),
    ((0, 5, 4, 3), (2, 2), (2, 2), "ceil"),
    ((0, 4, 4, 3), (2, 2), (2, 2), "valid"),
    ((2, 4, 4, 0), (2, 2), (2, 2), "valid"),
]

ODD = np.random.default_rng(3).choice([np.nan, np.inf, -np.inf, 1.0, 2.0], (3, 7, 7, 17), p=[0.1, 0.1, 0.4, 0.2, 0.2])

CASES = [
    *(case for geometry in GEOMETRIES for case in cases(*geometry)),
    Case("max_pool2d", [distinct(2, 5, 5, 3)], bound=EXACT, note="defaults"),
    Case("average_pool2d", [normal(2, 5, 5, 3)], bound=roundings(5), note="defaults"),
    *(
        Case("average_pool2d", [normal(1, 20, 30, 5)], {"pool_size": (17, 19), "strides": (2, 3), "padding": p}, roundings(330))
        for p in ("valid", "same")
    ),
    Case("average_pool2d", [given(ODD)], {"pool_size": (3, 3), "padding": "same"}, roundings(10), nonfinite="same", note="odd"),
    *(
        Case("max_pool2d", [given(values)], {"pool_size": (3, 3), "strides": (2, 2), "padding": p}, EXACT, [], nonfinite, note)
        for p in ("valid", "same")
        for values, nonfinite, note in [
            (np.arange(3 * 7 * 7 * 17).reshape(3, 7, 7, 17) % 3, None, "ties"),
            (np.zeros((3, 7, 7, 17)), None, "zeros"),
            (np.full((3, 7, 7, 17), -1e30), None, "far-below-zero"),
            (ODD, "same", "odd"),
            (np.full((3, 7, 7, 17), -np.inf), "same", "minus-inf"),
        ]
    ),
]

DY = array(2, 2, 2, 3)
SIZES = {"image_size": (4, 4)}
REFUSED = [
    Refused("max_pool2d", [array(4, 4, 3)], {}, ValueError, "`x` has shape (4, 4, 3); expected 4 axes"),
    Refused("max_pool2d", [array(2, 1, 4, 3)], {}, ValueError, "window"),
    Refused("max_pool2d", [array(2, 4, 4, 3)], {"pool_size": (0, 2)}, ValueError, "pool_size=(0, 2)"),
    Refused("max_pool2d", [array(2, 4, 4, 3)], {"pool_size": (2,)}, ValueError, "pool_size=(2,)"),
    Refused("max_pool2d", [array(2, 40, 40, 3)], {"pool_size": (16, 17)}, ValueError, "pool_size=(16, 17)"),
    Refused("max_pool2d", [array(2, 4, 4, 3)], {"strides": (2, -1)}, ValueError, "strides=(2, -1)"),
    Refused("max_pool2d", [array(2, 4, 4, 3)], {"padding": "full"}, ValueError, "padding='full'"),
    Refused("max_pool2d", [array(2, 4, 4, 3, dtype="int32")], {}, TypeError, "`x` is int32"),
    Refused("max_pool2d_backward", [array(2, 2, 2, 3), array(2, 2, 2, 4, dtype="uint8")], SIZES, ValueError, "`argmax`"),
    Refused("max_pool2d_backward", [array(2, 3, 2, 3), array(2, 3, 2, 3, dtype="uint8")], SIZES, ValueError, "`dy`"),
    Refused("average_pool2d", [array(4, 4, 3)], {}, ValueError, "`x` has shape (4, 4, 3); expected 4 axes"),
    Refused("average_pool2d", [array(2, 4, 4, 3)], {"padding": "full"}, ValueError, "padding='full'"),
    Refused("average_pool2d", [array(2, 4, 4, 3, dtype="int32")], {}, TypeError, "`x` is int32"),
    Refused("average_pool2d_backward", [array(2, 3, 2, 3)], SIZES, ValueError, "`dy`"),
    Refused("average_pool2d_backward", [array(2, 2, 2, 3, dtype="uint8")], SIZES, TypeError, "`dy` is uint8"),
    Refused("max_pool2d_backward", [DY, array(2, 2, 2, 3, dtype="int64")], SIZES, TypeError, "`argmax` is int64"),
    Refused("max_pool2d_backward", [DY, array(2, 2, 2, 3, dtype="uint8")], {}, TypeError, "'image_size' is missing"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pool2d(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_pool2d_refuses(refused: Any) -> None:
    refused.check()


@pytest.mark.parametrize("isa", _core.available_isas())
def test_the_gradient_of_a_tie_goes_to_the_first(isa: str) -> None:
    _core._use_isa(isa)
    y, argmax = kernels.max_pool2d(np.ones((1, 4, 4, 5), "float32"))
    dx = kernels.max_pool2d_backward(np.full_like(y, 3), argmax, image_size=(4, 4))
    expected = np.zeros((1, 4, 4, 5))
    expected[:, ::2, ::2] = 3
    assert np.array_equal(dx, expected)


@pytest.mark.parametrize(
    ("length", "size", "stride", "outputs"),  # PyTorch's output sizes with ceil_mode=True
    [(7, 2, 2, 4), (8, 2, 2, 4), (7, 3, 2, 3), (8, 3, 2, 4), (5, 2, 4, 2), (4, 1, 4, 1), (9, 2, 4, 3), (10, 3, 3, 4)],
)
def test_ceil_has_as_many_windows_as_pytorch(length: int, size: int, stride: int, outputs: int) -> None:
    x = np.arange(length, dtype=np.float32).reshape(1, 1, length, 1)
    y = ops.max_pool2d(x, pool_size=(1, size), strides=(1, stride), padding="ceil").ravel()
    assert y.tolist() == [min(o * stride + size - 1, length - 1) for o in range(outputs)]
    y = ops.average_pool2d(x, pool_size=(1, size), strides=(1, stride), padding="ceil").ravel()
    assert y.tolist() == [np.mean(x.ravel()[o * stride : o * stride + size]) for o in range(outputs)]
