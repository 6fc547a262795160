"""Model files: how long a step waits for a checkpoint, and how long it takes from a file to the first prediction."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from benches.networks import mnist_cnn
from fastnn import _core, saving

_STATE = {"fit": {"epoch": 1, "step": 100}, "callbacks": {"History": {"epoch": [0], "history": {"loss": [0.25]}}}}


@pytest.fixture
def trained() -> Any:
    fastnn.set_seed(0)
    model = mnist_cnn(fastnn)
    model.fit(np.zeros((32, 28, 28, 1), np.uint8), np.zeros(32, np.uint8), verbose=0)
    return model


def _timed(benchmark: Any, run: Any, small: bool) -> None:
    run()
    benchmark.pedantic(run, rounds=1 if small else 50)


def test_save_checkpoint(benchmark: Any, report: Any, trained: Any, small: bool, tmp_path: Path) -> None:
    """Weights, both moments of Adam, metrics and state, safely on disk."""
    path = str(tmp_path / "checkpoint.safetensors")
    _timed(benchmark, lambda: saving.save_checkpoint(trained, path, _STATE), small)
    assert saving.read_checkpoint(path)["fit"] == _STATE["fit"]
    report(f"a checkpoint of the README's network has {os.path.getsize(path):,} bytes")


def test_load_model(benchmark: Any, trained: Any, small: bool, tmp_path: Path) -> None:
    """A model of layers, ready to train on."""
    path = tmp_path / "model.safetensors"
    trained.save(path)
    _timed(benchmark, lambda: fastnn.load_model(path), small)
    np.testing.assert_array_equal(fastnn.load_model(path).get_weights()[0], trained.get_weights()[0])


def test_load_and_predict(benchmark: Any, trained: Any, small: bool, tmp_path: Path) -> None:
    """What a host in C++ does: read the file, fuse, plan for one image, run."""
    path = str(tmp_path / "model.safetensors")
    trained.save(path, include_optimizer=False)
    x = np.random.default_rng(0).random((1, 28, 28, 1), dtype=np.float32)

    def run() -> Any:
        return _core.load_function(path).run([x], False)[0]

    _timed(benchmark, run, small)
    np.testing.assert_array_equal(run(), trained.predict(x))
