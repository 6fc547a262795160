from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastnn import _core, kernels
from fastnn.reference import forward_ops
from harness import Case, Refused, array, check, given, normal, roundings


class Geometry(NamedTuple):
    """A convolution's sizes."""

    B: int
    H: int
    W: int
    C: int
    F: int
    KH: int
    KW: int
    strides: tuple[int, int] = (1, 1)
    padding: str = "valid"
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def output(self) -> tuple[int, int]:
        axes = zip((self.H, self.W), (self.KH, self.KW), self.strides, self.dilation)
        if self.padding != "valid":
            return tuple(-(-n // s) for n, _, s, _ in axes)  # type: ignore[return-value]
        return tuple((n - (k - 1) * d - 1) // s + 1 for n, k, s, d in axes)  # type: ignore[return-value]

    def cases(self, *, bias: bool = True) -> list[Case]:
        b, h, w, c, f, kh, kw, strides, padding, dilation, groups = self
        x, kernel, dy = normal(b, h, w, c), normal(kh, kw, c // groups, f), normal(b, *self.output, f)
        attributes: dict[str, Any] = {"strides": strides, "padding": padding}
        if dilation != (1, 1):
            attributes["dilation_rate"] = dilation
        if groups != 1:
            attributes["groups"] = groups
        # One rounding per fused multiply-add of the longest chain, one for the bias.
        return [
            Case("conv2d", [x, kernel, normal(f) if bias else None], attributes, roundings(kh * kw * c + 2)),
            Case("conv2d_backward_input", [dy, kernel], {"image_size": (h, w), **attributes}, roundings(kh * kw * f + 1)),
            Case(
                "conv2d_backward_kernel",
                [x, dy],
                {"kernel_size": (kh, kw), **attributes},
                roundings(b * self.output[0] * self.output[1] + 1),
            ),
        ]

    def finished(self) -> list[Case]:
        """The same with every epilogue."""
        forward, backward, _ = self.cases()
        (x, kernel, bias), (dy, _) = forward.operands, backward.operands
        y, dx = normal(self.B, *self.output, self.F), normal(self.B, self.H, self.W, self.C)
        return [
            *(
                replace(forward, operands=[x, kernel, b, y], attributes=forward.attributes | {"epilogue": "add"})
                for b in (bias, None)
            ),
            replace(forward, attributes=forward.attributes | {"epilogue": "relu"}),
            *(
                replace(
                    backward, operands=[dy, kernel, dx], attributes=backward.attributes | {"epilogue": e}, differentiable=[]
                )
                for e in ("add", "multiply", "relu_backward")
            ),
        ]


GEOMETRIES = [
    Geometry(1, 1, 1, 1, 1, 1, 1),
    Geometry(1, 3, 3, 1, 1, 2, 2),
    Geometry(1, 2, 3, 1, 2, 2, 2, (1, 1), "same"),
    # Filters around the width of a vector: 16 floats or 8 doubles at most.
    *(Geometry(2, 5, 6, 3, f, 3, 3, (1, 1), p) for f, p in product([7, 8, 9, 15, 16, 17, 33], ["valid", "same"])),
    *(Geometry(2, 4, 5, c, 5, 2, 3, (1, 1), p) for c, p in product([1, 2, 8, 13, 16, 17, 32], ["valid", "same"])),
    # Windows and strides of every relation: overlapping, touching, with gaps; images that they do not divide.
    *(
        Geometry(2, 7, 8, 3, 4, kh, kw, strides, padding)
        for (kh, kw), strides, padding in product(
            [(1, 1), (3, 3), (2, 4), (5, 1)], [(1, 1), (2, 2), (1, 3), (3, 2)], ["valid", "same"]
        )
    ),
    # Windows larger than the image, or nearly.
    Geometry(2, 3, 2, 3, 4, 5, 5, (1, 1), "same"),
    Geometry(2, 3, 2, 3, 4, 5, 5, (2, 3), "same"),
    Geometry(3, 5, 4, 2, 3, 5, 4),
    Geometry(1, 1, 9, 2, 3, 1, 3, (1, 2), "same"),
    # More work than one task, by samples, by rows, by filters and by channels.
    Geometry(9, 14, 14, 8, 20, 3, 3),
    Geometry(1, 40, 40, 16, 32, 3, 3, (1, 1), "same"),
    Geometry(2, 6, 6, 70, 130, 3, 3, (1, 1), "same"),
    Geometry(40, 28, 28, 1, 32, 3, 3),
    Geometry(3, 5, 300, 2, 3, 3, 3),
    # Winograd's way: images that tiles do not divide, parts of vectors, more filters than it takes at a time.
    *(
        Geometry(2, h, w, c, f, 3, 3, (1, 1), p)
        for (h, w), (c, f), p in product([(8, 11), (9, 10)], [(17, 40), (65, 30), (130, 33)], ["valid", "same", "causal"])
    ),
    Geometry(19, 7, 7, 32, 24, 3, 3, (1, 1), "same"),
    # Dilation, beside strides of the other axis, and causal padding.
    *(
        Geometry(2, 9, 8, 3, 5, 3, 3, strides, padding, dilation)
        for strides, dilation in [((1, 1), (2, 2)), ((1, 1), (1, 3)), ((2, 1), (1, 2)), ((1, 3), (4, 1))]
        for padding in ("valid", "same", "causal")
    ),
    Geometry(2, 7, 6, 3, 4, 3, 2, (2, 1), "causal"),
    Geometry(1, 3, 4, 2, 3, 3, 3, (1, 1), "same", (3, 5)),
    Geometry(1, 1, 1, 1, 1, 1, 1, (1, 1), "causal", (1, 2)),
    Geometry(2, 20, 21, 33, 17, 3, 3, (1, 1), "same", (2, 2)),
    # Groups: of one channel, of several filters, of more than a tile has columns; beside everything else.
    *(
        Geometry(2, 6, 7, c, f, 3, 2, (1, 1), padding, (1, 1), groups)
        for c, f, groups in [(2, 2, 2), (4, 4, 2), (6, 9, 3), (4, 12, 4), (32, 80, 2), (9, 9, 9)]
        for padding in ("valid", "same")
    ),
    Geometry(2, 9, 8, 4, 6, 3, 3, (2, 2), "same", (1, 1), 2),
    Geometry(2, 9, 8, 4, 6, 3, 3, (1, 1), "valid", (2, 2), 2),
    Geometry(5, 16, 16, 24, 36, 3, 3, (1, 1), "same", (1, 1), 3),
    Geometry(1, 40, 40, 16, 32, 3, 3, (1, 1), "same", (1, 1), 2),
    # Nothing.
    Geometry(0, 5, 5, 4, 4, 3, 3, (1, 1), "valid", (1, 1), 2),
    Geometry(0, 5, 5, 3, 4, 3, 3),
    Geometry(2, 5, 5, 0, 4, 3, 3),
    Geometry(2, 5, 5, 3, 0, 3, 3),
]

GRID = [case for geometry in GEOMETRIES for case in geometry.cases()]


def specials() -> list[Case]:
    """NaN and infinity reach the outputs whose windows hold them, and no other; taps outside the image are absent."""
    image = np.ones((2, 5, 6, 3))
    image[0, 1, 2, 1], image[1, 4, 5, 0] = np.nan, np.inf
    kernel = np.ones((3, 3, 3, 17))
    kernel[0, 0, 0, 3], kernel[2, 1, 1, 16] = np.nan, np.inf
    return [
        Case("conv2d", [given(x), given(w)], {"padding": padding}, roundings(30), nonfinite="any", note=note)
        for padding in ("valid", "same")
        for x, w, note in [(image, np.ones(kernel.shape), "in-x"), (np.ones(image.shape), kernel, "in-w")]
    ]


CASES = [
    *GRID,
    *Geometry(2, 4, 5, 3, 4, 2, 2).cases(bias=False),
    Case("conv2d", [normal(2, 4, 4, 3), normal(2, 2, 3, 5), normal(5)], bound=roundings(14)),
    *specials(),
    # Epilogues: of few numbers, of strides of either axis, of more than one task by samples, rows and channels, of groups, by
    # Winograd's way with more columns than it takes at a time, of nothing.
    *(
        case
        for geometry in [
            Geometry(1, 3, 3, 1, 2, 2, 2),
            Geometry(2, 7, 8, 3, 4, 3, 3, (3, 2), "same"),
            Geometry(2, 7, 8, 3, 4, 1, 1, (2, 3)),
            Geometry(9, 14, 14, 8, 20, 3, 3),
            Geometry(1, 40, 41, 16, 32, 3, 3, (2, 1), "same"),
            Geometry(2, 6, 6, 70, 130, 5, 5, (1, 1), "same"),
            Geometry(2, 9, 8, 4, 6, 3, 3, (1, 1), "valid", (2, 2), 2),
            Geometry(3, 8, 11, 65, 70, 3, 3, (1, 1), "same"),
            Geometry(19, 7, 7, 32, 24, 3, 3),
            Geometry(0, 5, 5, 3, 4, 3, 3),
        ]
        for case in geometry.finished()
    ),
]

X, W = array(2, 5, 6, 3), array(3, 3, 3, 4)
REFUSED = [
    Refused("conv2d", [array(2, 5, 6), W], {}, ValueError, "`x` has shape (2, 5, 6); expected 4 axes"),
    Refused("conv2d", [X, array(3, 3, 4)], {}, ValueError, "`w` has shape (3, 3, 4); expected 4 axes"),
    Refused("conv2d", [X, array(3, 3, 2, 4)], {}, ValueError, "`x` has shape (2, 5, 6, 3) and `w` (3, 3, 2, 4)"),
    Refused("conv2d", [X, W, array(3)], {}, ValueError, "`bias` has shape (3,); expected (4,)"),
    Refused("conv2d", [X, array(6, 3, 3, 4)], {}, ValueError, "window"),
    Refused("conv2d", [X, W], {"strides": (0, 1)}, ValueError, "strides=(0, 1)"),
    Refused("conv2d", [X, W], {"strides": (1, 2, 3)}, ValueError, "strides=(1, 2, 3)"),
    Refused("conv2d", [X, W], {"dilation_rate": (0, 1)}, ValueError, "dilation_rate=(0, 1)"),
    Refused("conv2d", [X, W], {"dilation_rate": (2, 3)}, ValueError, "the window's width is 7 and the image's 6"),
    Refused("conv2d", [X, W], {"dilation_rate": (2, 1), "strides": (2, 1)}, ValueError, "a stride of 2 and a dilation of 2"),
    Refused("conv2d", [X, W], {"dilation_rate": (2**62, 1)}, ValueError, "expected at most 2147483648 positions"),
    Refused("conv2d", [X, W], {"groups": 3}, ValueError, "groups=3 for 4 filters"),
    Refused("conv2d", [X, W], {"groups": 0}, ValueError, "groups=0"),
    Refused("conv2d", [X, W], {"groups": 2}, ValueError, "in groups=2; expected the last axis of x to be the third of w"),
    Refused("conv2d_backward_kernel", [X, array(2, 3, 4, 4)], {"kernel_size": (3, 3), "groups": 2}, ValueError, "groups=2 for"),
    Refused("conv2d", [X, W], {"padding": "SAME"}, ValueError, "padding='SAME'"),
    Refused("conv2d", [X, array(3, 3, 3, 4, dtype="float64")], {}, TypeError, "`w` is float64 and `x` is float32"),
    Refused("conv2d", [array(2, 5, 6, 3, dtype="uint8"), W], {}, TypeError, "`x` is uint8"),
    Refused("conv2d", [X, W], {"epilogue": "multiply"}, ValueError, "epilogue='multiply'; expected relu or add, or none"),
    Refused("conv2d", [X, W, None, array(2, 3, 4, 4)], {"epilogue": "relu"}, ValueError, "`other` is given"),
    Refused("conv2d", [X, W, None, array(2, 5, 6, 4)], {"epilogue": "add"}, ValueError, "`other` has shape (2, 5, 6, 4)"),
    Refused(
        "conv2d_backward_input",
        [array(2, 3, 4, 4), W],
        {"image_size": (5, 6), "epilogue": "relu"},
        ValueError,
        "epilogue='relu'; expected add, multiply or relu_backward, or none",
    ),
    Refused("conv2d_backward_input", [array(2, 3, 4, 4), W], {"image_size": (6, 6)}, ValueError, "`dy`"),
    Refused("conv2d_backward_input", [array(2, 3, 4, 5), W], {"image_size": (5, 6)}, ValueError, "`dy`"),
    Refused("conv2d_backward_input", [array(2, 3, 4, 4), W], {}, TypeError, "attribute 'image_size' is missing"),
    Refused("conv2d_backward_input", [array(2, 3, 4, 4), W], {"image_size": (5, 0)}, ValueError, "image_size=(5, 0)"),
    Refused("conv2d_backward_kernel", [X, array(3, 3, 4, 4)], {"kernel_size": (3, 3)}, ValueError, "`dy`"),
    Refused("conv2d_backward_kernel", [X, array(2, 3, 3, 4)], {"kernel_size": (3, 3)}, ValueError, "`dy`"),
    Refused("conv2d_backward_kernel", [X, array(2, 3, 4, 4)], {}, TypeError, "attribute 'kernel_size' is missing"),
    Refused("conv2d_backward_kernel", [X, array(2, 3, 4, 4, dtype="float64")], {"kernel_size": (3, 3)}, TypeError, "float64"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_conv2d(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_conv2d_refuses(refused: Any) -> None:
    refused.check()


@pytest.mark.parametrize("channels", [5, 24])  # direct, and by Winograd's way
@pytest.mark.parametrize("isa", _core.available_isas())
def test_a_samples_bits_do_not_depend_on_the_batch(isa: str, channels: int) -> None:
    _core._use_isa(isa)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((19, 11, 13, channels)).astype("float32")
    w = rng.standard_normal((3, 3, channels, 19)).astype("float32")
    together = kernels.conv2d(x, w, padding="same")
    gradient = kernels.conv2d_backward_input(together, w, image_size=(11, 13), padding="same")
    for i in range(len(x)):
        alone = kernels.conv2d(x[i : i + 1], w, padding="same")
        assert np.array_equal(alone[0], together[i])
        assert np.array_equal(kernels.conv2d_backward_input(alone, w, image_size=(11, 13), padding="same")[0], gradient[i])


def _by(variant: str, op: str, operands: list[Any], **attributes: Any) -> Any:
    _core._use_variant(op, variant)
    return _core.execute(op, operands, attributes)[0]


def test_winograd_hides_no_nan() -> None:
    """What reads a NaN is one; of what does not, only numbers of the same tile may be one."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 12, 12, 32), dtype="float32"), rng.standard_normal((3, 3, 32, 32), dtype="float32")
    bad = x.copy()
    bad[0, 5, 6, 3] = np.nan

    direct = np.isnan(_by("direct", "conv2d", [bad, w], padding="same")).any(-1)[0]
    assert direct.sum() == 9
    for m in (2, 3):
        winograd = np.isnan(_by(f"winograd-{m}", "conv2d", [bad, w], padding="same")).any(-1)[0]
        tiles = direct.reshape(12 // m, m, 12 // m, m).any((1, 3)).repeat(m, 0).repeat(m, 1)
        assert winograd[direct].all() and not winograd[~tiles].any()

    gradient = {"padding": "same", "image_size": (12, 12)}
    direct, winograd = (
        np.isnan(_by(v, "conv2d_backward_input", [bad, w], **gradient)).any(-1)[0] for v in ("direct", "winograd")
    )
    assert direct.sum() == 9 and winograd[direct].all()
    winograd[2:7, 5:10] = False  # the patch of the tile of rows 3 to 5 and columns 6 to 8
    assert not winograd.any()

    for x_or_dy in ([bad[:, 3:9, 3:9], x[:, :6, :6]], [x[:, :6, :6], bad[:, 3:9, 3:9]]):
        direct, winograd = (
            np.isnan(_by(v, "conv2d_backward_kernel", x_or_dy, kernel_size=(3, 3), padding="same"))
            for v in ("direct", "winograd")
        )
        assert direct.any() and winograd[direct].all()
        others = np.arange(32) != 3
        assert not winograd[:, :, others][..., others].any()


B3 = np.array([[2, -1, -2, 1, 0], [0, -2, -1, 1, 0], [0, 2, -3, 1, 0], [0, -1, 0, 1, 0], [0, 2, -1, -2, 1]], "d")  # B'
G3 = np.array([[3, 0, 0], [-3, -3, -3], [-1, 1, -1], [1, 2, 4], [0, 0, 6]], "d") / 6
A3 = np.array([[1, 1, 1, 1, 0], [0, 1, -1, 2, 0], [0, 1, 1, 4, 1]], "d")  # A'


def _uneven(rng: np.random.Generator, *shape: int) -> Any:
    """Large and small numbers side by side."""
    return (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)).astype("float32")


def test_winograd_of_nine_outputs_rounds_as_documented() -> None:
    """The bound is that of csrc/ops/winograd.h: the formula with absolute values. Images of 2 x 2 tiles, without padding."""
    rng = np.random.default_rng(2)
    x, dy, w = _uneven(rng, 5, 8, 8, 32), _uneven(rng, 5, 6, 6, 40), _uneven(rng, 3, 3, 32, 40)
    eps = np.finfo("float32").eps
    two_sided = "pi,qj,...ijc->...pqc"
    tiles = np.abs(dy).astype("d").reshape(5, 2, 3, 2, 3, 40).swapaxes(2, 3)  # (sample, 2, 2, 3, 3, filter)
    of_dy = np.einsum(two_sided, np.abs(A3).T, np.abs(A3).T, tiles)
    of_w = np.einsum("pi,qj,ijcf->pqcf", np.abs(G3), np.abs(G3), np.abs(w).astype("d"))

    windows = np.lib.stride_tricks.sliding_window_view(np.abs(x).astype("d"), (5, 5), (1, 2))[:, ::3, ::3]
    of_x = np.einsum(two_sided, np.abs(B3), np.abs(B3), np.moveaxis(windows, 3, -1))

    y = _by("winograd-3", "conv2d", [x, w])
    bound = np.einsum(two_sided, np.abs(A3), np.abs(A3), np.einsum("bijpqc,pqcf->bijpqf", of_x, of_w))
    exact = _by("direct", "conv2d", [x.astype("d"), w.astype("d")])
    assert (np.abs(y - exact) <= (32 + 24) * eps * bound.swapaxes(2, 3).reshape(exact.shape)).all()

    dx = _by("winograd", "conv2d_backward_input", [dy, w], image_size=(8, 8))
    patches = np.einsum(two_sided, np.abs(B3).T, np.abs(B3).T, np.einsum("bijpqf,pqcf->bijpqc", of_dy, of_w))
    bound = np.zeros(x.shape)
    for i, j in product(range(2), range(2)):
        bound[:, 3 * i : 3 * i + 5, 3 * j : 3 * j + 5] += patches[:, i, j]
    exact = _by("direct", "conv2d_backward_input", [dy.astype("d"), w.astype("d")], image_size=(8, 8))
    assert (np.abs(dx - exact) <= (40 + 24) * eps * bound).all()

    dw = _by("winograd", "conv2d_backward_kernel", [x, dy], kernel_size=(3, 3))
    bound = np.einsum("pi,qj,pqcf->ijcf", np.abs(G3), np.abs(G3), np.einsum("bijpqc,bijpqf->pqcf", of_x, of_dy))
    exact = _by("direct", "conv2d_backward_kernel", [x.astype("d"), dy.astype("d")], kernel_size=(3, 3))
    assert (np.abs(dw - exact) <= (5 * 4 + 24) * eps * bound).all()


def test_winograd_rounds_as_documented() -> None:
    """Large and small numbers side by side: the bound is that of csrc/ops/winograd.h."""
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((2, 16, 16, 32)) * 10.0 ** rng.integers(-4, 5, (2, 16, 16, 32))).astype("float32")
    w = (rng.standard_normal((3, 3, 32, 32)) * 10.0 ** rng.integers(-2, 3, (3, 3, 32, 32))).astype("float32")
    y = _by("winograd-2", "conv2d", [x, w])
    exact = forward_ops["conv2d"](x.astype("float64"), w.astype("float64"))
    patch = np.lib.stride_tricks.sliding_window_view(np.pad(np.abs(x), ((0, 0), (1, 1), (1, 1), (0, 0))), (4, 4), (1, 2))
    largest = patch.max((-1, -2))[:, :14, :14]  # of a 4 x 4 patch around each window
    largest = np.maximum(largest, patch.max((-1, -2))[:, 1:15, 1:15])
    bound = (32 + 12) * np.finfo("float32").eps * 36 * (largest @ np.abs(w).sum((0, 1)).astype("float64"))
    assert (np.abs(y - exact) <= bound).all()
