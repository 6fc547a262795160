"""Graphs in model files: every op and a training step come back to the bit, and whatever does not fit is refused."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers
from harness import OP_TABLE, Case, bits, tables
from model_file import prediction_graph, write_graphs, write_model

OPS = sorted(OP_TABLE)
LARGEST = 20_000  # elements of a case: what a graph says does not depend on them


def cases_of(op: str) -> list[Case]:
    cases = [case for module in tables().values() for case in module.CASES if case.op == op]
    return [case for case in cases if sum(math.prod(o.shape) for o in case.operands if o) <= LARGEST]


def graph_of(case: Case, dtype: str | None, number: int) -> tuple[_core.Graph, list[Any]]:
    """The case's op on operands of every origin, and the arrays for those that are inputs."""
    graph, inputs = _core.Graph(), []

    def value(i: int, x: Any) -> int | None:
        if x is None:
            return None
        origin = (i + number) % 3
        if origin == 0:
            return graph.constant(x)
        if origin == 1:
            return graph.variable(_core.Variable(f"operand {i}", x))
        inputs.append(x)
        return graph.input(f"operand {i}", x.dtype.name, x.shape)

    values = [value(i, x) for i, x in enumerate(case.as_dtype(case.make_operands(), dtype))]
    graph.set_outputs(graph.node(case.op, values, case.attributes, f"layer {number}", "file.py:1"))
    return graph, inputs


@pytest.mark.parametrize("op", OPS)
def test_every_op_comes_back(op: str, tmp_path: Path) -> None:
    graphs, arrays = {}, {}
    for case in cases_of(op):
        for dtype in case.dtypes():
            name = str(len(graphs))
            graphs[name], arrays[name] = graph_of(case, dtype, len(graphs))
    assert len(graphs) >= 5
    write_graphs(tmp_path / "ops.safetensors", graphs)
    loaded = _core.load_graphs(tmp_path / "ops.safetensors")
    assert set(loaded) == set(graphs)
    for name, graph in graphs.items():
        ((op_, _, _, attributes, layer, _),) = graph.nodes()
        ((loaded_op, _, _, loaded_attributes, loaded_layer, line),) = loaded[name].nodes()
        assert (loaded_op, repr(loaded_attributes), loaded_layer, line) == (op_, repr(attributes), layer, "")
        before, after = (_core.Function(g).run(arrays[name], False) for g in (graph, loaded[name]))
        assert [bits(y) for y in before] == [bits(y) for y in after]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_json_has_no_number_for_is_a_word(value: float, tmp_path: Path) -> None:
    graph = _core.Graph()
    x = graph.input("x", "float32", (2,))
    (y,) = graph.node("pad", [x], {"paddings": (1, 0), "value": value}, "", "")
    graph.set_outputs([y])
    assert json.loads(graph.to_json([], []))["nodes"][0]["attributes"]["value"] == str(value)
    write_graphs(tmp_path / "pad.safetensors", {"predict": graph})
    function = _core.load_function(tmp_path / "pad.safetensors")
    (padded,) = function.run([np.ones(2, np.float32)], False)
    assert np.array_equal(padded, np.array([value, 1, 1], np.float32), equal_nan=True)


def test_a_list_of_more_parts_than_an_array_has_axes_comes_back(tmp_path: Path) -> None:
    graph = _core.Graph()
    x = graph.input("x", "float32", (40, 2))
    graph.set_outputs(graph.node("split", [x], {"sizes": (1,) * 40, "axis": 0}, "", ""))
    write_graphs(tmp_path / "split.safetensors", {"predict": graph})
    array = np.arange(80, dtype=np.float32).reshape(40, 2)
    parts = _core.load_function(tmp_path / "split.safetensors").run([array], False)
    assert np.array_equal(np.concatenate(parts), array)


def test_a_symbol_of_two_words_is_refused() -> None:
    graph = _core.Graph()
    graph.input("x", "float32", (_core.Extent("two words"),))
    with pytest.raises(ValueError, match=r'the symbolic length "two words"; expected a name'):
        graph.to_json([], [])


