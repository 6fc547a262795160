"""fastnn beside its peers, training the MNIST network: who makes how many images per second.

    python -m benches.compare --rounds 7 --batch-size 32 128 --threads 2

All contenders take turns, each time as a process of its own on the same CPUs, so that whatever else slows the machine slows
all. The ratio of a round is fastnn over the fastest peer of that round; reported is the median of the ratios. Results also go
to benches/results/ as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benches import machine
from fastnn import _core

_ROOT = Path(__file__).parent.parent
_RESULTS = _ROOT / "benches" / "results"
_MEANINGFUL_ROUNDS = 7
_QUIET_CPUS = 0.1
_LIMIT_SECONDS = 300.0  # of one process: torch.compile takes the longest, about a minute


@dataclass(frozen=True)
class Contender:
    name: str
    program: str  # a module of benches.peers
    needs: tuple[str, ...]
    flags: tuple[str, ...] = ()


FASTNN = Contender("fastnn", "fastnn_cnn", ("fastnn",))
PEERS = (
    Contender("PyTorch", "torch_cnn", ("torch",)),
    Contender("torch.compile", "torch_cnn", ("torch",), ("--compile",)),
    Contender("JAX", "jax_cnn", ("jax", "jaxlib")),
    Contender("Keras on TensorFlow", "keras_cnn", ("keras", "tensorflow"), ("--backend", "tensorflow")),
    Contender("Keras on JAX", "keras_cnn", ("keras", "jax"), ("--backend", "jax")),
)


class Failed(Exception):
    """A contender's process did not end well; says how."""


def run_once(contender: Contender, batch_size: int, threads: int, seconds: float) -> dict[str, Any]:
    """One process of a contender. Returns what it printed."""
    command = [sys.executable, "-m", f"benches.peers.{contender.program}", *contender.flags]
    command += ["--batch-size", str(batch_size), "--threads", str(threads), "--seconds", str(seconds)]
    # Leftovers of development that would slow a contender down, or let it use more threads.
    unwanted = ("PYTHONDONTWRITEBYTECODE", "OPENBLAS_CORETYPE", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "XLA_FLAGS")
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    try:
        done = subprocess.run(
            command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=_LIMIT_SECONDS + seconds
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"took longer than {_LIMIT_SECONDS + seconds:.0f} s") from None
    if done.returncode != 0:
        raise Failed(next(iter(done.stderr.strip().splitlines()[-1:]), f"exit status {done.returncode}"))
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def compare(peers: list[Contender], batch_size: int, threads: int, seconds: float, rounds: int) -> dict[str, Any]:
    """All rounds of one batch size and number of threads."""
    contenders = [FASTNN, *peers]
    runs: dict[str, list[dict[str, Any]]] = {contender.name: [] for contender in contenders}
    failed: dict[str, str] = {}
    for turn in range(rounds):
        for contender in [c for c in contenders if c.name not in failed]:
            _progress(f"batch {batch_size}, {threads} threads, round {turn + 1} of {rounds}: {contender.name}")
            try:
                runs[contender.name].append(run_once(contender, batch_size, threads, seconds))
            except Failed as error:
                if contender is FASTNN:
                    raise
                failed[contender.name] = str(error)
                _progress(f"{contender.name} failed: {error}\n")
    _progress("")
    speeds = {name: [run["images_per_second"] for run in runs[name]] for name in runs if name not in failed}
    ours = speeds[FASTNN.name]
    theirs = [speed for name, speed in speeds.items() if name != FASTNN.name]
    return {
        "batch_size": batch_size,
        "threads": threads,
        "runs": {name: runs[name] for name in speeds},
        "failed": failed,
        "ratios": [our / max(peer[turn] for peer in theirs) for turn, our in enumerate(ours)] if theirs else [],
    }


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr)


def table(result: dict[str, Any]) -> str:
    """One comparison, for people."""
    runs: dict[str, list[dict[str, Any]]] = result["runs"]
    speeds = {name: [run["images_per_second"] for run in turns] for name, turns in runs.items()}
    ours = statistics.median(speeds[FASTNN.name])
    rounds = len(speeds[FASTNN.name])
    what = f"Batch {result['batch_size']}, {result['threads']} thread{'s' * (result['threads'] > 1)}, {rounds} rounds"
    lines = [f"{what}; training images/s, median (lowest - highest)", ""]
    width = max(map(len, speeds))
    for name in sorted(speeds, key=lambda name: -statistics.median(speeds[name])):
        median = statistics.median(speeds[name])
        spread = f"({min(speeds[name]):,.0f} - {max(speeds[name]):,.0f})"
        line = f"{name:{width}}  {median:>8,.0f}  {spread:<19}"
        if name != FASTNN.name:
            line += f"  fastnn is {ours / median:.2f} times as fast"
        lines.append(f"{line}  {runs[name][0]['version']}".rstrip())
    lines.append("")
    if ratios := result["ratios"]:
        lines.append(
            f"fastnn / fastest peer of each round: {statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
        )
        busy = max(run["other_cpus"] for turns in runs.values() for run in turns)
        if busy > _QUIET_CPUS:
            lines.append(f"Not a quiet machine: other programs kept up to {busy:.1f} CPUs busy meanwhile.")
        if rounds < _MEANINGFUL_ROUNDS:
            lines.append(f"A hint only: {rounds} rounds; a result takes {_MEANINGFUL_ROUNDS}.")
    lines += [f"{name}: failed: {why}" for name, why in result["failed"].items()]
    for name, turns in runs.items():
        lines += [f"{name}: {note}" for note in dict.fromkeys(note for run in turns for note in run["notes"])]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[32, 128], metavar="N")
    parser.add_argument("--threads", type=int, nargs="+", default=[_core.num_threads()], metavar="N")
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long each process trains (default 5)")
    parser.add_argument("--rounds", type=int, default=_MEANINGFUL_ROUNDS)
    parser.add_argument("--peers", nargs="+", choices=[peer.name for peer in PEERS], metavar="NAME", help="default: all found")
    arguments = parser.parse_args()

    chosen = [peer for peer in PEERS if arguments.peers is None or peer.name in arguments.peers]
    peers = [peer for peer in chosen if all(find_spec(module) is not None for module in peer.needs)]
    missing = [peer.name for peer in chosen if peer not in peers]
    limits = {threads: machine.peak_flops(threads) for threads in arguments.threads}
    print(machine.describe())
    if missing:
        print(f"Not installed, so not compared: {', '.join(missing)}")

    results = []
    for threads in arguments.threads:
        for batch_size in arguments.batch_size:
            try:
                results.append(compare(peers, batch_size, threads, arguments.seconds, arguments.rounds))
            except Failed as error:
                sys.exit(f"fastnn: {error}")
            print(f"\n{table(results[-1])}", flush=True)

    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / time.strftime("mnist-cnn-%Y%m%d-%H%M%S.json")
    report = {"machine": machine.describe(), "peak_flops": limits, "missing": missing, "results": results}
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\n{path.relative_to(_ROOT)}")


if __name__ == "__main__":
    main()
