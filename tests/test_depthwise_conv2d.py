from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest

import fastnn
from fastnn import _core, autodiff, kernels, ops
from fastnn.reference import forward_ops
from harness import Case, Refused, array, check, given, normal, roundings

Pair = tuple[int, int]


class Geometry(NamedTuple):
    """A convolution's sizes."""

    B: int
    H: int
    W: int
    C: int
    KH: int
    KW: int
    strides: Pair = (1, 1)
    padding: str = "valid"
    dilation: Pair = (1, 1)

    def cases(self, *, bias: bool = True) -> list[Case]:
        b, h, w, c, kh, kw, strides, padding, dilation = self
        attributes = {"strides": strides, "padding": padding, "dilation_rate": dilation}
        x, kernel = normal(b, h, w, c), normal(kh, kw, c, 1)
        y = forward_ops["depthwise_conv2d"](np.zeros((b, h, w, c)), np.zeros((kh, kw, c, 1)), **attributes).shape
        return [
            Case("depthwise_conv2d", [x, kernel, *([normal(c)] if bias else [])], attributes, roundings(kh * kw + 2)),
            Case(
                "depthwise_conv2d_backward_input",
                [normal(*y), kernel],
                {"image_size": (h, w), **attributes},
                roundings(kh * kw + 1),
            ),
            Case(
                "depthwise_conv2d_backward_kernel",
                [x, normal(*y)],
                {"kernel_size": (kh, kw), **attributes},
                roundings(b * y[1] * y[2] + 1),
            ),
        ]


GEOMETRIES = [
    Geometry(1, 1, 1, 1, 1, 1),
    Geometry(1, 3, 3, 1, 2, 2),
    Geometry(1, 2, 3, 2, 2, 2, (1, 1), "same"),
    # Channels around the width of a vector; rows around the number of pixels that are summed together.
    *(Geometry(2, 5, 6, c, 3, 3, (1, 1), p) for c, p in product([7, 8, 9, 15, 16, 17, 33], ["valid", "same"])),
    *(Geometry(2, 4, w, 5, 2, 3, (1, 1), p) for w, p in product([3, 4, 6, 7, 11], ["valid", "same"])),
    # Windows and strides of every relation; images that they do not divide.
    *(
        Geometry(2, 7, 8, 3, kh, kw, strides, padding)
        for (kh, kw), strides, padding in product(
            [(1, 1), (3, 3), (2, 4), (5, 1)], [(1, 1), (2, 2), (1, 3), (3, 2)], ["valid", "same", "causal"]
        )
    ),
    *(
        Geometry(2, 9, 8, 3, 3, 3, strides, padding, dilation)
        for strides, dilation in [((1, 1), (2, 2)), ((2, 1), (1, 2)), ((1, 3), (4, 1))]
        for padding in ("valid", "same", "causal")
    ),
    Geometry(2, 3, 2, 3, 5, 5, (1, 1), "same"),
    Geometry(2, 3, 2, 3, 5, 5, (2, 3), "same"),
    # More work than one task, and more than one chunk.
    Geometry(3, 30, 40, 20, 3, 3, (1, 1), "same"),
    Geometry(1, 60, 50, 70, 5, 5, (2, 2), "same"),
    Geometry(70, 4, 4, 3, 3, 3),
    # Nothing.
    Geometry(0, 5, 5, 3, 3, 3),
    Geometry(2, 5, 5, 0, 3, 3),
]


def specials() -> list[Case]:
    """NaN and infinity reach the outputs whose windows hold them, and no other; taps outside the image are absent."""
    image = np.ones((2, 5, 6, 3))
    image[0, 1, 2, 1], image[1, 4, 5, 0] = np.nan, np.inf
    kernel = np.ones((3, 3, 3, 1))
    kernel[0, 0, 0], kernel[2, 1, 1] = np.nan, np.inf
    return [
        Case("depthwise_conv2d", [given(x), given(w)], {"padding": p}, roundings(30), nonfinite="any", note=note)
        for p in ("valid", "same")
        for x, w, note in [(image, np.ones(kernel.shape), "in-x"), (np.ones(image.shape), kernel, "in-w")]
    ]