def test_names_must_fit_the_graph() -> None:
    graph = _core.Graph()
    for name in ("a", "b"):
        graph.variable(_core.Variable(name, np.zeros(2)))
    graph.constant(np.zeros(1))
    for variables, constants in [(["a"], ["c"]), (["a", "b"], []), (["a", "b", "c"], ["d"])]:
        with pytest.raises(ValueError, match=r"names for .*; expected 2 and 1; pass one name for each"):
            graph.to_json(variables, constants)
    for variables, constants in [(["a", "a"], ["c"]), (["a", "b"], ["b"])]:
        with pytest.raises(ValueError, match="expected every name once"):
            graph.to_json(variables, constants)


# ---- Models ------------------------------------------------------------------------------------------------------------


def cnn() -> fastnn.Sequential:
    fastnn.set_seed(1)
    return fastnn.Sequential(
        [
            layers.Conv2D(5, (3, 3), activation="relu", input_shape=(12, 12, 1)),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(4, (3, 3), padding="same", strides=(2, 1)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(7, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )


def test_the_file_alone_predicts_the_same(tmp_path: Path) -> None:
    model = cnn()
    path = tmp_path / "model.safetensors"
    write_model(path, model)
    function = _core.load_function(path)
    for batch in (0, 1, 7, 32):
        x = np.random.default_rng(batch).standard_normal((batch, 12, 12, 1)).astype(np.float32)
        (y,) = function.run([x], False)
        assert bits(y) == bits(model.predict(x, verbose=0))
    ops = {step["op"] for step in function.describe([[2, 12, 12, 1]])["steps"]}
    assert "conv2d_block" in ops, "a loaded graph is fused"
    assert [v.shape for v in function.variables()] == [w.shape for w in model.get_weights()]
    text = prediction_graph(model).to_json([f"{i}" for i in range(8)], [])
    assert json.loads(text)["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["batch", 12, 12, 1]}]
    assert "conv2d_block" not in text


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_training_step_comes_back(optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = cnn()
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    graphs: list[_core.Graph] = []

    class Recorder(_core.Function):
        def __init__(self, graph: _core.Graph) -> None:
            graphs.append(graph)
            super().__init__(graph)

    monkeypatch.setattr(_core, "Function", Recorder)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 12, 12, 1)).astype(np.float32), rng.integers(0, 3, 40)
    step = model._training_program(model._prepare(x, y, "test")).function
    monkeypatch.undo()
    (graph,) = graphs
    predict = prediction_graph(model)
    path = tmp_path / "training.safetensors"
    write_graphs(path, {"train": graph, "predict": predict})

    loaded = _core.load_graphs(path)
    theirs = loaded["train"].variables()
    shared = [v for v in loaded["predict"].variables() if v in theirs]
    assert len(shared) == len(predict.variables()), "both graphs have the same Variables"
    again = _core.Function(loaded["train"])
    for first in range(0, 40, 16):  # the last batch is a partial one
        rows = np.arange(first, min(first + 16, 40))
        results = [f.run([x, y, rows], True) for f in (step, again)]
        assert bits(results[0][0]) == bits(results[1][0])
        for ours, their in zip(graph.variables(), theirs):
            assert bits(ours.read()) == bits(their.read()), ours.name
    assert any(v.version > 1 for v in theirs)
    (expected,), (y_,) = (_core.Function(g).run([x], False) for g in (predict, loaded["predict"]))
    assert bits(expected) == bits(y_)


# ---- What is refused -----------------------------------------------------------------------------------------------------


def good() -> dict[str, Any]:
    return {
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 3]}],
        "constants": [{"tensor": "c"}],
        "variables": [{"tensor": "w"}, {"tensor": "b"}],
        "nodes": [
            {"op": "dense", "inputs": [0, 2, 3], "attributes": {}, "layer": "dense"},
            {"op": "multiply", "inputs": [4, 1], "attributes": {}, "layer": ""},
            {"op": "sum", "inputs": [5], "attributes": {"axes": [0], "keepdims": False}, "layer": ""},
            {"op": "clip", "inputs": [5], "attributes": {"minimum": -0.5, "maximum": 1}, "layer": "limits"},
        ],
        "bindings": [{"variable": 1, "value": 6}],
        "outputs": [7],
    }


