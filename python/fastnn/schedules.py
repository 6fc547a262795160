"""Learning rates as functions of the number of updates made.

    schedule = fastnn.schedules.CosineDecay(1e-4, decay_steps=10_000, warmup_target=1e-3, warmup_steps=500)
    optimizer = fastnn.optimizers.Adam(schedule)

A schedule is traced into the training step, where it reads the optimizer's `iterations`: the rate changes with every step, and
no new plan is ever made. On a number it gives a number. All compute in float64, so that no number of steps is too large for
them. Names and formulas are those of keras.optimizers.schedules; OneCycle and LinearWarmup are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.utils import check_number

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "LinearWarmup",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]


class LearningRateSchedule:
    """Base class. A subclass computes `rate(step)` with `fastnn.ops`, and has `get_config`.

    Args:
        name: for errors.

    Example:
        >>> class Falling(fastnn.schedules.LearningRateSchedule):
        ...     def rate(self, step):
        ...         return 0.1 * ops.exp(-0.01 * step)
        >>> round(float(Falling()(100)), 4)
        0.0368
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__

    def __call__(self, step: Any) -> Any:
        """The learning rate of the update after `step` others.

        Args:
            step: an int64 tensor or Variable `()`, or a number.

        Returns:
            float64: a tensor inside a trace, else an array `()`.
        """
        return self.rate(ops.cast(np.int64(step) if isinstance(step, (int, float)) else step, "float64"))

    def rate(self, step: Any) -> Any:
        """The formula; a subclass implements it.

        Args:
            step: float64 `()`.

        Raises:
            TypeError: the subclass has no such method.
        """
        raise TypeError(f"{self.name}: has no rate(step); expected one; override it")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal one."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """A schedule from what `get_config` returned.

        Args:
            config: the arguments by name.
        """
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items() if k != 'name')})"


# ---- Scalars -------------------------------------------------------------------------------------------------------------


def _whole(x: Any) -> Any:
    """x without its fraction, for x >= 0."""
    return ops.cast(ops.cast(x, "int64"), "float64")


def _past(step: Any, boundary: float) -> Any:
    """1.0 where step > boundary, else 0.0, for whole steps."""
    return ops.clip(step - math.floor(boundary), 0.0, 1.0)


def _choose(condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where the condition is 1.0, `no` where it is 0.0; both finite."""
    return no + condition * (yes - no)


def _power(base: float, exponent: Any) -> Any:
    """base^exponent for base > 0."""
    return ops.exp(exponent * math.log(base))


def _positive(where: str, what: str, value: Any, example: float) -> float:
    return check_number(where, what, value, example, "a finite number > 0", lambda v: v > 0.0)


def _rate(where: str, what: str, value: Any) -> float:
    return check_number(where, what, value, 1e-3, "a finite number >= 0", lambda v: v >= 0.0)