CASES = [
    *(case for geometry in GEOMETRIES for case in geometry.cases()),
    *Geometry(2, 4, 5, 3, 2, 2).cases(bias=False),
    *specials(),
]

X, W = array(2, 5, 6, 3), array(3, 3, 3, 1)
REFUSED = [
    Refused("depthwise_conv2d", [array(2, 5, 6), W], {}, ValueError, "`x` has shape (2, 5, 6); expected 4 axes"),
    Refused("depthwise_conv2d", [X, array(3, 3, 4, 1)], {}, ValueError, "`x` has shape (2, 5, 6, 3) and `w` (3, 3, 4, 1)"),
    Refused("depthwise_conv2d", [X, array(3, 3, 3, 2)], {}, ValueError, "one window per channel"),
    Refused("depthwise_conv2d", [X, W, array(4)], {}, ValueError, "`bias` has shape (4,); expected (3,)"),
    Refused("depthwise_conv2d", [X, array(6, 3, 3, 1)], {}, ValueError, "window"),
    Refused("depthwise_conv2d", [X, W], {"strides": (0, 1)}, ValueError, "strides=(0, 1)"),
    Refused("depthwise_conv2d", [X, W], {"padding": "SAME"}, ValueError, "padding='SAME'"),
    Refused("depthwise_conv2d", [X, array(3, 3, 3, 1, dtype="float64")], {}, TypeError, "`w` is float64 and `x` is float32"),
    Refused("depthwise_conv2d_backward_input", [array(2, 3, 4, 3), W], {"image_size": (6, 6)}, ValueError, "`dy`"),
    Refused("depthwise_conv2d_backward_input", [array(2, 3, 4, 4), W], {"image_size": (5, 6)}, ValueError, "`dy`"),
    Refused("depthwise_conv2d_backward_input", [array(2, 3, 4, 3), W], {}, TypeError, "attribute 'image_size' is missing"),
    Refused("depthwise_conv2d_backward_kernel", [X, array(3, 3, 4, 3)], {"kernel_size": (3, 3)}, ValueError, "`dy`"),
    Refused("depthwise_conv2d_backward_kernel", [X, array(2, 3, 3, 3)], {"kernel_size": (3, 3)}, ValueError, "`dy`"),
    Refused(
        "depthwise_conv2d_backward_kernel", [X, array(2, 3, 4, 3, dtype="d")], {"kernel_size": (3, 3)}, TypeError, "float64"
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_depthwise_conv2d(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_depthwise_conv2d_refuses(refused: Any) -> None:
    refused.check()


# ---- What is made of convolutions ------------------------------------------------------------------------------------------

random = np.random.default_rng(7)


def transposes(f: Any, x: Any, w: Any) -> None:
    """For f linear in x and in w: <u, f(v, w)> = <f^T u, v>, for both."""
    y = f(x, w)
    u = random.standard_normal(y.shape)
    _, (dx, dw) = autodiff.pullback(f, [x, w], [u])
    v, z = random.standard_normal(x.shape), random.standard_normal(w.shape)
    assert dx is not None and dw is not None
    assert np.isclose(np.vdot(u, f(v, w)), np.vdot(dx, v), rtol=1e-10)
    assert np.isclose(np.vdot(u, f(x, z)), np.vdot(dw, z), rtol=1e-10)


@pytest.mark.parametrize("multiplier", [1, 2, 5])
def test_several_filters_per_channel(multiplier: int) -> None:
    x, w = random.standard_normal((2, 5, 6, 3)), random.standard_normal((3, 2, 3, multiplier))
    bias = random.standard_normal(3 * multiplier)
    expected = forward_ops["depthwise_conv2d"](x, w, bias, padding="same")
    np.testing.assert_allclose(ops.depthwise_conv2d(x, w, bias, padding="same"), expected, rtol=1e-12, atol=1e-12)
    transposes(lambda a, b: ops.depthwise_conv2d(a, b, strides=(2, 1)), x, w)


def test_it_is_conv2d_with_as_many_groups_as_channels() -> None:
    x, w = random.standard_normal((2, 9, 8, 6)), random.standard_normal((3, 3, 6, 1))
    grouped = kernels.conv2d(x, w.reshape(3, 3, 1, 6), groups=6, padding="same")
    np.testing.assert_allclose(kernels.depthwise_conv2d(x, w, padding="same"), grouped, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 1), (1, 3, 1), (1, 2, 2)])
def test_conv1d(padding: str, stride: int, dilation: int, groups: int) -> None:
    x, w = random.standard_normal((2, 11, 4)), random.standard_normal((3, 4 // groups, 6))
    options: dict[str, Any] = {"padding": padding, "groups": groups}
    y = ops.conv1d(x, w, strides=stride, dilation_rate=dilation, **options)
    expected = forward_ops["conv2d"](x[:, :, None], w[:, None], strides=(stride, 1), dilation_rate=(dilation, 1), **options)
    np.testing.assert_allclose(y, expected[:, :, 0], rtol=1e-12, atol=1e-12)
    transposes(lambda a, b: ops.conv1d(a, b, strides=stride, dilation_rate=dilation, **options), x, w)


def test_causal_conv1d_sees_nothing_of_the_future() -> None:
    x, w = random.standard_normal((1, 9, 2)), random.standard_normal((3, 2, 4))
    before = ops.conv1d(x, w, padding="causal", dilation_rate=2)
    x[:, 5:] = 100
    after = ops.conv1d(x, w, padding="causal", dilation_rate=2)
    assert np.array_equal(before[:, :5], after[:, :5]) and not np.any(before[:, 5:] == after[:, 5:])


def scattered(x: Any, w: Any, strides: Pair, before: Pair, size: Pair, dilation: Pair = (1, 1)) -> Any:
    """conv2d_transpose by its definition."""
    y = np.zeros((x.shape[0], size[0] + 100, size[1] + 100, w.shape[2]))
    for i, j, p, q in product(range(x.shape[1]), range(x.shape[2]), range(w.shape[0]), range(w.shape[1])):
        to = (i * strides[0] + p * dilation[0] - before[0] + 50, j * strides[1] + q * dilation[1] - before[1] + 50)
        y[:, to[0], to[1]] += x[:, i, j] @ w[p, q].T
    return y[:, 50 : 50 + size[0], 50 : 50 + size[1]]


@pytest.mark.parametrize(
    ("options", "size", "before"),
    [
        ({}, (7, 6), (0, 0)),
        ({"strides": (2, 3)}, (11, 12), (0, 0)),
        ({"strides": (4, 5)}, (20, 20), (0, 0)),  # gaps between the windows belong to y
        ({"strides": (2, 2), "output_padding": (1, 0)}, (12, 9), (0, 0)),
        ({"padding": "same"}, (5, 4), (1, 1)),
        ({"padding": "same", "strides": (2, 2)}, (10, 8), (0, 0)),
        ({"padding": "same", "strides": (2, 2), "output_padding": (0, 0)}, (9, 7), (1, 1)),
        ({"dilation_rate": (2, 3)}, (9, 10), (0, 0)),
    ],
    ids=str,
)
def test_conv2d_transpose(options: dict[str, Any], size: Pair, before: Pair) -> None:
    x, w = random.standard_normal((2, 5, 4, 3)), random.standard_normal((3, 3, 2, 3))
    y = ops.conv2d_transpose(x, w, np.array([1.0, 2.0]), **options) - [1.0, 2.0]
    strides = options.get("strides", (1, 1))
    expected = scattered(x, w, strides, before, size, options.get("dilation_rate", (1, 1)))
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    transposes(lambda a, b: ops.conv2d_transpose(a, b, **options), x, w)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"padding": "causal"}, "padding='causal'"),
        ({"strides": (2, 2), "output_padding": (2, 0)}, "output_padding=(2, 0) with strides=(2, 2)"),
        ({"strides": (0, 2)}, "strides=(0, 2)"),
        ({"output_padding": (-1, 0)}, "output_padding=(-1, 0)"),
        ({"strides": (2, 2), "padding": "same", "output_padding": (0, 1)}, "makes an image of 8, of which a convolution"),
    ],
    ids=str,
)
def test_conv2d_transpose_refuses(options: dict[str, Any], words: str) -> None:
    x, w = np.ones((1, 5, 5, 3)), np.ones((2, 3, 2, 3))
    with pytest.raises(ValueError, match=r"; expected .*; ") as caught:
        ops.conv2d_transpose(x, w, **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ops.conv1d([1.0], np.ones((3, 1, 1))), TypeError, "conv1d: `x` is a list"),
        (lambda: ops.conv1d(np.ones((2, 3)), np.ones((3, 1, 1))), ValueError, "(batch, time, channels)"),
        (lambda: ops.conv1d(np.ones((2, 3, 1)), np.ones((3, 1))), ValueError, "`w` has shape (3, 1)"),
        (lambda: ops.conv2d_transpose(np.ones((2, 3, 3)), np.ones((3, 3, 1, 1))), ValueError, "`x` has shape (2, 3, 3)"),
        (lambda: ops.depthwise_conv2d(np.ones((2, 3, 3, 1)), 2.0), TypeError, "`w` is a float"),
        (
            lambda: ops.depthwise_conv2d(np.ones((2, 3, 3, 2)), np.ones((3, 3, 3, 2))),
            ValueError,
            "expected w of shape (KH, KW, 2, 1)",
        ),
        (lambda: ops.max_pool1d(np.ones((2, 3))), ValueError, "max_pool1d: `x` has shape (2, 3)"),
        (lambda: ops.global_max_pool2d(np.ones((2, 3))), ValueError, "(batch, height, width, channels)"),
        (lambda: ops.global_max_pool2d(np.ones((2, 0, 3, 1))), ValueError, "pool_size=(0, 3)"),
    ],
)
def test_operands_that_do_not_fit(call: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=r"; expected .*; ") as caught:
        call()
    assert words in str(caught.value)


