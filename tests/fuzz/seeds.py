"""Writes what fuzzing starts from: tests/fuzz/seeds.py FOLDER makes FOLDER/TARGET/NUMBER, and words, FOLDER/model.dict.

Every op of the table is in some seed, as the smallest cases of its tests have it, and in the words, with its attributes.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness import OP_TABLE
from test_hostile_graphs import graph_of, smallest

GRAPH = {
    "version": 1,
    "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 28, 28, 1]}],
    "nodes": [{"op": "conv2d", "inputs": [0, 1, -1], "attributes": {"strides": [1, 1], "padding": "same", "rate": 0.5}}],
    "é\n": [None, True, False, -0.0, 1e-300, 2**63 - 1, "\U0001f600", [[[[]]]], {}],
}

WIDTHS = {"BOOL": 8, "U8": 8, "I32": 32, "F32": 32, "F64": 64, "I64": 64, "BF16": 16, "F4": 4, "F6_E2M3": 6}


def safetensors_file(tensors: dict[str, tuple[str, list[int]]], metadata: dict[str, str] | None = None, pad: int = 0) -> bytes:
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, bits = end, WIDTHS[dtype]
        for length in shape:
            bits *= length
        end += bits // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode() + b" " * pad
    return struct.pack("<Q", len(text)) + text + bytes(i % 256 for i in range(end))


def graph(
    inputs: list[str], tensors: str, nodes: list[tuple[str, list[int | None], dict[str, object]]], **more: object
) -> dict[str, object]:
    """A graph over the tensors that tests/fuzz/model.cpp has; an input is written "name dtype length length"."""
    fields = [text.split() for text in inputs]
    shapes = [[int(n) if n.isdigit() else n for n in lengths] for _, _, *lengths in fields]
    return {
        "inputs": [{"name": f[0], "dtype": f[1], "shape": shape} for f, shape in zip(fields, shapes)],
        "constants": [],
        "variables": [{"tensor": name} for name in tensors],
        "nodes": [{"op": op, "inputs": values, "attributes": attributes, "layer": "l"} for op, values, attributes in nodes],
        "bindings": [],
        "outputs": [len(inputs) + len(tensors)],
    } | more


WINDOW: dict[str, object] = {"strides": [1, 1], "padding": "valid"}
GRAPHS = [
    graph(
        ["x float32 batch 6 6 1"],
        "kf",
        [
            ("conv2d", [0, 1, 2], WINDOW),
            ("relu", [3], {}),
            ("max_pool2d", [4], {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"}),
            ("reshape", [5], {"shape": [-1, 8]}),
            ("softmax", [7], {}),
        ],
        outputs=[8],
    ),
    graph(["x float32 batch 3"], "wb", [("dense", [0, 1, 2], {}), ("tanh", [3], {}), ("argmax", [4], {"axis": -1})]),
    graph(
        ["x float32 batch 3", "y int64 batch", "lr float32", "n int64"],
        "wbm",
        [
            ("dense", [0, 4, 5], {}),
            ("sparse_softmax_cross_entropy", [7, 1], {}),
            ("mean", [8], {"axes": None, "keepdims": False}),
            ("mean_backward", [10, 8], {"axes": None, "keepdims": False}),
            ("sparse_softmax_cross_entropy_backward", [11, 9, 1], {}),
            ("dense_backward_kernel", [0, 12], {}),
            ("sgd_update", [2, None, 4, 13], {"momentum": 0.0, "nesterov": False}),
        ],
        bindings=[{"variable": 0, "value": 14}],
        outputs=[10],
    ),
    graph(["g float32 2"], "mst", [("adam_update", [2, 3, 0, 0, 0, 0], {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7})]),
    graph(
        ["g float32 batch 2 2 2", "a uint8 batch 2 2 2"],
        "k",
        [("conv2d_block_backward_input", [0, 1, 2], {"image_size": [6, 6], "pool_size": [2, 2], **WINDOW})],
    ),
    graph(
        ["x float32 batch 6 6 1", "g float32 batch 2 2 2", "a uint8 batch 2 2 2"],
        "",
        [("conv2d_block_backward_kernel", [0, 1, 2], {"kernel_size": [3, 3], "pool_size": [2, 2], **WINDOW})],
    ),
    graph(
        ["x float32 batch 6 6 1"], "kf", [("conv2d_block", [0, 1, 2], {"activation": "relu", "pool_size": [2, 2], **WINDOW})]
    ),
    graph(
        ["d float32 batch 6 6 2"],
        "k",
        [("conv2d_backward_input", [0, 1], {"image_size": [6, 6], "strides": [1, 1], "padding": "same"})],
    ),
    graph(
        ["x float32 batch 6 6 1", "d float32 batch 3 3 2"],
        "",
        [("conv2d_backward_kernel", [0, 1], {"kernel_size": [3, 3], "strides": [2, 2], "padding": "same"})],
    ),
    graph(
        ["d float32 batch 3 3 2", "a uint8 batch 3 3 2"],
        "",
        [("max_pool2d_backward", [0, 1], {"image_size": [6, 6], "pool_size": [3, 3], "strides": [2, 2], "padding": "same"})],
    ),
    graph(
        ["x float32 batch time 3"],
        "w",
        [
            ("matmul", [1, 1], {"transpose_a": True}),
            ("sum", [0], {"axes": [0, -1], "keepdims": True}),
            ("sum_to_like", [0, 1], {}),
        ],
    ),
    graph(
        ["x float32 batch time", "r int64 2"],
        "",
        [
            ("dropout", [0, 1], {"rate": 0.5, "stream": 3}),
            ("broadcast_like", [2, 0], {}),
            ("cast", [3], {"dtype": "uint8"}),
            ("equal", [0, 2], {}),
        ],
        outputs=[4, 5],
    ),
    graph(
        ["x float32 batch 4", "i int64 rows"],
        "",
        [
            ("gather_rows", [0, 1], {"dtype": "float64"}),
            ("check_finite", [2], {}),
            ("clip", [2], {"minimum": -1, "maximum": 1.5}),
        ],
        outputs=[3, 4],
    ),
    graph(
        ["x float32 batch time"],
        "",
        [
            ("reshape", [0], {"shape": ["batch*time"]}),
            ("maximum", [1, 1], {}),
            ("maximum_backward_a", [1, 1, 2], {}),
            ("sqrt_backward", [1, 2], {}),
        ],
        outputs=[3, 4],
    ),
    graph(
        ["p float32 batch 4"],
        "w",
        [
            ("cross_entropy", [0, 0], {}),
            ("softmax_backward", [0, 0], {}),
            ("sigmoid_cross_entropy", [0, 3], {}),
            ("subtract", [0, 1], {}),
        ],
        outputs=[2, 4],
    ),
]

FORMAT = {"fastnn.format": "1"}

SEEDS: dict[str, list[bytes]] = {
    "json": [
        json.dumps(GRAPH).encode(),
        json.dumps(GRAPH, ensure_ascii=False, separators=(",", ":")).encode(),
        b"[" * 64 + b"]" * 64,
        b'"\\u0041\\ud83d\\ude00\\"\\\\\\/\\b\\f\\n\\r\\t"',
        b" [ 0 , -1.5e+10 , 1E-2 ] ",
    ],
    "model": [
        *(json.dumps(each, separators=(",", ":")).encode() for each in GRAPHS),
        *(json.dumps(graph_of(case), separators=(",", ":")).encode() for op in sorted(OP_TABLE) for case in smallest(op)),
        safetensors_file(
            {"k": ("F32", [3, 3, 1, 2]), "f": ("F32", [2])}, FORMAT | {"fastnn.graphs": json.dumps({"predict": GRAPHS[0]})}
        ),
        safetensors_file(
            {"w": ("F32", [3, 4]), "b": ("F32", [4])}, FORMAT | {"fastnn.graphs": json.dumps({"a": GRAPHS[1], "é": GRAPHS[1]})}
        ),
        safetensors_file({}, FORMAT | {"fastnn.graphs": "{}", "fastnn.model": "", "other": "x"}),
    ],
    "safetensors": [
        safetensors_file({}),
        safetensors_file({"w": ("F32", [2, 3]), "b": ("F64", [1]), "n": ("I64", [])}, {"format": "fastnn"}, pad=5),
        safetensors_file({"on": ("BOOL", [3]), "é": ("U8", [0, 4]), "i": ("I32", [2])}, {}),
        safetensors_file({"h": ("BF16", [2]), "q": ("F4", [3, 2]), "six": ("F6_E2M3", [4])}),
    ],
}

# libFuzzer's form: a C string a line.
WORDS = {json.dumps(op) for op in OP_TABLE} | {json.dumps(name) + ":" for op in OP_TABLE.values() for name in op["attributes"]}

if __name__ == "__main__":
    for target, seeds in SEEDS.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / str(number)).write_bytes(seed)
    (Path(sys.argv[1]) / "model.dict").write_text("".join(json.dumps(word) + "\n" for word in sorted(WORDS)))
