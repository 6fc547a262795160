from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core
from harness import Case, Refused, array, assert_house_form, check, given, integers, normal, probabilities, uniform

SHAPES = [
    (2, 3),
    (1, 1),
    (5, 7),
    (4, 8),
    (4, 9),
    (3, 15),
    (3, 16),
    (3, 17),
    (2, 33),
    (2, 3, 10),
    (10,),
    (1, 1000),
    (700, 10),
    (90, 257),
    (0, 5),
]


def logits_terms(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """loss = sum of t (log of the sum of e^(z - max) - (z - max)); for probabilities see test_softmax.exponents."""
    z, t = operands
    span = np.max(z, axis=-1, keepdims=True, initial=-np.inf) - z if z.size else z
    n = z.shape[-1]
    weight = np.abs(t).sum(-1) if t.dtype.kind == "f" else 1
    largest = np.max(span, axis=-1, initial=0)
    smoothing = case.attributes.get("label_smoothing", 0)
    loss = (weight + smoothing) * (8 + n + 4 * largest) + smoothing * (n + 4) * largest
    return [loss, (8 + n + 2 * span + 2 * np.sum(oracle[1] * span, axis=-1, keepdims=True)) * oracle[1]]


def probability_terms(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """log(p / sum of p): n roundings inside the logarithm stay n roundings outside; 16 is the largest logarithm."""
    p, t = operands
    weight = np.abs(t).sum(-1) if t.dtype.kind == "f" else 1
    return [weight * (p.shape[-1] + 40)]


def gradient_terms(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """dloss (p sum of t - t), or the same over p."""
    dloss, p, t = operands
    n = p.shape[-1]
    weight = np.abs(t).sum(-1, keepdims=True) + np.abs(t) if t.dtype.kind == "f" else 2
    scale = np.abs(dloss)[..., np.newaxis] * weight * (n + 6)
    return [scale / np.clip(p, 1e-7, None) * max(1, n) if "softmax" not in case.op else scale]


def cases(shape: tuple[int, ...]) -> list[Case]:
    n, rows = shape[-1], shape[:-1]
    found = []
    for i, dtype in enumerate(["int32", "int64", "uint8"]):
        if (i and len(shape) > 2) or (dtype == "uint8" and n > 256):
            continue
        labels = integers(0, n, *rows, dtype=dtype)
        found += [
            Case("sparse_softmax_cross_entropy", [normal(*shape), labels], bound=logits_terms),
            Case("sparse_softmax_cross_entropy_backward", [normal(*rows), probabilities(*shape), labels], bound=gradient_terms),
            Case("sparse_cross_entropy", [probabilities(*shape), labels], bound=probability_terms),
            Case("sparse_cross_entropy_backward", [normal(*rows), probabilities(*shape), labels], bound=gradient_terms),
        ]
    targets = probabilities(*shape)
    return [
        *found,
        Case("softmax_cross_entropy", [normal(*shape), targets], bound=logits_terms, differentiable=[0]),
        Case("softmax_cross_entropy_backward", [normal(*rows), probabilities(*shape), targets], bound=gradient_terms),
        Case("cross_entropy", [probabilities(*shape), targets], bound=probability_terms, differentiable=[0]),
        Case("cross_entropy_backward", [normal(*rows), probabilities(*shape), targets], bound=gradient_terms),
    ]


def flat(cases: list[Case]) -> list[Case]:
    """With one class every loss is constant: its derivative is zero, which the derivative check refuses as vacuous."""
    return [
        Case(c.op, c.operands, c.attributes, c.bound, differentiable=[]) if c.operands[0].shape[-1:] == (1,) else c  # type: ignore[union-attr]
        for c in cases
    ]


LABELS = integers(0, 6, 50)
WIDE = uniform(-300, 300, 50, 6)
WEIGHTS = uniform(0.1, 5, 9, 4)
FAR = uniform(-1e5, 1e5, 50, 6)
SURE = given([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.25, 0.25]])

SMOOTHED: list[Case] = []
for s in SHAPES:
    for smoothing in (0.1, 1.0):
        how, labels, targets = {"label_smoothing": smoothing}, integers(0, s[-1], *s[:-1]), probabilities(*s)
        dloss, p = normal(*s[:-1]), probabilities(*s)
        SMOOTHED += [
            Case("sparse_softmax_cross_entropy", [normal(*s), labels], how, logits_terms),
            Case("sparse_softmax_cross_entropy_backward", [dloss, p, labels], how, gradient_terms),
            Case("softmax_cross_entropy", [normal(*s), targets], how, logits_terms, differentiable=[0]),
            Case("softmax_cross_entropy_backward", [dloss, p, targets], how, gradient_terms),
        ]

CASES = [
    *flat(SMOOTHED),
    Case(
        "softmax_cross_entropy", [WIDE, normal(50, 6)], {"label_smoothing": 0.3}, logits_terms, differentiable=[0], note="wide"
    ),
    *flat([case for shape in SHAPES for case in cases(shape)]),
    # Logits so far apart that e^z would overflow, and targets that do not sum to 1.
    Case("sparse_softmax_cross_entropy", [WIDE, LABELS], bound=logits_terms, note="wide"),
    Case("sparse_softmax_cross_entropy", [FAR, LABELS], bound=logits_terms, differentiable=[], note="far"),
    Case("softmax_cross_entropy", [WIDE, normal(50, 6)], bound=logits_terms, differentiable=[0], note="wide"),
    # Probabilities of 0 and 1 are kept within 1e-7 of them, where the loss is constant.
    Case("sparse_cross_entropy", [SURE, given([0, 2, 1], "int64")], bound=probability_terms, differentiable=[], note="clipped"),
    Case("sparse_cross_entropy_backward", [normal(3), SURE, given([0, 2, 1], "int64")], bound=gradient_terms, note="clipped"),
    Case("cross_entropy", [SURE, probabilities(3, 3)], bound=probability_terms, differentiable=[], note="clipped"),
    Case("cross_entropy", [WEIGHTS, normal(9, 4)], bound=probability_terms, differentiable=[0], note="unnormalised"),
    Case("cross_entropy_backward", [normal(9), WEIGHTS, normal(9, 4)], bound=gradient_terms, note="unnormalised"),
]

LOGITS = ("sparse_softmax_cross_entropy", "softmax_cross_entropy")
SPARSE = ("sparse_softmax_cross_entropy", "sparse_cross_entropy")
DENSE = ("softmax_cross_entropy", "cross_entropy")
X, L = array(2, 3), np.zeros(2, np.int64)

REFUSED = [
    *(Refused(op, [array(2, 3), np.zeros(3, np.int64)], {}, ValueError, "`labels` has shape (3,)") for op in SPARSE),
    *(Refused(op, [array(2, 3), array(2)], {}, TypeError, "`labels` is float32") for op in SPARSE),
    *(Refused(op, [array(2, 3, dtype="int32"), L], {}, TypeError, "is int32") for op in SPARSE),
    *(Refused(op, [array(2, 3), array(2, 4)], {}, ValueError, "`targets` has shape (2, 4)") for op in DENSE),
    *(Refused(op, [array(2, 3), array(2, 3, dtype="float64")], {}, TypeError, "`targets` is float64") for op in DENSE),
    *(
        Refused(op, [X, L if "sparse" in op else X], {"label_smoothing": 1.5}, ValueError, "label_smoothing=1.5")
        for op in LOGITS
    ),
    *(Refused(op, [X, L if "sparse" in op else X], {"label_smoothing": -0.1}, ValueError, "expected 0 to 1") for op in LOGITS),
    *(Refused(op, [array(2, 0), L], {}, ValueError, "expected 0 <= label < 0") for op in SPARSE),
    *(Refused(f"{op}_backward", [array(3), array(2, 3), L], {}, ValueError, "`dloss` has shape (3,)") for op in SPARSE),
    *(Refused(f"{op}_backward", [array(3), X, X], {}, ValueError, "`dloss` has shape (3,)") for op in DENSE),
    *(Refused(f"{op}_backward", [array(2), array(2, 3, dtype="float64"), X], {}, TypeError, "float64") for op in DENSE),
    *(Refused(f"{op}_backward", [array(2), array(2, 3), array(2)], {}, TypeError, "`labels` is float32") for op in SPARSE),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cross_entropy(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_cross_entropy_refuses(refused: Any) -> None:
    refused.check()


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("op", SPARSE)
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("bad", [-1, 5, 2**31 - 1])
def test_labels_out_of_range_are_reported(isa: str, op: str, dtype: str, bad: int) -> None:
    """The first bad label counts, whichever thread finds one first."""
    _core._use_isa(isa)
    _core._serial_below(0)
    x = np.full((5000, 5), 0.2, "float32")
    labels = np.zeros(5000, dtype)
    labels[[1234, 4321]] = bad
    labels[4999] = 7
    for threads in (1, 4):
        _core.set_num_threads(threads)
        for operands in ([op, [x, labels]], [f"{op}_backward", [np.ones(5000, "float32"), x, labels]]):
            with pytest.raises(ValueError, match="1234") as caught:
                _core.execute(*operands, {})
            assert_house_form(str(caught.value), operands[0])
            assert f"{bad}" in str(caught.value)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("op", SPARSE + DENSE)
def test_nan_reaches_the_loss_of_its_row_alone(isa: str, op: str) -> None:
    _core._use_isa(isa)
    x = np.full((7, 19), 1 / 19, "float32")
    x[3, 11] = np.nan
    # The sparse loss of probabilities reads the label's alone.
    target = np.full(7, 11) if op in SPARSE else np.full((7, 19), 0.1, "float32")
    loss = _core.execute(op, [x, target], {})[0]
    assert np.isnan(loss[3])
    assert np.all(np.isfinite(np.delete(loss, 3)))
