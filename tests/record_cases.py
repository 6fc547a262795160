"""Writes cases with their results to a file, for tests/cpp/replay.cpp, which needs no Python: tests/record_cases.py FILE.

A case is an op of `harness` on its operands, with the oracle's results and the bound on errors that `harness.check` uses; or a
model of one layer, with what Keras computed. Everything is one safetensors file, whose metadata has two lists in JSON:

- `cases`: `name`; `graphs`, one node each, for every float dtype under test; `operands`, tensors of which those that take the
  dtype under test are float64; `results`, each a tensor and, of a float, its `bound` in units of eps (a tensor or a number);
  `nonfinite`, as in `harness.Case`.
- `models`: `name`; `file`, the bytes of a model file; `operands`; `result`; `tolerance`, of the largest value or of 1.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent)]

import fastnn
from fastnn import _core, layers
from harness import OP_TABLE, Case, tables
from test_keras import KERAS, cases, numbered

MOST_ELEMENTS = 20_000  # of a case's operands; the few larger cases would be nine tenths of the file
SMALL = 2_000


class Recording:
    def __init__(self) -> None:
        self.tensors: dict[str, Any] = {}
        self.cases: list[dict[str, Any]] = []
        self.models: list[dict[str, Any]] = []

    def tensor(self, values: Any) -> str:
        """The name under which the values are kept."""
        name = str(len(self.tensors))
        self.tensors[name] = np.array(values, order="C")
        return name

    def add_case(self, case: Case) -> None:
        operands = case.make_operands()
        oracle = [np.asarray(y) for y in case.evaluate(operands)]
        with np.errstate(all="ignore"):
            bounds = case.bound(case, operands, oracle)
        graphs = []
        for dtype in case.dtypes():
            graph, values = _core.Graph(), []
            for i, x in enumerate(case.as_dtype(operands, dtype)):
                values.append(None if x is None else graph.input(f"operand {i}", x.dtype.name, x.shape))
            graph.set_outputs(graph.node(case.op, values, case.attributes, "", ""))
            graphs.append(json.loads(graph.to_json([], [])))
        results: list[dict[str, Any]] = []
        for i, y in enumerate(oracle):
            if y.dtype.kind == "f":
                results.append({"tensor": self.tensor(y.astype(np.float64)), "bound": self.bound(bounds[i], y.shape)})
            else:
                results.append({"tensor": self.tensor(y)})
        self.cases.append(
            {
                "name": str(case),
                "graphs": graphs,
                "operands": [self.tensor(x) for x in operands if x is not None],
                "results": results,
                "nonfinite": case.nonfinite or "",
            }
        )

    def bound(self, bound: Any, shape: tuple[int, ...]) -> str | float:
        each = np.broadcast_to(np.asarray(bound, np.float64), shape)
        if each.size == 0:
            return 0.0
        first = float(each.flat[0])
        return first if math.isfinite(first) and np.all(each == first) else self.tensor(each)

    def add_model(self, case: Any, fixtures: Any) -> None:
        key = f"layers/{case.label()}/"
        x = cases.input_of(case)
        operands = x if isinstance(x, list) else [x]
        inputs = [fastnn.Input(part.shape[1:], dtype=part.dtype.name) for part in operands]
        layer = getattr(layers, case.name)(**cases.with_layers(case.arguments, layers))
        first = inputs if isinstance(x, list) else inputs[0]
        model = fastnn.Model(first, case.called(layer, first))
        model.set_weights(numbered(fixtures, key + "weight"))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            model.save(path)
            file = path.read_bytes()
        self.models.append(
            {
                "name": case.label(),
                "file": self.tensor(np.frombuffer(file, np.uint8)),
                "operands": [self.tensor(part) for part in operands],
                "result": self.tensor(fixtures[key + "y"]),
                "tolerance": 1e-5,
            }
        )

    def write(self, path: Path) -> None:
        metadata = {
            name: json.dumps(value, separators=(",", ":")) for name, value in (("cases", self.cases), ("models", self.models))
        }
        _core.write_safetensors(path, self.tensors, metadata)


def size(case: Case) -> int:
    return sum(math.prod(o.shape) for o in case.operands if o is not None)


def spread(items: list[Any], count: int | None) -> Iterable[Any]:
    """So many of them, at equal distances; all of them for None."""
    if count is None or count >= len(items):
        return items
    return [items[i * len(items) // count] for i in range(count)]


def has_one_file(case: Any) -> bool:
    """Whether a file holds all of the layer's call, one array comes out, and nothing is kept from call to call."""
    arrays = any(isinstance(option, np.ndarray) for option in case.options.values())
    _, wrapped = case.arguments.get("layer", ("", {}))
    states = any(each.get("return_state") for each in (case.arguments, wrapped))
    several = states or case.arguments.get("merge_mode", "") is None
    return not (arrays or several or case.called_with or case.arguments.get("stateful"))


def record(path: Path, each: int | None) -> None:
    """Every case of up to MOST_ELEMENTS elements and every layer; or `each` small ones of an op and ten layers for each."""
    recording = Recording()
    found: dict[str, list[Case]] = {op: [] for op in OP_TABLE}
    for module in tables().values():
        for case in module.CASES:
            if size(case) <= (MOST_ELEMENTS if each is None else SMALL):
                found[case.op].append(case)
    for op in found:
        for case in spread(found[op], each):
            recording.add_case(case)
    with np.load(KERAS / "fixtures.npz", allow_pickle=False) as file:
        fixtures = {name: file[name] for name in file.files if name.startswith("layers/")}
    for case in spread([case for case in cases.LAYERS if has_one_file(case)], None if each is None else 10 * each):
        recording.add_model(case, fixtures)
    recording.write(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--each", type=int, help="record only so many cases of an op")
    arguments = parser.parse_args()
    record(arguments.file, arguments.each)
