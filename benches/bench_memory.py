"""The most memory that training and attention need, beside PyTorch where that is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parent.parent


def _measure(library: str, job: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benches.memory", "--library", library, "--job", job, *options]
    output = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)
    return json.loads(output.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("job", ["cnn-training", "attention"])
def test_peak(benchmark: Any, report: Any, small: bool, threads: int, job: str) -> None:
    """Of training the README's network with batches of 128; of causal attention over 8192 tokens and its gradients."""
    options = ["--threads", str(threads), *(("--steps", "4", "--length", "64") if small else ())]
    libraries = ["fastnn"] if small or find_spec("torch") is None else ["fastnn", "torch"]
    found: dict[str, dict[str, Any]] = {}
    benchmark.pedantic(lambda: found.update((library, _measure(library, job, *options)) for library in libraries))
    for facts in found.values():
        assert 0 < facts["imported"] <= facts["before"] <= facts["peak"]
        facts["work"] = facts["peak"] - facts["before"]
    benchmark.extra_info.update(peak_bytes=found)
    for library, facts in found.items():
        ratio = ""
        if library != "fastnn":
            whole, work = (facts[name] / max(found["fastnn"][name], 1) for name in ("peak", "work"))
            ratio = f"; {whole:.1f} times fastnn's, the work {work:.1f} times"
        sizes = [f"{facts[name] / 2**20:.0f}" for name in ("peak", "imported", "work")]
        report(
            f"peak memory, {job}, {threads} threads, {library} {facts['version']}: {sizes[0]} MiB in all, {sizes[1]} after the "
            f"import, {sizes[2]} for the work{ratio}"
        )
