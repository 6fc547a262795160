from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness import Case, Operand, Refused, array, check, given, normal, uniform

Shapes = list[tuple[int, ...]]

# One update works on 8192 elements at a time of all parameters laid end to end.
MODELS: list[Shapes] = [
    [()],
    [(1,)],
    [(7,)],
    [(8,)],
    [(9,)],
    [(15,)],
    [(16,)],
    [(17,)],
    [(3, 3, 1, 8), (8,), (20, 5), (5,)],
    [(0,), (4,), (0, 3)],
    [(0,)],
    [(8191,), (2,), (8192,), (1,)],
    [(30, 1000)],
    [(5,)] * 40,
]


def total(shapes: Shapes) -> int:
    return sum(int(np.prod(s)) for s in shapes)


def arrays(shapes: Shapes) -> list[Operand]:
    return [normal(*s) for s in shapes] * 2  # parameters, gradients


def magnitudes(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """A few roundings of sums whose terms may cancel: v' = momentum v - lr g; p' = p + ..."""
    lr, velocity, *rest = operands
    n = len(rest) // 2
    parts = np.cumsum([0] + [p.size for p in rest[:n]])
    g = np.concatenate([g.ravel() for g in rest[n:]])
    moved = 4 * (lr * np.abs(g) + (0 if velocity is None else np.abs(velocity)))
    steps = [2 * np.abs(p) + moved[i:j].reshape(p.shape) for p, i, j in zip(rest[:n], parts, parts[1:])]
    return steps if velocity is None else [moved, *steps]


def moments(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """m' and v' are sums of two, which may cancel; p' = p - alpha m' / (sqrt(v') + epsilon) inherits their errors."""
    lr, step, m, v, *rest = operands
    n = len(rest) // 2
    parts = np.cumsum([0] + [p.size for p in rest[:n]])
    g = np.concatenate([g.ravel() for g in rest[n:]])
    b1, b2, t = case.attributes.get("beta_1", 0.9), case.attributes.get("beta_2", 0.999), int(step)
    new_m = 3 * (np.abs(m) + (1 - b1) * np.abs(g))
    new_v = 4 * (v + (1 - b2) * g * g)
    alpha = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
    through_v = np.abs(oracle[0]) * new_v / (2 * oracle[1])
    moved = 4 * alpha * (new_m + through_v) / (np.sqrt(oracle[1]) + case.attributes.get("epsilon", 1e-7))
    steps = [2 * np.abs(p) + moved[i:j].reshape(p.shape) for p, i, j in zip(rest[:n], parts, parts[1:])]
    return [new_m, new_v, *steps]


def sgd(shapes: Shapes, **attributes: Any) -> Case:
    velocity = normal(total(shapes)) if attributes.get("momentum") else None
    return Case("sgd_update", [given(0.03), velocity, *arrays(shapes)], attributes, magnitudes)


def adam(shapes: Shapes, step: int = 3, **attributes: Any) -> Case:
    n = total(shapes)
    state = [given(step, "int64"), normal(n), uniform(0, 2, n)]
    return Case("adam_update", [given(0.01), *state, *arrays(shapes)], attributes, moments, note=f"t={step}")


def first_adam_step() -> Case:
    shapes: Shapes = [(4, 5), (5,)]
    zeros = given(np.zeros(25))
    return Case("adam_update", [given(0.01), given(1, "int64"), zeros, zeros, *arrays(shapes)], {}, moments, note="first")


CASES = [
    *(
        sgd(shapes, **attributes)
        for shapes in MODELS
        for attributes in [{}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}]
    ),
    *(adam(shapes) for shapes in MODELS),
    *(adam(MODELS[8], step) for step in (1, 2, 1000, 10**6, 2**40)),
    adam(MODELS[8], beta_1=0.5),
    adam(MODELS[8], beta_2=0.9),
    adam(MODELS[8], epsilon=0.1),
    adam(MODELS[8], beta_1=0.0, beta_2=0.0),
    first_adam_step(),
]

LR, P = array(), array(3, 4)
M, STEP = array(12), np.array(1)
REFUSED = [
    Refused("sgd_update", [LR, None, P], {}, ValueError, "1 arrays after the first 2 operands"),
    Refused("sgd_update", [LR, None, P, array(4, 3)], {}, ValueError, "the gradient of parameter 0 has shape (4, 3)"),
    Refused("sgd_update", [LR, None, P, array(3, 4, dtype="float64")], {}, TypeError, "the gradient of parameter 0 is float64"),
    Refused("sgd_update", [LR, None, P, array(2, dtype="float64"), P, P], {}, TypeError, "parameter 1 is float64"),
    Refused("sgd_update", [array(dtype="float64"), None, P, P], {}, TypeError, "`learning_rate` is float64"),
    Refused("sgd_update", [array(1), None, P, P], {}, ValueError, "`learning_rate` has shape (1,)"),
    Refused("sgd_update", [LR, M, P, P], {}, ValueError, "momentum=0 with a `velocity`"),
    Refused("sgd_update", [LR, None, P, P], {"momentum": 0.5}, ValueError, "momentum=0.5 without a `velocity`"),
    Refused("sgd_update", [LR, array(11), P, P], {"momentum": 0.5}, ValueError, "`velocity` has shape (11,); expected (12,)"),
    Refused("sgd_update", [LR, M, P, P], {"momentum": 1.0}, ValueError, "momentum=1"),
    Refused("sgd_update", [LR, None, P, P], {"nesterov": 1}, TypeError, "nesterov=1"),
    Refused("adam_update", [LR, STEP, M, array(13), P, P], {}, ValueError, "`v` has shape (13,); expected (12,)"),
    Refused("adam_update", [LR, STEP, array(12, dtype="float64"), M, P, P], {}, TypeError, "`m` is float64"),
    Refused("adam_update", [LR, np.array(1.0), M, M, P, P], {}, TypeError, "`step` is float64"),
    Refused("adam_update", [LR, np.array([1]), M, M, P, P], {}, ValueError, "`step` has shape (1,)"),
    *(
        Refused("adam_update", [LR, STEP, M, M, P, P], {name: value}, ValueError, f"{name}={value:g}")
        for name, value in [("beta_1", 1.0), ("beta_2", -0.5), ("epsilon", -1.0)]
    ),
    Refused("adam_update", [LR, STEP, M, M, P, array(3, 4, dtype="int64")], {}, TypeError, "gradient of parameter 0 is int64"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_optimizer(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_optimizer_refuses(refused: Any) -> None:
    refused.check()
