"""The most memory that a library needs for a job, in a process of its own.

    python -m benches.memory --library torch --job cnn-training

prints a line of JSON: the bytes at their most with the library imported, then with the data in memory, and at the end. The
participants are those of `benches.compare`.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benches import networks
from benches.peers import protocol

BATCH_SIZE, STEPS = 128, 50  # of training


def peak_bytes() -> int:
    """The most memory that this process has had at once."""
    try:
        # getrusage begins with what the process had before it became this program: a copy of its parent.
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most << 10


def _task(network: Any, x: Any, y: Any, batch_size: int, arguments: argparse.Namespace) -> protocol.Task:
    training = isinstance(network, networks.Network)
    weights = networks.initial_weights(network)
    return protocol.Task(network, weights, x, y, batch_size, arguments.threads, training, argparse.Namespace(variant="eager"))


def _cnn_training(make: Callable[[protocol.Task], Any], arguments: argparse.Namespace) -> dict[str, int]:
    random = np.random.default_rng(0)
    x = random.random((4 * BATCH_SIZE, *networks.CNN.shape), np.float32)
    y = random.integers(0, 10, len(x))
    before = peak_bytes()
    participant = make(_task(networks.CNN, x, y, BATCH_SIZE, arguments))
    for _ in range(-(-arguments.steps // 4)):
        participant.train(len(x), 1)
    return {"before": before, "peak": peak_bytes()}


def _attention(make: Callable[[protocol.Task], Any], arguments: argparse.Namespace) -> dict[str, int]:
    network = networks.Attention(arguments.length, heads=8, size=64)
    x = np.random.default_rng(0).standard_normal((1, 4, network.length, network.heads, network.size), np.float32)
    participant = make(_task(network, x, np.zeros(0, np.int64), 1, arguments))
    operands = participant.prepare(x)
    before = peak_bytes()  # `x` stays, so that the peak does not hide in what it leaves
    assert np.isfinite(participant.predict(operands)).all()
    return {"before": before, "peak": peak_bytes(), "bytes_of_x": x.nbytes}


JOBS = {"cnn-training": _cnn_training, "attention": _attention}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benches.memory", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--library", choices=["fastnn", "torch"], required=True)
    parser.add_argument("--job", choices=list(JOBS), required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS, help="of training (default: %(default)s)")
    parser.add_argument("--length", type=int, default=8192, help="of attention's sequence (default: %(default)s)")
    arguments = parser.parse_args()
    protocol.bind(arguments.threads)
    if arguments.library == "torch":
        import torch

        from benches.peers.torch import make
    else:
        import fastnn
        from benches.peers.fastnn import make
    imported = peak_bytes()
    version = (torch if arguments.library == "torch" else fastnn).__version__
    print(json.dumps({"version": str(version), "imported": imported, **JOBS[arguments.job](make, arguments)}))


if __name__ == "__main__":
    main()
