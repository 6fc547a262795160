"""Every op of the table in a model file that means harm: it is refused, or it plans and runs.

Valid graphs of one node, with one change: each attribute to hostile values of every kind, each operand left out or doubled,
of every dtype, and of shapes that are wrong, empty or huge. Nothing is asserted of what such a graph computes.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import _core
from harness import OP_TABLE, Case, tables

OPS = sorted(OP_TABLE)
DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
INTEGERS = (0, 1, -1, 2, 3, -2, 31, 32, 2**31, -(2**31), 2**32, 2**40, 2**62, 2**63 - 1, -(2**63 - 1), -(2**63), 2**63, 10**30)
REALS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.5, 1e-320, 1e300, -1e300, "inf", "-inf", "nan")
TEXTS = ("", "none", "valid", "same", "causal", "edge", "reflect", "float16", "bool", "é\n", "x" * 2000)
OF_ANY_KIND = (None, True, 1, 2**63, 1.5, "inf", "é\n", "x" * 2000, [], {}, [None], [[]], ["batch"], ["2*batch", "time"], [""])
LENGTHS = (0, 2, 3, 2**31, 2**40, 2**62, "batch")
MOST_ELEMENTS = 20_000  # that a test runs with


def smallest(op: str) -> list[Case]:
    """Two cases of few elements, but some, with other ranks or other operands."""

    def size(case: Case) -> int:
        return sum(math.prod(o.shape) for o in case.operands if o)

    cases = [case for module in tables().values() for case in module.CASES if case.op == op]
    found: dict[Any, Case] = {}
    for case in sorted((c for c in cases if all(math.prod(o.shape) for o in c.operands if o)), key=size):
        first = next(o for o in case.operands if o)
        found.setdefault((len(first.shape), tuple(o is None for o in case.operands)), case)
    return list(found.values())[:2]


def graph_of(case: Case) -> dict[str, Any]:
    graph, values = _core.Graph(), []
    for i, x in enumerate(case.as_dtype(case.make_operands(), "float32")):
        values.append(None if x is None else graph.input(f"x{i}", x.dtype.name, x.shape))
    graph.set_outputs(graph.node(case.op, values, case.attributes, "layer", ""))
    valid: dict[str, Any] = json.loads(graph.to_json([], []))
    return valid


def variations(graph: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The graph with one change each."""

    def changed() -> tuple[dict[str, Any], dict[str, Any]]:
        other = copy.deepcopy(graph)
        return other, other["nodes"][0]

    (node,) = graph["nodes"]
    for name, value in node["attributes"].items():
        values: list[Any] = list(OF_ANY_KIND)
        if isinstance(value, str):
            values += TEXTS
        elif isinstance(value, float):
            values += REALS
        elif isinstance(value, int):
            values += INTEGERS
        else:
            items = value or [1]
            values += [[n] * len(items) for n in (*INTEGERS, *REALS)] + [[n] * 65 for n in (0, 1, -1, 2**62)]
            values += [[*items[:i], n, *items[i + 1 :]] for i in range(min(len(items), 3)) for n in INTEGERS[::3]]
            values += [items[1:], items + items, items[::-1], [*items, 1], [float(n) for n in items]]
        for new in values:
            other, its = changed()
            its["attributes"][name] = new
            yield other
        other, its = changed()
        del its["attributes"][name]
        yield other
    for i, inputs in enumerate([*([value] for value in node["inputs"][:6]), []]):
        for new_inputs in ([None], [0], inputs * 2, [], [None, *inputs]):
            other, its = changed()
            its["inputs"][i : i + 1] = new_inputs
            yield other
    for i, entry in enumerate(graph["inputs"][:6]):
        for dtype in DTYPES:
            other, _ = changed()
            other["inputs"][i]["dtype"] = dtype
            yield other
        shape = entry["shape"]
        shapes = [[*shape[:k], n, *shape[k + 1 :]] for k in range(len(shape)) for n in LENGTHS]
        shapes += [[], shape[1:], [*shape, 1], [2**40, 0], [1] * 32, [1] * 33]
        for new_shape in shapes:
            other, _ = changed()
            other["inputs"][i]["shape"] = new_shape
            yield other
    for new_shape in ([], [0], [1], [2**40, 0], [0, 2**40], [2**40], [1] * 32, [2**30, 0, 5], [2**30, 1, 0, 1], ["batch", 4]):
        other, _ = changed()  # all operands alike, which many rules let pass
        for entry in other["inputs"]:
            entry["shape"] = new_shape
        yield other


def shapes_of(graph: _core.Graph, length: int) -> list[list[int]]:
    return [[n if isinstance(n, int) else length for n in shape] for _, _, shape in described(graph)]


def described(graph: _core.Graph) -> list[tuple[str, str, tuple[Any, ...]]]:
    return [(name, graph.dtype(value), graph.shape(value)) for name, value in graph.inputs()]