TENSORS = {
    "w": np.arange(6, dtype=np.float32).reshape(3, 2),
    "b": np.zeros(2, np.float32),
    "c": np.ones(2, np.float32),
    "i": np.zeros(2, np.int32),
}


def write(path: Path, graph: Any, **metadata: str | None) -> None:
    all_metadata = {"fastnn.format": "1", "fastnn.graphs": json.dumps({"predict": graph})}
    all_metadata |= {key.replace("_", "."): value for key, value in metadata.items()}  # type: ignore[dict-item]
    _core.write_safetensors(path, TENSORS, {key: value for key, value in all_metadata.items() if value is not None})


def test_the_good_one_is_good(tmp_path: Path) -> None:
    path = tmp_path / "good.safetensors"
    write(path, good())
    function = _core.load_function(path)
    x = np.array([[1, 0, 1], [0.05, 0.1, 0]], np.float32)
    (y,) = function.run([x], True)
    assert np.array_equal(y, np.clip(x @ TENSORS["w"], -0.5, np.float32(1)))
    assert np.array_equal(function.variables()[1].read(), np.sum(x @ TENSORS["w"], axis=0))
    write(path, good(), fastnn_other="{", other="x")
    _core.load_function(path)


def test_a_missing_attribute_takes_its_default(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    graph = good()
    graph["nodes"][2]["attributes"] = {"axes": [0]}
    write(path, graph)
    assert _core.load_graphs(path)["predict"].nodes()[2][3] == {"axes": (0,), "keepdims": False}


def node(i: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda graph: graph["nodes"][i].update(changes)


def put(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(graph: dict[str, Any]) -> None:
        at: Any = graph
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to

    return change


def drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(graph: dict[str, Any]) -> None:
        at: Any = graph
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]

    return change


def add(op: str, inputs: list[Any], **attributes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda graph: graph["nodes"].append({"op": op, "inputs": inputs, "attributes": attributes, "layer": ""})


HUGE = 2**62


def both(*changes: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def change(graph: dict[str, Any]) -> None:
        for one in changes:
            one(graph)

    return change


def only(operand: list[Any], op: str, count: int = 1, /, **attributes: Any) -> Callable[[dict[str, Any]], None]:
    """A graph of one node, all of whose operands are inputs of one shape."""

    def change(graph: dict[str, Any]) -> None:
        inputs = [{"name": f"x{i}", "dtype": "float32", "shape": operand} for i in range(count)]
        graph.update(inputs=inputs, constants=[], variables=[], bindings=[], outputs=[count])
        graph["nodes"] = [{"op": op, "inputs": list(range(count)), "attributes": attributes, "layer": ""}]

    return change


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "no inputs": (drop("inputs"), 'an object without "inputs"'),
    "no outputs": (drop("outputs"), 'an object without "outputs"'),
    "no bindings": (drop("bindings"), 'an object without "bindings"'),
    "an unknown key": (put("version", to=1), 'the key "version"; expected only inputs, constants'),
    "an unknown key of a node": (put("nodes", 0, "name", to="x"), r'nodes\[0\]: the key "name"'),
    "an unknown key of an input": (put("inputs", 0, "layout", to="NHWC"), r'inputs\[0\]: the key "layout"'),
    "nodes that are no list": (put("nodes", to={}), "nodes: an object; expected an array"),
    "a node that is none": (put("nodes", 1, to=3), r"nodes\[1\]: a number; expected an object"),
    "an unknown dtype": (put("inputs", 0, "dtype", to="float16"), r"inputs\[0\].dtype: dtype: 'float16'"),
    "a dtype that is no text": (put("inputs", 0, "dtype", to=1), r"inputs\[0\].dtype: a number; expected a string"),
    "a negative length": (put("inputs", 0, "shape", to=[-1, 3]), r"inputs\[0\]: input 'x': shape \(-1, 3\)"),
    "a length that is no integer": (put("inputs", 0, "shape", to=[1.5, 3]), r"shape\[0\]: 1.5; expected an integer"),
    "a length beyond int64": (put("inputs", 0, "shape", to=[2**63, 3]), r"shape\[0\]: .*; expected an integer from"),
    "a product as an input's length": (put("inputs", 0, "shape", to=["2*batch", 3]), "single symbols"),
    "an empty symbol": (put("inputs", 0, "shape", to=["", 3]), r'shape\[0\]: ""; expected an integer, a name'),
    "half a product": (put("inputs", 0, "shape", to=["batch*", 3]), r'"batch\*"; expected an integer, a name'),
    "a product of numbers": (put("inputs", 0, "shape", to=["2*3", 3]), r'"2\*3"; expected an integer, a name'),
    "a number as text": (put("inputs", 0, "shape", to=["2", 3]), '"2"; expected an integer, a name'),
    "a negative factor": (put("inputs", 0, "shape", to=["-2*batch", 3]), r'"-2\*batch"; expected an integer, a name'),
    "a factor beyond int64": (put("inputs", 0, "shape", to=[f"{2**63}*batch", 3]), "expected an integer, a name"),
    "too many symbols": (put("inputs", 0, "shape", to=["*".join("a" * 17), 3]), "expected an integer, a name"),
    "too many axes": (put("inputs", 0, "shape", to=[1] * 33), r"shape: 33 axes; expected at most 32"),
    "an input twice": (both(put("inputs", to=good()["inputs"] * 2)), r'inputs\[1\]: a second input "x"'),
    "a huge input": (put("inputs", 0, "shape", to=["batch", HUGE]), r"inputs\[0\]: .* bytes; use smaller"),
    "a missing tensor": (put("variables", 0, "tensor", to="v"), r'variables\[0\]: the tensor "v"; expected one that the file'),
    "a missing constant": (
        put("constants", 0, "tensor", to="v"),
        r'constants\[0\]: the tensor "v"; expected one that the file',
    ),
    "a tensor twice": (put("variables", 1, "tensor", to="w"), r'variables\[1\]: the tensor "w" a second time'),
    "a constant that varies": (put("constants", 0, "tensor", to="w"), r'variables\[0\]: the tensor "w" a second time'),
    "a tensor of another shape": (put("variables", 0, "tensor", to="i"), r"nodes\[0\]: dense: .*; expected"),
    "a tensor of another dtype": (put("variables", 1, "tensor", to="i"), r"nodes\[0\]: dense: .*int32.*; expected"),
    "an unknown op": (node(0, op="densee"), r"nodes\[0\].op: op: 'densee' does not exist; .* did you mean 'dense'"),
    "a very long op": (node(0, op="x" * 10_000_000), r"nodes\[0\].op: op: 'x{64}...' does not exist"),
    "an op that is no text": (node(0, op=None), r"nodes\[0\].op: null; expected a string"),
    "no op": (drop("nodes", 0, "op"), 'an object without "op"'),
    "no attributes": (drop("nodes", 0, "attributes"), 'an object without "attributes"'),
    "no layer": (drop("nodes", 0, "layer"), 'an object without "layer"'),
    "its own result": (node(0, inputs=[4, 2, 3]), r"nodes\[0\].inputs\[0\]: value 4; expected one of the 4 defined before"),
    "a later result": (node(1, inputs=[6, 1]), r"nodes\[1\].inputs\[0\]: value 6; expected one of the 5"),
    "a negative value": (node(1, inputs=[-1, 1]), r"nodes\[1\].inputs\[0\]: value -1; expected"),
    "a value beyond int32": (node(1, inputs=[2**32, 1]), r"value 4294967296; expected"),
    "a value that is a fraction": (node(1, inputs=[0.5, 1]), r"inputs\[0\]: 0.5; expected an integer"),
    "too few operands": (node(0, inputs=[0]), r"nodes\[0\]: dense: operand `w` is missing"),
    "too many operands": (node(0, inputs=[0, 2, 3, None, 3]), r"nodes\[0\]: dense: 5 operands; expected at most 4"),
    "a missing operand": (node(0, inputs=[None, 2, 3]), r"nodes\[0\]: dense: operand `x` is missing"),
    "shapes that do not match": (node(0, inputs=[0, 3, 3]), r"nodes\[0\]: dense: `w` has shape \(2,\)"),
    "an unknown attribute": (
        node(2, attributes={"axis": 0}),
        r'attributes: the attribute "axis"; expected those of the op sum',
    ),
    "a missing attribute": (
        node(3, attributes={"minimum": 0}),
        r'attributes: no attribute "maximum"; expected one for the op clip',
    ),
    "attributes that are a list": (node(0, attributes=[]), r"nodes\[0\].attributes: not an object"),
    "a list for a flag": (node(2, attributes={"keepdims": []}), "attributes.keepdims: an array; expected true or false"),
    "a number for a flag": (node(2, attributes={"keepdims": 1}), "attributes.keepdims: a number; expected true or false"),
    "a number for axes": (node(2, attributes={"axes": 1}), "attributes.axes: a number; expected an array"),
    "axes out of range": (node(2, attributes={"axes": [2]}), r"nodes\[2\]: sum: axes=\(2,\)"),
    "the lowest axis": (node(2, attributes={"axes": [-(2**63)]}), r"nodes\[2\]: sum: axes="),
    "axes twice": (node(2, attributes={"axes": [0, -2]}), r"nodes\[2\]: sum: axes=\(0, -2\); expected every axis once"),
    "a text for a number": (node(3, attributes={"minimum": "0", "maximum": 1}), 'minimum: "0"; expected a number, "inf"'),
    "a limit that is none": (node(3, attributes={"minimum": "nan", "maximum": 1}), r"nodes\[3\]: clip: minimum=nan"),
    "an infinite integer": (only([2], "argmax", axis="inf"), "axis: a string; expected an integer"),
    "a long text": (only([2], "cast", dtype="x" * 2000), 'dtype: "x{60}"...; expected at most 1000 bytes'),
    "a long layer": (node(0, layer="x" * 2000), 'layer: "x{60}"...; expected at most 1000 bytes'),
    "a long name": (put("inputs", 0, "name", to="x" * 2000), 'name: "x{60}"...; expected at most 1000 bytes'),
    "a long list": (only([2], "transpose", axes=[0] * 1_000_000), "axes: 1000000 numbers; expected at most 65536"),
    "a list that is too long for its op": (only([2], "transpose", axes=[0] * 60_000), r"transpose: axes=\(0, .*, ...\) for"),
    "a shape of many axes": (
        only([1], "broadcast_to", shape=[1] * 33),
        "broadcast_to: a result has 33 axes; expected at most 32",
    ),
    "many operands": (
        both(only([1] * 32, "concatenate"), lambda graph: graph["nodes"][0].update(inputs=[0] * 1_000_000)),
        r"inputs\[60605\]: more axes; expected at most 2000000",
    ),
    "limits in the wrong order": (node(3, attributes={"minimum": 2, "maximum": 1}), r"nodes\[3\]: clip: minimum=2"),
    "a layer that is no text": (node(0, layer=7), r"nodes\[0\].layer: a number; expected a string"),
    "an output that is not there": (put("outputs", to=[8]), r"outputs\[0\]: value 8; expected one of the 8"),
    "an output that is none": (put("outputs", to=[None]), r"outputs\[0\]: null; expected an integer"),
    "a variable that is not there": (put("bindings", 0, "variable", to=2), r"bindings\[0\].variable: 2; expected"),
    "a bound value of another type": (put("bindings", 0, "variable", to=0), r"bindings\[0\]: assign: variable 'w'"),
    "a variable bound twice": (put("bindings", to=good()["bindings"] * 2), r"bindings\[1\]: variable 1 a second time"),
    # What only a shape rule can know.
    "strides of 0": (only([1, 1, 1, 1], "conv2d", 2, strides=[0, 1]), r"conv2d: strides=\(0, 1\)"),
    "negative strides": (only([1, 1, 1, 1], "conv2d", 2, strides=[1, -1]), r"conv2d: strides=\(1, -1\)"),
    "three strides": (only([1, 1, 1, 1], "conv2d", 2, strides=[1, 1, 1]), r"conv2d: strides=\(1, 1, 1\)"),
    "no strides": (only([1, 8, 8, 1], "max_pool2d", strides=[]), r"max_pool2d: strides=\(\)"),
    "an unknown padding": (only([1, 8, 8, 1], "max_pool2d", padding="full"), "max_pool2d: padding='full'"),
    "a pool of size 0": (only([1, 8, 8, 1], "max_pool2d", pool_size=[0, 2]), r"max_pool2d: pool_size=\(0, 2\)"),
    "a huge pool": (only([1, 8, 8, 1], "max_pool2d", pool_size=[HUGE, HUGE]), "max_pool2d: pool_size="),
    "a huge kernel": (
        only([1, 8, 8, 1], "conv2d_backward_kernel", 2, kernel_size=[HUGE, HUGE], padding="same"),
        "conv2d_backward_kernel: a window of .*; choose smaller ones",
    ),
    "a huge kernel without channels": (
        only([1, 8, 8, 0], "conv2d_backward_kernel", 2, kernel_size=[HUGE, HUGE], padding="same"),
        "conv2d_backward_kernel: a window of .*; choose smaller ones",
    ),
    "a huge dilation": (
        only([1, 1, 1, 1], "depthwise_conv2d_backward_input", 2, image_size=[1, 1], dilation_rate=[2**63 - 1] * 2),
        "depthwise_conv2d_backward_input: a window of 1 taps .*; choose smaller ones",
    ),
    "a huge image": (
        only([1, 1, 1, 1], "conv2d_backward_input", 2, image_size=[2**63 - 1, 2**63 - 1], strides=[2**63 - 1] * 2),
        "conv2d_backward_input: a window of .*; choose smaller ones",
    ),
    "an unknown activation": (only([1, 1, 1, 1], "conv2d_block", 2, activation="gelu", pool_size=[1, 1]), "activation='gelu'"),
    "two free axes": (only([8, 8], "reshape", shape=[-1, -1]), "reshape: .*; expected lengths"),
    "a negative extent": (only([8, 8], "reshape", shape=[-2, 4]), "reshape: .*; expected lengths"),
    "other elements": (only([8, 8], "reshape", shape=[5, -1]), "reshape: .*; expected as many elements"),
    "overflowing elements": (only([8, 8], "reshape", shape=[HUGE, HUGE]), "2\\^63; use smaller arrays"),
    "a rate of 1": (only([2], "dropout", 2, rate=1.0), r"nodes\[0\]: dropout: "),
    "a dtype that is none": (only([2], "cast", dtype="float8"), r"nodes\[0\]: dtype: 'float8'"),
    "an axis of argmax": (only([2], "argmax", axis=1), "argmax: axis=1"),
    "the lowest axis of argmax": (only([2], "argmax", axis=-(2**63)), "argmax: axis=-9223372036854775808"),
    "momentum 2": (only([], "sgd_update", 4, momentum=2), "sgd_update: momentum=2"),
    "an update of nothing": (only([], "sgd_update", 2), "sgd_update: 0 arrays"),
    "a parameter without a gradient": (only([], "sgd_update", 3), "sgd_update: 1 arrays"),
    "a step that is no integer": (only([], "adam_update", 7), "adam_update: `step` is float32"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_it_refuses(what: str, tmp_path: Path) -> None:
    change, words = HOSTILE[what]
    graph = good()
    change(graph)
    path = tmp_path / "hostile.safetensors"
    write(path, graph)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: fastnn.graphs: predict.*{words}") as caught:
        _core.load_function(path)
    assert re.search(r": .+; expected .+; .+", str(caught.value))
    assert len(str(caught.value)) < 2000


METADATA = {
    "no format": ({"fastnn_format": None}, 'no metadata "fastnn.format"; expected a model file'),
    "no graphs": ({"fastnn_graphs": None}, 'no metadata "fastnn.graphs"; expected a model file'),
    "a newer format": ({"fastnn_format": "2"}, "format 2; expected at most 1; a newer fastnn wrote this file, so update"),
    "a very new format": ({"fastnn_format": "9" * 100}, "format 99999999999999999999; .* a newer fastnn"),
    "format 0": ({"fastnn_format": "0"}, 'fastnn.format "0"; expected a positive integer'),
    "format 01": ({"fastnn_format": "01"}, 'fastnn.format "01"; expected a positive integer'),
    "no number": ({"fastnn_format": "one"}, 'fastnn.format "one"; expected a positive integer'),
    "an empty format": ({"fastnn_format": ""}, 'fastnn.format ""; expected a positive integer'),
    "graphs that are no JSON": ({"fastnn_graphs": "{"}, r"fastnn.graphs \(byte 1\): "),
    "graphs that are a list": ({"fastnn_graphs": "[]"}, "fastnn.graphs: not an object; expected graphs by name"),
    "other graphs": ({"fastnn_graphs": '{"train": 1, "é": 2}'}, 'no graph "predict"; expected one of "train", "é"'),
    "none at all": ({"fastnn_graphs": "{}"}, 'no graph "predict"; expected a file with graphs'),
    "too much text": ({"fastnn_graphs": " " * (2**24 + 1)}, "fastnn.graphs: 16777217 bytes of JSON; expected at most 16777216"),
}


@pytest.mark.parametrize("what", METADATA)
def test_it_refuses_metadata(what: str, tmp_path: Path) -> None:
    metadata, words = METADATA[what]
    path = tmp_path / "hostile.safetensors"
    write(path, good(), **metadata)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: {words}"):
        _core.load_function(path)


def test_a_tensor_that_the_library_lacks_is_refused_only_where_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "bf16.safetensors"
    write(path, good())
    data = path.read_bytes()
    assert data.count(b'"dtype":"I32","shape":[2]') == 1
    path.write_bytes(data.replace(b'"dtype":"I32","shape":[2]', b'"dtype":"F16","shape":[4]'))
    _core.load_function(path)
    graph = good()
    put("constants", 0, "tensor", to="i")(graph)
    text = json.dumps({"predict": graph}).encode()
    data = path.read_bytes()
    old = json.dumps(json.dumps({"predict": good()})).encode()
    assert data.count(old) == 1 and len(text) == len(json.dumps({"predict": good()}))
    path.write_bytes(data.replace(old, json.dumps(text.decode()).encode()))
    with pytest.raises(ValueError, match=r"constants\[0\]: .*: tensor \"i\": dtype F16; expected F32"):
        _core.load_function(path)


def test_squaring_a_length_again_and_again_is_refused(tmp_path: Path) -> None:
    """The symbols of a product double with every step, in some bytes of text."""
    graph: dict[str, Any] = {key: [] for key in good()}
    graph["inputs"] = [{"name": "x", "dtype": "float32", "shape": ["a"]}]
    value = 0
    for _ in range(60):
        for shape, inputs in ([-1, 1], [value]), ([1, -1], [value]):
            graph["nodes"].append({"op": "reshape", "inputs": inputs, "attributes": {"shape": shape}, "layer": ""})
        graph["nodes"].append({"op": "multiply", "inputs": [value + 1, value + 2], "attributes": {}, "layer": ""})
        graph["nodes"].append({"op": "reshape", "inputs": [value + 3], "attributes": {"shape": [-1]}, "layer": ""})
        value += 4
    write(tmp_path / "bomb.safetensors", graph)
    with pytest.raises(ValueError, match="expected at most 16 symbols in a product"):
        _core.load_function(tmp_path / "bomb.safetensors")


def test_many_values_of_many_axes_are_refused(tmp_path: Path) -> None:
    graph: dict[str, Any] = {key: [] for key in good()}
    graph["inputs"] = [{"name": "x", "dtype": "float32", "shape": ["a"] * 32}]
    graph["nodes"] = [{"op": "relu", "inputs": [0], "attributes": {}, "layer": ""}] * 100_000
    write(tmp_path / "bomb.safetensors", graph)
    with pytest.raises(ValueError, match=r"nodes\[15503\]\.inputs\[0\]: more axes; expected at most 2000000"):
        _core.load_function(tmp_path / "bomb.safetensors")
    graph["inputs"][0]["shape"] = [2]
    write(tmp_path / "bomb.safetensors", graph)
    with pytest.raises(ValueError, match=r"nodes\[65535\]: one more value; expected at most 65536"):
        _core.load_function(tmp_path / "bomb.safetensors")


def test_a_plan_that_nobody_could_hold_is_refused(tmp_path: Path) -> None:
    """Values that are allowed one by one: their sum may neither overflow nor be allocated."""
    graph: dict[str, Any] = {key: [] for key in good()}
    graph["inputs"] = [{"name": "x", "dtype": "float32", "shape": [2**41]}]
    graph["nodes"] = [{"op": "exp", "inputs": [0], "attributes": {}, "layer": ""} for _ in range(5)]
    graph["nodes"] += [{"op": "add", "inputs": [i, i + 1], "attributes": {}, "layer": ""} for i in range(1, 6)]
    graph["nodes"] += [{"op": "sum", "inputs": [10], "attributes": {}, "layer": ""}]
    graph["outputs"] = [11]
    write(tmp_path / "large.safetensors", graph)
    function = _core.load_function(tmp_path / "large.safetensors")
    with pytest.raises(ValueError, match="plan: intermediate values of more than"):
        function.describe([[2**41]])


MANY = 2**38
EMPTY: dict[str, tuple[list[list[int]], dict[str, Any]]] = {
    "softmax": ([[MANY, 0]], {}),
    "conv2d": ([[MANY, 0, 3, 1], [1, 1, 1, 2]], {"padding": "same"}),
    "conv2d_backward_kernel": ([[MANY, 0, 3, 1], [MANY, 0, 3, 2]], {"padding": "same", "kernel_size": [1, 1]}),
    "conv2d_block_backward_input": (
        [[1, 1, 1, 0], [1, 1, 1, 0], [2**31, 1, 5, 0]],
        {"padding": "same", "image_size": [2, 2], "pool_size": [2, 2]},
    ),
    "take_backward": ([[MANY, 0, 1], [0], [MANY, 0, 1]], {"axis": 1}),
    "top_k_backward": ([[MANY, 0]] * 3, {}),
    "sum": ([[2**30, 5, 0]], {"axes": [0, 2]}),
}


def run_one(path: Path, op: str, shapes: list[list[int]], attributes: dict[str, Any]) -> Any:
    names = {"argmax": "uint8", "indices": "int64"}
    graph: dict[str, Any] = {key: [] for key in good()}
    for name, shape in zip(OP_TABLE[op]["inputs"], shapes):
        graph["inputs"].append({"name": name, "dtype": names.get(name, "float32"), "shape": shape})
    graph["nodes"] = [{"op": op, "inputs": list(range(len(shapes))), "attributes": attributes, "layer": ""}]
    graph["outputs"] = [len(shapes)]
    write(path, graph)
    arrays = [np.zeros(entry["shape"], entry["dtype"]) for entry in graph["inputs"]]
    function = _core.load_function(path)
    assert function.describe(shapes)["arena_bytes"] < 2**20
    return function.run(arrays, False)[0]


@pytest.mark.parametrize("op", EMPTY)
def test_what_has_no_elements_takes_no_time(op: str, tmp_path: Path) -> None:
    assert not np.any(run_one(tmp_path / "empty.safetensors", op, *EMPTY[op]))


@pytest.mark.parametrize("op", ["conv2d_backward_input", "depthwise_conv2d_backward_input"])
def test_a_stride_as_long_as_a_long_image_takes_no_time(op: str, tmp_path: Path) -> None:
    attributes = {"image_size": [2**19, 1], "strides": [2**19, 1], "padding": "same"}
    assert run_one(tmp_path / "stride.safetensors", op, [[1, 1, 1, 1], [1, 1, 1, 1]], attributes).shape == (1, 2**19, 1, 1)


def test_borders_of_nothing_take_no_time(tmp_path: Path) -> None:
    shape = [1] * 32
    y = run_one(tmp_path / "pad.safetensors", "pad", [shape], {"paddings": [0] * 60 + [1, 1] * 2, "mode": "edge"})
    assert y.shape == (1,) * 30 + (3, 3)
    with pytest.raises(ValueError, match="expected at most 6 axes with a border"):
        run_one(tmp_path / "pad.safetensors", "pad", [shape], {"paddings": [0, 1] * 32, "mode": "edge"})


def test_files_that_are_not_there_or_cut_short(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _core.load_function(tmp_path / "missing.safetensors")
    path = tmp_path / "model.safetensors"
    write(path, good())
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=re.escape(os.fspath(path))):
            _core.load_function(path)
