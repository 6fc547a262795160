"""What this machine can do, measured: the numbers that kernels are compared with.

    python -m benches.machine

The arithmetic peak is that of multiply-add chains in registers, with the vectors in use (`FASTNN_ISA`). The copy peak counts
bytes read plus bytes written, and depends on how many there are: 64 MB come from memory, 256 kB stay in a core's second-level
cache.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from typing import Any

from fastnn import _core

CACHE_BYTES, MEMORY_BYTES = 2**18, 2**26


def peak_flops(threads: int) -> float:
    """float32 multiplications and additions per second of so many threads together, just now."""
    return float(_core._peak_flops(threads))


def peak_bytes(threads: int, size: float) -> float:
    """Bytes per second of so many threads that together read and write `size` bytes, again and again, as a kernel's bench does.

    Measured just now, for the next power of two, and for no less than 16 kB.
    """
    return float(_core._peak_bytes(threads, 2 ** max(14, math.ceil(math.log2(max(size, 1))))))


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


def facts(threads: Sequence[int]) -> dict[str, Any]:
    """What a result says about the machine that gave it, with the arithmetic peak of each number of threads."""
    return {
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "isa": _core.isa(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "compiler": _core.compiler,
        "peak_flops": {count: peak_flops(count) for count in threads},
    }


def main() -> None:
    print(describe())
    print(f"{'threads':>7} {'GFLOP/s':>9} {'memory copy GB/s':>17} {'cache copy GB/s':>16}")
    for threads in sorted({1, _core.num_threads()}):
        copies = [peak_bytes(threads, threads * CACHE_BYTES), peak_bytes(threads, MEMORY_BYTES)]
        print(f"{threads:>7} {peak_flops(threads) / 1e9:>9.0f} {copies[1] / 1e9:>17.1f} {copies[0] / 1e9:>16.1f}")


if __name__ == "__main__":
    main()
