"""Softmax with cross-entropy in one op, from logits. Shapes are (rows, classes)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.op import close, double, normal, random
from fastnn.reference import forward_ops

Shape = tuple[int, int]
shapes = pytest.mark.shapes({"mnist": (32, 10), "classes": (256, 1000)}, small={"small": (3, 17)})


@shapes
def test_sparse_softmax_cross_entropy(time_op: Any, shape: Shape) -> None:
    logits, labels = normal(*shape), random.integers(0, shape[1], shape[0])
    expected = forward_ops["sparse_softmax_cross_entropy"](*double(logits), labels)
    time_op("sparse_softmax_cross_entropy", [logits, labels], close(*expected))


@shapes
def test_smoothed(time_op: Any, shape: Shape) -> None:
    logits, labels = normal(*shape), random.integers(0, shape[1], shape[0])
    expected = forward_ops["sparse_softmax_cross_entropy"](*double(logits), labels, label_smoothing=0.1)
    time_op("sparse_softmax_cross_entropy", [logits, labels], close(*expected), label_smoothing=0.1)


@shapes
def test_sparse_softmax_cross_entropy_backward(time_op: Any, shape: Shape) -> None:
    rows, classes = shape
    dloss, labels = normal(rows), random.integers(0, classes, rows)
    probabilities = forward_ops["softmax"](normal(*shape))
    DLOSS, P = double(dloss, probabilities)
    expected = DLOSS[:, None] * (P - np.eye(classes)[labels])
    time_op("sparse_softmax_cross_entropy_backward", [dloss, probabilities, labels], close(expected))


@shapes
def test_softmax_cross_entropy(time_op: Any, shape: Shape) -> None:
    logits, targets = normal(*shape), forward_ops["softmax"](normal(*shape))
    expected = forward_ops["softmax_cross_entropy"](*double(logits, targets))
    time_op("softmax_cross_entropy", [logits, targets], close(*expected))
