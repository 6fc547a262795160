"""What every peer program has in common, so that they differ in nothing but the library.

    python -m benches.peers.torch_cnn --batch-size 32 --threads 2 --seconds 5

trains the README's network on MNIST for about that long and prints one line of JSON. The program runs on exactly `threads` CPUs
(by affinity, so that a library cannot use more by another name), holds all images in memory as float32 before the clock starts,
and inside the timed part does what `fit` does: shuffle, gather, forward, backward, Adam. What compiles is compiled before.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ADAM = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}  # Keras's defaults
_TEST_IMAGES = 1000
_WARM_UP_IMAGES = 2000  # enough to see that the network learns


class Trainer(Protocol):
    """A network with its data, ready to train."""

    def train(self, images: int, epochs: int) -> None:
        """Trains on the first `images` images, shuffled anew each epoch, and returns when all is computed."""

    def loss(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> float:
        """The mean cross-entropy of these images."""


Make = Callable[["NDArray[np.float32]", "NDArray[np.int64]", argparse.Namespace], Trainer]


def run(name: str, version: Callable[[], str], make: Make, *, flags: dict[str, dict[str, Any]] | None = None) -> None:
    """Runs a peer program: reads its command line, trains, prints JSON.

    `make` imports the library itself: by then this process is bound to its CPUs and the libraries' environment is set.
    """
    parser = argparse.ArgumentParser(description=f"Train the MNIST network with {name} and print images per second as JSON.")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long the timed part takes (default 5)")
    for flag, options in (flags or {}).items():
        parser.add_argument(flag, **options)
    arguments = parser.parse_args()

    bind(arguments.threads)
    x, y, x_test, y_test = mnist()
    notes: list[str] = []
    arguments.note = notes.append
    start = time.perf_counter()
    trainer = make(x, y, arguments)
    before = trainer.loss(x_test, y_test)
    trainer.train(images := 4 * arguments.batch_size, 1)  # compiles what is compiled
    ready = time.perf_counter() - start
    most = len(x) // arguments.batch_size * arguments.batch_size  # whole batches: some libraries compile for each length
    # The first runs after compiling are still slow (caches, allocators), so measure the rate until it stands.
    trained = images
    while True:
        start = time.perf_counter()
        trainer.train(images, 1)
        elapsed = time.perf_counter() - start
        rate = images / elapsed
        trained += images
        if trained >= _WARM_UP_IMAGES and (elapsed >= min(0.5, arguments.seconds / 2) or images == most):
            break
        images = min(2 * images, most)
    after = trainer.loss(x_test, y_test)
    if not after < 0.8 * before:
        sys.exit(f"{name}: the loss went from {before:.4g} to {after:.4g}; expected it to fall; do not trust this speed")

    batches = max(1, round(rate * arguments.seconds / arguments.batch_size))
    epochs = math.ceil(batches * arguments.batch_size / most)
    images = min(batches // epochs * arguments.batch_size, most)
    start, cpu_start, machine_start = time.perf_counter(), time.process_time(), _machine_seconds()
    trainer.train(images, epochs)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    others = max(0.0, _machine_seconds() - machine_start - cpu_seconds)
    report = {
        "peer": name,
        "version": version(),
        "batch_size": arguments.batch_size,
        "threads": arguments.threads,
        "images": images * epochs,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,  # of all threads
        "other_cpus": others / seconds,  # how many CPUs other programs kept busy meanwhile: noise
        "images_per_second": images * epochs / seconds,
        "ready_seconds": ready,  # from importing the library to the end of the first steps
        "loss_before": before,
        "loss_warm": after,
        "notes": notes,
    }
    print(json.dumps(report), flush=True)


def bind(threads: int) -> None:
    """Keeps this process on `threads` CPUs, one hardware thread per core while there are enough, and tells the libraries."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "FASTNN_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ.update(CUDA_VISIBLE_DEVICES="", JAX_PLATFORMS="cpu")  # the comparison is one of CPUs
    if not hasattr(os, "sched_setaffinity"):  # macOS has none; the variables above must do
        return
    allowed = sorted(os.sched_getaffinity(0))
    if threads > len(allowed):
        sys.exit(f"--threads {threads}: this process may use {len(allowed)} CPUs; expected at most that many; ask for fewer")
    first_of_core = [cpu for cpu in allowed if _siblings(cpu)[0] == cpu]
    rest = [cpu for cpu in allowed if cpu not in first_of_core]
    os.sched_setaffinity(0, (first_of_core + rest)[:threads])


def _siblings(cpu: int) -> list[int]:
    """The hardware threads of this CPU's core."""
    try:
        with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as file:
            parts = [part.split("-") for part in file.read().strip().split(",")]
    except OSError:
        return [cpu]
    return [i for part in parts for i in range(int(part[0]), int(part[-1]) + 1)]


def _machine_seconds() -> float:
    """The CPU seconds that all programs have used since the machine started; 0 where nobody tells."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, interrupts, soft, steal = map(int, file.readline().split()[1:9])
    except OSError:
        return 0.0
    return (user + nice + system + interrupts + soft + steal) / os.sysconf("SC_CLK_TCK")


def mnist(images: int = 60_000) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """The first training images of MNIST and 1,000 test images, (count, 28, 28, 1) in 0..1, and their labels.

    Does not import fastnn, which would bring its threads into the process of a peer.
    """
    import numpy as np

    files = _mnist_files()

    def pixels(content: bytes, count: int) -> NDArray[np.float32]:
        return np.frombuffer(content, np.uint8, 784 * count, offset=16).reshape(-1, 28, 28, 1).astype(np.float32) / 255

    def labels(content: bytes, count: int) -> NDArray[np.int64]:
        return np.frombuffer(content, np.uint8, count, offset=8).astype(np.int64)

    return (
        pixels(files[0], images),
        labels(files[1], images),
        pixels(files[2], _TEST_IMAGES),
        labels(files[3], _TEST_IMAGES),
    )


@cache
def _mnist_files() -> list[bytes]:
    import fastnn_datasets

    return list(fastnn_datasets.mnist().values())
