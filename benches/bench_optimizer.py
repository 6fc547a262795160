"""One update of all parameters of a model, in place as `fit` does it. A shape lists the parameters' shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, double, normal
from fastnn.reference import forward_ops

Shapes = list[tuple[int, ...]]

# fmt: off
MNIST: Shapes = [
    (3, 3, 1, 32), (32,), (3, 3, 32, 64), (64,), (3, 3, 64, 64), (64,), (576, 64), (64,), (64, 10), (10,),
]
# fmt: on
shapes = pytest.mark.shapes({"mnist": MNIST, "one-4M": [(2000, 2000)]}, small={"small": [(3, 17), (5,)]})


@shapes
def test_adam_update(time_op: Any, shape: Shapes) -> None:
    parameters, gradients = [normal(*s) for s in shape], [normal(*s) for s in shape]
    total = sum(p.size for p in parameters)
    operands = [np.float32(1e-3).reshape(()), np.int64(5).reshape(()), normal(total), np.square(normal(total))]
    expected = forward_ops["adam_update"](*double(*operands), None, *double(*parameters, *gradients))
    updates = {2: 0, 3: 1, **{5 + i: 2 + i for i in range(len(parameters))}}  # m, v and the parameters
    time_op("adam_update", [*operands, None, *parameters, *gradients], close(*expected, terms=32), updates)


@shapes
def test_adamw_update(time_op: Any, shape: Shapes) -> None:
    parameters, gradients = [normal(*s) for s in shape], [normal(*s) for s in shape]
    total = sum(p.size for p in parameters)
    decay = [0.004 * (p.ndim > 1) for p in parameters]
    operands = [np.float32(1e-3).reshape(()), np.int64(5).reshape(()), normal(total), np.square(normal(total))]
    expected = forward_ops["adam_update"](*double(*operands), None, *double(*parameters, *gradients), weight_decay=decay)
    updates = {2: 0, 3: 1, **{5 + i: 2 + i for i in range(len(parameters))}}
    time_op("adam_update", [*operands, None, *parameters, *gradients], close(*expected, terms=32), updates, weight_decay=decay)


@shapes
def test_sgd_update_with_momentum(time_op: Any, shape: Shapes) -> None:
    parameters, gradients = [normal(*s) for s in shape], [normal(*s) for s in shape]
    operands = [np.float32(1e-2).reshape(()), normal(sum(p.size for p in parameters))]
    expected = forward_ops["sgd_update"](*double(*operands, *parameters, *gradients), momentum=0.9)
    updates = {1 + i: i for i in range(1 + len(parameters))}  # the velocity and the parameters
    time_op("sgd_update", [*operands, *parameters, *gradients], close(*expected), updates, momentum=0.9)
