"""One op as a program, and how its results are checked before it is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _core

Array = NDArray[Any]
Check = Callable[[list[Array]], None]


class OneOp:
    """Runs one op again and again: planned once, so that a call costs the kernel and about 5 microseconds around it.

    `updates` names operands (by position) that are variables, and which result each of them takes on when the run commits: that
    is how an optimizer runs inside `fit`.
    """

    def __init__(
        self, op: str, operands: Sequence[Array | None], attributes: Mapping[str, Any], updates: Mapping[int, int] | None = None
    ) -> None:
        updates = updates or {}
        graph = _core.Graph()
        values: list[int | None] = []
        self.inputs: list[Array] = []
        self.variables: dict[int, _core.Variable] = {}
        for i, operand in enumerate(operands):
            if operand is None:
                values.append(None)
            elif i in updates:
                self.variables[i] = _core.Variable(f"operand {i}", operand)
                values.append(graph.variable(self.variables[i]))
            else:
                self.inputs.append(operand)
                values.append(graph.input(f"operand {i}", operand.dtype.name, operand.shape))
        results = graph.node(op, values, dict(attributes), "", "")
        for operand_index, result in updates.items():
            graph.bind_variable(self.variables[operand_index], results[result])
        graph.set_outputs([] if updates else results)
        self.commit = bool(updates)
        self.function = _core.Function(graph)
        steps = self.function.describe([list(array.shape) for array in self.inputs])["steps"]
        self.flops, self.bytes = steps[0]["flops"], steps[0]["bytes"]  # of the op; its steps share them
        self.variant: str = steps[0]["variant"]

    def __call__(self) -> list[Array]:
        return self.function.run(self.inputs, self.commit)  # type: ignore[no-any-return]


random = np.random.default_rng(0)


def normal(*shape: int) -> Array:
    return random.standard_normal(shape, np.float32)


def positive(*shape: int) -> Array:
    return random.random(shape, np.float32) + np.float32(0.1)


def double(*arrays: Array) -> list[Array]:
    return [array.astype(np.float64) for array in arrays]


def close(*expected: Array, terms: int = 1) -> Check:
    """Checks results against arrays computed in float64; float32 may be off by what a sum of `terms` numbers allows.

    Integers and bools must be equal.
    """

    def check(results: list[Array]) -> None:
        assert len(results) == len(expected)
        for result, right in zip(results, expected):
            assert result.shape == right.shape
            if result.dtype.kind != "f":
                np.testing.assert_array_equal(result, right)
                continue
            scale = np.max(np.abs(right), initial=1.0)
            assert np.isfinite(right).all()
            error = np.max(np.abs(result - right), initial=0.0)
            assert error <= (8 + terms) * np.finfo(np.float32).eps * scale

    return check


def adjoint(forward: Callable[[Array], Array], shape: tuple[int, ...], dy: Array) -> Check:
    """Checks a gradient of a linear function: <dx, v> = <dy, forward(v)> for a random v of `shape`.

    One wrong element among n changes the left side by about 1 / sqrt(n) of its size, far more than the tolerance.
    """
    v = random.standard_normal(shape)

    def check(results: list[Array]) -> None:
        dx = results[0].astype(np.float64)
        assert dx.shape == shape
        right = np.vdot(dy.astype(np.float64), forward(v))
        assert abs(np.vdot(dx, v) - right) <= 1e-5 * np.linalg.norm(dx)

    return check
