from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import ops, schedules

STEPS = [0, 1, 2, 5, 9, 10, 11, 15, 20, 29, 30, 31, 70, 149, 150, 151, 1000, 10**7, 2**40]


def exponential(step: float) -> float:
    return 0.1 * 0.96 ** (step / 30)


def exponential_stairs(step: float) -> float:
    return 0.1 * 0.96 ** (step // 30)


def inverse(step: float) -> float:
    return 0.1 / (1 + 0.5 * step / 30)


def inverse_stairs(step: float) -> float:
    return 0.1 / (1 + 0.5 * (step // 30))


def piecewise(step: float) -> float:
    return 0.1 if step <= 10 else 0.03 if step <= 30 else 0.02 if step <= 150.5 else 0.007


def polynomial(step: float) -> float:
    return (0.1 - 0.01) * (1 - min(step, 30) / 30) ** 2.5 + 0.01


def polynomial_cycle(step: float) -> float:
    end = 30 * max(math.ceil(step / 30), 1)
    return (0.1 - 0.01) * (1 - step / end) + 0.01


def cosine(step: float) -> float:
    return 0.1 * (0.8 * 0.5 * (1 + math.cos(math.pi * min(step / 30, 1))) + 0.2)


def cosine_warm(step: float) -> float:
    if step < 10:
        return 0.02 + (0.3 - 0.02) * step / 10
    return 0.3 * 0.5 * (1 + math.cos(math.pi * min((step - 10) / 30, 1)))


def restarts(step: float, t: float, m: float, alpha: float) -> float:
    length, i, left = 10.0, 0, step
    if t == 1:
        i, left = int(step // 10), step % 10
    while t > 1 and left >= length:
        left, length, i = left - length, length * t, i + 1
    return 0.1 * ((1 - alpha) * 0.5 * m**i * (1 + math.cos(math.pi * left / length)) + alpha)


def warm(step: float) -> float:
    return 0.1 * min(step / 10, 1)


def warm_exponential(step: float) -> float:
    return exponential(max(step - 10, 0)) * min(step / 10, 1)


def one_cycle(step: float) -> float:
    def between(a: float, b: float, p: float) -> float:
        return b + (a - b) / 2 * (1 + math.cos(math.pi * p))

    top, last = 0.3 * 100 - 1, 99
    if step <= top:
        return between(0.1 / 25, 0.1, step / top)
    return between(0.1, 0.1 / 25 / 1e4, min((step - top) / (last - top), 1))


CASES: list[tuple[schedules.LearningRateSchedule, Any]] = [
    (schedules.ExponentialDecay(0.1, 30, 0.96), exponential),
    (schedules.ExponentialDecay(0.1, 30, 0.96, staircase=True), exponential_stairs),
    (schedules.InverseTimeDecay(0.1, 30, 0.5), inverse),
    (schedules.InverseTimeDecay(0.1, 30, 0.5, staircase=True), inverse_stairs),
    (schedules.PiecewiseConstantDecay([10, 30, 150.5], [0.1, 0.03, 0.02, 0.007]), piecewise),
    (schedules.PolynomialDecay(0.1, 30, 0.01, power=2.5), polynomial),
    (schedules.PolynomialDecay(0.1, 30, 0.01, cycle=True), polynomial_cycle),
    (schedules.CosineDecay(0.1, 30, alpha=0.2), cosine),
    (schedules.CosineDecay(0.02, 30, warmup_target=0.3, warmup_steps=10), cosine_warm),
    (schedules.CosineDecayRestarts(0.1, 10), lambda s: restarts(s, 2, 1, 0)),
    (schedules.CosineDecayRestarts(0.1, 10, t_mul=1.0, m_mul=0.9, alpha=0.1), lambda s: restarts(s, 1, 0.9, 0.1)),
    (schedules.CosineDecayRestarts(0.1, 10, t_mul=1.5, m_mul=0.5, alpha=0.1), lambda s: restarts(s, 1.5, 0.5, 0.1)),
    (schedules.LinearWarmup(0.1, 10), warm),
    (schedules.LinearWarmup(schedules.ExponentialDecay(0.1, 30, 0.96), 10), warm_exponential),
    (schedules.OneCycle(0.1, 100), one_cycle),
]
IDS = [repr(schedule) for schedule, _ in CASES]


@pytest.mark.parametrize(("schedule", "expected"), CASES, ids=IDS)
def test_formula(schedule: schedules.LearningRateSchedule, expected: Any) -> None:
    for step in STEPS:
        # Far out, where a period is cut off somewhere in the last digits, only the range is certain.
        want = expected(step) if step < 10**6 or not isinstance(schedule, schedules.CosineDecayRestarts) else None
        rate = float(schedule(step))
        if want is None:
            assert 0 <= rate <= 0.1
        else:
            assert abs(rate - want) <= 1e-12 * max(abs(want), 0.1), f"step {step}"


@pytest.mark.parametrize(("schedule", "expected"), CASES, ids=IDS)
def test_traced_it_is_the_same_and_makes_one_plan(schedule: schedules.LearningRateSchedule, expected: Any) -> None:
    counter = fastnn.Variable(np.int64(0))
    traces = []

    @fastnn.function
    def step() -> Any:
        traces.append(1)
        rate = schedule(counter)
        counter.assign(counter + 1)
        return rate

    for i in range(40):
        assert float(step()) == float(schedule(i))
    assert len(traces) == 1


@pytest.mark.parametrize(("schedule", "expected"), CASES, ids=IDS)
def test_config(schedule: schedules.LearningRateSchedule, expected: Any) -> None:
    again = type(schedule).from_config(schedule.get_config())
    assert again.get_config() == schedule.get_config()
    assert float(again(17)) == float(schedule(17))


def test_an_optimizer_follows_a_schedule() -> None:
    w = fastnn.Variable(np.zeros(3))
    optimizer = fastnn.optimizers.SGD(schedules.ExponentialDecay(0.5, 1, 0.5))

    @fastnn.function
    def step() -> None:
        optimizer.apply([w * 0.0 + 1.0], [w])

    rates = []
    for i in range(4):
        rates.append(float(optimizer.learning_rate))
        step()
        assert int(optimizer.iterations) == i + 1
    assert rates == [0.5, 0.25, 0.125, 0.0625]
    np.testing.assert_allclose(w.numpy(), -sum(rates))
    with pytest.raises(TypeError, match=r"ExponentialDecay sets the rate; expected .*; "):
        optimizer.learning_rate = 0.1
    again = fastnn.optimizers.SGD.from_config(optimizer.get_config())
    assert float(again.learning_rate) == 0.5


def test_a_schedule_in_fit() -> None:
    x = np.random.default_rng(0).standard_normal((64, 3)).astype("f")
    model = fastnn.Sequential([fastnn.layers.Dense(1, input_shape=(3,))])
    schedule = schedules.CosineDecay(0.0, 40, warmup_target=0.1, warmup_steps=8)
    model.compile(fastnn.optimizers.Adam(schedule), loss="mse")
    losses = model.fit(x, x.sum(axis=1, keepdims=True), epochs=24, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    assert float(model.optimizer.learning_rate) == 0.0 and int(model.optimizer.iterations) == 48


class Own(schedules.LearningRateSchedule):
    def rate(self, step: Any) -> Any:
        return ops.maximum(1.0 - step, 0.0)


def test_a_schedule_of_ones_own() -> None:
    assert float(Own()(0)) == 1.0 and float(Own()(5)) == 0.0
    with pytest.raises(TypeError, match=r"LearningRateSchedule: has no rate\(step\); expected one; "):
        schedules.LearningRateSchedule()(0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: schedules.ExponentialDecay(-0.1, 10, 0.9), "initial_learning_rate=-0.1"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.9), "decay_steps=0"),
        (lambda: schedules.ExponentialDecay(0.1, 10, 0.0), "decay_rate=0.0"),
        (lambda: schedules.InverseTimeDecay(0.1, 10, math.nan), "decay_rate=nan"),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "boundaries="),
        (lambda: schedules.PiecewiseConstantDecay([2, 2], [0.1, 0.2, 0.3]), "boundaries="),
        (lambda: schedules.PolynomialDecay(0.1, 10, power=0), "power=0"),
        (lambda: schedules.CosineDecay(0.1, 10, warmup_target=-1.0), "warmup_target=-1.0"),
        (lambda: schedules.CosineDecayRestarts(0.1, 10, t_mul=0.5), "t_mul=0.5"),
        (lambda: schedules.LinearWarmup(0.1, 0), "warmup_steps=0"),
        (lambda: schedules.OneCycle(0.1, 1), "total_steps=1"),
        (lambda: schedules.OneCycle(0.1, 10, pct_start=1.0), "pct_start=1.0"),
        (lambda: fastnn.optimizers.Adam("fast"), "learning_rate='fast'"),
    ],
)
def test_what_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"; expected .*; ") as caught:
        make()
    assert words in str(caught.value)


def test_flags_are_bools() -> None:
    with pytest.raises(TypeError, match=r"staircase=1; expected True or False; "):
        schedules.ExponentialDecay(0.1, 10, 0.9, staircase=1)  # type: ignore[arg-type]
