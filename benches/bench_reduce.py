"""Sums, means, extrema, products and gradients. Shapes are (rows, columns)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, double, normal

Shape = tuple[int, int]

# mnist: the gradient whose sum over rows is the first bias's; loss: 32 numbers to one.
shapes = pytest.mark.shapes({"mnist": (32 * 26 * 26, 32), "classes": (1024, 1000), "loss": (32, 1)}, small={"small": (5, 17)})


@pytest.mark.parametrize("axes", [(0,), (1,), None], ids=["rows", "columns", "all"])
@shapes
def test_sum(time_op: Any, shape: Shape, axes: tuple[int, ...] | None) -> None:
    x = normal(*shape)
    terms = int(np.prod([shape[axis] for axis in axes or (0, 1)]))
    time_op("sum", [x], close(np.asarray(double(x)[0].sum(axes)), terms=terms), axes=axes)


@pytest.mark.parametrize("axes", [(0,), (1,), None], ids=["rows", "columns", "all"])
@shapes
def test_max(time_op: Any, shape: Shape, axes: tuple[int, ...] | None) -> None:
    x = normal(*shape)
    time_op("max", [x], close(np.asarray(double(x)[0].max(axes))), axes=axes)


@shapes
def test_prod(time_op: Any, shape: Shape) -> None:
    x = 1 + normal(*shape) / 1000
    time_op("prod", [x], close(np.asarray(double(x)[0].prod(1)), terms=shape[1]), axes=(1,))


@shapes
def test_any(time_op: Any, shape: Shape) -> None:
    x = normal(*shape) > 3
    time_op("any", [x], close(x.any(1)), axes=(1,))


@shapes
def test_mean(time_op: Any, shape: Shape) -> None:
    x = normal(*shape)
    time_op("mean", [x], close(np.asarray(double(x)[0].mean())))


@shapes
def test_mean_backward(time_op: Any, shape: Shape) -> None:
    dy, x = normal(), normal(*shape)
    time_op("mean_backward", [dy, x], close(np.broadcast_to(double(dy)[0] / x.size, shape)))


@shapes
def test_sum_to_like(time_op: Any, shape: Shape) -> None:
    x, like = normal(*shape), normal(shape[1])
    time_op("sum_to_like", [x, like], close(double(x)[0].sum(0), terms=shape[0]))


@pytest.mark.parametrize("axis", [0, 1])
@shapes
def test_argmax(time_op: Any, shape: Shape, axis: int) -> None:
    x = normal(*shape)
    time_op("argmax", [x], close(x.argmax(axis)), axis=axis)
