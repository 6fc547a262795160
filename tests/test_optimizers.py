"""The optimizers' classes: slots, options, clipping, exclusions. The updates themselves: test_optimizer.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers
from fastnn.reference import forward_ops

SHAPES = [(4, 3), (3,), (5,)]
KINDS: list[tuple[type[optimizers.Optimizer], dict[str, Any]]] = [
    (optimizers.SGD, {}),
    (optimizers.SGD, {"momentum": 0.9}),
    (optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    (optimizers.Adam, {}),
    (optimizers.Adam, {"amsgrad": True, "beta_1": 0.8}),
    (optimizers.AdamW, {}),
    (optimizers.RMSprop, {}),
    (optimizers.RMSprop, {"momentum": 0.9, "centered": True, "rho": 0.8}),
    (optimizers.Adagrad, {}),
    (optimizers.Adagrad, {"initial_accumulator_value": 0.5}),
    (optimizers.Lion, {}),
]
IDS = [f"{kind.__name__}-{','.join(options)}" for kind, options in KINDS]


def variables() -> list[fastnn.Variable]:
    rng = np.random.default_rng(1)
    names = ["dense/kernel", "dense/bias", "norm/gamma"]
    return [fastnn.Variable(rng.standard_normal(s), name=n) for s, n in zip(SHAPES, names)]


def gradients(step: int) -> list[Any]:
    rng = np.random.default_rng(100 + step)
    return [rng.standard_normal(s) * 3 for s in SHAPES]


def train(optimizer: optimizers.Optimizer, steps: int = 5) -> tuple[list[Any], int]:
    weights, traces = variables(), []

    @fastnn.function
    def update(gs: list[Any]) -> None:
        traces.append(1)
        optimizer.apply(gs, weights)

    for step in range(steps):
        update(gradients(step))
    return [w.numpy() for w in weights], len(traces)


def by_reference(optimizer: optimizers.Optimizer, change: Any = lambda gs: gs, steps: int = 5) -> list[Any]:
    """The same in NumPy, from what the optimizer says of itself."""
    config = optimizer.get_config()
    config.pop("name")
    excluded = config.pop("exclude_from_weight_decay", {"names": [], "parts": []})
    for what in ("clipnorm", "clipvalue", "global_clipnorm"):
        config.pop(what)
    lr = np.asarray(float(np.float32(config.pop("learning_rate"))))
    total = sum(int(np.prod(s)) for s in SHAPES)
    if decay := config.pop("weight_decay"):
        kept = [v.name in excluded["names"] or any(p in v.name for p in excluded["parts"]) for v in variables()]
        config["weight_decay"] = [0.0 if k else decay for k in kept]
    op = {"AdamW": "adam"}.get(type(optimizer).__name__, type(optimizer).__name__.lower()) + "_update"
    start = config.pop("initial_accumulator_value", 0.0)
    on = {
        "sgd_update": [bool(config.get("momentum"))],
        "adam_update": [True, True, bool(config.get("amsgrad"))],
        "rmsprop_update": [True, bool(config.get("centered")), bool(config.get("momentum"))],
    }.get(op, [True])
    state: list[Any] = [np.full(total, start) if there else None for there in on]
    weights = [v.numpy() for v in variables()]
    for step in range(steps):
        head = [np.asarray(step + 1)] if op == "adam_update" else []
        results = list(forward_ops[op](lr, *head, *state, *weights, *change(gradients(step)), **config))
        state = [results.pop(0) if there else None for there in on]
        weights = results
    return weights


def assert_equal(got: list[Any], want: list[Any]) -> None:
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=IDS)
def test_five_steps(kind: Any, options: dict[str, Any]) -> None:
    optimizer = kind(0.02, **options)
    got, traces = train(optimizer)
    assert_equal(got, by_reference(optimizer))
    assert traces == 1 and int(optimizer.iterations) == 5


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=IDS)
def test_weight_decay_and_exclusions(kind: Any, options: dict[str, Any]) -> None:
    def make() -> Any:
        return kind(0.02, **{**options, "weight_decay": 0.3})

    decaying, excluding, by_list = make(), make(), make()
    excluding.exclude_from_weight_decay(var_names=["bias", "gamma"])
    by_list.exclude_from_weight_decay(var_list=variables()[1:])
    everything, _ = train(decaying)
    assert_equal(everything, by_reference(decaying))
    some, _ = train(excluding)
    assert_equal(some, by_reference(excluding))
    none, _ = train(kind(0.02, **{**options, "weight_decay": 0.0}))
    assert np.array_equal(some[0], everything[0]) and not np.array_equal(some[1], everything[1])
    assert np.array_equal(some[1], none[1]) and np.array_equal(some[2], none[2])
    for a, b in zip(some, train(by_list)[0], strict=True):
        assert np.array_equal(a, b)
    # The exclusions are part of the configuration.
    again = kind.from_config(excluding.get_config())
    for a, b in zip(some, train(again)[0], strict=True):
        assert np.array_equal(a, b)
    with pytest.raises(ValueError, match=r"exclude_from_weight_decay after the first update; expected .*; "):
        excluding.exclude_from_weight_decay(var_names=["kernel"])


def norm(gs: list[Any]) -> float:
    return float(np.sqrt(sum(np.sum(g * g) for g in gs)))


CLIPS: list[tuple[dict[str, float], Any]] = [
    ({"clipvalue": 0.5}, lambda gs: [np.clip(g, -0.5, 0.5) for g in gs]),
    ({"clipnorm": 4.0}, lambda gs: [g * min(1.0, 4.0 / norm([g])) for g in gs]),
    ({"global_clipnorm": 2.0}, lambda gs: [g * min(1.0, 2.0 / norm(gs)) for g in gs]),
    ({"global_clipnorm": 1e6}, lambda gs: gs),
]


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=IDS)
@pytest.mark.parametrize(("clip", "change"), CLIPS, ids=["value", "norm", "global", "far"])
def test_clipping(kind: Any, options: dict[str, Any], clip: dict[str, float], change: Any) -> None:
    optimizer = kind(0.02, **options, **clip)
    assert_equal(train(optimizer)[0], by_reference(optimizer, change))


def test_gradients_that_are_short_enough_stay_to_the_bit() -> None:
    for a, b in zip(train(optimizers.Adam(global_clipnorm=1e6))[0], train(optimizers.Adam())[0], strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("clip", [c for c, _ in CLIPS], ids=["value", "norm", "global", "far"])
def test_clipping_has_the_same_bits_for_any_number_of_threads(clip: dict[str, float]) -> None:
    found = fastnn.num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            fastnn.set_num_threads(threads)
            results.append(train(optimizers.Adam(**clip))[0])
    finally:
        fastnn.set_num_threads(found)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=IDS)
def test_config_and_name(kind: Any, options: dict[str, Any]) -> None:
    optimizer = kind(0.02, **options, clipnorm=1.0)
    again = kind.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert type(optimizers.get(kind.__name__)) is kind


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=IDS)
def test_the_update_runs_in_commit(kind: Any, options: dict[str, Any]) -> None:
    """In place on the variables: no copies of slots or weights."""
    optimizer, weights = kind(0.02, **options), variables()

    @fastnn.function
    def update(gs: list[Any]) -> None:
        optimizer.apply(gs, weights)

    program = update.describe(gradients(0))
    updates = [s["commit"] for s in program["steps"] if s["op"].endswith("_update")]
    assert updates and all(updates)
    assert program["arena_bytes"] < 1024  # nothing but numbers such as iterations + 1


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=IDS)
def test_it_lowers_a_loss(kind: Any, options: dict[str, Any]) -> None:
    fastnn.set_seed(0)
    x = np.random.default_rng(0).standard_normal((64, 3)).astype("f")
    model = fastnn.Sequential([layers.Dense(8, activation="tanh", input_shape=(3,)), layers.Dense(1)])
    rate = 0.05 if kind is not optimizers.Adagrad else 0.5
    model.compile(
        kind(rate, **options, global_clipnorm=1.0, **({} if kind is optimizers.AdamW else {"weight_decay": 1e-3})), loss="mse"
    )
    losses = model.fit(x, np.sin(x).sum(axis=1, keepdims=True), epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=1.0), ValueError, "clipnorm and clipvalue"),
        (lambda: optimizers.Adam(clipnorm=0.0), ValueError, "clipnorm=0.0"),
        (lambda: optimizers.SGD(global_clipnorm=float("nan")), ValueError, "global_clipnorm=nan"),
        (lambda: optimizers.SGD(weight_decay=-1.0), ValueError, "weight_decay=-1.0"),
        (lambda: optimizers.AdamW(weight_decay=None), ValueError, "weight_decay=None"),  # type: ignore[arg-type]
        (lambda: optimizers.RMSprop(rho=1.0), ValueError, "rho=1.0"),
        (lambda: optimizers.RMSprop(centered=1), TypeError, "centered=1"),  # type: ignore[arg-type]
        (lambda: optimizers.Adam(amsgrad="yes"), TypeError, "amsgrad='yes'"),  # type: ignore[arg-type]
        (lambda: optimizers.Adagrad(initial_accumulator_value=-1), ValueError, "initial_accumulator_value=-1"),
        (lambda: optimizers.Lion(beta_2=1.0), ValueError, "beta_2=1.0"),
        (lambda: optimizers.Adam().exclude_from_weight_decay(var_names="bias"), TypeError, "var_names='bias'"),
        (lambda: optimizers.get("adamx"), ValueError, "did you mean"),
    ],
)
def test_what_is_refused(make: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=r"; expected .*; ") as caught:
        make()
    assert words in str(caught.value)


# ---- Muon: no op of its own ------------------------------------------------------------------------------------------------


def orthogonal(u: Any, steps: int = 5) -> Any:
    x = u / (np.linalg.norm(u) + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("rms_rate", [0.2, None])
def test_muon(nesterov: bool, transposed: bool, rms_rate: float | None) -> None:
    rng = np.random.default_rng(3)
    shapes = [(3, 5) if transposed else (5, 3), (5,), (4, 4), (3, 2)]
    names = ["a/kernel", "a/bias", "token_embedding", "logits/kernel"]
    starts = [rng.standard_normal(s) for s in shapes]
    weights = [fastnn.Variable(w, name=n) for w, n in zip(starts, names)]
    steps = [[rng.standard_normal(s) for s in shapes] for _ in range(4)]
    optimizer = optimizers.Muon(
        0.1,
        weight_decay=0.2,
        adam_weight_decay=0.3,
        adam_lr_ratio=0.5,
        nesterov=nesterov,
        rms_rate=rms_rate,
        exclude_layers=["logits"],
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])

    @fastnn.function
    def update(gs: list[Any]) -> None:
        optimizer.apply(gs, weights)

    for gs in steps:
        update(gs)

    lr = float(np.float32(0.1))
    w, m = starts[0], np.zeros(shapes[0])
    for gs in steps:
        m = 0.95 * m + gs[0]
        u = gs[0] + 0.95 * m if nesterov else m
        length = 1.0 if rms_rate is None else rms_rate * np.sqrt(5)
        w = w * (1 - lr * 0.2) - lr * length * orthogonal(u)
    np.testing.assert_allclose(weights[0].numpy(), w, rtol=1e-6, atol=1e-7)

    state: list[Any] = [np.zeros(5 + 16 + 6)] * 2
    others = starts[1:]
    for t, gs in enumerate(steps):
        decay = [0.0, 0.6, 0.6]  # by the whole rate
        results = forward_ops["adam_update"](
            np.asarray(lr * 0.5), np.asarray(t + 1), *state, None, *others, *gs[1:], weight_decay=decay
        )
        state, others = list(results[:2]), list(results[2:])
    assert_equal([v.numpy() for v in weights[1:]], others)
    again = optimizers.Muon.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert len(optimizer.variables) == 5  # iterations, rate, m, v, one momentum


def test_muon_lowers_a_loss() -> None:
    fastnn.set_seed(0)
    x = np.random.default_rng(0).standard_normal((64, 3)).astype("f")
    model = fastnn.Sequential([layers.Dense(16, activation="tanh", input_shape=(3,)), layers.Dense(1, name="last")])
    model.compile(optimizers.Muon(0.05, exclude_layers=["last"]), loss="mse")
    losses = model.fit(x, np.sin(x).sum(axis=1, keepdims=True), epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]


def test_orthogonal_directions() -> None:
    """The iteration takes every singular value near 1."""
    u = np.random.default_rng(5).standard_normal((6, 4))
    x = fastnn.function(optimizers.Muon()._orthogonal)(u)
    np.testing.assert_allclose(np.linalg.svd(x, compute_uv=False), 1, atol=0.35)
