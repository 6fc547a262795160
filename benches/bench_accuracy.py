"""What training reaches: test accuracy on MNIST from five seeds, of the command and of the README's program."""

from __future__ import annotations

import json
import statistics
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastnn
from benches.networks import mnist_cnn
from benches.peers import protocol

SEEDS = range(5)
_EPOCHS = 5


def _reach(benchmark: Any, report: Any, what: str, train: Callable[[int], float], small: bool) -> None:
    """Trains from every seed, prints every accuracy, and holds the worst against what this network has always reached."""
    accuracies: list[float] = []
    benchmark.pedantic(lambda: accuracies.extend(train(seed) for seed in (SEEDS[:1] if small else SEEDS)), rounds=1)
    benchmark.extra_info["test_accuracy"] = accuracies
    assert all(0.0 <= accuracy <= 1.0 for accuracy in accuracies)
    if not small:
        assert min(accuracies) > 0.98
    each = " ".join(f"{accuracy:.2%}" for accuracy in accuracies)
    report(f"{what}: test accuracy {each}; mean {statistics.mean(accuracies):.3%}, worst {min(accuracies):.2%}")


def _write_idx(folder: Path, images: int) -> Path:
    """The first MNIST images as a data set of their own."""
    x, y, x_test, y_test = protocol.mnist(images)
    for part, pixels, labels in (("train", x, y), ("t10k", x_test, y_test)):
        pixels, labels = (255 * pixels[:images]).round().astype("u1"), labels[:images].astype("u1")
        header = struct.pack(">4B3I", 0, 0, 8, 3, images, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, images) + labels.tobytes())
    return folder


def test_command(benchmark: Any, report: Any, small: bool, tmp_path: Path) -> None:
    """`fastnn train mnist-cnn --json`."""
    options = ["--data", str(_write_idx(tmp_path, 200)), "--epochs", "1"] if small else []

    def train(seed: int) -> float:
        command = [sys.executable, "-m", "fastnn", "train", "mnist-cnn", "--json", "--seed", str(seed), *options]
        command += ["--out", str(tmp_path / f"run-{seed}")]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        result = json.loads(output)
        assert result["seed"] == seed
        return float(result["test_accuracy"])

    _reach(benchmark, report, "fastnn train mnist-cnn", train, small)


def test_keras_defaults(benchmark: Any, report: Any, small: bool) -> None:
    """The program a Keras user would write, with the defaults: Adam at 0.001, batches of 32, five epochs."""
    (x, y), (x_test, y_test) = fastnn.datasets.mnist.load_data()
    x, x_test = x[..., None] / 255.0, x_test[..., None] / 255.0
    if small:
        x, y, x_test, y_test = x[:200], y[:200], x_test[:200], y_test[:200]

    def train(seed: int) -> float:
        fastnn.set_seed(seed)
        model = mnist_cnn(fastnn)
        model.fit(x, y, epochs=1 if small else _EPOCHS, verbose=0)
        return float(model.evaluate(x_test, y_test, return_dict=True)["accuracy"])

    _reach(benchmark, report, f"Keras's defaults, {_EPOCHS} epochs", train, small)
