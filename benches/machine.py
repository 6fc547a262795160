"""What this machine can do, measured: the numbers that kernels are compared with.

    python -m benches.machine

The arithmetic peak is that of multiply-add chains in registers, with the vectors in use (`FASTNN_ISA`). The copy peaks count
bytes read plus bytes written: of 64 MB arrays, which is the memory's speed, and of arrays that stay in a core's second-level
cache, which is nearer to what a small network's activations see.
"""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from fastnn import _core

_MEMORY_BYTES = 64_000_000
_CACHE_BYTES = 256_000


@dataclass(frozen=True)
class Peak:
    """Of a number of threads together, per second."""

    threads: int
    flops: float  # float32 multiplications and additions
    memory_bytes: float  # copied between arrays larger than the caches
    cache_bytes: float  # copied between arrays in the second-level cache


@cache
def peak(threads: int) -> Peak:
    """Measures, once per number of threads, in about a second."""
    return Peak(threads, _core._peak_flops(threads), _copy_speed(threads, _MEMORY_BYTES), _copy_speed(threads, _CACHE_BYTES))


def _copy_speed(threads: int, size: int) -> float:
    """The fastest of several runs. Each thread copies arrays of its own; NumPy releases the GIL while it copies."""
    repeats = max(1, 50_000_000 // size)

    def copy(pair: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(repeats):
            np.copyto(pair[1], pair[0])

    pairs = [(np.ones(size, np.uint8), np.ones(size, np.uint8)) for _ in range(threads)]
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(15):
            start = time.perf_counter()
            list(pool.map(copy, pairs))
            best = min(best, time.perf_counter() - start)
    return 2.0 * size * repeats * threads / best


def cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe() -> str:
    """One line: the processor and what fastnn uses of it."""
    busy = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{cpu_name()}, {os.cpu_count()} CPUs, {_core.isa()}{busy}"


def main() -> None:
    print(describe())
    print(f"{'threads':>7} {'GFLOP/s':>9} {'memory copy GB/s':>17} {'cache copy GB/s':>16}")
    for threads in sorted({1, _core.num_threads()}):
        p = peak(threads)
        print(f"{threads:>7} {p.flops / 1e9:>9.0f} {p.memory_bytes / 1e9:>17.1f} {p.cache_bytes / 1e9:>16.1f}")


if __name__ == "__main__":
    main()
