"""Every bench verifies its result, warms up, and is then timed.

With --benchmark-disable (the plain test run) it verifies only, on small shapes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from benches import machine
from benches.op import Array, Check, OneOp
from fastnn import _core

_WARM_UP_SECONDS = 0.05
_LINES = pytest.StashKey[list[str]]()


def _is_small(config: pytest.Config) -> bool:
    return bool(config.getoption("benchmark_disable")) and not config.getoption("benchmark_enable")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shapes(table, small=table): names and values of the argument `shape`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    small = _is_small(metafunc.config)
    if "threads" in metafunc.fixturenames:
        counts = {1} if small else {1, _core.num_threads()}
        metafunc.parametrize("threads", sorted(counts), indirect=True, ids="{}t".format)
    marker = metafunc.definition.get_closest_marker("shapes")
    if marker is not None:
        table = marker.kwargs["small"] if small else marker.args[0]
        metafunc.parametrize("shape", list(table.values()), ids=list(table))


@pytest.fixture
def small(request: pytest.FixtureRequest) -> bool:
    """Whether this is the plain test run: small shapes, nothing timed."""
    return _is_small(request.config)


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of threads, which holds while the bench runs."""
    before = _core.num_threads()
    _core.set_num_threads(request.param)
    yield request.param
    _core.set_num_threads(before)


@pytest.fixture
def measure(benchmark: Any, threads: int, small: bool) -> Callable[..., None]:
    """measure(run, flops, bytes): warms up, then times `run`, whose work the report sets against the machine's peak.

    The peak is the larger one of just before and just after: where a core is shared with programs that this machine does not
    see, it is 93 GFLOP/s in one second and 153 in the next. `rounds` fixes how often a long run is timed. A run of many
    training steps says how many, and on how many images.
    """

    def peaks(size: float) -> tuple[float, float]:
        return (0.0, 0.0) if small else (machine.peak_flops(threads), machine.peak_bytes(threads, size))

    def measure(
        run: Callable[[], object], flops: float, bytes: float, rounds: int | None = None, steps: int = 1, images: int = 0
    ) -> None:
        if not small:
            end = time.perf_counter() + _WARM_UP_SECONDS
            while time.perf_counter() < end:
                run()
        before = peaks(bytes / steps)
        if rounds is None:
            benchmark(run)
        else:
            benchmark.pedantic(run, rounds=rounds)
        peak = [max(both) for both in zip(before, peaks(bytes / steps))]
        benchmark.extra_info.update(threads=threads, flops=flops, bytes=bytes, steps=steps, images=images, peak=peak)

    return measure


@pytest.fixture
def time_op(measure: Callable[..., None], benchmark: Any) -> Callable[..., None]:
    """time_op(op, operands, check, updates=None, **attributes): verifies one op's results, then times it."""

    def time_op(
        op: str, operands: Sequence[Array | None], check: Check, updates: Mapping[int, int] | None = None, **attributes: Any
    ) -> None:
        program = OneOp(op, operands, attributes, updates)
        results = program()
        check([variable.read() for variable in program.variables.values()] if updates else results)
        measure(program, program.flops, program.bytes)
        benchmark.extra_info.update(variant=program.variant)

    return time_op


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """report(line): prints a result that is not a time at the end of the session."""
    return request.config.stash.setdefault(_LINES, []).append


@pytest.hookimpl(trylast=True)  # below the table of pytest-benchmark
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Work per second of every timed bench beside the machine's own peak, and what else was measured."""
    lines = config.stash.get(_LINES, [])
    if lines and not _is_small(config):
        terminalreporter.section("measured")
        for text in lines:
            terminalreporter.write_line(text)
    session = getattr(config, "_benchmarksession", None)
    timed = [b for b in getattr(session, "benchmarks", []) if b.stats.rounds and "flops" in b.extra_info]
    if timed:
        _write_work(terminalreporter, timed)


def _write_work(terminalreporter: Any, timed: list[Any]) -> None:
    write = terminalreporter.write_line
    terminalreporter.section("work per second")
    write(machine.describe())
    for threads in sorted({b.extra_info["threads"] for b in timed}):
        highest = max(b.extra_info["peak"][0] for b in timed if b.extra_info["threads"] == threads) / 1e9
        in_cache = machine.peak_bytes(threads, threads * machine.CACHE_BYTES) / 1e9
        in_memory = machine.peak_bytes(threads, machine.MEMORY_BYTES) / 1e9
        write(
            f"peak of {threads} thread{'s' * (threads > 1)}: up to {highest:.0f} GFLOP/s, "
            f"copies {in_cache:.1f} GB/s in cache and {in_memory:.1f} GB/s in memory"
        )
    write("of peak: of the one beside the bench; of copy: of a copy beside it that moves as many bytes")
    width = max(len(b.name) for b in timed)
    write(f"{'':{width}} {'median us':>11} {'quartiles us':>23} {'GFLOP/s':>8} {'of peak':>7} {'GB/s':>6} {'of copy':>7}")
    for b in timed:
        stats, work = b.stats, b.extra_info
        quartiles = f"{stats.q1 * 1e6:.1f} - {stats.q3 * 1e6:.1f}"
        line = f"{b.name:{width}} {stats.median * 1e6:>11.1f} {quartiles:>23}"
        for amount, limit, columns in zip((work["flops"], work["bytes"]), work["peak"], ((8, 7), (6, 7))):
            speed = amount / stats.median
            shown = (f"{speed / 1e9:.1f}", f"{speed / limit:.0%}") if amount else ("-", "-")
            line += "".join(f" {text:>{column}}" for text, column in zip(shown, columns))
        line += f"  {work.get('variant', '')}"
        write(line.rstrip() + (f"  {work['images'] / stats.median:,.0f} images/s" if work["images"] else ""))
