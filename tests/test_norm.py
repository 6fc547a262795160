from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core, kernels
from harness import Case, Operand, Refused, array, check, given, normal, uniform

Shape = tuple[int, ...]


def mean_under(op: str, x: Any, groups: int) -> Any:
    """The mean of x under each statistic, in the statistic's shape."""
    if op.startswith("group_norm"):
        inner = int(np.prod(x.shape[1:-1]))
        return x.reshape(x.shape[0], inner, groups, x.shape[-1] // groups).mean(axis=(1, 3))
    axis = tuple(range(x.ndim - 1)) if op.startswith("batch_norm") else -1
    return x.sum(axis=axis) / max(x.size // max(x.sum(axis=axis).size, 1), 1)


def spread(op: str, statistic: Any, x: Any) -> Any:
    """A statistic as something that broadcasts over x."""
    if op.startswith("group_norm"):
        inner = (1,) * (x.ndim - 2)
        return np.repeat(statistic, x.shape[-1] // statistic.shape[1], axis=1).reshape(x.shape[0], *inner, x.shape[-1])
    return statistic if op.startswith("batch_norm") else statistic[..., None]


def roundings(x: Any) -> float:
    """How many additions follow each other, at most: a chunk of 512 rows, then the chunks."""
    return min(x.size, 520 + x.size / 1e4)


def size_of(op: str, x: Any, mean: Any, groups: int) -> Any:
    """What the distance from the mean is made of: |x| + |mean| + mean |x|."""
    return np.abs(x) + np.abs(spread(op, mean, x)) + spread(op, mean_under(op, np.abs(x), groups), x)


def forward_bound(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """The mean is off by n eps mean |x|, which the deviation magnifies in y; the variance by the same, relatively."""
    x, *weights = operands
    groups, epsilon, n = case.attributes.get("groups", 32), case.attributes.get("epsilon", 1e-3), roundings(x) + 4
    statistics = weights[:2] if case.op == "batch_norm_inference" else oracle[1:]
    gamma, beta = [*(weights[2:] if case.op == "batch_norm_inference" else weights), None, None][:2]
    variance = statistics[-1]
    size = size_of(case.op, x, statistics[0] if len(statistics) == 2 else 0 * variance, groups)
    y = n * size / np.sqrt(spread(case.op, variance, x) + epsilon) * (1 if gamma is None else np.abs(gamma))
    y = y + (0 if beta is None else 2 * np.abs(beta))
    bounds = [n * mean_under(case.op, np.abs(x), groups), n * mean_under(case.op, size * size, groups)]
    return [y, *bounds[2 - len(oracle) + 1 :]]


def backward_bound(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    dy, x, gamma, *statistics = operands
    other = statistics.pop() if statistics[-1].shape == x.shape and x.ndim > statistics[0].ndim else 0
    groups, epsilon, n = case.attributes.get("groups", 32), case.attributes.get("epsilon", 1e-3), roundings(x) + 8
    variance = statistics[-1]
    deviation = np.sqrt(spread(case.op, variance, x) + epsilon)
    size = size_of(case.op, x, statistics[0] if len(statistics) == 2 else 0 * variance, groups) / deviation
    g = np.abs(dy) * (1 if gamma is None else np.abs(gamma))

    def mean(a: Any) -> Any:
        return spread(case.op, mean_under(case.op, a, groups), x)

    dx = n * (g + mean(g) + size * mean(g * size)) / deviation + 2 * np.abs(other)
    axes = tuple(range(x.ndim - 1))
    return [dx, n * (np.abs(dy) * size).sum(axis=axes), n * np.abs(dy).sum(axis=axes)][: len(oracle)]


def statistic_shape(op: str, shape: Shape, groups: int) -> Shape:
    return {"batch_norm": shape[-1:], "group_norm": (shape[0], groups)}.get(op, shape[:-1])


def cases(op: str, shape: Shape, *, gamma: bool = True, beta: bool = True, **attributes: Any) -> list[Case]:
    channels = normal(shape[-1])
    x = Operand(shape, lambda rng: rng.standard_normal(shape) * 2 + 1.5)
    weights: list[Operand | None] = [channels if gamma else None, channels if beta else None]
    statistics = [normal(*(s := statistic_shape(op, shape, attributes.get("groups", 32)))), uniform(0.5, 2, *s)]
    if op == "rms_norm":
        weights, statistics = weights[:1], statistics[1:]
    while weights and weights[-1] is None:
        weights.pop()
    operands = [normal(*shape), x, channels if gamma else None, *statistics]
    backward = [Case(f"{op}_backward", operands, attributes, backward_bound)]
    if op in ("layer_norm", "rms_norm"):  # with something that is added to dx
        backward.append(Case(f"{op}_backward", [*operands, normal(*shape)], attributes, backward_bound))
    return [Case(op, [x, *weights], attributes, forward_bound), *backward]


def inference(shape: Shape, *, gamma: bool = True, beta: bool = True, **attributes: Any) -> Case:
    channels = normal(shape[-1])
    operands = [normal(*shape), channels, uniform(0.5, 2, shape[-1]), channels if gamma else None, channels if beta else None]
    while operands[-1] is None:
        operands.pop()
    return Case("batch_norm_inference", operands, attributes, forward_bound)


# Rows around the width of a vector, and of four; more rows than one task has.
ROWS: list[Shape] = [
    *((3, n) for n in (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 130)),
    (2, 3, 20),
    (2, 2, 2, 5),
    (700, 48),
    (3, 5000),
    (5,),
]
# Channels around the width of a vector, and of four; several chunks and tasks.
COLUMNS: list[Shape] = [
    *((5, c) for c in (1, 7, 8, 9, 15, 16, 17, 33, 63, 64, 65, 80)),
    (2, 3, 4, 5),
    (3, 2, 6),
    (4, 15, 15, 32),
    (1500, 3),
    (40, 2100),
]
GROUPED: list[tuple[Shape, int]] = [
    ((2, 6), 3),
    ((2, 3, 4, 8), 2),
    ((2, 3, 4, 8), 8),
    ((3, 5, 33), 1),
    ((2, 4, 68), 4),
    ((2, 25, 25, 24), 6),
    ((2, 7, 96), 32),
    ((1, 3, 2), 1),
    ((1, 5, 1), 1),
]
NOTHING: list[tuple[str, Shape, dict[str, Any]]] = [
    ("layer_norm", (0, 5), {}),
    ("rms_norm", (0, 5), {}),
    ("group_norm", (0, 3, 4), {"groups": 2}),
]


def odd() -> list[Case]:
    """NaN and infinity reach all that is under the same mean, and nothing else; rows of one value, far from 0, are beta."""
    x = np.random.default_rng(4).standard_normal((4, 6, 8))
    x[1, 2, 3] = np.nan
    x[2, 0, 5] = np.inf
    flat = np.full((3, 4, 40), 1e6)
    operands = [given(x), normal(8), normal(8)]
    still = [given(flat), normal(40), normal(40)]
    return [
        *(Case(op, operands, a, forward_bound, nonfinite="any", note="odd") for op, a in FORWARD),
        Case("rms_norm", operands[:2], {}, forward_bound, nonfinite="any", note="odd"),
        *(Case(op, still, a, forward_bound, note="constant") for op, a in FORWARD),
        Case("batch_norm", [normal(0, 3)], {}, forward_bound, nonfinite="same", note="of-nothing"),
    ]


FORWARD: list[tuple[str, dict[str, Any]]] = [("layer_norm", {}), ("batch_norm", {}), ("group_norm", {"groups": 4})]

CASES = [
    *(case for shape in ROWS for case in cases("layer_norm", shape)),
    *(case for shape in ROWS if shape[-1] > 1 for case in cases("rms_norm", shape)),
    *cases("rms_norm", (3, 1), epsilon=0.1),  # y = x / |x| has no derivative but what epsilon leaves
    *(case for shape in COLUMNS for case in cases("batch_norm", shape)),
    *(inference(shape) for shape in COLUMNS),
    *(case for shape, groups in GROUPED for case in cases("group_norm", shape, groups=groups)),
    *(case for op, shape, attributes in NOTHING for case in cases(op, shape, **attributes)),
    inference((0, 5)),
    *cases("batch_norm", (0, 3))[1:],
    *(
        case
        for op, attributes in [*FORWARD, ("rms_norm", {})]
        for gamma, beta in [(True, False), (False, True), (False, False)]
        for case in cases(op, (3, 4, 12), gamma=gamma, beta=beta, **attributes)
    ),
    *(inference((3, 4, 12), gamma=gamma, beta=beta) for gamma, beta in [(True, False), (False, True), (False, False)]),
    *(case for op, a in [*FORWARD, ("rms_norm", {})] for case in cases(op, (3, 4, 8), **a, epsilon=0.5)),
    *cases("group_norm", (2, 64)),
    inference((3, 8), epsilon=0.5),
    *odd(),
]

X, C = array(2, 3, 8), array(8)
STATISTICS = {"layer_norm": array(2, 3), "group_norm": array(2, 4), "batch_norm": C}
REFUSED = [
    *(Refused(op, [X, array(7)], a, ValueError, "`gamma` has shape (7,); expected (8,)") for op, a in FORWARD),
    *(Refused(op, [X, C, array(1)], a, ValueError, "`beta` has shape (1,); expected (8,)") for op, a in FORWARD),
    *(Refused(op, [X, C], {**a, "epsilon": 0.0}, ValueError, "epsilon=0") for op, a in FORWARD),
    *(Refused(op, [X, array(8, dtype="float64")], a, TypeError, "`gamma` is float64") for op, a in FORWARD),
    Refused("layer_norm_backward", [X, X, C, *2 * [array(2, 3)], array(2, 8)], {}, ValueError, "`other` has shape (2, 8)"),
    Refused("rms_norm_backward", [X, X, C, array(2, 3), C], {}, ValueError, "`other` has shape (8,)"),
    Refused("layer_norm", [array()], {}, ValueError, "`x` has shape (); expected (..., channels), at least 1 axis"),
    Refused("rms_norm", [array()], {}, ValueError, "`x` has shape ()"),
    Refused("rms_norm", [X, array(7)], {}, ValueError, "`gamma` has shape (7,)"),
    Refused("rms_norm", [X], {"epsilon": -1.0}, ValueError, "epsilon=-1"),
    Refused("rms_norm", [array(3, dtype="int32")], {}, TypeError, "`x` is int32"),
    Refused("batch_norm", [C], {}, ValueError, "`x` has shape (8,); expected (batch, ..., channels), at least 2 axes"),
    Refused("group_norm", [X], {"groups": 3}, ValueError, "groups=3 for `x` of shape (2, 3, 8)"),
    Refused("group_norm", [X], {"groups": 0}, ValueError, "groups=0"),
    Refused("batch_norm_inference", [X, C, array(7)], {}, ValueError, "`variance` has shape (7,)"),
    Refused("batch_norm_inference", [C, C, C], {}, ValueError, "`x` has shape (8,)"),
    Refused("batch_norm_inference", [X, C, array(8, dtype="float64")], {}, TypeError, "`variance` is float64"),
    *(
        refused
        for op, attributes in FORWARD
        for s in [STATISTICS[op]]
        for refused in [
            Refused(f"{op}_backward", [array(2, 3, 7), X, C, s, s], attributes, ValueError, "`dy` has shape (2, 3, 7)"),
            Refused(f"{op}_backward", [X, X, C, s, array(5)], attributes, ValueError, "`variance` has shape (5,)"),
            Refused(f"{op}_backward", [X, X, C, s.astype("d"), s], attributes, TypeError, "`mean` is float64"),
        ]
    ),
    Refused("rms_norm_backward", [X, X, C, array(2)], {}, ValueError, "`mean_square` has shape (2,); expected (2, 3)"),
    Refused("rms_norm_backward", [X, X.astype("d"), C, array(2, 3)], {}, TypeError, "`x` is float64"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_norm(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_norm_refuses(refused: Any) -> None:
    refused.check()


@pytest.mark.parametrize("isa", _core.available_isas())
def test_a_mean_far_from_zero_does_not_drown_the_variance(isa: str) -> None:
    """E x^2 - (E x)^2 would leave nothing of it in float32."""
    _core._use_isa(isa)
    x = np.random.default_rng(0).standard_normal((4000, 5)).astype("f") + np.float32(4096)
    exact = x.astype("d").var(axis=0)
    for variance in (kernels.batch_norm(x)[2], kernels.layer_norm(np.ascontiguousarray(x.T))[2]):
        assert np.all(np.abs(variance - exact) <= 1e-4 * exact)
    _, _, of_groups = kernels.group_norm(x[None], groups=1)
    assert abs(of_groups[0, 0] - x.astype("d").var()) <= 1e-4


@pytest.mark.parametrize("isa", _core.available_isas())
def test_a_row_does_not_depend_on_the_batch(isa: str) -> None:
    _core._use_isa(isa)
    x = np.random.default_rng(0).standard_normal((9, 70)).astype("f")
    together = kernels.layer_norm(x)[0]
    for i in range(len(x)):
        assert np.array_equal(kernels.layer_norm(x[i : i + 1])[0][0], together[i])
