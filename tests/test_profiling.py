from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers


@pytest.fixture
def model() -> Any:
    fastnn.set_seed(3)
    model = fastnn.Sequential(
        [
            layers.Conv2D(4, (3, 3), activation="relu", input_shape=(8, 8, 1)),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


X, Y = np.random.default_rng(0).standard_normal((20, 8, 8, 1), dtype="float32"), np.arange(20) % 3


def test_a_prediction(model: Any) -> None:
    found = fastnn.profile(model, X, batch_size=16, steps=3)
    assert (found.training, found.batch_size, found.threads) == (False, 16, fastnn.num_threads())
    assert [op.op for op in found.ops] == ["conv2d_block", "dense", "softmax"]
    assert [op.layer.split("/")[-1] for op in found.ops] == [layer.name for layer in (model.layers[0], *[model.layers[-1]] * 2)]
    assert found.ops[0].flops == 2 * 16 * 6 * 6 * 9 * 4
    assert all(op.seconds > 0 and op.bytes > 0 for op in found.ops)
    assert found.seconds > sum(op.seconds for op in found.ops) * 0.5  # medians each
    assert found.peak_flops > 1e8 and found.arena_bytes > 0


def test_a_training_step_changes_nothing(model: Any) -> None:
    model.fit(X, Y, verbose=0)
    before = [value.copy() for value in model.get_weights()], model.metrics_so_far()
    found = fastnn.profile(model, X, Y, batch_size=8, steps=2)
    assert found.training
    names = [op.op for op in found.ops]
    assert {"conv2d_block_backward_kernel", "dense_backward_kernel", "adam_update"} <= set(names)
    for value, old in zip(model.get_weights(), before[0]):
        np.testing.assert_array_equal(value, old)
    assert model.metrics_so_far() == before[1]


def test_training_goes_on_as_if_nothing_had_happened() -> None:
    results = []
    for looked_at in (False, True):
        fastnn.set_seed(5)
        model = fastnn.Sequential([layers.Dense(8, input_shape=(64,)), layers.Dropout(0.5), layers.Dense(3)])
        model.compile("adam", loss="mse")
        x, y = X.reshape(20, 64), np.eye(3, dtype="float32")[Y]
        model.fit(x, y, verbose=0)
        if looked_at:
            fastnn.profile(model, x, y, steps=3)
        model.fit(x, y, verbose=0)
        results.append(model.get_weights())
    for plain, looked in zip(*results):
        np.testing.assert_array_equal(plain, looked)


def test_the_table(model: Any) -> None:
    found = fastnn.profile(model, X, Y, steps=2)
    lines = str(found).splitlines()
    assert lines[0].startswith(f"{model.name}: training step of 20 samples in ")
    assert len(lines) == 3 + len(found.ops)
    assert lines[-1].endswith("what lies between ops")
    short = found.table(2).splitlines()
    assert len(short) == 5 and short[2:4] == lines[2:4]
    assert f"{len(found.ops) - 2} other ops and what lies between ops" in short[-1]


def test_the_trace(model: Any, tmp_path: Path) -> None:
    fastnn.profile(model, X, steps=1).save_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [event["name"] for event in events] == ["conv2d_block", "dense", "softmax"]
    assert all(event["ph"] == "X" and event["dur"] >= 0 for event in events)
    assert all(a["ts"] + a["dur"] <= b["ts"] for a, b in pairwise(events))
    with pytest.raises(FileNotFoundError):
        fastnn.profile(model, X, steps=1).save_trace(tmp_path / "missing" / "trace.json")


def test_what_is_refused(model: Any) -> None:
    with pytest.raises(ValueError, match="profile: steps=0; expected a positive integer"):
        fastnn.profile(model, X, steps=0)
    with pytest.raises(ValueError, match="profile: batch_size=True"):
        fastnn.profile(model, X, batch_size=True)
    with pytest.raises(ValueError, match="profile: empty arrays"):
        fastnn.profile(model, X[:0])
    with pytest.raises(ValueError, match="profile: empty arrays"):
        fastnn.profile(model, X[:0], Y[:0])
    with pytest.raises(ValueError, match=r"profile: x has shape \(20, 8\)"):
        fastnn.profile(model, X[:, :, 0, 0])
    with pytest.raises(ValueError, match="profile before compile"):
        fastnn.profile(fastnn.Sequential([layers.Dense(1, input_shape=(4,))]), np.ones((2, 4)), np.ones((2, 1)))
