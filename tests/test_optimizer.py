from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastnn import _core
from harness import OP_TABLE, THREADS, Case, Operand, Refused, array, bits, check, forced, given, normal, uniform

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


def with_products(case: Case, *products: int) -> Case:
    """The same update, with gradients that are products of three rows: sums of as many positive numbers."""
    head, pairs = len(OP_TABLE[case.op]["inputs"]) - 1, []
    n = (len(case.operands) - head) // 2
    operands = list(case.operands)
    for k in products:
        C, U = operands[head + k].shape
        operands[head + n + k] = None
        pairs += [uniform(0.5, 1.5, 3, C), uniform(0.5, 1.5, 3, U)]
    return replace(case, operands=[*operands, *pairs], attributes={**case.attributes, "products": list(products)})


def parameters_of(case: Case, rest: list[Any]) -> list[Any]:
    return rest[: len(rest) // 2 - len(case.attributes.get("products", []))]


def steps(case: Case, rest: list[Any], moved: Any) -> list[Any]:
    """Roundings of p' = p (1 - lr decay) + ..., where the second term is off by `moved`."""
    parameters = parameters_of(case, rest)
    parts = np.cumsum([0] + [p.size for p in parameters])
    return [4 * np.abs(p) + moved[i:j].reshape(p.shape) for p, i, j in zip(parameters, parts, parts[1:])]


def flat_gradients(case: Case, rest: list[Any]) -> Any:
    """Of those that are products, twice as much: as many roundings as a gradient that is given may make in what comes of it."""
    n = len(parameters_of(case, rest))
    gradients, pairs = rest[n : 2 * n], rest[2 * n :]
    for k, x, dy in zip(case.attributes.get("products", []), pairs[::2], pairs[1::2]):
        gradients[k] = 2 * x.T @ dy
    return np.concatenate([g.ravel() for g in gradients])


def magnitudes(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """A few roundings of sums whose terms may cancel: v' = momentum v - lr g; p' = p + ..."""
    lr, velocity, *rest = operands
    g = flat_gradients(case, rest)
    moved = 4 * (lr * np.abs(g) + (0 if velocity is None else np.abs(velocity)))
    return steps(case, rest, moved) if velocity is None else [moved, *steps(case, rest, moved)]


def moments(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """m' and v' are sums of two, which may cancel; p' = p - alpha m' / (sqrt(v') + epsilon) inherits their errors."""
    lr, step, m, v, v_max, *rest = operands
    g = flat_gradients(case, rest)
    b1, b2, t = case.attributes.get("beta_1", 0.9), case.attributes.get("beta_2", 0.999), int(step)
    new_m = 3 * (np.abs(m) + (1 - b1) * np.abs(g))
    new_v = 4 * (v + (1 - b2) * g * g)
    alpha = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
    under = oracle[1] if v_max is None else oracle[2]
    through_v = np.abs(oracle[0]) * new_v / (2 * under)
    moved = 4 * alpha * (new_m + through_v) / (np.sqrt(under) + case.attributes.get("epsilon", 1e-7))
    return [new_m, *([new_v] if v_max is None else [new_v, new_v + v_max]), *steps(case, rest, moved)]


def means(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """rmsprop: v' and m' as above; d = lr g / sqrt(v' - m'^2 + epsilon), whose root's operand may cancel."""
    lr, v, m, velocity, *rest = operands
    g, rho, epsilon = flat_gradients(case, rest), case.attributes.get("rho", 0.9), case.attributes.get("epsilon", 1e-7)
    new_v = 4 * (v + (1 - rho) * g * g)
    bounds, under, off = [new_v], oracle[0], new_v
    if m is not None:
        new_m = 3 * (np.abs(m) + (1 - rho) * np.abs(g))
        bounds.append(new_m)
        under, off = np.maximum(under - oracle[1] ** 2, 0), new_v + 3 * oracle[1] ** 2 + 2 * np.abs(oracle[1]) * new_m
    d = lr * np.abs(g) / np.sqrt(under + epsilon)
    moved = d * (6 + off / (under + epsilon))
    if velocity is not None:
        moved = moved + 3 * np.abs(velocity)
        bounds.append(moved)
    return [*bounds, *steps(case, rest, moved + d)]


def sums(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """adagrad: a' has no cancellation."""
    lr, _, *rest = operands
    moved = 8 * lr * np.abs(flat_gradients(case, rest)) / np.sqrt(oracle[0] + case.attributes.get("epsilon", 1e-7))
    return [3 * oracle[0], *steps(case, rest, moved)]


def signs(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """lion: a step of one length; its sign is certain, because the cases keep m beta_1 + g (1 - beta_1) away from 0."""
    lr, m, *rest = operands
    g, b2 = flat_gradients(case, rest), case.attributes.get("beta_2", 0.99)
    return [3 * (np.abs(m) + (1 - b2) * np.abs(g)), *steps(case, rest, np.full(m.shape, 4 * lr))]


def sgd(shapes: Shapes, **attributes: Any) -> Case:
    velocity = normal(total(shapes)) if attributes.get("momentum") else None
    return Case("sgd_update", [given(0.03), velocity, *arrays(shapes)], attributes, magnitudes)


def adam(shapes: Shapes, step: int = 3, **attributes: Any) -> Case:
    n = total(shapes)
    v_max = uniform(0, 2, n) if attributes.get("amsgrad") else None
    state = [given(step, "int64"), normal(n), uniform(0, 2, n), v_max]
    return Case("adam_update", [given(0.01), *state, *arrays(shapes)], attributes, moments, note=f"t={step}")


def first_adam_step() -> Case:
    shapes: Shapes = [(4, 5), (5,)]
    zeros = given(np.zeros(25))
    return Case("adam_update", [given(0.01), given(1, "int64"), zeros, zeros, None, *arrays(shapes)], {}, moments, note="first")


def rmsprop(shapes: Shapes, **attributes: Any) -> Case:
    n = total(shapes)
    # Away from where v' - m'^2 cancels, whose root is then known to a few digits only.
    m = uniform(-0.5, 0.5, n) if attributes.get("centered") else None
    velocity = normal(n) if attributes.get("momentum") else None
    return Case("rmsprop_update", [given(0.01), uniform(1, 2, n), m, velocity, *arrays(shapes)], attributes, means)


def adagrad(shapes: Shapes, **attributes: Any) -> Case:
    return Case("adagrad_update", [given(0.01), uniform(0, 2, total(shapes)), *arrays(shapes)], attributes, sums)


def lion(shapes: Shapes, **attributes: Any) -> Case:
    """Half of the gradients follow m; where they oppose it they are ten times as large."""
    sizes = np.array([1.0, -1.0, 10.0, -10.0])
    m = np.concatenate([np.resize([1.0, -1.0, -1.0, 1.0], int(np.prod(s))) for s in shapes])
    gradients = [given(np.resize(sizes, s) if s else sizes[0]) for s in shapes]
    return Case("lion_update", [given(0.01), given(m), *arrays(shapes)[: len(shapes)], *gradients], attributes, signs)


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
    *(adam(shapes, amsgrad=True) for shapes in MODELS[5:12]),
    *(
        rmsprop(shapes, **attributes)
        for shapes in MODELS
        for attributes in [{}, {"momentum": 0.9}, {"centered": True}, {"momentum": 0.8, "centered": True}]
    ),
    rmsprop(MODELS[8], rho=0.5, epsilon=0.1),
    *(adagrad(shapes) for shapes in MODELS),
    adagrad(MODELS[8], epsilon=0.1),
    *(lion(shapes) for shapes in MODELS),
    lion(MODELS[8], beta_1=0.8, beta_2=0.5),
    *(
        make(shapes, weight_decay=[0.5 * (k % 3) for k in range(len(shapes))], **attributes)
        for shapes in (MODELS[8], MODELS[9], MODELS[11], MODELS[13])
        for make, attributes in [
            (sgd, {}),
            (sgd, {"momentum": 0.9}),
            (sgd, {"momentum": 0.9, "nesterov": True}),
            (adam, {}),
            (adam, {"amsgrad": True}),
            (rmsprop, {}),
            (rmsprop, {"centered": True, "momentum": 0.9}),
            (adagrad, {}),
            (lion, {}),
        ]
    ),
    *(
        with_products(make(shapes), *products)
        for make in (sgd, adam, rmsprop, adagrad, lion)
        for shapes, products in [([(3, 4)], [0]), ([(5,), (20, 5), (9, 40), (40,)], [1, 2]), ([(0, 3), (30, 1000)], [0, 1])]
    ),
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
    Refused(
        "sgd_update", [LR, None, P, P], {"weight_decay": [0.1, 0.1]}, ValueError, "weight_decay has 2 numbers for 1 parameters"
    ),
    Refused("sgd_update", [LR, None, P, P], {"weight_decay": [-0.1]}, ValueError, "weight_decay=-0.1"),
    Refused("rmsprop_update", [LR, array(13), None, None, P, P], {}, ValueError, "`v` has shape (13,); expected (12,)"),
    Refused("rmsprop_update", [LR, M, M, None, P, P], {}, ValueError, "`m` was given without centered"),
    Refused("rmsprop_update", [LR, M, None, None, P, P], {"momentum": 0.5}, ValueError, "`velocity` is missing with momentum"),
    Refused("rmsprop_update", [LR, M, None, None, P, P], {"rho": 1.0}, ValueError, "rho=1"),
    Refused("rmsprop_update", [LR, array(12, dtype="float64"), None, None, P, P], {}, TypeError, "`v` is float64"),
    Refused("adagrad_update", [LR, array(11), P, P], {}, ValueError, "`accumulator` has shape (11,)"),
    Refused("adagrad_update", [LR, M, P, P], {"epsilon": -1.0}, ValueError, "epsilon=-1"),
    Refused(
        "adagrad_update", [LR, M, P, array(3, 4, dtype="float64")], {}, TypeError, "the gradient of parameter 0 is float64"
    ),
    Refused("lion_update", [LR, array(11), P, P], {}, ValueError, "`m` has shape (11,)"),
    Refused("lion_update", [LR, M, P, P], {"beta_1": 1.0}, ValueError, "beta_1=1"),
    Refused("lion_update", [array(dtype="float64"), M, P, P], {}, TypeError, "`learning_rate` is float64"),
    Refused("adam_update", [LR, STEP, M, M, None, P, P], {"amsgrad": True}, ValueError, "`v_max` is missing with amsgrad"),
    Refused("adam_update", [LR, STEP, M, M, M, P, P], {}, ValueError, "`v_max` was given without amsgrad"),
    Refused("adam_update", [LR, STEP, M, array(13), None, P, P], {}, ValueError, "`v` has shape (13,); expected (12,)"),
    Refused("adam_update", [LR, STEP, array(12, dtype="float64"), M, None, P, P], {}, TypeError, "`m` is float64"),
    Refused("adam_update", [LR, np.array(1.0), M, M, None, P, P], {}, TypeError, "`step` is float64"),
    Refused("adam_update", [LR, np.array([1]), M, M, None, P, P], {}, ValueError, "`step` has shape (1,)"),
    *(
        Refused("adam_update", [LR, STEP, M, M, None, P, P], {name: value}, ValueError, f"{name}={value:g}")
        for name, value in [("beta_1", 1.0), ("beta_2", -0.5), ("epsilon", -1.0)]
    ),
    Refused(
        "adam_update", [LR, STEP, M, M, None, P, array(3, 4, dtype="int64")], {}, TypeError, "gradient of parameter 0 is int64"
    ),
    *(
        Refused("sgd_update", [LR, None, P, *rest], {"products": products}, error, message)
        for products, rest, error, message in [
            ([0], [P, array(2, 3), array(2, 4)], ValueError, "the gradient of parameter 0 was given and is a product"),
            ([], [None], ValueError, "the gradient of parameter 0 is missing"),
            ([1], [P, array(2, 3), array(2, 4)], ValueError, "products=(1,); expected some of the parameters 0 to 0"),
            ([-1], [P, array(2, 3), array(2, 4)], ValueError, "products=(-1,); expected some of the parameters 0 to 0"),
            ([0], [None, array(2, 3)], ValueError, "3 arrays after the first 2 operands"),
            ([0], [None, array(2, 3), None], ValueError, "an operand of the product for parameter 0 is missing"),
            ([0], [None, array(2, 4), array(2, 3)], ValueError, "is of (2, 4) and (2, 3) and the parameter has shape (3, 4)"),
            ([0], [None, array(2, 3), array(3, 4)], ValueError, "is of (2, 3) and (3, 4) and the parameter has shape (3, 4)"),
            ([0], [None, array(2, 3), array(2, 4, dtype="float64")], TypeError, "float64"),
        ]
    ),
    Refused(
        "sgd_update",
        [LR, None, P, P, None, None, *[array(2, 3), array(2, 4)] * 2],
        {"products": [1, 0]},
        ValueError,
        "products=(1, 0); expected some of the parameters 0 to 1, in order",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_optimizer(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_optimizer_refuses(refused: Any) -> None:
    refused.check()


# (rows, share of x that is not 0); the products of zeros are left out where there are many and no more than 128 rows.
@pytest.mark.parametrize(
    ("rows", "share"),
    [*(((r,), 1.0) for r in (0, 1, 32, 600)), ((2, 3), 1.0), *(((r,), s) for r in (1, 32, 70, 128, 130) for s in (0.1, 0.6))],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("isa", _core.available_isas())
def test_a_product_has_the_bits_of_the_gradient_it_stands_for(
    isa: str, dtype: str, rows: tuple[int, ...], share: float
) -> None:
    rng = np.random.default_rng(5)
    shapes: Shapes = [(5,), (47, 33), (3,), (17, 64), (0, 4), (410, 170)]
    products = [1, 3, 4, 5]
    n = total(shapes)

    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    def inputs(*shape: int) -> Any:
        return draw(*shape) * (rng.random(shape) < share).astype(dtype)

    parameters, pairs = [draw(*s) for s in shapes], [(inputs(*rows, shapes[k][0]), draw(*rows, shapes[k][1])) for k in products]
    rate, state = np.array(0.01, dtype), [np.abs(draw(n)) + 1 for _ in range(3)]
    makers: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("sgd_update", [None], {}),
        ("sgd_update", state[:1], {"momentum": 0.9}),
        ("sgd_update", state[:1], {"momentum": 0.9, "nesterov": True}),
        ("adam_update", [np.array(3), *state[:2], None], {}),
        ("adam_update", [np.array(3), *state], {"amsgrad": True}),
        ("rmsprop_update", [state[0], None, None], {}),
        ("rmsprop_update", [state[0], None, state[2]], {"momentum": 0.9}),
        ("rmsprop_update", [state[0], state[1] - 1, None], {"centered": True}),
        ("rmsprop_update", [state[0], state[1] - 1, state[2]], {"centered": True, "momentum": 0.9}),
        ("adagrad_update", state[:1], {}),
        ("lion_update", state[:1], {}),
    ]
    for op, head, attributes in makers:
        for threads in THREADS:
            with forced(isa=isa, threads=threads):
                made = {k: _core.execute("dense_backward_kernel", list(pair), {}, None)[0] for k, pair in zip(products, pairs)}
                given_gradients = [draw(*s) for s in shapes]
                gradients = [made.get(k, g) for k, g in enumerate(given_gradients)]
                left_out = [None if k in made else g for k, g in enumerate(given_gradients)]
                decay = {"weight_decay": [0.1 * k for k in range(len(shapes))]}
                plain = _core.execute(op, [rate, *head, *parameters, *gradients], {**attributes, **decay}, None)
                operands = [rate, *head, *parameters, *left_out, *(operand for pair in pairs for operand in pair)]
                got = _core.execute(op, operands, {**attributes, **decay, "products": products}, None)
                assert [bits(g) for g in got] == [bits(p) for p in plain], op


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("op", "state"), [("sgd_update", 0), ("adam_update", 2), ("adagrad_update", 1)])
def test_a_product_of_zeros_and_what_is_not_finite_is_not_left_out(op: str, state: int, bad: float, isa: str) -> None:
    x, dy, p = np.zeros((40, 30), "f"), np.ones((40, 200), "f"), np.ones((30, 200), "f")
    x[:, ::5] = 1
    dy[39, 7] = bad
    states = [np.ones(p.size, "f") for _ in range(state)]
    head = [np.array(0.1, "f"), *{0: [None], 1: states, 2: [np.array(1), *states, None]}[state]]
    with forced(isa=isa, threads=1):
        *_, got = _core.execute(op, [*head, p, None, x, dy], {"products": [0]}, None)
        gradient = _core.execute("dense_backward_kernel", [x, dy], {}, None)
        *_, plain = _core.execute(op, [*head, p, *gradient], {}, None)
    np.testing.assert_array_equal(got, plain)
    assert np.isnan(got[:, 7]).sum() >= 24 and np.isfinite(np.delete(got, 7, 1)).all()


@pytest.mark.parametrize("isa", [isa for isa in _core.available_isas() if isa != "generic"])
@pytest.mark.parametrize(("rows", "left_out"), [(40, True), (128, True), (129, False)])
def test_products_of_zeros_are_left_out_of_an_update(rows: int, left_out: bool, isa: str) -> None:
    """Sums begin with a number that rounds to -0, if it is rounded once, and -0 - 0 is -0."""
    x, dy, p = np.zeros((rows, 30), "f"), np.ones((rows, 200), "f"), np.full((30, 200), -0.0, "f")
    x[0], dy[0] = 1e-30, -1e-30
    with forced(isa=isa, threads=1):
        updated = _core.execute("sgd_update", [np.array(0.1, "f"), None, p, None, x, dy], {"products": [0]}, None)[0]
    assert (np.signbit(updated) != left_out).all() and not updated.any()