def filled(shape: list[int], dtype: str, byte: int) -> Any:
    if dtype == "bool":
        return np.full(shape, byte % 2 == 1)
    raw = np.full(math.prod(shape) * np.dtype(dtype).itemsize, byte, np.uint8)
    return raw.view(dtype).reshape(shape)


def attempt(function: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """What it returns, or None and the error, which has the house's form and a size that people can read."""
    try:
        return function(*arguments), ""
    except (ValueError, TypeError) as error:
        message = str(error)
    assert "; expected " in message, message[:500]
    assert len(message) < 5000
    return None, message


def plan_and_run(graph: _core.Graph) -> bool:
    """Whether a run went through; what it may raise is an error of the house."""
    ran = False
    for length, byte in ((3, 0x00), (3, 0xFF), (0, 0x01)):
        shapes = shapes_of(graph, length)
        function = _core.Function(graph)
        plan, _ = attempt(function.describe, shapes)
        results = [y for _, _, outputs, _, _, _ in graph.nodes() for y in outputs]
        lengths = [[n if isinstance(n, int) else MOST_ELEMENTS for n in graph.shape(y)] for y in results]
        if plan is None or plan["arena_bytes"] > 8 * MOST_ELEMENTS or max(map(math.prod, shapes + lengths)) > MOST_ELEMENTS:
            continue
        arrays = [filled(shape, dtype, byte) for shape, (_, dtype, _) in zip(shapes, described(graph))]
        outputs, _ = attempt(function.run, arrays, False)
        ran |= outputs is not None
    return ran


@pytest.mark.parametrize("op", OPS)
def test_a_hostile_graph_is_refused_or_runs(op: str, tmp_path: Path) -> None:
    count = {"tried": 0, "refused": 0, "ran": 0}
    for case in smallest(op):
        for graph in itertools.chain([graph_of(case)], variations(graph_of(case))):
            metadata = {"fastnn.format": "1", "fastnn.graphs": json.dumps({"predict": graph})}
            # Not write_safetensors, and never one file again: both would wait for the disk.
            path = tmp_path / f"{count['tried']}.safetensors"
            path.write_bytes(_core.safetensors_bytes({}, metadata))
            loaded, message = attempt(_core.load_graphs, path)
            path.unlink()
            count["tried"] += 1
            if loaded is not None:
                count["ran"] += plan_and_run(loaded["predict"])
                continue
            assert message.startswith(f"{path}: fastnn.graphs: predict")
            count["refused"] += 1
    assert count["refused"] >= 20 and count["ran"] >= 3, count


def test_tens_of_thousands_of_values_that_live_together_are_planned(tmp_path: Path) -> None:
    n = 30_000
    graph: dict[str, Any] = {key: [] for key in ("inputs", "constants", "variables", "nodes", "bindings", "outputs")}
    graph["inputs"] = [{"name": "x", "dtype": "float32", "shape": [16]}]
    graph["nodes"] = [{"op": "exp", "inputs": [0], "attributes": {}, "layer": ""}] * n
    graph["nodes"] += [{"op": "concatenate", "inputs": [*range(1, n + 1)], "attributes": {"axis": 0}, "layer": ""}]
    graph["outputs"] = [n + 1]
    path = tmp_path / "many.safetensors"
    path.write_bytes(_core.safetensors_bytes({}, {"fastnn.format": "1", "fastnn.graphs": json.dumps({"predict": graph})}))
    function = _core.load_function(path)
    began = time.process_time()
    assert function.describe([[16]])["arena_bytes"] == 64 * n
    assert time.process_time() - began < 8


READ = """
import sys, time
from fastnn import _core

def peak():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))

before, began = peak(), time.perf_counter()
try:
    _core.load_graphs(sys.argv[1])
except ValueError as error:
    print(peak() - before, time.perf_counter() - began, str(error)[-200:])
"""
MIB = 2**20
TEXT_BOMBS = {
    "a list of numbers": "0,",
    "a list of lists of one": "[0],",
    "a list of objects of one": '{"":0},',
    "a text of commas": ",",
    "a list of short texts": '"a",',
}


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux says how much memory a process had at most")
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="sanitizers add memory of their own")
@pytest.mark.parametrize("what", TEXT_BOMBS)
def test_reading_takes_a_small_multiple_of_the_text(what: str, tmp_path: Path) -> None:
    item = TEXT_BOMBS[what]
    opening, closing = ('"', '"') if item == "," else ("[", "0]")
    text = opening + item * ((16 * MIB - 20) // len(item)) + closing
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(_core.safetensors_bytes({}, {"fastnn.format": "1", "fastnn.graphs": f'{{"predict":{text}}}'}))
    read = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    taken, seconds, message = read.stdout.split(maxsplit=2)
    # The file itself, the metadata within it, and ten times the text of the graphs.
    assert int(taken) < (10 + 3) * 16 * MIB, f"{int(taken) / MIB:.0f} MiB"
    assert float(seconds) < 10
    assert "expected an object" in message
