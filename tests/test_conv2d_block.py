from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, kernels, ops
from fastnn.reference import forward_ops
from fastnn.tracing import Trace
from harness import Case, Refused, array, check, given, normal, roundings

Pair = tuple[int, int]


@dataclass(frozen=True)
class Block:
    """A convolution's and a pool's sizes."""

    B: int
    H: int
    W: int
    C: int
    F: int
    kernel: Pair
    pool: Pair = (2, 2)
    strides: Pair = (1, 1)
    padding: str = "valid"
    activation: str = "relu"

    def cases(self, *, bias: bool = True) -> list[Case]:
        x, w = normal(self.B, self.H, self.W, self.C), normal(*self.kernel, self.C, self.F)
        window = {"strides": self.strides, "padding": self.padding, "pool_size": self.pool}
        rng = np.random.default_rng(7)
        drawn = rng.standard_normal(x.shape), rng.standard_normal(w.shape)
        argmax = forward_ops["conv2d_block"](*drawn, **window)[1]
        # Zeros as relu makes them, which the lists leave out.
        g = rng.standard_normal(argmax.shape).astype("float32") * (rng.random(argmax.shape) < 0.7)
        taps, windows = int(np.prod(self.kernel)), argmax.shape[1] * argmax.shape[2]
        return [
            Case(
                "conv2d_block",
                [x, w, normal(self.F) if bias else None],
                {**window, "activation": self.activation},
                roundings_of_block(taps * self.C + 2),
            ),
            Case(
                "conv2d_block_backward_input",
                [given(g), given(argmax, "uint8"), w],
                {"image_size": (self.H, self.W), **window},
                roundings(taps * self.F + 1),
            ),
            Case(
                "conv2d_block_backward_kernel",
                [x, given(g), given(argmax, "uint8")],
                {"kernel_size": self.kernel, **window},
                roundings(self.B * windows + 1),
            ),
        ]

    def finished(self) -> list[Case]:
        """The gradient of x with every epilogue."""
        backward, x = self.cases()[1], normal(self.B, self.H, self.W, self.C)
        return [
            replace(backward, operands=[*backward.operands, x], attributes=backward.attributes | {"epilogue": epilogue})
            for epilogue in ("add", "multiply", "relu_backward")
        ]


