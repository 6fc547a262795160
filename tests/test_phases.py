"""Phases of a program: steps that need nothing of each other run side by side, in any order, with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers, ops


def phases(function: Any, *args: Any) -> list[list[str]]:
    """The ops of each phase of compute."""
    found: dict[int, list[str]] = {}
    steps = [step for step in function.describe(*args)["steps"] if not step["commit"]]
    assert [step["phase"] for step in steps] == sorted(step["phase"] for step in steps)
    for step in steps:
        found.setdefault(step["phase"], []).append(step["op"])
    return list(found.values())


def in_every_order(run: Callable[[], list[np.ndarray]]) -> None:
    """Compares the bits of a run in order, in reverse, and with several threads either way."""
    fastnn.set_num_threads(1)
    _core._serial_below(0.0)
    expected = run()
    for threads in (1, 2, 5):
        for backwards in (False, True):
            fastnn.set_num_threads(threads)
            _core._reverse_phases(backwards)
            for got, wanted in zip(run(), expected, strict=True):
                np.testing.assert_array_equal(got, wanted)
    _core._reverse_phases(False)


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def test_products_with_one_operand_are_packed_together_and_multiplied_together():
    x, *weights = arrays((512, 256), (256, 256), (256, 256), (256, 256))

    @fastnn.function
    def project(x, *weights):
        x = ops.tanh(x)
        return tuple(ops.matmul(x, w, transpose_b=True) for w in weights)

    assert phases(project, x, *weights) == [["tanh", *["matmul"] * 3], ["matmul"] * 3]
    in_every_order(lambda: list(project(x, *weights)))


def test_a_chain_has_a_phase_for_each_link():
    f = fastnn.function(lambda x: ops.exp(ops.square(ops.sum(ops.tanh(x), axes=(1,)))))
    assert phases(f, *arrays((4, 3))) == [["tanh"], ["sum"], ["square"], ["exp"]]


def test_what_was_there_from_the_beginning_is_not_made_long_before_it_is_needed():
    f = fastnn.function(lambda x, y: ops.exp(ops.tanh(ops.square(x))) + ops.sin(y))
    assert phases(f, *arrays((4, 3), (4, 3))) == [["square"], ["tanh"], ["exp", "sin"], ["add"]]


def test_an_operand_that_a_neighbour_reads_is_not_written_over():
    @fastnn.function
    def f(x):
        y = ops.tanh(x)
        grown, squared, turned = ops.exp(y), ops.square(y), ops.negative(y)
        return ops.sum(grown) + ops.sum(squared) + ops.sum(turned)

    (x,) = arrays((300, 700))
    assert [sorted(phase) for phase in phases(f, x)][:2] == [["tanh"], ["exp", "negative", "square"]]
    in_every_order(lambda: [f(x)])
    y = np.tanh(x.astype(float))
    assert f(x) == pytest.approx(np.sum(np.exp(y) + y * y - y), rel=1e-5)


def test_what_nobody_else_reads_is_still_written_over():
    f = fastnn.function(lambda x: ops.exp(ops.tanh(ops.square(x))) * 2.0)
    (x,) = arrays((64, 1024))
    assert f.describe(x)["arena_bytes"] <= x.nbytes


def test_a_phase_of_very_many_steps():
    xs = arrays(*[(40, 50)] * 37)
    f = fastnn.function(lambda *xs: tuple(ops.tanh(x) for x in xs))
    assert phases(f, *xs) == [["tanh"] * 37]
    in_every_order(lambda: list(f(*xs)))
    for got, x in zip(f(*xs), xs, strict=True):
        np.testing.assert_allclose(got, np.tanh(x), rtol=1e-6)


def test_rounds_are_a_phase_of_their_own():
    x, kernel, recurrent, weights = arrays((1, 5, 128), (128, 1024), (256, 1024), (256, 256))

    @fastnn.function
    def f(x, kernel, recurrent, weights):
        return ops.lstm(x, kernel, recurrent), ops.tanh(weights), ops.exp(weights)

    _core._use_variant("lstm", "units")
    shares = [phase for phase in phases(f, x, kernel, recurrent, weights) if "tanh" in phase]
    assert shares == [["tanh", "exp"]]
    in_every_order(
        lambda: [np.asarray(a) for a in (*f(x, kernel, recurrent, weights)[0], *f(x, kernel, recurrent, weights)[1:])]
    )


@pytest.mark.parametrize("seed", range(12))
def test_any_graph(seed: int):
    """Ops that may write over an operand, views, sums of several and values read twice, in any order."""
    rng = np.random.default_rng(seed)
    xs = arrays((24, 40), (24, 40), (24, 40))
    a, b = fastnn.Variable(xs[0]), fastnn.Variable(xs[1])
    plan = [(int(rng.integers(6)), int(rng.integers(100)), int(rng.integers(100))) for _ in range(40)]

    @fastnn.function
    def f(x):
        values = [x, ops.tanh(a), ops.tanh(b)]
        for kind, i, j in plan:
            left, right = values[-1 - i % min(8, len(values))], values[-1 - j % min(8, len(values))]
            if kind == 0:
                values.append(ops.tanh(left))
            elif kind == 1:
                values.append(left * 0.5 + right)
            elif kind == 2:
                values.append(ops.reshape(ops.reshape(left, (40, 24)), (24, 40)) - right)
            elif kind == 3:
                values.append(ops.tanh(ops.matmul(left, ops.matmul(right, left, transpose_a=True))))
            elif kind == 4:
                values.append(ops.relu(left) + ops.sum(right, axes=(1,), keepdims=True) * 0.1)
            else:
                values.append(ops.layer_norm(left))
        a.assign(values[-1] * 0.25)
        b.assign(values[-2])
        return values[-1], ops.sum(values[-3])

    def run():
        a.assign(xs[0])
        b.assign(xs[1])
        results = [np.asarray(result) for _ in range(2) for result in f(xs[2])]
        return [*results, a.numpy(), b.numpy()]

    in_every_order(run)


def networks() -> dict[str, tuple[Callable[[], fastnn.Model], tuple[int, ...]]]:
    def convolutional() -> fastnn.Model:
        return fastnn.Sequential(
            [
                layers.Conv2D(8, (3, 3), activation="relu", input_shape=(12, 12, 1)),
                layers.MaxPooling2D((2, 2)),
                layers.Conv2D(32, (3, 3), activation="relu"),
                layers.Flatten(),
                layers.Dense(10, activation="softmax"),
            ]
        )

    def transformer() -> fastnn.Model:
        inputs = fastnn.Input((16,), dtype="int64")
        x = layers.Embedding(10, 32)(inputs)
        for _ in range(2):
            x = layers.TransformerEncoder(64, 4)(x)
        return fastnn.Model(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(x)))

    def recurrent() -> fastnn.Model:
        return fastnn.Sequential(
            [
                layers.Bidirectional(layers.LSTM(16, return_sequences=True), input_shape=(9, 6)),
                layers.GRU(16),
                layers.Dense(10, activation="softmax"),
            ]
        )

    return {
        "convolutional": (convolutional, (12, 12, 1)),
        "transformer": (transformer, (16,)),
        "recurrent": (recurrent, (9, 6)),
    }


@pytest.mark.parametrize("name", list(networks()))
def test_training(name: str):
    make, shape = networks()[name]
    fastnn.utils.set_random_seed(4)
    model = make()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    weights = model.get_weights()
    rng = np.random.default_rng(5)
    x = rng.integers(10, size=(12, *shape)) if name == "transformer" else rng.standard_normal((12, *shape)).astype(np.float32)
    y = rng.integers(10, size=12)

    def run():
        model.set_weights(weights)
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
        return [*model.get_weights(), model.predict(x)]

    in_every_order(run)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("threads", [1, 4])
def test_the_error_of_the_first_op_is_raised(threads: int, backwards: bool):
    table = np.ones((5, 3), np.float32)

    @fastnn.function
    def f(first, second):
        return ops.take(table, first, axis=0), ops.take(table, second, axis=0)

    fastnn.set_num_threads(threads)
    _core._serial_below(0.0)
    _core._reverse_phases(backwards)
    with pytest.raises(ValueError, match="7"):
        f(np.array([0, 7]), np.array([9, 0]))
    with pytest.raises(ValueError, match="9"):
        f(np.array([0, 1]), np.array([9, 0]))
