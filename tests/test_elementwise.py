from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, kernels, ops
from harness import (
    EXACT,
    OP_TABLE,
    TWO_ROUNDINGS,
    Bound,
    Case,
    Operand,
    Refused,
    array,
    check,
    given,
    integers,
    nonzero,
    normal,
    ulps,
    uniform,
)

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
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
LOGICAL = ("logical_and", "logical_or")
FLAT = ("sign", "floor", "ceil", "round")  # constant between their jumps
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
    for a, b in BROADCASTS:
        cases.append(Case("power", [uniform(0.1, 3, *a), normal(*b)], bound=CURVES))
        alpha = normal(*b)
        cases.append(Case("prelu", [nonzero(*a), alpha], bound=ROUNDED))
        for which in ("x", "alpha"):
            dy = normal(*np.broadcast_shapes(a, b))
            cases.append(Case(f"prelu_backward_{which}", [dy, nonzero(*a), alpha], bound=ROUNDED))
    cases += [
        Case("power", [normal(9, 17), given(np.arange(-8.0, 9.0))], bound=CURVES, differentiable=[0], note="integers"),
        Case("power", [given(np.logspace(-30, 30, 17)), uniform(-1.2, 1.2, 99, 17)], bound=CURVES, note="range"),
        Case("power", [uniform(0.99, 1.01, 999), uniform(-500, 500, 999)], bound=CURVES, note="near 1"),
        Case("prelu", [given(np.arange(17.0) % 3 - 1), normal(17)], bound=EXACT, differentiable=[], note="zeros"),
    ]
    return cases


def decisions() -> list[Case]:
    cases = []
    for op in COMPARISONS:
        for n in LENGTHS:
            x = np.arange(np.prod(n)).reshape(n)
            cases.append(Case(op, [given(x % 3), given(x % 2)]))
        cases += [Case(op, [given(np.arange(np.prod(a)).reshape(a) % 3), normal(*b)]) for a, b in FEW_BROADCASTS]
        for a, b in FEW_BROADCASTS:
            for dtype in ("int32", "int64", "uint8", "bool"):
                cases.append(Case(op, [integers(0, 2, *a, dtype=dtype), integers(0, 2, *b, dtype=dtype)]))
    for op in LOGICAL:
        cases += [Case(op, [integers(0, 2, *a, dtype="bool"), integers(0, 2, *b, dtype="bool")]) for a, b in BROADCASTS]
    for c, a, b in CHOICES:
        condition = integers(0, 2, *c, dtype="bool")
        cases.append(Case("where", [condition, normal(*a), normal(*b)], bound=EXACT))
        for dtype in ("int32", "int64", "uint8", "bool"):
            cases.append(Case("where", [condition, integers(0, 2, *a, dtype=dtype), integers(0, 2, *b, dtype=dtype)]))
    for n in LENGTHS:
        cases.append(Case("where", [integers(0, 2, *n, dtype="bool"), normal(*n), normal(*n)], bound=EXACT, differentiable=[]))
        cases.append(Case("stop_gradient", [normal(*n)], bound=EXACT))
    cases.append(Case("where", [given([True, False, True], "bool"), normal(3), normal(3)], bound=EXACT, note="both"))
    cases.append(
        Case("where", [given([True, False], "bool"), given([np.nan, np.inf]), normal(2)], bound=EXACT, nonfinite="same")
    )
    return cases