def roundings_of_block(n: float) -> Any:
    """n eps conv2d(|x|, |w|, |bias|) for the winners, whose positions must be those of the reference."""

    def bound(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
        positive = [None if o is None else np.abs(o) for o in operands]
        # Of a window the largest bound: the winner's is not larger.
        return [n * forward_ops["conv2d_block"](*positive, **case.attributes)[0], np.zeros(oracle[1].shape)]

    return bound


BLOCKS = [
    Block(1, 2, 2, 1, 1, (1, 1), activation="none"),
    Block(1, 3, 3, 1, 2, (2, 2)),
    Block(1, 3, 3, 2, 1, (2, 2), activation="none"),
    Block(1, 2, 4, 1, 1, (1, 2), (1, 3), padding="same"),
    # Channels and filters around the width of a vector: 16 floats or 8 doubles at most.
    *(Block(2, 6, 7, c, 5, (3, 3), padding=p) for c, p in product([1, 3, 5, 8, 15, 16, 17, 33], ["valid", "same"])),
    *(Block(2, 5, 6, 6, f, (2, 3), padding=p) for f, p in product([1, 7, 8, 9, 15, 16, 17, 33], ["valid", "same"])),
    # Kernels, strides and pools of every relation.
    *(
        Block(2, 9, 11, 11, 10, kernel, pool, strides, padding, "none")
        for kernel, pool, strides, padding in product(
            [(1, 1), (3, 3), (5, 2)], [(1, 1), (2, 2), (3, 2)], [(1, 1), (2, 3)], ["valid", "same"]
        )
        if all((n - k) // s + 1 >= p for n, k, s, p in zip((9, 11), kernel, strides, pool))
    ),
    # Kernels larger than the image; positions whose taps all lie outside it.
    Block(2, 4, 4, 9, 6, (7, 7), padding="same"),
    Block(2, 5, 5, 9, 6, (1, 1), (2, 2), (2, 2), "same"),
    Block(1, 18, 20, 3, 4, (3, 3), (16, 16)),
    # Rows of more vectors than fit into registers; several tasks, bands, parts, strips.
    Block(1, 6, 6, 70, 20, (3, 3), padding="same"),
    Block(3, 8, 8, 40, 130, (3, 3)),
    Block(9, 28, 28, 1, 32, (3, 3)),
    Block(5, 13, 13, 32, 64, (3, 3)),
    Block(1, 70, 40, 16, 24, (3, 3), padding="same"),
    *(Block(2, 8, 150, 5, 7, (3, 3), padding=p) for p in ["valid", "same"]),
    Block(37, 4, 4, 16, 3, (3, 3)),
    # Few products in an output: every number of rows, and of products in one; pools, strides, partial vectors.
    *(Block(3, 8, 12, 1, f, k) for f, k in product([5, 33], [(1, n) for n in range(1, 10)] + [(2, n) for n in (1, 3, 4)])),
    *(Block(3, 9, 11, 2, 18, (2, 2), pool, strides) for pool, strides in product([(1, 1), (3, 2)], [(1, 1), (2, 3)])),
    Block(9, 7, 7, 3, 20, (3, 1)),
    Block(41, 6, 6, 1, 70, (3, 3)),
    # Nothing.
    Block(0, 5, 5, 9, 4, (3, 3)),
    Block(2, 5, 5, 0, 4, (3, 3)),
    Block(2, 5, 5, 9, 0, (3, 3)),
]


def specials() -> list[Case]:
    image = np.ones((2, 6, 6, 9))
    image[0, 1, 2, 1], image[1, 5, 5, 0] = np.nan, np.inf
    w = np.random.default_rng(0).choice([0.5, 1.0], (3, 3, 9, 17))
    ties = np.random.default_rng(1).integers(-1, 2, (2, 7, 7, 9))
    exact = roundings_of_block(0)
    return [
        Case("conv2d_block", [given(image), given(w)], {"activation": a}, roundings_of_block(90), [], "any", "nan")
        for a in ("none", "relu")
    ] + [
        Case("conv2d_block", [given(ties), given(w * 2), given(np.ones(17))], {"padding": "same"}, exact, [], None, "ties"),
        Case("conv2d_block", [given(-np.ones((1, 5, 5, 3))), given(np.ones((2, 2, 3, 5)))], {"activation": "relu"}, exact, []),
    ]


CASES = [
    *(case for block in BLOCKS for case in block.cases()),
    *Block(2, 6, 6, 8, 4, (3, 3)).cases(bias=False),
    Case("conv2d_block", [normal(2, 6, 6, 3), normal(3, 3, 3, 4)], bound=roundings_of_block(28), note="defaults"),
    *specials(),
    *(
        case
        for block in [Block(1, 3, 3, 1, 2, (2, 2)), Block(3, 8, 8, 40, 130, (3, 3)), Block(9, 13, 13, 32, 64, (3, 3))]
        for case in block.finished()
    ),
]

X, W, G, A = array(2, 6, 7, 3), array(3, 3, 3, 4), array(2, 2, 2, 4), array(2, 2, 2, 4, dtype="uint8")
IMAGE, KERNEL = {"image_size": (6, 7)}, {"kernel_size": (3, 3)}
REFUSED = [
    Refused("conv2d_block", [array(2, 5, 6), W], {}, ValueError, "`x` has shape (2, 5, 6); expected 4 axes"),
    Refused("conv2d_block", [X, array(3, 3, 2, 4)], {}, ValueError, "`w` (3, 3, 2, 4)"),
    Refused("conv2d_block", [X, W, array(3)], {}, ValueError, "`bias` has shape (3,); expected (4,)"),
    Refused("conv2d_block", [X, W], {"pool_size": (5, 1)}, ValueError, "pool_size=(5, 1) over (4, 5) outputs"),
    Refused("conv2d_block", [X, W], {"pool_size": (0, 2)}, ValueError, "pool_size=(0, 2)"),
    Refused("conv2d_block", [array(1, 40, 40, 3), W], {"pool_size": (16, 17)}, ValueError, "pool_size=(16, 17)"),
    Refused("conv2d_block", [X, W], {"activation": "tanh"}, ValueError, "activation='tanh'"),
    Refused("conv2d_block", [X, W], {"strides": (0, 1)}, ValueError, "strides=(0, 1)"),
    Refused("conv2d_block", [X, array(3, 3, 3, 4, dtype="float64")], {}, TypeError, "`w` is float64 and `x` is float32"),
    Refused("conv2d_block_backward_input", [array(2, 3, 2, 4), A, W], IMAGE, ValueError, "`g` has shape (2, 3, 2, 4)"),
    Refused("conv2d_block_backward_input", [array(2, 2, 2, 5), A, W], IMAGE, ValueError, "`g` has shape (2, 2, 2, 5)"),
    Refused("conv2d_block_backward_input", [G, array(2, 2, 2, 3, dtype="uint8"), W], IMAGE, ValueError, "`argmax`"),
    Refused("conv2d_block_backward_input", [G, array(2, 2, 2, 4), W], IMAGE, TypeError, "`argmax` is float32"),
    Refused("conv2d_block_backward_input", [G, A, W], {}, TypeError, "attribute 'image_size' is missing"),
    Refused("conv2d_block_backward_input", [G, A, W, X], IMAGE, ValueError, "`other` is given; expected none with epilogue=''"),
    Refused("conv2d_block_backward_kernel", [X, array(3, 2, 2, 4), A], KERNEL, ValueError, "`g` (3, 2, 2, 4)"),
    Refused("conv2d_block_backward_kernel", [X, array(2, 2, 3, 4), A], KERNEL, ValueError, "`g` has shape (2, 2, 3, 4)"),
    Refused("conv2d_block_backward_kernel", [X, G, array(2, 2, 2, 4)], KERNEL, TypeError, "`argmax` is float32"),
    Refused("conv2d_block_backward_kernel", [X, G, A], {}, TypeError, "attribute 'kernel_size' is missing"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_conv2d_block(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_conv2d_block_refuses(refused: Any) -> None:
    refused.check()


# ---- The pass that makes it -----------------------------------------------------------------------------------------------


def network(pool: dict[str, Any] | None = None, relu: bool = True) -> Any:
    def loss(x: Any, w: Any, bias: Any) -> Any:
        y = ops.conv2d(x, w, bias, padding="same")
        y = ops.max_pool2d(ops.relu(y) if relu else y, **(pool or {}))
        return ops.sum(y * y)

    return loss


def arrays() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(5)
    return rng.standard_normal((3, 9, 8, 16)), rng.standard_normal((3, 3, 16, 10)), rng.standard_normal(10)


def planned(function: Any) -> list[str]:
    return [step["op"] for step in fastnn.function(function).describe(*arrays())["steps"]]


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("pool", [{}, {"pool_size": (3, 2)}])
def test_it_is_made_of_its_parts(pool: Any, relu: bool) -> None:
    _core._use_variant("conv2d", "direct")  # the way of "strips", so that not a bit differs
    _core._use_variant("conv2d_block", "strips")
    loss = network(pool, relu)
    both = fastnn.value_and_grad(loss, argnums=(0, 1, 2))
    assert {"conv2d", "relu", "max_pool2d", "max_pool2d_backward"}.isdisjoint(planned(both))
    assert {"conv2d_block", "conv2d_block_backward_input", "conv2d_block_backward_kernel"} <= set(planned(both))
    value, gradients = both(*arrays())
    _core._disable_passes({"conv2d_block"})
    try:
        plain, expected = fastnn.value_and_grad(loss, argnums=(0, 1, 2))(*arrays())
        assert "max_pool2d" in planned(loss)
    finally:
        _core._disable_passes(set())
    assert value == plain
    for got, want in zip(gradients, expected):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pool", [{"pool_size": (3, 3), "strides": (2, 2)}, {"padding": "same"}])
def test_windows_that_overlap_or_pad_stay_as_they_are(pool: Any) -> None:
    assert planned(network(pool)).count("conv2d_block") == 0


def test_what_somebody_else_reads_is_not_computed_twice() -> None:
    def f(x: Any, w: Any, bias: Any) -> Any:
        y = ops.relu(ops.conv2d(x, w, bias))
        return ops.max_pool2d(y), y

    assert planned(f) == ["conv2d", "max_pool2d"]  # relu is conv2d's epilogue


def test_the_gradient_by_what_stands_between() -> None:
    x, w, bias = arrays()
    with Trace() as trace:
        inputs = [trace.input(name, "float64", a.shape) for name, a in (("x", x), ("w", w), ("bias", bias))]
        features = ops.conv2d(*inputs)
        loss = ops.sum(ops.max_pool2d(ops.relu(features)))
        (gradient,) = fastnn.autodiff.backward([loss], [fastnn.tracing.as_tensor(1.0, "float64")], [features])
        assert gradient is not None
        trace.graph.set_outputs([features._value, gradient._value])
        trace.graph.fuse()
    y, dy = _core.Function(trace.graph).run([x, w, bias], False)
    _, argmax = kernels.max_pool2d(y)
    winners = kernels.max_pool2d_backward(np.ones(argmax.shape), argmax, image_size=y.shape[1:3])
    np.testing.assert_array_equal(dy, winners * (y > 0))


@pytest.mark.parametrize("isa", _core.available_isas())
def test_positions_that_no_window_has_are_ignored(isa: str) -> None:
    _core._use_isa(isa)
    x, w, g = np.ones((2, 6, 6, 16), "float32"), np.ones((3, 3, 16, 16), "float32"), np.ones((2, 2, 2, 16), "float32")
    argmax = np.full(g.shape, 255, "uint8")
    assert not kernels.conv2d_block_backward_kernel(x, g, argmax, kernel_size=(3, 3)).any()
    assert not kernels.conv2d_block_backward_input(g, argmax, w, image_size=(6, 6)).any()
