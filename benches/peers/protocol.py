"""What every program of a peer has in common, so that they differ in nothing but the library.

    echo | python -m benches.peers.torch --workload cnn-training --batch-size 32 --threads 2 --seconds 5

prepares a workload (see `WORKLOADS`), prints a line of JSON when it is ready, and for every line it reads works about that many
seconds and prints another. So participants that wait for each other can take turns without starting anew.

The program runs on exactly `threads` CPUs (by affinity, so that a library cannot use more by another name), begins with the
weights of `networks.initial_weights`, and holds all samples in memory, images as float32, before the clock starts. Training
does inside the timed part what `fit` does: shuffle, gather, forward, backward, Adam (for a GPT AdamW). Inference gives the
probabilities, or the tokens, as a NumPy array. What compiles is compiled before.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benches.networks import (
    ATTENTION,
    CNN,
    GENERATION,
    GPT,
    LSTM_128,
    LSTM_256,
    MLP,
    NANO_GPT,
    RESNET,
    Attention,
    Generation,
    Network,
    Weights,
    initial_weights,
)

ADAM = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}  # Keras's defaults
WEIGHT_DECAY = 0.1  # AdamW's, of matrices and tables
CHECKED_EVERY = 256  # th position of what attention computes: all of it would take as long to copy as a part of the work
_WARM_UP_SAMPLES, _WARM_UP_STEPS = 1000, 10  # enough to see that a network learns
_SETTLE = 0.1  # of a turn's work is done before its clock starts: meanwhile others had the caches


@dataclass(frozen=True)
class Workload:
    network: Network | GPT | Generation | Attention
    training: bool
    samples: int  # of the data set; those of the ResNet, the larger LSTM and attention are large
    batch_size: int = 32  # unless told otherwise
    tests: int = 256  # samples that are checked, at least; always whole batches
    unit: str = "images"  # that are counted
    units: int = 1  # in a sample


WORKLOADS = {
    "cnn-training": Workload(CNN, True, 60_000),
    "mlp-training": Workload(MLP, True, 60_000),
    "resnet-training": Workload(RESNET, True, 8192),
    "lstm-128-training": Workload(LSTM_128, True, 60_000, batch_size=64, unit="sequences"),
    "lstm-256-training": Workload(LSTM_256, True, 4096, unit="sequences"),
    "gpt-training": Workload(NANO_GPT, True, 4096, batch_size=12, unit="tokens", units=NANO_GPT.context),
    "cnn-inference": Workload(CNN, False, 16_384),
    "mlp-inference": Workload(MLP, False, 60_000),
    "gpt-generation": Workload(GENERATION, False, 256, batch_size=1, tests=8, unit="tokens", units=GENERATION.new),
    "attention-2048": Workload(ATTENTION, False, 8, batch_size=1, tests=1, unit="sequences"),
}


class Participant(Protocol):
    """A library's network."""

    def prepare(self, x: NDArray[Any]) -> Any:
        """Samples, images channels last, as the library wants to have them in memory."""

    def predict(self, x: Any) -> NDArray[Any]:
        """What comes of prepared samples, computed in batches of the batch size, of which there is a whole number.

        Of images and sequences the probabilities; of a GPT those of each next token; of a prompt the tokens that follow. Of
        attention at every `CHECKED_EVERY`th position the output and the gradients by query, key and value; a sample holds these
        three, and the gradient by the output.
        """

    def train(self, samples: int, epochs: int) -> None:
        """Trains on the first `samples` samples, shuffled anew each epoch, and returns when all is computed."""


@dataclass
class Task:
    """What a participant is made of. Its data set need not be kept where there is no training."""

    network: Any  # a workload's
    weights: Weights
    x: NDArray[Any]
    y: NDArray[np.int64]
    batch_size: int
    threads: int
    training: bool
    options: argparse.Namespace  # the peer's own


def run(
    name: str, version: Callable[[], str], make: Callable[[Task], Participant], flags: dict[str, dict[str, Any]] | None = None
) -> None:
    """Runs a peer's program: reads its command line, prepares, and takes a turn for each line of standard input.

    `make` imports the library itself: by then this process is bound to its CPUs and the libraries' environment is set.
    """
    parser = argparse.ArgumentParser(description=f"Run a workload with {name} and print what it did as JSON.")
    parser.add_argument("--workload", choices=list(WORKLOADS), default="cnn-training")
    parser.add_argument("--batch-size", type=int, help="(default: the workload's)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long a turn takes (default: 5)")
    for flag, options in (flags or {}).items():
        parser.add_argument(flag, **options)
    arguments = parser.parse_args()

    bind(arguments.threads)  # first: it may begin the process again
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # for what libraries print
    runner = _Runner(name, make, arguments)
    print(json.dumps({"peer": name, "version": version(), **runner.get_ready()}), file=output, flush=True)
    for _ in sys.stdin:
        print(json.dumps(runner.take_turn()), file=output, flush=True)


