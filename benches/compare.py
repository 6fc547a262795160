"""fastnn beside its peers, training and inferring: who makes how many images, sequences or tokens per second.

    python -m benches.compare --workloads cnn-training --batch-size 32 128 --threads 1 2 --rounds 7

Every participant is a process of its own on the same CPUs, started once for each comparison, and begins with the same weights:
the first outputs of all must agree, and so must the loss after the first training step. Then they take turns, so that whatever
else slows the machine slows all. The ratio of a round is fastnn over the fastest peer of that round; reported is the median of
the ratios. A table is printed; it, a picture and all numbers as JSON go to a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benches import machine, report
from benches.networks import LSTM, Network
from benches.peers.protocol import WORKLOADS
from fastnn import _core

_ROOT = Path(__file__).parent.parent
_RESULTS = _ROOT / "benches" / "results"
_LIMIT_SECONDS = 600.0  # until a participant is ready, or has taken a turn: torch.compile takes the longest, minutes
# Absolutely, in probabilities (so that tokens are equal); relatively, after a step.
_OUTPUTS_AGREE, _LOSSES_AGREE = 1e-4, 0.01


@dataclass(frozen=True)
class Participant:
    name: str
    program: str  # a module of benches.peers
    needs: tuple[str, ...]
    flags: tuple[str, ...] = ()
    workloads: tuple[str, ...] = tuple(WORKLOADS)


_SEQUENTIAL = {name: workload.network for name, workload in WORKLOADS.items() if isinstance(workload.network, Network)}
_LSTMS = tuple(name for name, network in _SEQUENTIAL.items() if isinstance(network.layers[0], LSTM))
_PLAIN = tuple(name for name in _SEQUENTIAL if name not in _LSTMS)
_IMAGES = tuple(name for name in _PLAIN if len(_SEQUENTIAL[name].shape) == 3)
FASTNN = Participant("fastnn", "fastnn", ("fastnn",))
PEERS = (
    Participant("torch", "torch", ("torch",), ("--variant", "eager")),
    Participant("torch-channels-last", "torch", ("torch",), ("--variant", "channels-last"), _IMAGES),
    Participant("torch-compile", "torch", ("torch",), ("--variant", "compile"), (*_PLAIN, "gpt-training")),
    Participant("jax", "jax", ("jax", "jaxlib"), (), _PLAIN),
    Participant("keras-tensorflow", "keras", ("keras", "tensorflow"), ("--backend", "tensorflow"), _PLAIN + _LSTMS),
    Participant("keras-jax", "keras", ("keras", "jax"), ("--backend", "jax"), _PLAIN + _LSTMS),
    Participant("onnxruntime", "onnxruntime", ("onnxruntime", "onnx"), (), ("cnn-inference", "mlp-inference")),
    Participant("xnnpack", "xnnpack", ("tensorflow",), (), ("cnn-inference", "mlp-inference")),
    Participant("scikit-learn", "sklearn", ("sklearn",), (), ("mlp-training",)),
)


class Failed(Exception):
    """A participant's process did not do its work; says how."""


