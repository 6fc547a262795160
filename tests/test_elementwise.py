from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core, kernels
from harness import EXACT, OP_TABLE, Bound, Case, Refused, array, check, given, integers, nonzero, normal, ulps, uniform

ROUNDED = ulps(1)  # the nearest number: half an eps, doubled for the reference
CURVES = ulps(4)  # polynomials

# Vectors hold 16 floats or 8 doubles at most; a task works on thousands.
LENGTHS = [(1,), (7,), (8,), (9,), (15,), (16,), (17,), (31,), (3, 5), (0,), (0, 4), (), (257, 131)]
BROADCASTS = [
    ((4, 5), (4, 5)),
    ((4, 5), (5,)),
    ((5,), (4, 5)),
    ((4, 1), (1, 5)),
    ((4, 5), ()),
    ((), (17,)),
    ((), ()),
    ((2, 3, 4), (2, 1, 4)),
    ((2, 1, 4), (3, 1)),
    ((17,), (1,)),
    ((3, 17), (3, 1)),
    ((2, 3, 16), (1, 3, 1)),
    ((0, 3), (3,)),
    ((1,), (0,)),
    ((3, 1, 0), (2, 1)),
    ((70, 1, 33), (1, 29, 33)),
    ((130, 129), (129,)),
]
FEW_BROADCASTS = BROADCASTS[1:6:2] + BROADCASTS[-5:]


def arithmetic() -> list[Case]:
    cases = [Case(op, [normal(*a), normal(*b)], bound=ROUNDED) for op in ("add", "subtract") for a, b in BROADCASTS]
    cases += [Case("multiply", [normal(*a), normal(*b)], bound=ROUNDED) for a, b in BROADCASTS]
    cases += [Case("divide", [normal(*a), nonzero(*b)], bound=ROUNDED) for a, b in BROADCASTS]
    for op in ("maximum", "minimum"):
        cases += [Case(op, [normal(*a), normal(*b)], bound=EXACT) for a, b in FEW_BROADCASTS]
        cases += [Case(op, [normal(*s), normal(*s)], bound=EXACT) for s in LENGTHS]
        # Of equal values the first operand's is taken, which then gets the gradient.
        ties = given(np.arange(17.0) % 3), given(np.arange(17.0) % 2)
        cases += [Case(op, ties, bound=EXACT, differentiable=[], note="ties")]
        for winner in ("a", "b"):
            backward = f"{op}_backward_{winner}"
            cases += [Case(backward, [normal(*s), normal(*s), normal(*s)], bound=EXACT) for s in LENGTHS]
            cases += [
                Case(backward, [normal(*np.broadcast_shapes(a, b)), normal(*a), normal(*b)], bound=EXACT)
                for a, b in FEW_BROADCASTS
            ]
            cases += [Case(backward, [normal(17), *ties], bound=EXACT, note="ties")]
    for op in ("add", "subtract", "multiply", "maximum", "minimum"):
        for dtype in ("int32", "int64"):
            cases += [
                Case(op, [integers(-99, 99, *a, dtype=dtype), integers(-99, 99, *b, dtype=dtype)], bound=EXACT)
                for a, b in FEW_BROADCASTS
            ]
    for a, b in FEW_BROADCASTS:
        for dtype in ("int32", "int64"):
            cases.append(Case("equal", [integers(0, 3, *a, dtype=dtype), integers(0, 3, *b, dtype=dtype)]))
    for n in LENGTHS:
        cases.append(Case("equal", [given(np.arange(np.prod(n)).reshape(n) % 3), given(np.arange(np.prod(n)).reshape(n) % 2)]))
    return cases