def _flag(where: str, what: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{where}: {what}={value!r}; expected True or False; pass one of them")
    return value


# ---- Keras's ------------------------------------------------------------------------------------------------------------


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate decay_rate^(step / decay_steps)`.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: above 0.
        decay_rate: above 0.
        staircase: whether `step / decay_steps` is rounded down, so that the rate changes every decay_steps steps.
        name: for errors.

    Raises:
        ValueError: a parameter outside its range.

    Example:
        >>> schedule = fastnn.schedules.ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)
        >>> [round(float(schedule(step)), 4) for step in (0, 100, 150)]
        [0.1, 0.05, 0.0354]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        super().__init__(name)
        self.initial_learning_rate = _rate(name, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _positive(name, "decay_steps", decay_steps, 1000)
        self.decay_rate = _positive(name, "decay_rate", decay_rate, 0.96)
        self.staircase = _flag(name, "staircase", staircase)

    def rate(self, step: Any) -> Any:
        p = step / self.decay_steps
        return _power(self.decay_rate, _whole(p) if self.staircase else p) * self.initial_learning_rate

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            **super().get_config(),
        }


class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate step / decay_steps)`.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: above 0.
        decay_rate: at least 0.
        staircase: whether `step / decay_steps` is rounded down.
        name: for errors.

    Raises:
        ValueError: a parameter outside its range.

    Example:
        >>> schedule = fastnn.schedules.InverseTimeDecay(0.1, decay_steps=100, decay_rate=1.0)
        >>> [float(schedule(step)) for step in (0, 100, 300)]
        [0.1, 0.05, 0.025]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(name)
        self.initial_learning_rate = _rate(name, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _positive(name, "decay_steps", decay_steps, 1000)
        self.decay_rate = _rate(name, "decay_rate", decay_rate)
        self.staircase = _flag(name, "staircase", staircase)

    def rate(self, step: Any) -> Any:
        p = step / self.decay_steps
        return self.initial_learning_rate / ((_whole(p) if self.staircase else p) * self.decay_rate + 1.0)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            **super().get_config(),
        }


class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[i]` for the steps above `boundaries[i - 1]` and not above `boundaries[i]`.

    Args:
        boundaries: numbers of steps, increasing.
        values: one more than boundaries: the rates before, between and after them.
        name: for errors.

    Raises:
        ValueError: boundaries that do not increase, another number of values.

    Example:
        >>> schedule = fastnn.schedules.PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
        >>> [float(schedule(step)) for step in (0, 100, 101, 201)]
        [0.1, 0.1, 0.01, 0.001]
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstantDecay") -> None:
        super().__init__(name)
        self.boundaries = [check_number(name, "boundaries", b, 1000) for b in boundaries]
        self.values = [_rate(name, "values", v) for v in values]
        if len(self.values) != len(self.boundaries) + 1 or any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:])):
            raise ValueError(
                f"{name}: boundaries={self.boundaries}, values={self.values}; expected increasing boundaries and one value "
                "more than them; pass for example boundaries=[1000], values=[0.1, 0.01]"
            )

    def rate(self, step: Any) -> Any:
        passed = ops.cast(step * 0.0, "int64")
        for boundary in self.boundaries:
            passed = passed + ops.cast(_past(step, boundary), "int64")
        rate = ops.gather_rows(np.asarray(self.values), ops.reshape(passed, (1,)))
        return ops.reshape(rate, ())

    def get_config(self) -> dict[str, Any]:
        return {"boundaries": self.boundaries, "values": self.values, **super().get_config()}


class PolynomialDecay(LearningRateSchedule):
    """`(initial_learning_rate - end_learning_rate) (1 - step / decay_steps)^power + end_learning_rate`, until decay_steps.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: above 0.
        end_learning_rate: the rate from decay_steps on.
        power: above 0.
        cycle: the first multiple of decay_steps that is not below step stands for decay_steps, so that the rate jumps up again.
        name: for errors.

    Raises:
        ValueError: a parameter outside its range.

    Example:
        >>> schedule = fastnn.schedules.PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0)
        >>> [float(schedule(step)) for step in (0, 50, 200)]
        [0.1, 0.05, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        super().__init__(name)
        self.initial_learning_rate = _rate(name, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _positive(name, "decay_steps", decay_steps, 1000)
        self.end_learning_rate = _rate(name, "end_learning_rate", end_learning_rate)
        self.power = _positive(name, "power", power, 1.0)
        self.cycle = _flag(name, "cycle", cycle)

    def rate(self, step: Any) -> Any:
        p = step / self.decay_steps
        if self.cycle:
            below = _whole(p)
            # The ratio rounded up, at least 1.
            p = p / ops.maximum(below + ops.cast(ops.cast(p - below, "bool"), "float64"), 1.0)
        left = 1.0 - ops.minimum(p, 1.0)
        if self.power != 1.0:
            left = ops.exp(ops.log(left) * self.power)  # log 0 is -infinity, whose exponential is 0
        return left * (self.initial_learning_rate - self.end_learning_rate) + self.end_learning_rate

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            **super().get_config(),
        }


class CosineDecay(LearningRateSchedule):
    """Half a cosine, from `initial_learning_rate` down to `alpha` times it, perhaps after a linear warm-up.

    With `warmup_target` the rate first rises, in `warmup_steps` steps, from initial_learning_rate to it, and the cosine begins
    there: `warmup_target ((1 - alpha) (1 + cos(pi p)) / 2 + alpha)` with `p = (step - warmup_steps) / decay_steps`, at most 1.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: above 0, without the warm-up.
        alpha: the share of the rate that is left in the end.
        name: for errors.
        warmup_target: the rate after the warm-up; None for no warm-up.
        warmup_steps: its length.

    Raises:
        ValueError: a parameter outside its range.

    Source:
        Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, arXiv:1608.03983.

    Example:
        >>> schedule = fastnn.schedules.CosineDecay(0.0, decay_steps=100, warmup_target=0.1, warmup_steps=10)
        >>> [round(float(schedule(step)), 4) for step in (0, 5, 10, 60, 200)]
        [0.0, 0.05, 0.1, 0.05, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        super().__init__(name)
        self.initial_learning_rate = _rate(name, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _positive(name, "decay_steps", decay_steps, 1000)
        self.alpha = _rate(name, "alpha", alpha)
        self.warmup_target = None if warmup_target is None else _rate(name, "warmup_target", warmup_target)
        self.warmup_steps = _rate(name, "warmup_steps", warmup_steps)

    def rate(self, step: Any) -> Any:
        if self.warmup_target is None:
            return _cosine(step / self.decay_steps, self.initial_learning_rate, self.alpha)
        decay = _cosine((step - self.warmup_steps) / self.decay_steps, self.warmup_target, self.alpha)
        if self.warmup_steps == 0:
            return decay
        rise = step / self.warmup_steps * (self.warmup_target - self.initial_learning_rate) + self.initial_learning_rate
        # Where both meet they are warmup_target.
        return _choose(_past(step, self.warmup_steps), decay, rise)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
            **super().get_config(),
        }


def _cosine(p: Any, start: float, alpha: float) -> Any:
    """`start` at p = 0, `alpha start` from p = 1 on."""
    half = ops.cos(ops.clip(p, 0.0, 1.0) * math.pi) * 0.5 + 0.5
    return half * (start * (1.0 - alpha)) + start * alpha


class CosineDecayRestarts(LearningRateSchedule):
    """Half a cosine down, then up at once and down again, in periods that grow.

    `initial_learning_rate m_mul^i ((1 - alpha) (1 + cos(pi p)) / 2 + alpha)`, where p runs from 0 to 1 in period i, which is
    `first_decay_steps t_mul^i` steps long.

    Args:
        initial_learning_rate: the rate at step 0.
        first_decay_steps: length of the first period, above 0.
        t_mul: how many times longer each period is than the last; at least 1.
        m_mul: how many times higher each begins; above 0.
        alpha: the share of the rate that is left at the end of a period, before m_mul.
        name: for errors.

    Raises:
        ValueError: a parameter outside its range.

    Source:
        Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, arXiv:1608.03983.

    Example:
        >>> schedule = fastnn.schedules.CosineDecayRestarts(0.1, first_decay_steps=100)
        >>> [round(float(schedule(step)), 4) for step in (0, 50, 100, 200, 300)]
        [0.1, 0.05, 0.1, 0.05, 0.1]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "CosineDecayRestarts",
    ) -> None:
        super().__init__(name)
        self.initial_learning_rate = _rate(name, "initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = _positive(name, "first_decay_steps", first_decay_steps, 1000)
        self.t_mul = check_number(name, "t_mul", t_mul, 2.0, "a finite number >= 1", lambda v: v >= 1.0)
        self.m_mul = _positive(name, "m_mul", m_mul, 1.0)
        self.alpha = _rate(name, "alpha", alpha)

    def rate(self, step: Any) -> Any:
        p = step / self.first_decay_steps
        if self.t_mul == 1.0:
            period = _whole(p)
            p = p - period
        else:
            # Periods before i take (t_mul^i - 1) / (t_mul - 1) first periods. The sum rounds; a step at a boundary begins anew.
            period = _whole(ops.log(p * (self.t_mul - 1.0) + 1.0) * (1.0 / math.log(self.t_mul)) + 1e-12)
            length = _power(self.t_mul, period)
            p = (p - (length - 1.0) / (self.t_mul - 1.0)) / length
        rate = _cosine(p, self.initial_learning_rate, self.alpha)
        if self.m_mul != 1.0:
            # As in Keras the whole cosine is scaled, its lowest point is not.
            floor = self.initial_learning_rate * self.alpha
            rate = (rate - floor) * _power(self.m_mul, period) + floor
        return rate

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self.t_mul,
            "m_mul": self.m_mul,
            "alpha": self.alpha,
            **super().get_config(),
        }


# ---- Ours ----------------------------------------------------------------------------------------------------------------


class LinearWarmup(LearningRateSchedule):
    """Rises in a straight line for `warmup_steps` steps, then follows a constant or another schedule.

    `after(0) step / warmup_steps` before, `after(step - warmup_steps)` from there on.

    Args:
        after: a rate, or a schedule.
        warmup_steps: above 0.
        name: for errors.

    Raises:
        ValueError: a parameter outside its range.

    Source:
        Goyal et al., "Accurate, large minibatch SGD", 2017, arXiv:1706.02677.

    Example:
        >>> schedule = fastnn.schedules.LinearWarmup(0.1, warmup_steps=10)
        >>> [round(float(schedule(step)), 4) for step in (0, 5, 10, 1000)]
        [0.0, 0.05, 0.1, 0.1]
    """

    def __init__(self, after: float | LearningRateSchedule, warmup_steps: float, name: str = "LinearWarmup") -> None:
        super().__init__(name)
        self.after = after if isinstance(after, LearningRateSchedule) else _rate(name, "after", after)
        self.warmup_steps = _positive(name, "warmup_steps", warmup_steps, 1000)

    def rate(self, step: Any) -> Any:
        rise = ops.minimum(step / self.warmup_steps, 1.0)
        if not isinstance(self.after, LearningRateSchedule):
            return rise * self.after
        return self.after.rate(ops.maximum(step - self.warmup_steps, 0.0)) * rise

    def get_config(self) -> dict[str, Any]:
        return {"after": self.after, "warmup_steps": self.warmup_steps, **super().get_config()}


class OneCycle(LearningRateSchedule):
    """Half a cosine up to `max_learning_rate`, then half a cosine down to almost nothing.

    From `max_learning_rate / div_factor` at step 0 up in the first `pct_start` of `total_steps`, then down to the rate at step
    0 over `final_div_factor` at the last step, `total_steps - 1`, and constant from there on. As PyTorch's OneCycleLR, with
    `anneal_strategy="cos"`; the momentum stays as it is.

    Args:
        max_learning_rate: the highest rate.
        total_steps: an integer of at least 2.
        pct_start: share of the steps that rise; above 0 and below 1.
        div_factor: above 0.
        final_div_factor: above 0.
        name: for errors.

    Raises:
        ValueError: a parameter outside its range.

    Source:
        Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018,
        arXiv:1708.07120.

    Example:
        >>> schedule = fastnn.schedules.OneCycle(0.1, total_steps=101, pct_start=0.5)
        >>> [round(float(schedule(step)), 4) for step in (0, 49, 100)]
        [0.004, 0.1, 0.0]
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        name: str = "OneCycle",
    ) -> None:
        super().__init__(name)
        self.max_learning_rate = _rate(name, "max_learning_rate", max_learning_rate)
        self.total_steps = int(
            check_number(name, "total_steps", total_steps, 1000, "an integer >= 2", lambda n: n >= 2 and n == int(n))
        )
        self.pct_start = check_number(name, "pct_start", pct_start, 0.3, "0 < pct_start < 1", lambda p: 0.0 < p < 1.0)
        self.div_factor = _positive(name, "div_factor", div_factor, 25.0)
        self.final_div_factor = _positive(name, "final_div_factor", final_div_factor, 1e4)

    def rate(self, step: Any) -> Any:
        first = self.max_learning_rate / self.div_factor
        top, last = self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0
        down = _between(step, top, last, self.max_learning_rate, first / self.final_div_factor)
        if top <= 0.0:
            return down
        return _choose(_past(step, top), down, _between(step, 0.0, top, first, self.max_learning_rate))

    def get_config(self) -> dict[str, Any]:
        return {
            "max_learning_rate": self.max_learning_rate,
            "total_steps": self.total_steps,
            "pct_start": self.pct_start,
            "div_factor": self.div_factor,
            "final_div_factor": self.final_div_factor,
            **super().get_config(),
        }


def _between(step: Any, begin: float, end: float, start: float, stop: float) -> Any:
    """Half a cosine from `start` at step `begin` to `stop` at `end`."""
    p = ops.clip((step - begin) * (1.0 / (end - begin)), 0.0, 1.0)
    return (ops.cos(p * math.pi) * 0.5 + 0.5) * (start - stop) + stop
