"""The programs in examples/ run as they stand, on little data."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run_example(name: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    # -W error makes a warning a failure. PYTHONPATH would let a checkout stand in for what is installed.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []  # an example leaves nothing behind
    return done.stdout


def accuracy_in(output: str) -> float:
    found = re.search(r"^test accuracy: ([0-9.]+)", output, re.MULTILINE)
    assert found, output
    return float(found[1])


def test_every_example_has_a_test() -> None:
    tested = {
        "custom_parts.py",
        "custom_training_loop.py",
        "mnist_cnn.py",
        "mnist_lstm.py",
        "resnet.py",
        "tiny_gpt.py",
        "transfer_learning.py",
        "two_inputs.py",
    }
    assert {file.name for file in EXAMPLES.glob("*.py")} == tested


@pytest.mark.skipif(find_spec("fastnn_datasets") is None, reason="needs the distribution fastnn-datasets")
def test_mnist_cnn(tmp_path: Path) -> None:
    output = run_example("mnist_cnn.py", tmp_path, "--epochs", "2", "--limit", "2000")
    assert accuracy_in(output) > 0.8
    read, labels = (line.split(":")[1].split() for line in output.splitlines()[-2:])
    assert len(read) == len(labels) == 10
    assert sum(a == b for a, b in zip(read, labels)) >= 7


@pytest.mark.skipif(find_spec("fastnn_datasets") is None, reason="needs the distribution fastnn-datasets")
def test_mnist_lstm(tmp_path: Path) -> None:
    assert accuracy_in(run_example("mnist_lstm.py", tmp_path, "--epochs", "5", "--limit", "3000")) > 0.75


def test_custom_training_loop(tmp_path: Path) -> None:
    assert accuracy_in(run_example("custom_training_loop.py", tmp_path)) > 0.95


def test_resnet(tmp_path: Path) -> None:
    assert accuracy_in(run_example("resnet.py", tmp_path, "--samples", "400", "--epochs", "3")) > 0.5


def test_tiny_gpt(tmp_path: Path) -> None:
    """It learns a language of seven words, and writes it."""
    words, corpus, folder = ("one", "two", "three", "four", "five", "six", "seven"), tmp_path / "corpus.txt", tmp_path / "empty"
    corpus.write_text(" ".join(random.Random(0).choices(words, k=4000)))
    folder.mkdir()
    options = ["--text", str(corpus), "--steps", "120", "--prompt", "one ", "--length", "60"]
    first, written = run_example("tiny_gpt.py", folder, *options).splitlines()
    perplexity = re.match(r"perplexity: ([0-9.]+) \(of 14 characters\)$", first)
    # One of seven words costs log 7, and is 4.9 characters with the space behind: 1.49.
    assert perplexity and 1.4 < float(perplexity[1]) < 2.0
    assert len(written) == 64 and written.startswith("one ")
    assert sum(word in words for word in written.split()) >= 10


def test_two_inputs(tmp_path: Path) -> None:
    output = run_example("two_inputs.py", tmp_path)
    explained = re.search(r"^explained: ([0-9.]+)", output)
    assert explained and float(explained[1]) > 0.95


def test_custom_parts(tmp_path: Path) -> None:
    worst = re.search(r"^errors above 0.1: ([0-9.]+)", run_example("custom_parts.py", tmp_path))
    assert worst and float(worst[1]) < 0.05


@pytest.mark.skipif(find_spec("fastnn_datasets") is None, reason="needs the distribution fastnn-datasets")
def test_transfer_learning(tmp_path: Path) -> None:
    first, frozen, scratch = (float(line.split(":")[1]) for line in run_example("transfer_learning.py", tmp_path).splitlines())
    assert first > 0.97 and frozen > 0.8
    assert frozen > scratch