class _Runner:
    def __init__(self, name: str, make: Callable[[Task], Participant], arguments: argparse.Namespace) -> None:
        workload = WORKLOADS[arguments.workload]
        self.name, self.seconds, self.batch_size = name, arguments.seconds, workload.batch_size
        if arguments.batch_size is not None:
            self.batch_size = arguments.batch_size
        self.network, self.training, self.units = workload.network, workload.training, workload.units
        largest = min(workload.samples, 10_000)  # as there are test images
        if not 1 <= self.batch_size <= largest:
            sys.exit(
                f"{name}: --batch-size {self.batch_size}; expected 1 to {largest} for {arguments.workload}; choose another"
            )
        tests = -(-workload.tests // self.batch_size) * self.batch_size
        self.x, y, self.x_test, self.y_test = data(workload.network, workload.samples, tests)
        self.most = len(self.x) // self.batch_size * self.batch_size  # whole batches: some libraries compile for each length
        self.weights = initial_weights(workload.network)
        self.start = time.perf_counter()
        self.participant = make(
            Task(
                *(workload.network, self.weights, self.x, y, self.batch_size, arguments.threads, self.training),
                options=arguments,
            )
        )
        self.rate = 0.0
        self.prepared: dict[int, Any] = {}  # so many images

    def get_ready(self) -> dict[str, Any]:
        """Compiles, checks that all is well, and finds out how much is a turn's work."""
        test = self.participant.prepare(self.x_test)
        outputs = self.participant.predict(test)
        self._check(outputs)
        facts: dict[str, Any] = {"outputs": outputs[:8].tolist()}  # the same for all
        if self.training:
            before = self._loss(outputs)
            self.participant.train(self.batch_size, 1)  # one step, the same for all: nothing is random in it
            facts |= {"loss_before": before, "loss_after_a_step": self._loss(self.participant.predict(test))}
        facts["ready_seconds"] = time.perf_counter() - self.start  # from importing the library to the end of the first steps

        # The first runs after compiling are still slow (caches, allocators), so measure the rate until it stands.
        samples, done = min(4 * self.batch_size, self.most), 0
        while True:
            seconds = self._work(samples, 1)
            self.rate = samples / seconds
            done += samples
            enough = done >= max(_WARM_UP_SAMPLES, _WARM_UP_STEPS * self.batch_size) or not self.training
            if enough and (seconds >= min(0.5, self.seconds / 2) or samples == self.most):
                break
            samples = min(2 * samples, self.most)
        self.prepared.clear()
        if self.training:
            after = facts["loss_warm"] = self._loss(self.participant.predict(test))
            if not after < 0.95 * facts["loss_before"]:
                sys.exit(
                    f"{self.name}: the loss went from {facts['loss_before']:.4g} to {after:.4g}; expected it to fall; do not "
                    "trust this speed"
                )
        return facts

    def take_turn(self) -> dict[str, Any]:
        batches = max(1, round(self.rate * self.seconds / self.batch_size))
        epochs = math.ceil(batches * self.batch_size / self.most)
        samples = max(1, batches // epochs) * self.batch_size
        self._prepare(samples)
        self._work(max(1, round(_SETTLE * batches / epochs)) * self.batch_size, 1)
        cpu_start, machine_start = time.process_time(), _machine_seconds()
        seconds = self._work(samples, epochs)
        cpu_seconds = time.process_time() - cpu_start
        others = max(0.0, _machine_seconds() - machine_start - cpu_seconds)
        return {
            "units": samples * epochs * self.units,
            "seconds": seconds,
            "per_second": samples * epochs * self.units / seconds,
            "cpu_seconds": cpu_seconds,  # of all threads
            "other_cpus": min(others / seconds, os.cpu_count() or 1),  # how many CPUs other programs kept busy meanwhile: noise
        }

    def _prepare(self, samples: int) -> None:
        if not self.training and samples not in self.prepared:
            self.prepared[samples] = self.participant.prepare(self.x[:samples])

    def _work(self, samples: int, epochs: int) -> float:
        """How many seconds it took."""
        self._prepare(samples)
        outputs = None
        start = time.perf_counter()
        if self.training:
            self.participant.train(samples, epochs)
        else:
            for _ in range(epochs):
                outputs = self.participant.predict(self.prepared[samples])
        seconds = time.perf_counter() - start
        if outputs is not None:
            self._check(outputs)
        return seconds

    def _check(self, outputs: NDArray[Any]) -> None:
        network = self.network
        if isinstance(network, Attention):
            expected, shape = "finite numbers", (4, -(-network.length // CHECKED_EVERY), network.heads, network.size)
            fine = bool(np.isfinite(outputs).all())
        elif isinstance(network, Generation):
            expected, shape = f"tokens below {network.gpt.vocabulary}", (network.new,)
            fine = bool(np.all((outputs >= 0) & (outputs < network.gpt.vocabulary)))
        else:
            expected = "probabilities"
            shape = (network.context, network.vocabulary) if isinstance(network, GPT) else (10,)
            fine = bool(np.all(np.abs(outputs.sum(axis=-1) - 1) < 1e-3))  # no number where any of the terms is none
        if outputs.shape[1:] != shape or not fine:
            sys.exit(f"{self.name}: outputs of shape {outputs.shape}; expected {expected} of shape (samples, *{shape})")

    def _loss(self, outputs: NDArray[Any]) -> float:
        """The mean cross-entropy of the test samples."""
        self._check(outputs)
        right = np.take_along_axis(outputs, self.y_test[..., None], -1)
        return float(-np.log(np.maximum(right, 1e-7, dtype=np.float64)).mean())


def refuse_others(name: str, network: Any, *built: type) -> None:
    """Ends a program that would have to build something else."""
    for part in network.layers if isinstance(network, Network) else (network,):
        if not isinstance(part, built):
            names = ", ".join(kind.__name__ for kind in built)
            sys.exit(f"{name}: takes no part where there is {type(part).__name__}; expected {names}; choose another workload")


def bind(threads: int) -> None:
    """Keeps this process on `threads` CPUs, one hardware thread per core while there are enough, and tells the libraries."""
    if hasattr(os, "sched_setaffinity"):  # macOS has none; the variables below must do
        allowed = sorted(os.sched_getaffinity(0))
        if not 1 <= threads <= len(allowed):
            sys.exit(f"--threads {threads}: this process may use {len(allowed)} CPUs; expected 1 to that many")
        first_of_core = [cpu for cpu in allowed if _siblings(cpu)[0] == cpu]
        rest = [cpu for cpu in allowed if cpu not in first_of_core]
        os.sched_setaffinity(0, (first_of_core + rest)[:threads])
    limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "FASTNN_NUM_THREADS")
    wanted = dict.fromkeys(limits, str(threads)) | {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}  # CPUs are compared
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.environ.update(wanted)
        os.execv(sys.executable, sys.orig_argv)  # once more: NumPy's BLAS has read its own already


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


Data = tuple[NDArray[Any], NDArray[np.int64], NDArray[Any], NDArray[np.int64]]  # for training, then for tests


def data(network: Network | GPT | Generation | Attention, samples: int, tests: int) -> Data:
    """What a network takes, and the labels, of which there are none where there is no training.

    Images, and sequences of rows, are MNIST, where need be with a margin and repeated: in grey of three colours, or larger. A
    GPT reads a text.
    """
    if isinstance(network, GPT):
        windows = text(network.vocabulary, (samples + tests) * network.context + 1)
        x, y = (part.reshape(-1, network.context) for part in (windows[:-1], windows[1:]))
        return x[:samples], y[:samples].astype(np.int64), x[samples:], y[samples:].astype(np.int64)
    random, none = np.random.default_rng(1), np.zeros(0, np.int64)
    if isinstance(network, Generation):
        prompts = random.integers(0, network.gpt.vocabulary, (samples + tests, network.prompt), np.int32)
        return prompts[:samples], none, prompts[samples:], none
    if isinstance(network, Attention):
        normal = random.standard_normal((samples + tests, 4, network.length, network.heads, network.size), np.float32)
        return normal[:samples], none, normal[samples:], none
    x, y, x_test, y_test = mnist(samples, tests)
    times = {(32, 32, 3): (1, 1, 3), (64, 128): (2, 4, 1)}.get(network.shape)
    if times is not None:
        x, x_test = (np.pad(part, ((0, 0), (2, 2), (2, 2), (0, 0))) for part in (x, x_test))
        for axis, count in enumerate(times, start=1):
            x, x_test = x.repeat(count, axis), x_test.repeat(count, axis)
    return x.reshape(-1, *network.shape), y, x_test.reshape(-1, *network.shape), y_test


def text(vocabulary: int, count: int) -> NDArray[np.int32]:
    """The first characters of Python's documentation as tokens, the most frequent one 0, the rare ones all the last."""
    from pydoc_data.topics import topics

    codes = np.frombuffer("\n".join(topics[name] for name in sorted(topics)).encode("utf-32-le"), np.uint32)
    found, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    rank = np.empty(len(found), np.int32)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(found))
    if len(codes) < count:
        sys.exit(f"pydoc_data.topics: {len(codes)} characters; expected {count}; make the workload smaller")
    return np.minimum(rank[places], np.int32(vocabulary - 1))[:count]


def mnist(images: int = 60_000, test_images: int = 1000) -> Data:
    """The first training and test images of MNIST, (count, 28, 28, 1) in 0..1, and their labels.

    Does not import fastnn, which would bring its threads into the process of a peer.
    """
    files = _mnist_files()

    def pixels(content: bytes, count: int) -> NDArray[np.float32]:
        return np.frombuffer(content, np.uint8, 784 * count, offset=16).reshape(-1, 28, 28, 1).astype(np.float32) / 255

    def labels(content: bytes, count: int) -> NDArray[np.int64]:
        return np.frombuffer(content, np.uint8, count, offset=8).astype(np.int64)

    return pixels(files[0], images), labels(files[1], images), pixels(files[2], test_images), labels(files[3], test_images)


@cache
def _mnist_files() -> list[bytes]:
    import fastnn_datasets

    return list(fastnn_datasets.mnist().values())
