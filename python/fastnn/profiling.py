"""Where the time of a model goes: `profile` runs it a few times and looks at the clock around every op."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core

if TYPE_CHECKING:
    from fastnn.models import Model
    from fastnn.tracing import Array

__all__ = ["OpTime", "Profile", "profile"]


@dataclass(frozen=True)
class OpTime:
    """One op of a program. Times are in seconds, medians over the runs."""

    op: str
    variant: str  # the way of computing it that was chosen
    layer: str
    line: str  # of the user's code that called it, where that is known
    seconds: float
    flops: float  # of the textbook formula; a clever way needs fewer
    bytes: float  # operands read once and results written once


@dataclass(frozen=True)
class Profile:
    """What `profile` found; printing it shows a table.

    Attributes:
        name: of the model.
        training: whether training steps were run, or predictions.
        batch_size: samples in a run.
        threads: how many the runs could use.
        ops: an OpTime for each op, in the order in which they run.
        seconds: of a whole run in the core: the median, with what lies between ops.
        peak_flops: multiplications and additions per second that this machine's `threads` reach in float32, measured just now.
        arena_bytes: the memory of all intermediate values.
    """

    name: str
    training: bool
    batch_size: int
    threads: int
    ops: Sequence[OpTime]
    seconds: float
    peak_flops: float
    arena_bytes: int
    _events: Sequence[dict[str, Any]]

    def __str__(self) -> str:
        return self.table()

    def table(self, most: int | None = None) -> str:
        """A table of the ops, the slowest first, as text.

        Args:
            most: how many rows; None for all.

        Returns:
            Lines: share of the run, microseconds, GFLOP/s, share of the machine's peak, op, variant, layer.
        """
        ordered = sorted(self.ops, key=lambda op: -op.seconds)
        shown = ordered[:most]
        what = "training step" if self.training else "prediction"
        lines = [
            f"{self.name}: {what} of {self.batch_size} samples in {self.seconds * 1e6:,.0f} us, "
            f"{self.batch_size / self.seconds:,.0f} samples/s; {self.threads} thread{'s' * (self.threads > 1)}, "
            f"peak {self.peak_flops / 1e9:,.0f} GFLOP/s, {self.arena_bytes / 2**20:,.1f} MiB of intermediate values",
            f"{'share':>6} {'us':>9} {'GFLOP/s':>8} {'peak':>6}  {'op':32} {'variant':10} layer",
        ]
        for op in shown:
            rate = op.flops / op.seconds if op.seconds > 0 else 0.0
            lines.append(
                f"{op.seconds / self.seconds:6.1%} {op.seconds * 1e6:9.1f} {rate / 1e9:8.1f} {rate / self.peak_flops:6.0%}  "
                f"{op.op:32} {op.variant:10} {op.layer}"
            )
        rest = self.seconds - sum(op.seconds for op in shown)
        others = f"{len(ordered) - len(shown)} other ops and " if len(ordered) > len(shown) else ""
        lines.append(f"{rest / self.seconds:6.1%} {rest * 1e6:9.1f} {'':8} {'':6}  {others}what lies between ops")
        return "\n".join(lines)

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the last run as a trace for chrome://tracing or ui.perfetto.dev.

        Args:
            path: a JSON file; one that exists is replaced.

        Raises:
            OSError: it cannot be written.
        """
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": list(self._events), "displayTimeUnit": "ns"}, file)


def profile(model: Model, x: Any, y: Any = None, *, batch_size: int = 32, steps: int = 20) -> Profile:
    """Times each op of a model's predictions, or with `y` of its training steps.

    Ops that may run side by side run one after another here, so `fit` and `predict` are a little faster than the whole.
    Weights, the optimizer's memory, metrics and random state are afterwards what they were before.

    Args:
        model: a model; compiled, if it is to train.
        x: samples, as for `fit`; the first `batch_size` are used.
        y: labels or targets, for training steps; None for predictions.
        batch_size: samples in a run; fewer where `x` has fewer.
        steps: how many runs; at least 1.

    Returns:
        A Profile: print it, or look at its `ops`.

    Raises:
        ValueError: arrays that do not fit the model, no samples, a model that was not compiled, options below 1.

    Example:
        >>> model = fastnn.Sequential([layers.Dense(3, activation="relu", input_shape=(4,))])
        >>> [op.op for op in fastnn.profile(model, np.ones((8, 4), np.float32), steps=1).ops]  # relu is part of dense
        ['dense']
    """
    for what, value in (("batch_size", batch_size), ("steps", steps)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"profile: {what}={value!r}; expected a positive integer; pass for example 20")
    function, arrays, samples = _program(model, x, y, int(batch_size))
    variables = function.variables()
    before = _core.read_variables(variables)
    runs: list[list[dict[str, Any]]] = []
    whole: list[float] = []
    try:
        for run in range(-2, steps):  # the first two warm the caches
            _, described = function.run(arrays, y is not None, True)
            if run >= 0:
                whole.append(described["steps"][-1]["end"] if described["steps"] else 0.0)
                runs.append(described["steps"])
    finally:
        _core.write_variables(variables, before)
    threads = _core.num_threads()
    return Profile(
        name=model.name,
        training=y is not None,
        batch_size=samples,
        threads=threads,
        ops=_ops(runs),
        seconds=statistics.median(whole),
        peak_flops=_core._peak_flops(threads),
        arena_bytes=described["arena_bytes"],
        _events=[_event(step) for step in runs[-1]],
    )


def _program(model: Model, x: Any, y: Any, batch_size: int) -> tuple[_core.Function, list[Array], int]:
    """What is run, its inputs and the number of samples in them."""
    if y is None:
        inputs = model._prepare_x(x, "profile")
        if len(inputs[0]) == 0:
            raise ValueError(
                f"{model.name}: profile: empty arrays; expected at least one sample; check how the data was loaded"
            )
        inputs = [array[:batch_size] for array in inputs]
        return model._prediction_program(inputs, False).function, inputs, len(inputs[0])
    model._require_compiled("profile")
    data = model._prepare(x, y, "profile")
    rows = np.arange(min(batch_size, data.samples), dtype=np.int64)
    return model._training_program(data).function, [*data.arrays, rows], len(rows)


def _ops(runs: list[list[dict[str, Any]]]) -> list[OpTime]:
    """The steps of each call together; medians over the runs."""
    calls: dict[int, list[int]] = {}
    for i, step in enumerate(runs[0]):
        calls.setdefault(step["call"], []).append(i)
    ops = []
    for steps in calls.values():
        first = runs[0][steps[0]]
        seconds = statistics.median(sum(run[i]["end"] - run[i]["begin"] for i in steps) for run in runs)
        about = {name: first[name] for name in ("op", "variant", "layer", "line", "flops", "bytes")}
        ops.append(OpTime(seconds=seconds, **about))
    return ops


def _event(step: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": step["op"],
        "cat": "commit" if step["commit"] else "compute",
        "ph": "X",
        "ts": step["begin"] * 1e6,
        "dur": (step["end"] - step["begin"]) * 1e6,
        "pid": 0,
        "tid": 0,
        "args": {name: step[name] for name in ("layer", "line", "variant", "tasks", "flops", "bytes")},
    }