def curves() -> list[Case]:
    cases = []
    for s in LENGTHS:
        cases += [
            Case("negative", [normal(*s)], bound=EXACT),
            Case("square", [normal(*s)], bound=ROUNDED),
            Case("abs", [nonzero(*s)], bound=EXACT),
            Case("abs_backward", [normal(*s), nonzero(*s)], bound=EXACT),
            Case("relu", [nonzero(*s)], bound=EXACT),
            Case("relu_backward", [normal(*s), nonzero(*s)], bound=EXACT),
            Case("sigmoid", [normal(*s)], bound=CURVES),
            Case("sigmoid_backward", [normal(*s), uniform(0, 1, *s)], bound=ulps(3)),
            Case("tanh", [normal(*s)], bound=CURVES),
            Case("tanh_backward", [normal(*s), uniform(-1, 1, *s)], bound=one_minus_square),
            Case("exp", [normal(*s)], bound=CURVES),
            Case("log", [uniform(0.1, 3, *s)], bound=CURVES),
            Case("sqrt", [uniform(0.1, 3, *s)], bound=ROUNDED),
            Case("sqrt_backward", [normal(*s), uniform(0.1, 3, *s)], bound=ulps(2)),
            Case("clip", [uniform(-1, 1.5, *s)], {"minimum": -0.53, "maximum": 1.07}, EXACT_CLIP, None if s else []),
            Case("clip_backward", [normal(*s), normal(*s)], {"minimum": -1.03, "maximum": 0.07}, EXACT),
            Case("sigmoid_cross_entropy", [normal(*s), uniform(0, 1, *s)], bound=cross_entropy_terms),
        ]
    for dtype in ("int32", "int64"):
        for op in ("negative", "square", "abs"):
            cases += [Case(op, [integers(-99, 99, *s, dtype=dtype)]) for s in [(0,), (1,), (17,), (5, 1000)]]
    cases += [
        # The whole range in which the float32 result is a normal number, and beyond it.
        Case("exp", [uniform(-87.3, 88.7, 999)], bound=CURVES, note="range"),
        Case("sigmoid", [uniform(-120, 120, 999)], bound=CURVES, note="range"),
        Case("tanh", [uniform(-30, 30, 999)], bound=CURVES, note="range"),
        Case("tanh", [uniform(-1e-3, 1e-3, 999)], bound=CURVES, note="small"),
        Case("log", [given(np.logspace(-37, 38, 999))], bound=CURVES, note="range"),
        Case("log", [uniform(0.99, 1.01, 999)], bound=CURVES, note="near 1"),
        Case("sigmoid_cross_entropy", [uniform(-90, 90, 999), uniform(0, 1, 999)], bound=cross_entropy_terms, note="range"),
        Case("clip", [given([-1.0, 0.5, 2.0])], {"minimum": -1.0, "maximum": 0.5}, EXACT, differentiable=[], note="limits"),
        Case("clip_backward", [normal(3), given([-1.0, 0.5, 2.0])], {"minimum": -1.0, "maximum": 0.5}, EXACT, note="limits"),
        Case("relu_backward", [normal(17), given(np.arange(17.0) % 2)], bound=EXACT, note="zeros"),
        Case("abs_backward", [normal(17), given(np.arange(17.0) % 3 - 1)], bound=EXACT, note="zeros"),
    ]
    return cases


def one_minus_square(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """tanh_backward's dy (1 - y y): near |y| = 1 the rounding of y y is all that is left."""
    dy, y = operands
    return [2 * np.abs(dy) * (1 + y * y)]


def cross_entropy_terms(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """Roundings of max(z, 0) - z t + log(1 + e^-|z|), whose terms may cancel."""
    z, t = operands
    return [4 * (np.maximum(z, 0) + np.abs(z * t) + np.log1p(np.exp(-np.abs(z))))]


# The limits are rounded to the dtype, nothing else is.
EXACT_CLIP: Bound = ulps(1)

ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -1.5, 200.0, -200.0]
SPECIAL = given(np.tile(ODD, 3))
PAIRS = given(np.repeat(ODD, len(ODD))), given(np.tile(ODD, len(ODD)))


def specials() -> list[Case]:
    cases = [Case(op, PAIRS, bound=ROUNDED, nonfinite="same") for op in ("add", "subtract", "multiply", "divide")]
    cases += [Case(op, PAIRS, bound=EXACT, nonfinite="same") for op in ("maximum", "minimum")]
    cases += [Case("equal", PAIRS, bound=EXACT)]
    for op in ("negative", "relu", "sigmoid", "tanh", "exp", "log", "sqrt", "square", "abs"):
        cases.append(Case(op, [SPECIAL], bound=CURVES, nonfinite="same"))
    cases.append(Case("clip", [SPECIAL], {"minimum": -1.0, "maximum": 2.0}, EXACT, nonfinite="same"))
    cases.append(Case("clip", [SPECIAL], {"minimum": -np.inf, "maximum": np.inf}, EXACT, nonfinite="same"))
    cases.append(Case("sigmoid_cross_entropy", PAIRS, bound=cross_entropy_terms, nonfinite="any"))
    return cases


DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


def casts() -> list[Case]:
    cases = []
    for to in DTYPES:
        for source in DTYPES:
            for shape in [(0,), (1,), (17,), (3, 5), (2000, 9)]:
                high = 2 if source == "bool" else 100
                low = -100 if "u" not in source + to and "bool" not in source + to else 0
                if source.startswith("float"):
                    x = given(np.random.default_rng(1).uniform(low, high, shape).astype("float32"), source)
                else:
                    x = integers(low, high, *shape, dtype=source)
                cases.append(Case("cast", [x], {"dtype": to}, EXACT if to != "float32" else ROUNDED))
    cases.append(Case("cast", [given([np.pi, -1e-9, 1e9, 3.4e38, 0.0], "float64")], {"dtype": "float32"}, ROUNDED))
    cases.append(Case("cast", [given([2**24 + 1, 2**53 + 1, -(2**62) - 1], "int64")], {"dtype": "float32"}, ROUNDED))
    cases.append(
        Case("cast", [given([np.nan, np.inf, -np.inf, 1.0], "float64")], {"dtype": "float32"}, EXACT, nonfinite="same")
    )
    cases.append(Case("cast", [given([-1.9, -0.9, 0.9, 1.9])], {"dtype": "int32"}, note="truncates"))
    cases.append(Case("cast", [given([-0.0, 0.0, 1e-30, np.nan, -np.inf])], {"dtype": "bool"}, note="not zero"))
    return cases


CASES = [*arithmetic(), *curves(), *specials(), *casts()]

BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "equal")
EXTREMA = [f"{op}_backward_{winner}" for op in ("maximum", "minimum") for winner in ("a", "b")]
PAIRED = ("relu_backward", "sigmoid_backward", "tanh_backward", "sqrt_backward", "abs_backward", "sigmoid_cross_entropy")
LIMITS = {"minimum": 0.0, "maximum": 1.0}
UNARY_FLOAT = ("relu", "sigmoid", "tanh", "exp", "log", "sqrt")