CHOICES = [
    ((4, 5), (4, 5), (4, 5)),
    ((4, 5), (4, 5), ()),
    ((4, 5), (), (4, 5)),
    ((4, 5), (1,), (1,)),
    ((4, 1), (4, 5), (5,)),
    ((5,), (4, 5), (4, 1)),
    ((), (3,), (2, 3)),
    ((2, 1, 4), (2, 3, 4), (3, 1)),
    ((2, 3, 17), (17,), (3, 1)),
    ((70, 1, 33), (29, 33), (70, 29, 33)),
    ((0, 3), (3,), (1, 3)),
    ((2, 2), (), ()),
]


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
        x, wide = uniform(-3, 3, *s), uniform(-8, 8, *s)
        cases += [
            *(Case(op, [wide], bound=EXACT) for op in FLAT),
            Case("rsqrt", [uniform(0.1, 3, *s)], bound=ulps(3)),
            Case("expm1", [normal(*s)], bound=CURVES),
            Case("log1p", [uniform(-0.9, 3, *s)], bound=CURVES),
            Case("erf", [x], bound=CURVES),
            Case("sin", [wide], bound=CURVES),
            Case("cos", [wide], bound=CURVES),
            Case("softplus", [wide], bound=CURVES),
            *(Case(op, [wide], bound=ulps(6)) for op in ("silu", "mish")),
            *(Case(op, [wide], SLOPE, sloped(ulps(6)), []) for op in ("silu", "mish")),
            Case("silu_backward", [normal(*s), wide], bound=slope_terms),
            Case("mish_backward", [normal(*s), wide], bound=slope_terms),
            Case("relu6", [away(0, 6, *s)], bound=EXACT),
            Case("relu6_backward", [normal(*s), away(0, 6, *s)], bound=EXACT),
            Case("hard_sigmoid", [away(-3, 3, *s)], bound=hard_terms),
            Case("hard_sigmoid_backward", [normal(*s), away(0, 1, *s)], bound=ROUNDED),
            Case("hard_silu", [away(-3, 3, *s)], bound=hard_terms),
            Case("hard_silu_backward", [normal(*s), away(-3, 3, *s)], bound=slope_terms),
        ]
        for attributes in ({}, {"approximate": True}):
            cases.append(Case("gelu", [wide], attributes, gelu_terms))
            cases.append(Case("gelu", [wide], {**attributes, **SLOPE}, sloped(gelu_terms), []))
            cases.append(Case("gelu_backward", [normal(*s), wide], attributes, slope_terms))
        for attributes in ({}, {"alpha": 0.7, "scale": 1.3}):
            cases.append(Case("elu", [nonzero(*s)], attributes, ulps(6)))
            cases.append(Case("elu_backward", [normal(*s), nonzero(*s)], attributes, ulps(6)))
        for attributes in ({}, {"negative_slope": -0.3}):
            cases.append(Case("leaky_relu", [nonzero(*s)], attributes, TWO_ROUNDINGS))
            cases.append(Case("leaky_relu_backward", [normal(*s), nonzero(*s)], attributes, TWO_ROUNDINGS))
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
        Case("expm1", [uniform(-30, 88.7, 999)], bound=CURVES, note="range"),
        Case("expm1", [given(np.logspace(-30, -1, 99) * np.tile([1, -1, 1], 33))], bound=CURVES, note="small"),
        Case("log1p", [given(np.logspace(-30, 30, 999))], bound=CURVES, note="range"),
        Case("erf", [given(np.logspace(-30, 1, 999))], bound=CURVES, differentiable=[], note="range"),
        Case("erf", [uniform(-0.9, 0.9, 999)], bound=CURVES, note="middle"),
        Case("gelu", [uniform(-12.8, 100, 999)], bound=gelu_terms, note="range"),
        Case("gelu", [uniform(-7, 100, 999)], {"approximate": True}, gelu_terms, note="range"),
        Case("gelu", [uniform(-12.8, 100, 999)], SLOPE, sloped(gelu_terms), [], note="range"),
        Case("gelu", [uniform(-7, 100, 999)], {"approximate": True, "slope": True}, sloped(gelu_terms), [], note="range"),
        *(Case(op, [uniform(-1e5, 1e5, 999)], bound=CURVES, note="range") for op in ("sin", "cos")),
        *(Case(op, [uniform(-1e30, 1e30, 999)], bound=CURVES, note="far") for op in ("sin", "cos")),
        # Next to multiples of pi/2, where one of the two is almost 0.
        *(Case(op, [given(np.arange(-4000, 4000, 7) * (np.pi / 2))], bound=CURVES, note="zeros") for op in ("sin", "cos")),
        Case("softplus", [uniform(-80, 80, 999)], bound=CURVES, note="range"),
        Case("silu", [uniform(-85, 85, 999)], bound=CURVES, note="range"),
        Case("mish", [uniform(-80, 80, 999)], bound=ulps(6), note="range"),
        Case("silu", [uniform(-85, 85, 999)], SLOPE, sloped(CURVES), [], note="range"),
        Case("mish", [uniform(-80, 80, 999)], SLOPE, sloped(ulps(6)), [], note="range"),
        *(Case(op, [given(np.arange(-40, 41) / 2)], bound=EXACT, note="halves") for op in FLAT),
        *(Case(op, [uniform(-1e8, 1e8, 999)], bound=EXACT, note="large") for op in FLAT),
        Case("relu6_backward", [normal(5), given([0.0, 1.0, 6.0, -0.0, 5.0])], bound=EXACT, note="corners"),
        Case("hard_sigmoid_backward", [normal(3), given([0.0, 0.5, 1.0])], bound=ROUNDED, note="corners"),
        Case("hard_silu_backward", [normal(3), given([-3.0, 0.0, 3.0])], bound=slope_terms, note="corners"),
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


def away(low: float, high: float, *shape: int) -> Operand:
    """Numbers below, between and above two corners, none near one."""
    count = int(np.prod(shape))
    middle, half = (low + high) / 2, (high - low) / 2
    sides = np.resize([0.0, -1.5, 1.5], count).reshape(shape)
    return Operand(shape, lambda rng: middle + half * (sides + rng.uniform(-0.4, 0.4, shape)))


