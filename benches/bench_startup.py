"""How long it takes until work begins: the import, and making the program of a training step."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import Any

import numpy as np

import fastnn
from benches.networks import mnist_cnn

_CHILD = """
import json, sys, time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import fastnn
end = time.perf_counter()
print(json.dumps({"numpy": middle - start, "fastnn": end - middle, "version": fastnn.__version__}))
"""


def _import_in_child() -> dict[str, Any]:
    # Without byte code every import compiles its sources, which nobody's application does.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    output = subprocess.run([sys.executable, "-c", _CHILD], env=environment, check=True, capture_output=True, text=True)
    return json.loads(output.stdout)  # type: ignore[no-any-return]


def test_import(benchmark: Any, report: Any, small: bool) -> None:
    """`import fastnn` after `import numpy`, in fresh processes that find byte code."""
    warm = _import_in_child()
    assert warm["version"] == fastnn.__version__
    rounds = 1 if small else 15
    children: list[dict[str, Any]] = []
    benchmark.pedantic(lambda: children.append(_import_in_child()), rounds=rounds)
    for module in ("numpy", "fastnn"):
        milliseconds = sorted(1e3 * child[module] for child in children)
        benchmark.extra_info[f"import_{module}_ms"] = milliseconds
        beyond = " (beyond numpy)" if module == "fastnn" else ""
        report(
            f"import {module}{beyond}: median {statistics.median(milliseconds):.1f} ms, "
            f"{milliseconds[0]:.1f} - {milliseconds[-1]:.1f} in {rounds} processes"
        )


def test_training_program(benchmark: Any) -> None:
    """The README's network from its layers to a planned training step: weights, trace, derivative, fusion, plan."""
    x, y = np.zeros((60_000, 28, 28, 1), np.uint8), np.zeros(60_000, np.uint8)

    def build() -> dict[str, Any]:
        model = mnist_cnn(fastnn)
        program = model._training_program(model._prepare(x, y, "bench"))
        return program.function.describe([list(x.shape), list(y.shape), [32]])  # type: ignore[no-any-return]

    steps = build()["steps"]
    assert "adam_update" in {step["op"] for step in steps if step["commit"]}
    assert len({step["call"] for step in steps if step["op"].startswith("conv2d")}) >= 3
    benchmark(build)
