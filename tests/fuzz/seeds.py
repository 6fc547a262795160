"""Writes the inputs that fuzzing starts from: tests/fuzz/seeds.py FOLDER makes FOLDER/TARGET/NUMBER."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

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


SEEDS: dict[str, list[bytes]] = {
    "json": [
        json.dumps(GRAPH).encode(),
        json.dumps(GRAPH, ensure_ascii=False, separators=(",", ":")).encode(),
        b"[" * 64 + b"]" * 64,
        b'"\\u0041\\ud83d\\ude00\\"\\\\\\/\\b\\f\\n\\r\\t"',
        b" [ 0 , -1.5e+10 , 1E-2 ] ",
    ],
    "safetensors": [
        safetensors_file({}),
        safetensors_file({"w": ("F32", [2, 3]), "b": ("F64", [1]), "n": ("I64", [])}, {"format": "fastnn"}, pad=5),
        safetensors_file({"on": ("BOOL", [3]), "é": ("U8", [0, 4]), "i": ("I32", [2])}, {}),
        safetensors_file({"h": ("BF16", [2]), "q": ("F4", [3, 2]), "six": ("F6_E2M3", [4])}),
    ],
}

if __name__ == "__main__":
    for target, seeds in SEEDS.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / str(number)).write_bytes(seed)
