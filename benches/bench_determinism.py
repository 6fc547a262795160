"""The same bits of every weight for any number of threads, after a whole epoch of MNIST."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

import fastnn
from benches.networks import mnist_cnn
from benches.peers import protocol
from fastnn import _core

THREADS = (1, 2, 3, 8)


def _digest(arrays: list[Any]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def test_threads(benchmark: Any, report: Any, small: bool) -> None:
    x, y, _, _ = protocol.mnist(100 if small else 60_000)  # of 100 images, the last batch is not whole
    digests: dict[int, str] = {}

    def train_with_each() -> None:
        before = fastnn.num_threads()
        _core._more_threads_than_cpus(True)
        for threads in THREADS:
            fastnn.set_num_threads(threads)
            fastnn.set_seed(7)
            model = mnist_cnn(fastnn)
            start = model.get_weights()
            model.fit(x, y, epochs=1, verbose=0)
            weights = model.get_weights()
            assert all(np.isfinite(w).all() and (w != s).any() for w, s in zip(weights, start))
            digests[threads] = _digest(weights)
        _core._more_threads_than_cpus(False)
        fastnn.set_num_threads(before)

    benchmark.pedantic(train_with_each, rounds=1)
    assert len(set(digests.values())) == 1, digests
    report(
        f"weights after an epoch of {len(x):,} images: SHA-256 {digests[1][:16]}..., the same with "
        f"{', '.join(map(str, THREADS))} threads"
    )
