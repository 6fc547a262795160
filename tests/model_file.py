"""Model files for tests, written from graphs alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastnn
from fastnn import _core
from fastnn.tracing import Trace


def write_graphs(path: Path, graphs: dict[str, _core.Graph]) -> None:
    """Every variable under its place in the file; one that several graphs read has one tensor."""
    tensors: dict[str, Any] = {}
    names: dict[_core.Variable, str] = {}
    texts = []
    for name, graph in graphs.items():
        constants = [f"fastnn.constants/{name}/{i}" for i in range(len(graph.constants()))]
        tensors.update(zip(constants, graph.constants()))
        for variable in graph.variables():
            tensors[names.setdefault(variable, f"{len(names)}/{variable.name}")] = variable.read()
        variables = [names[variable] for variable in graph.variables()]
        texts.append(f"{json.dumps(name)}: {graph.to_json(variables, constants)}")
    metadata = {"fastnn.format": "1", "fastnn.graphs": "{" + ", ".join(texts) + "}"}
    _core.write_safetensors(path, tensors, metadata)


def prediction_graph(model: fastnn.Sequential) -> _core.Graph:
    """What `model` predicts for a batch of float32, before fusion."""
    with Trace() as trace:
        x = trace.input("x", "float32", (_core.Extent("batch"), *model.input_shape[1:]))
        trace.graph.set_outputs([model.call(x, training=False)._value])
    return trace.graph


def write_model(path: Path, model: fastnn.Sequential) -> None:
    write_graphs(path, {"predict": prediction_graph(model)})