def test_separable_conv2d() -> None:
    x = random.standard_normal((2, 7, 6, 3))
    depthwise, pointwise = random.standard_normal((3, 3, 3, 2)), random.standard_normal((1, 1, 6, 5))
    y = ops.separable_conv2d(x, depthwise, pointwise, strides=(2, 2), padding="same")
    middle = forward_ops["depthwise_conv2d"](x, depthwise, strides=(2, 2), padding="same")
    np.testing.assert_allclose(y, forward_ops["conv2d"](middle, pointwise), rtol=1e-12, atol=1e-12)
    transposes(lambda a, b: ops.separable_conv2d(a, b, pointwise), x, depthwise)
    transposes(lambda a, b: ops.separable_conv2d(a, depthwise, b), x, pointwise)


def test_fusion_leaves_dilation_groups_and_causal_padding_alone() -> None:
    x = random.standard_normal((2, 12, 12, 4))
    for options, channels in (({"dilation_rate": (2, 2)}, 4), ({"groups": 2}, 2), ({"padding": "causal"}, 4), ({}, 4)):
        w = random.standard_normal((3, 3, channels, 6))

        def f(a: Any, b: Any, options: Any = options) -> Any:
            return ops.max_pool2d(ops.relu(ops.conv2d(a, b, **options)))

        traced = fastnn.function(f)
        fused = any(step["op"] == "conv2d_block" for step in traced.describe(x, w)["steps"])
        assert fused == (not options)
        np.testing.assert_allclose(traced(x, w), f(x, w), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("isa", _core.available_isas())
def test_a_samples_bits_do_not_depend_on_the_batch(isa: str) -> None:
    _core._use_isa(isa)
    x = random.standard_normal((9, 11, 13, 5)).astype("f")
    w, d = random.standard_normal((3, 3, 4, 6)).astype("f"), random.standard_normal((3, 3, 5, 1)).astype("f")
    calls = [lambda a: kernels.depthwise_conv2d(a, d, padding="same")]
    calls.append(lambda a: kernels.conv2d(a[..., :4].copy(), w, dilation_rate=(2, 2)))
    calls.append(lambda a: kernels.conv2d(a[..., :4].copy(), w[:, :, :2].copy(), groups=2, padding="same"))
    for f in calls:
        together = f(x)
        for i in range(len(x)):
            assert np.array_equal(f(x[i : i + 1])[0], together[i])