REFUSED = [
    *(Refused(op, [array(2, 3), array(4)], {}, ValueError, "(2, 3)") for op in BINARY),
    *(Refused(op, [array(3), array(3, dtype="float64")], {}, TypeError, "float64") for op in BINARY),
    *(Refused(op, [array(3, dtype="int32")], {}, TypeError, "int32") for op in UNARY_FLOAT),
    *(Refused(op, [array(3, dtype="bool")], {}, TypeError, "bool") for op in ("negative", "square", "abs")),
    *(Refused(op, [array(3, dtype="uint8")] * 2, {}, TypeError, "uint8") for op in ("add", "maximum")),
    Refused("divide", [array(3, dtype="int64")] * 2, {}, TypeError, "int64"),
    Refused("clip", [array(3, dtype="int64")], LIMITS, TypeError, "int64"),
    Refused("clip", [array(3)], {"minimum": 2.0, "maximum": 1.0}, ValueError, "minimum=2"),
    Refused("clip", [array(3)], {"maximum": 1.0}, TypeError, "attribute 'minimum' is missing"),
    Refused("cast", [array(3)], {}, TypeError, "attribute 'dtype' is missing"),
    *(Refused(op, [array(3), array(4)], {}, ValueError, "(4,)") for op in PAIRED),
    *(Refused(op, [array(3), array(3, dtype="float64")], {}, TypeError, "float64") for op in PAIRED),
    *(Refused(op, [array(3, dtype="int32"), array(3, dtype="int32")], {}, TypeError, "int32") for op in PAIRED),
    Refused("clip_backward", [array(3), array(4)], LIMITS, ValueError, "(4,)"),
    Refused("clip_backward", [array(3), array(3, dtype="float64")], LIMITS, TypeError, "`x` is float64"),
    Refused("clip_backward", [array(3), array(3)], {"minimum": 2.0, "maximum": 1.0}, ValueError, "minimum=2"),
    *(Refused(op, [array(3), array(4), array(4)], {}, ValueError, "`dy` has shape (3,); expected (4,)") for op in EXTREMA),
    *(Refused(op, [array(3), array(3), array(3, dtype="float64")], {}, TypeError, "`b` is float64") for op in EXTREMA),
    *(Refused(op, [array(3, dtype="float64"), array(3), array(3)], {}, TypeError, "float64") for op in EXTREMA),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_elementwise(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_elementwise_refuses(refused: Any) -> None:
    refused.check()


def test_cast_names_a_dtype_it_does_not_know() -> None:
    with pytest.raises(TypeError, match=r"float16.*; expected float32, float64.*; "):
        _core.execute("cast", [array(3)], {"dtype": "float16"})


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_in_any_operand_of_a_gradient_is_nan(isa: str, dtype: str) -> None:
    _core._use_isa(isa)
    for op in (*PAIRED, "clip_backward", *EXTREMA):
        count = len(OP_TABLE[op]["inputs"])
        attributes = LIMITS if op == "clip_backward" else {}
        for i in range(count):
            operands = [np.full(19, np.nan if i == j else 0.5, dtype) for j in range(count)]
            if i == 0 and op.endswith("_b"):
                operands[1 if op.startswith("maximum") else 2] -= 1  # so that b wins and dy is passed on
            assert np.all(np.isnan(getattr(kernels, op)(*operands, **attributes))), f"{op}: NaN in operand {i} is lost"


@pytest.mark.parametrize("isa", _core.available_isas())
def test_exp_and_log_are_monotonic_float32(isa: str) -> None:
    """A polynomial in pieces must not step back where two pieces meet by more than its error."""
    _core._use_isa(isa)
    x = np.linspace(-20, 20, 20011, dtype=np.float32)
    y = kernels.exp(x)
    assert np.all(np.diff(y) >= -4 * np.finfo(np.float32).eps * y[1:])
    z = kernels.log(y)
    assert np.all(np.diff(z) >= -4 * np.finfo(np.float32).eps * np.maximum(np.abs(z[1:]), 1))