class Process:
    """A participant that runs and waits for its turn."""

    def __init__(self, command: Sequence[str]) -> None:
        # Leftovers of development that would slow a participant down, or let it use more threads.
        unwanted = ("PYTHONDONTWRITEBYTECODE", "OPENBLAS_CORETYPE", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "XLA_FLAGS")
        environment = {key: value for key, value in os.environ.items() if key not in unwanted}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `stop` closes it
        self._process = subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    def answer(self) -> dict[str, Any]:
        """The next line that it prints."""
        assert self._process.stdout is not None
        late = threading.Timer(_LIMIT_SECONDS, self._process.kill)
        late.start()
        line = self._process.stdout.readline()
        expired = not late.is_alive()
        late.cancel()
        if line:
            return json.loads(line)  # type: ignore[no-any-return]
        status = self._process.wait()
        if expired:
            raise Failed(f"took longer than {_LIMIT_SECONDS:.0f} s")
        self._errors.seek(0)
        raise Failed(next(iter(self._errors.read().strip().splitlines()[-1:]), f"exit status {status}"))

    def take_turn(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        with suppress(OSError):  # where it has ended, `answer` knows why
            print(file=self._process.stdin, flush=True)
        return self.answer()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()


@contextmanager
def _running(participant: Participant, options: dict[str, Any]) -> Iterator[Process]:
    command = [sys.executable, "-m", f"benches.peers.{participant.program}", *participant.flags]
    process = Process(command + [word for name, value in options.items() for word in (f"--{name}", str(value))])
    try:
        yield process
    finally:
        process.stop()


def compare(
    peers: Sequence[Participant], workload: str, batch_size: int, threads: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """All rounds of one workload, batch size and number of threads."""
    what = f"{workload}, batch {batch_size}, threads {threads}"
    options = {"workload": workload, "batch-size": batch_size, "threads": threads, "seconds": seconds}
    ready: dict[str, dict[str, Any]] = {}
    turns: dict[str, list[dict[str, Any]]] = {}
    failed: dict[str, str] = {}
    with ExitStack() as stack:
        processes: dict[str, Process] = {}

        def attempt(name: str, answer: Any) -> Any:
            try:
                return answer()
            except Failed as error:
                if name == FASTNN.name:
                    raise Failed(f"{what}: {error}") from error
                failed[name] = str(error)
                processes.pop(name)
                _progress(f"{what}: {name} failed: {error}\n")
                return None

        for participant in (FASTNN, *(peer for peer in peers if workload in peer.workloads)):
            name = participant.name
            _progress(f"{what}: {name} gets ready")
            processes[name] = stack.enter_context(_running(participant, options))
            if (facts := attempt(name, processes[name].answer)) is not None:
                ready[name] = facts
                turns[name] = []
                wrong = disagreement(facts, ready[FASTNN.name])
                if wrong is not None:
                    failed[name] = wrong
                    processes.pop(name)
        for turn in range(rounds):
            for name, process in list(processes.items()):
                _progress(f"{what}: round {turn + 1} of {rounds}: {name}")
                if (taken := attempt(name, process.take_turn)) is not None:
                    turns[name].append(taken)
    _progress("")

    for facts in ready.values():
        del facts["outputs"]
    participants = {
        name: {**ready[name], "turns": turns[name], "per_second": spread([turn["per_second"] for turn in turns[name]])}
        for name in processes
    }
    speeds = {name: participant["per_second"]["rounds"] for name, participant in participants.items()}
    ours = speeds.pop(FASTNN.name)
    for name, theirs in speeds.items():
        participants[name]["fastnn_ratio"] = spread([our / their for our, their in zip(ours, theirs)])
    best = [max(theirs) for theirs in zip(*speeds.values())]
    return {
        "workload": workload,
        "batch_size": batch_size,
        "threads": threads,
        "unit": WORKLOADS[workload].unit,
        "participants": participants,
        "failed": failed,
        "absent": [peer.name for peer in peers if workload not in peer.workloads],
        "best_peer_ratio": spread([our / their for our, their in zip(ours, best)]) if best else None,
    }


def disagreement(facts: dict[str, Any], ours: dict[str, Any]) -> str | None:
    """What a participant computes that fastnn, from the same weights, does not; None where they agree."""
    (theirs, mine) = (np.asarray(each["outputs"]) for each in (facts, ours))
    if theirs.shape != mine.shape:
        return f"its first outputs are of shape {theirs.shape}; expected fastnn's, {mine.shape}"
    error = float(np.max(np.abs(theirs - mine)))
    if not error <= _OUTPUTS_AGREE:
        return f"its first outputs are up to {error:.2g} from fastnn's; expected at most {_OUTPUTS_AGREE:g}"
    after, loss = (each.get("loss_after_a_step", 1.0) for each in (facts, ours))
    if not abs(after - loss) <= _LOSSES_AGREE * loss:
        return f"its loss after the first step is {after:.4f}; expected fastnn's, {loss:.4f}, to {_LOSSES_AGREE:.0%}"
    return None


def spread(rounds: Sequence[float]) -> dict[str, Any]:
    """Of one number per round."""
    return {"rounds": list(rounds), "median": statistics.median(rounds), "low": min(rounds), "high": max(rounds)}


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text.rstrip(), file=sys.stderr)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benches.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    names, workloads = [peer.name for peer in PEERS], list(WORKLOADS)
    option = parser.add_argument
    option("--workloads", nargs="+", choices=workloads, default=workloads, metavar="NAME", help=f"of {', '.join(workloads)}")
    about = f"of {', '.join(names)}; without a name: fastnn alone (default: all that are installed)"
    option("--peers", nargs="*", choices=names, metavar="NAME", help=about)
    option("--batch-size", type=_whole(1, 4096), nargs="+", metavar="N", help="1 to 4096 (default: each workload's usual one)")
    threads = _core.num_threads()
    option("--threads", type=_whole(1, 256), nargs="+", default=[threads], metavar="N", help=f"1 to 256 (default: {threads})")
    option("--rounds", type=_whole(1, 1000), default=report.MEANINGFUL_ROUNDS, metavar="N", help="(default: %(default)s)")
    option("--seconds", type=_seconds, default=0.5, metavar="S", help="about how long each turn takes (default: %(default)s)")
    option("--results", type=Path, default=_RESULTS, metavar="DIR", help="where the files go (default: benches/results)")
    return parser.parse_args(argv)


def _whole(low: int, high: int) -> Any:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text}; expected a whole number from {low} to {high}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 3600.0:
        raise argparse.ArgumentTypeError(f"{text}; expected a number above 0 and up to 3600")
    return value


def main(argv: Sequence[str] | None = None) -> None:
    arguments = _parse(argv)
    chosen = [peer for peer in PEERS if arguments.peers is None or peer.name in arguments.peers]
    peers = [peer for peer in chosen if all(find_spec(module) is not None for module in peer.needs)]
    missing = [peer.name for peer in chosen if peer not in peers]
    start = time.perf_counter()
    results = []
    for workload, threads in product(arguments.workloads, arguments.threads):
        for batch_size in arguments.batch_size or [WORKLOADS[workload].batch_size]:
            try:
                results.append(compare(peers, workload, batch_size, threads, arguments.seconds, arguments.rounds))
            except Failed as error:
                sys.exit(f"fastnn: {error}")
    everything = {
        "machine": machine.facts(arguments.threads),
        "versions": {name: facts["version"] for result in results for name, facts in result["participants"].items()},
        "options": {**vars(arguments), "results": str(arguments.results), "peers": [peer.name for peer in chosen]},
        "missing": missing,
        "seconds": time.perf_counter() - start,
        "results": results,
    }
    print(report.table(everything))

    arguments.results.mkdir(parents=True, exist_ok=True)
    path = arguments.results / time.strftime("compare-%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps(everything, indent=1, allow_nan=False) + "\n")
    print(f"\n{path}")
    if find_spec("matplotlib") is None:
        print("no picture: matplotlib is not installed; pip install '.[cli]' brings it", file=sys.stderr)
        return
    report.draw(path.with_suffix(".png"), everything)
    print(path.with_suffix(".png"))


if __name__ == "__main__":
    main()