def slope_terms(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """dy times a derivative f(x) + x f'(x), whose terms may cancel; far below 0 it has the relative error of an exponential."""
    dy, x = operands
    return [8 * np.abs(dy) * (1 + np.abs(x))]


def sloped(bound: Bound) -> Bound:
    """That of the function, and of its slope, whose two terms may cancel."""
    return lambda case, operands, oracle: [*bound(case, operands, oracle[:1]), 8 * (1 + np.abs(operands[0]))][: len(oracle)]


SLOPE = {"slope": True}


def gelu_terms(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """x times a tail of the normal distribution: the roundings of the exponent are those of the exponential's argument."""
    (x,) = operands
    exponent = 4 * np.sqrt(2 / np.pi) * np.abs(x + 0.044715 * x**3) if case.attributes.get("approximate") else 1.5 * x * x
    return [(8 + np.where(x < 0, exponent, 0)) * np.abs(oracle[0])]


def hard_terms(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """x / 6 + 1/2, which cancels next to -3, or x times that."""
    (x,) = operands
    return [np.where(oracle[0] == 0, 0, 2 * (np.abs(x) / 6 + 0.5) * (np.abs(x) if case.op == "hard_silu" else 1))]


# The limits are rounded to the dtype, nothing else is.
EXACT_CLIP: Bound = ulps(1)

UNARY_FLOAT = (
    *("relu", "sigmoid", "tanh", "exp", "log", "sqrt", "rsqrt", "expm1", "log1p", "erf", "sin", "cos", *FLAT),
    *("softplus", "silu", "mish", "gelu", "elu", "leaky_relu", "relu6", "hard_sigmoid", "hard_silu"),
)
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -1.5, 200.0, -200.0]
SPECIAL = given(np.tile(ODD, 3))
PAIRS = given(np.repeat(ODD, len(ODD))), given(np.tile(ODD, len(ODD)))


def specials() -> list[Case]:
    cases = [Case(op, PAIRS, bound=ROUNDED, nonfinite="same") for op in ("add", "subtract", "multiply", "divide")]
    cases += [Case(op, PAIRS, bound=EXACT, nonfinite="same") for op in ("maximum", "minimum")]
    cases += [Case(op, PAIRS, bound=EXACT) for op in COMPARISONS]
    cases += [Case(op, PAIRS, bound=CURVES, nonfinite="same") for op in ("power", "prelu")]
    for op in ("negative", "square", "abs", *UNARY_FLOAT):
        cases.append(Case(op, [SPECIAL], bound=ulps(8), nonfinite="same"))
    cases.append(Case("gelu", [SPECIAL], {"approximate": True}, bound=ulps(8), nonfinite="same"))
    cases += [Case(op, [SPECIAL], SLOPE, sloped(ulps(8)), nonfinite="same") for op in ("silu", "mish", "gelu")]
    cases.append(Case("gelu", [SPECIAL], {"approximate": True, **SLOPE}, sloped(ulps(8)), nonfinite="same"))
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


CASES = [*arithmetic(), *decisions(), *curves(), *specials(), *casts()]

BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "prelu", *COMPARISONS)
EXTREMA = [f"{op}_backward_{winner}" for op in ("maximum", "minimum") for winner in ("a", "b")]
OF_PRELU = ["prelu_backward_x", "prelu_backward_alpha"]
PAIRED = (
    *("relu_backward", "sigmoid_backward", "tanh_backward", "sqrt_backward", "abs_backward", "sigmoid_cross_entropy"),
    *("silu_backward", "mish_backward", "gelu_backward", "elu_backward", "leaky_relu_backward", "relu6_backward"),
    *("hard_sigmoid_backward", "hard_silu_backward"),
)
LIMITS = {"minimum": 0.0, "maximum": 1.0}
REFUSED = [
    *(Refused(op, [array(2, 3), array(4)], {}, ValueError, "(2, 3)") for op in BINARY),
    *(Refused(op, [array(3), array(3, dtype="float64")], {}, TypeError, "float64") for op in BINARY),
    *(Refused(op, [array(3, dtype="int32")], {}, TypeError, "int32") for op in UNARY_FLOAT),
    *(Refused(op, [array(3, dtype="bool")], {}, TypeError, "bool") for op in ("negative", "square", "abs", "stop_gradient")),
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
    *(Refused(op, [array(3), array(4), array(4)], {}, ValueError, "`dy` has shape (3,)") for op in OF_PRELU),
    *(Refused(op, [array(3), array(3), array(3, dtype="float64")], {}, TypeError, "`alpha` is float64") for op in OF_PRELU),
    *(Refused(op, [array(3), array(3)], {}, TypeError, "`a` is float32; expected bool") for op in LOGICAL),
    *(Refused(op, [array(3, dtype="bool"), array(4, dtype="bool")], {}, ValueError, "(4,)") for op in LOGICAL),
    Refused("where", [array(3), array(3), array(3)], {}, TypeError, "`condition` is float32; expected bool"),
    Refused("where", [array(3, dtype="bool"), array(3), array(3, dtype="int32")], {}, TypeError, "`b` is int32"),
    Refused("where", [array(3, dtype="bool"), array(4), array(4)], {}, ValueError, "(4,)"),
    Refused("where", [array(4, dtype="bool"), array(4), array(3)], {}, ValueError, "(3,)"),
    Refused("gelu", [array(3)], {"approximate": "tanh"}, TypeError, "approximate='tanh'"),
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
    for op in (*PAIRED, "clip_backward", *EXTREMA):  # of prelu only what is read
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


@pytest.mark.parametrize("op", FLAT)
def test_a_step_has_the_derivative_zero(op: str) -> None:
    x = np.array([-1.5, 0.25, 2.0])
    assert np.array_equal(fastnn.grad(lambda x: ops.sum(getattr(ops, op)(x) * x))(x), getattr(ops, op)(x))


def test_a_zero_keeps_its_sign() -> None:
    x = np.array([-0.0, 0.0, -0.4, 0.4], np.float32)
    for op in ("floor", "ceil", "round"):
        assert np.array_equal(np.signbit(getattr(kernels, op)(x)), np.signbit(getattr(np, op)(x))), op


def test_where_takes_numbers_and_passes_gradients_to_what_it_chose() -> None:
    x = np.array([-4.0, 0.0, 9.0], np.float32)
    assert ops.where(ops.less(x, 0), 1, x).dtype == np.float32
    assert ops.where(np.array([True, False]), 1, 0).dtype == np.float32  # as every number beside numbers
    safe = fastnn.grad(lambda x: ops.sum(ops.sqrt(ops.where(ops.greater(x, 0), x, 1.0))))
    assert np.array_equal(safe(x), np.float32([0, 0, 1 / 6]))
    with pytest.raises(TypeError, match=r"operand: 0\.5 beside an operand of dtype int64"):
        ops.where(np.array([True, False]), np.array([1, 2]), 0.5)


def test_logical_not() -> None:
    assert np.array_equal(ops.logical_not(np.array([[True], [False]])), [[False], [True]])


def test_reciprocal_and_selu_are_made_of_other_ops() -> None:
    x = np.array([-2.0, 0.5, 4.0])
    assert np.array_equal(ops.reciprocal(x), 1 / x)
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    np.testing.assert_allclose(ops.selu(x), scale * np.where(x > 0, x, alpha * np.expm1(x)), rtol=1e-15)


def test_the_gradient_of_power_at_zero() -> None:
    def slopes(a: float, b: float) -> tuple[float, float]:
        da, db = fastnn.grad(lambda a, b: ops.power(a, b), argnums=(0, 1))(np.float64(a), np.float64(b))
        return float(da), float(db)

    assert slopes(0.0, 2.0) == (0.0, 0.0)
    assert slopes(0.0, 1.0) == (1.0, 0.0)
    assert slopes(0.0, 0.0) == (0.0, 0.0)
    assert slopes(-2.0, 3.0)[0] == 12.0


@pytest.mark.parametrize(
    ("f", "second"),
    [
        (lambda x: ops.power(x, 3.0), lambda x: 6 * x),
        (ops.rsqrt, lambda x: 0.75 * x**-2.5),
        (ops.erf, lambda x: -4 * x / np.sqrt(np.pi) * np.exp(-x * x)),
        (ops.sin, lambda x: -np.sin(x)),
        (ops.cos, lambda x: -np.cos(x)),
        (ops.expm1, np.exp),
        (ops.log1p, lambda x: -1 / (1 + x) ** 2),
        (ops.softplus, lambda x: 1 / (2 + np.exp(x) + np.exp(-x))),
        (lambda x: ops.where(ops.less(x, 1.0), x * x, x), lambda x: np.where(x < 1, 2.0, 0.0)),
    ],
)
def test_second_derivatives(f: Any, second: Any) -> None:
    x = np.random.default_rng(3).uniform(0.1, 2, 50)
    slope = fastnn.grad(lambda x: ops.sum(f(x)))
    np.testing.assert_allclose(fastnn.grad(lambda x: ops.sum(slope(x)))(x), second(x), rtol=1e-12)


def test_a_backward_op_without_derivative_is_named() -> None:
    slope = fastnn.grad(lambda x: ops.sum(ops.gelu(x)))
    with pytest.raises(ValueError, match="op 'gelu_backward' has no derivative"):
        fastnn.grad(lambda x: ops.sum(slope(x)))(np.ones(3))
