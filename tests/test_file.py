"""Files: JSON against Python's own, safetensors against the package of that name, hostile input, failing disks."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import re
import signal
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import _core

settings.register_profile("file", derandomize=True, deadline=None, max_examples=200, database=None)
examples = settings(settings.get_profile("file"))

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


# ---- JSON -----------------------------------------------------------------------------------------------------------------


ACCEPTED = [
    "null", "true", "false", "0", "-0", "17", "-17", "9223372036854775807", "-9223372036854775808", "0.5", "-0.0", "1e5",
    "1E+5", "1.25e-3", "5e-324", "1.7976931348623157e308", '""', '"abc"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\u00e9\\u20AC"',
    '"\\ud83d\\ude00"',
    '"é€😀"', '"\\u0000"', "[]", "[ ]", "{}", "{ }", " [1 , 2] ", "\t\r\n[[],[[]]]\n", '{"a":1,"b":{"a":[1,{"c":null}]}}',
    '{"":0," ":1}', '"\x7f"', "[1,1.0]",
]  # fmt: skip


@pytest.mark.parametrize("text", ACCEPTED)
def test_json_reads_what_python_reads(text: str) -> None:
    assert repr(_core._parse_json(text.encode())) == repr(json.loads(text))


REFUSED = {
    "": "end of the text", " ": "end of the text", "nul": "null", "nulL": "null", "True": "a value", "NaN": "a value",
    "Infinity": "a value", "-Infinity": "a digit", "+1": "a value", "01": "leading zero", "-01": "leading zero", "-": "a digit",
    "1.": "a digit", ".5": "a value", "1e": "a digit", "1e+": "a digit", "0x10": "nothing after", "1_000": "nothing after",
    "1e400": "a double", "-1e400": "a double", "1e-400": "a double", "[": "a value", "[1": "comma", "[1,": "a value",
    "[1,]": "a value", "[,]": "a value", "[1 2]": "comma", "[1}": "comma", "]": "a value", "{": "a key", '{"a"': "colon",
    '{"a":': "a value", '{"a":1': "comma", '{"a":1,': "a key", '{"a":1,}': "a key", "{1:2}": "a key", "{a:1}": "a key",
    "{'a':1}": "a key", '{"a" 1}': "colon", '{"a":1,"a":2}': "a second time", '{"a":{"b":1,"\\u0062":2}}': "a second time",
    '"': "end of the text", '"abc': "end of the text", '"\\': "backslash", '"\\"': "end of the text", '"\\x41"': "backslash",
    '"\\u12"': "hexadecimal", '"\\u"': "hexadecimal", '"\\u12g4"': "hexadecimal", '"\\u 123"': "hexadecimal",
    '"\\ud800"': "surrogate", '"\\ud800x"': "surrogate", '"\\ud800\\n"': "surrogate", '"\\ud800\\ud800"': "surrogate",
    '"\\udc00"': "surrogate", '"\\udc00\\ud800"': "surrogate", '"\\ud800\\u0041"': "surrogate", '"a\nb"': "string to go on",
    '"a\tb"': "string to go on", '"a\x00b"': "string to go on", "1 2": "nothing after", "{}{}": "nothing after",
    "null,": "nothing after", "[]]": "nothing after", "/**/1": "a value", "1//": "nothing after", "\ufeff1": "a value",
    "\x00": "a value", "1\x00": "nothing after", "\xa01": "a value", "\x0b1": "a value",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_json_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"^test.* \(byte \d+\): .*; expected .*; .*") as caught:
        _core._parse_json(text.encode())
    assert REFUSED[text] in str(caught.value)


def test_json_is_utf8_and_nothing_like_it() -> None:
    # Every pair of a lead byte and a second byte, alone and with enough behind it.
    for lead in range(0x80, 0x100):
        for second in range(0x100):
            for tail in (b"", b"\x80", b"\x80\x80", b"\x80\xc0"):
                text = b'"' + bytes([lead, second]) + tail + b'"'
                try:
                    expected = json.loads(text.decode("utf-8"))
                except ValueError:
                    with pytest.raises(ValueError, match="expected"):
                        _core._parse_json(text)
                else:
                    assert _core._parse_json(text) == expected


def test_json_depth_and_size_are_bounded() -> None:
    assert _core._parse_json(b"[" * 64 + b"]" * 64)
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        with pytest.raises(ValueError, match="64 others; expected at most 64 levels"):
            _core._parse_json(opening * 65 + b"1" + closing * 65)
        with pytest.raises(ValueError, match="levels"):
            _core._parse_json(opening * 100_000)
    with pytest.raises(ValueError, match="inside 2 others; expected at most 2 levels"):
        _core._parse_json(b"[[[]]]", max_depth=2)
    assert _core._parse_json(b"[1,2]", max_bytes=5) == [1, 2]
    with pytest.raises(ValueError, match="test: 6 bytes of JSON; expected at most 5"):
        _core._parse_json(b"[1,2] ", max_bytes=5)


def test_json_numbers_are_exact() -> None:
    for value in (0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63)):
        assert _core._parse_json(str(value).encode()) == value
        assert _core._dump_json(value) == str(value).encode()
        assert _core._json_get(str(value).encode(), [], "integer") == value
    # Beyond int64 it is a double, and nothing that could pass for an integer.
    for text in ("9223372036854775808", "-9223372036854775809", "1" + "0" * 300):
        assert _core._parse_json(text.encode()) == float(text)
        with pytest.raises(ValueError, match=r"expected an integer from -2\^63 to 2\^63 - 1"):
            _core._json_get(text.encode(), [], "integer")


@examples
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_json_doubles_come_back_with_their_bits(value: float) -> None:
    text = _core._dump_json(value)
    back = _core._parse_json(text)
    assert isinstance(back, float) and isinstance(json.loads(text), float)
    assert struct.pack("d", back) == struct.pack("d", value) == struct.pack("d", json.loads(text))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@examples
@given(json_values)
def test_json_round_trip(value: Any) -> None:
    text = _core._dump_json(value)
    assert repr(_core._parse_json(text)) == repr(value)  # repr tells 1 from 1.0 and shows the order of keys
    assert repr(json.loads(text)) == repr(value)
    assert repr(_core._parse_json(json.dumps(value, indent=1).encode())) == repr(value)  # escapes and white space of others


def test_json_that_is_accepted_means_the_same_to_python() -> None:
    rng = random.Random(7)
    sample = b'{"a": [1, -2.5e3, true, null], "b\\u00e9": {"c": "\\ud83d\\ude00 \xc3\xa9", "d": [[], {}]}}'
    accepted = 0
    for _ in range(20_000):
        text = bytearray(sample)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            match rng.randrange(3):
                case 0:
                    text[at] = rng.choice(b'{}[]",:\\u0123456789eE+-.truefalsn \xc3\xa9\x80\xff')
                case 1:
                    del text[at]
                case _:
                    text.insert(at, rng.choice(b'{}[]",:\\0123456789eE+-. '))
        try:
            value = _core._parse_json(bytes(text))
        except ValueError:
            continue
        accepted += 1
        assert repr(value) == repr(json.loads(bytes(text).decode("utf-8")))
    assert accepted > 1000


def test_json_cannot_hold_everything() -> None:
    for value, came in ((math.nan, "NaN"), (math.inf, "an infinity"), (-math.inf, "an infinity")):
        with pytest.raises(ValueError, match=rf"test: a\[1\]: {came}; expected a finite number"):
            _core._dump_json({"a": [1, value]})
    for value in (b"\xff", {"a": b"\xed\xa0\x80"}, {b"\xc0\x80": 1}):
        with pytest.raises(ValueError, match="a string that is not UTF-8"):
            _core._dump_json(value)
    deep: list[Any] = []
    for _ in range(63):
        deep = [deep]
    assert _core._parse_json(_core._dump_json(deep)) == deep
    with pytest.raises(ValueError, match="expected at most 64 levels"):
        _core._dump_json([deep])


def test_json_accessors_name_the_path() -> None:
    text = b'{"graph": {"nodes": [{"op": "relu"}, {"op": 3, "x y": 1.5, "on": true}]}}'

    def get(kind: str, *steps: str | int) -> Any:
        return _core._json_get(text, list(steps), kind)

    assert get("string", "graph", "nodes", 0, "op") == "relu"
    assert get("integer", "graph", "nodes", 1, "op") == get("small", "graph", "nodes", 1, "op") == 3
    assert get("number", "graph", "nodes", 1, "op") == 3.0 and get("number", "graph", "nodes", 1, "x y") == 1.5
    assert get("boolean", "graph", "nodes", 1, "on") is True
    assert get("size", "graph", "nodes") == 2
    assert get("find", "graph", "nodes", 0) is True and get("find", "graph") is False
    get("only", "graph", "nodes", 0)
    wrong = {
        ("string", "graph", "nodes", 1, "op"): "test: graph.nodes[1].op: a number; expected a string; write the file again",
        ("integer", "graph", "nodes", 1, "x y"): 'test: graph.nodes[1]["x y"]: 1.5; expected an integer from -2^63',
        ("integer", "graph", "nodes", 0, "op"): "test: graph.nodes[0].op: a string; expected an integer",
        ("number", "graph"): "test: graph: an object; expected a number",
        ("boolean", "graph", "nodes"): "test: graph.nodes: an array; expected true or false",
        ("size", "graph"): "test: graph: an object; expected an array",
        ("size",): "test: an object; expected an array",
        ("find", "graph", "nodes"): "test: graph.nodes: an array; expected an object",
        ("string", "graph", "edges"): 'test: graph: an object without "edges"; expected that key',
        ("only", "graph", "nodes", 1): 'test: graph.nodes[1]: the key "x y"; expected only op, inputs',
    }
    for (kind, *steps), message in wrong.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            get(kind, *steps)
    with pytest.raises(ValueError, match="9; expected an integer from -5 to 5"):
        _core._json_get(b"9", [], "small")
    # What comes from a stranger is cut and escaped before it becomes part of a message.
    with pytest.raises(ValueError, match=r"a second time") as caught:
        _core._parse_json(b'{"' + b"\\n" * 5000 + b'":1,"' + b"\\n" * 5000 + b'":1}')
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


# ---- Safetensors: the same as the package of that name --------------------------------------------------------------------


def file_of(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def assert_same(got: dict[str, Any], expected: dict[str, np.ndarray]) -> None:
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
        assert got[name].tobytes() == array.tobytes()
        assert got[name].flags.writeable and got[name].flags.c_contiguous and got[name].flags.aligned


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda name: name != "__metadata__")


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    raw = np.random.default_rng(draw(st.integers(0, 2**32))).bytes(math.prod(shape) * dtype.itemsize)
    if dtype.kind == "b":
        raw = bytes(byte & 1 for byte in raw)
    return np.frombuffer(raw, dtype).reshape(shape)


@examples
@given(st.dictionaries(names, arrays(), max_size=6), st.dictionaries(names, names, max_size=3))
def test_safetensors_both_ways(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    ours = _core.safetensors_bytes(tensors, metadata)
    assert_same(safetensors.numpy.load(ours), tensors)
    theirs = safetensors.numpy.save(tensors, metadata or None)
    for data in (ours, theirs):
        got, got_metadata = _core.parse_safetensors(data)
        assert_same(got, tensors)
        assert got_metadata == metadata
    if len(metadata) < 2:  # theirs come in any order
        assert ours == theirs


def test_safetensors_on_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {
        "层/kernel": rng.standard_normal((3, 5)).astype(np.float32),
        "scalar": np.array(7, np.int64),
        "empty": np.zeros((2, 0, 3)),
        "mask": rng.random(13) < 0.5,
        "transposed": rng.standard_normal((4, 6)).T,
        "strided": np.arange(20, dtype=np.int32)[::3],
        "bytes": rng.integers(0, 256, 7).astype(np.uint8),
    }
    metadata = {"format": "fastnn", "é": "\n\0 \U0001f600"}
    path = tmp_path / "model.safetensors"
    _core.write_safetensors(path, tensors, metadata)
    assert_same(
        safetensors.numpy.load_file(path), {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in tensors.items()}
    )
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == metadata
    assert path.read_bytes() == _core.safetensors_bytes(tensors, metadata)
    safetensors.numpy.save_file(safetensors.numpy.load_file(path), tmp_path / "theirs", metadata)
    for source in (path, str(path), os.fsencode(path), tmp_path / "theirs"):
        got, got_metadata = _core.read_safetensors(source)
        assert_same(got, {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in tensors.items()})
        assert got_metadata == metadata
    # The same tensors make the same file, however they come.
    assert _core.safetensors_bytes(dict(reversed(tensors.items())), dict(reversed(metadata.items()))) == path.read_bytes()


def test_safetensors_nothing_at_all(tmp_path: Path) -> None:
    assert _core.safetensors_bytes({}) == safetensors.numpy.save({})
    assert _core.parse_safetensors(file_of({})) == ({}, {})
    _core.write_safetensors(tmp_path / "empty", {}, {})
    assert _core.read_safetensors(tmp_path / "empty") == ({}, {})


def test_safetensors_in_any_order_and_unaligned() -> None:
    x, y = np.arange(3, dtype=np.uint8), np.array([1.5, -2.0])
    header = {
        "y": entry("F64", [2], [3, 19]),
        "__metadata__": {"a": "b"},
        "nothing": entry("F32", [0], [3, 3]),
        "x": entry("U8", [3], [0, 3]),
        "nothing else": entry("F32", [5, 0], [19, 19]),
    }
    data = file_of(header, x.tobytes() + y.tobytes())
    assert len(data) % 8 != 0
    expected = {"x": x, "y": y, "nothing": np.zeros(0, np.float32), "nothing else": np.zeros((5, 0), np.float32)}
    assert_same(safetensors.numpy.load(data), expected)
    assert_same(_core.parse_safetensors(data)[0], expected)


def test_safetensors_of_other_dtypes_raise_when_used(tmp_path: Path) -> None:
    header = {"w": entry(), "b": entry("BF16", [2, 1], [4, 8]), "q": entry("F4", [3, 2], [8, 11])}
    path = tmp_path / "model"
    path.write_bytes(file_of(header, bytes(range(11))))
    tensors, _ = _core.read_safetensors(path)
    assert tensors["w"].tobytes() == bytes(range(4))
    assert (tensors["b"].name, tensors["b"].dtype, tensors["b"].shape) == ("b", "BF16", (2, 1))
    assert repr(tensors["q"]) == "<unsupported F4 of shape (3, 2)>"
    message = re.escape(f'{path}: tensor "b": dtype BF16; expected F32, F64, I32, I64, U8 or BOOL')
    with pytest.raises(TypeError, match=message):
        np.asarray(tensors["b"])
    with pytest.raises(TypeError, match=message):
        np.add(tensors["b"], 1)
    with pytest.raises(TypeError, match="expected a name and a NumPy array"):
        _core.write_safetensors(path, tensors)


def test_safetensors_every_dtype_of_the_format() -> None:
    with pytest.raises(safetensors.SafetensorError) as caught:
        safetensors.deserialize(file_of({"x": entry("?")}, bytes(4)))
    known = re.findall(r"`(\w+)`", str(caught.value))
    assert len(known) >= 14 and {"F32", "BF16", "BOOL"} < set(known)
    for dtype in known:
        # 24 bytes hold a whole number of elements of any width.
        for elements in range(1, 193):
            data = file_of({"x": entry(dtype, [elements], [0, 24])}, bytes(24))
            try:
                safetensors.deserialize(data)
            except safetensors.SafetensorError:
                with pytest.raises(ValueError, match="expected"):
                    _core.parse_safetensors(data)
            else:
                assert _core.parse_safetensors(data)[0]["x"].shape == (elements,)
                break
        else:
            pytest.fail(f"{dtype}: no number of elements has 24 bytes")


# ---- Safetensors: hostile -------------------------------------------------------------------------------------------------

TWO = {"a": entry("F32", [2], [0, 8]), "b": entry("U8", [3], [8, 11])}
ONE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
HOSTILE: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "0 bytes; expected at least the 8"),
    "seven bytes": (b"\2\0\0\0\0\0\0", "7 bytes; expected at least the 8"),
    "no header": (bytes(8), "does not begin with {"),
    "length beyond the file": (file_of({}, length=3), "a header of 3 bytes; expected at most 2"),
    "length 2^63": (file_of({}, length=2**63), "a header of 9223372036854775808 bytes"),
    "length 2^64 - 1": (file_of({}, length=2**64 - 1), "a header of 18446744073709551615 bytes"),
    "length 2^64 - 8": (file_of({}, length=2**64 - 8), "a header of 18446744073709551608 bytes"),
    "length beyond the limit": (file_of({}, length=100_000_001), "a header of 100000001 bytes"),
    "length too small": (file_of({}, length=1), "end of the text"),
    "empty file of zeros": (bytes(64), "does not begin with {"),
    "array": (file_of([]), "does not begin with {"),
    "space first": (file_of(b" {}"), "does not begin with {"),
    "not JSON": (file_of(b"{x}"), "expected a key"),
    "text after the header": (file_of(b"{} x"), "expected nothing after the value"),
    "zeros after the header": (file_of(b"{}\0\0"), "expected nothing after the value"),
    "deep": (file_of(b'{"a":' + b"[" * 100_000), "expected an object"),
    "deep metadata": (file_of(b'{"__metadata__":{"a":' + b"[" * 100_000), "expected a string"),
    "bad UTF-8 in a name": (file_of(b'{"\xff":1}'), "not UTF-8"),
    "overlong UTF-8": (file_of(b'{"\xc0\x80":1}'), "not UTF-8"),
    "surrogate in UTF-8": (file_of(b'{"\xed\xa0\x80":1}'), "not UTF-8"),
    "lone surrogate": (file_of(b'{"\\udc00":1}'), "surrogate"),
    "name twice": (file_of(ONE + b"," + ONE[1:] + b"}", bytes(4)), 'the key "a" a second time'),
    "name twice, escaped": (file_of(ONE + b"," + ONE[1:].replace(b'"a"', b'"\\u0061"') + b"}", bytes(4)), "a second time"),
    "metadata twice": (file_of(b'{"__metadata__":{},"__metadata__":{}}'), "a second time"),
    "key of metadata twice": (file_of(b'{"__metadata__":{"a":"1","a":"2"}}'), "a second time"),
    "key of a tensor twice": (file_of(b'{"a":{"dtype":"F32","dtype":"F32","shape":[]}}'), "a second time"),
    "metadata null": (file_of({"__metadata__": None}), "expected an object"),
    "metadata of a number": (file_of({"__metadata__": {"a": 1}}), "a number; expected a string"),
    "metadata of an object": (file_of({"__metadata__": {"a": {}}}), "an object; expected a string"),
    "metadata a list": (file_of({"__metadata__": []}), "expected an object"),
    "tensor null": (file_of({"a": None}), "null; expected an object"),
    "tensor a list": (file_of({"a": [1]}), "an array; expected an object"),
    "tensor empty": (file_of({"a": {}}), "not described completely"),
    "no dtype": (file_of({"a": {"shape": [1], "data_offsets": [0, 4]}}, bytes(4)), "not described completely"),
    "no shape": (file_of({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4)), "not described completely"),
    "no offsets": (file_of({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)), "not described completely"),
    "one more key": (file_of({"a": {**entry(), "extra": 1}}, bytes(4)), 'the key "extra"'),
    "dtype a number": (file_of({"a": entry(32)}, bytes(4)), "a.dtype (byte 16): a number; expected a string"),
    "dtype null": (file_of({"a": entry(None)}, bytes(4)), "null; expected a string"),
    "dtype unknown": (file_of({"a": entry("F31")}, bytes(4)), 'dtype "F31"; expected one that the format has'),
    "dtype in small letters": (file_of({"a": entry("f32")}, bytes(4)), 'dtype "f32"'),
    "dtype empty": (file_of({"a": entry("")}, bytes(4)), 'dtype ""'),
    "shape a number": (file_of({"a": entry(shape=1)}, bytes(4)), "a number; expected an array"),
    "shape a string": (file_of({"a": entry(shape="1")}, bytes(4)), "a string; expected an array"),
    "shape of strings": (file_of({"a": entry(shape=["1"])}, bytes(4)), "a.shape[0]"),
    "shape of lists": (file_of({"a": entry(shape=[[1]])}, bytes(4)), "an array; expected a number"),
    "shape null": (file_of({"a": entry(shape=[None])}, bytes(4)), "null; expected a number"),
    "shape true": (file_of({"a": entry(shape=[True])}, bytes(4)), "a boolean; expected a number"),
    "shape negative": (file_of({"a": entry(shape=[-1])}, bytes(4)), "-1; expected a number >= 0"),
    "shape negative twice": (file_of({"a": entry(shape=[-1, -1])}, bytes(4)), "-1; expected a number >= 0"),
    "shape a fraction": (file_of({"a": entry(shape=[1.5])}, bytes(4)), "1.5; expected an integer"),
    "shape 1.0": (file_of({"a": entry(shape=[1.0])}, bytes(4)), "1.0; expected an integer"),
    "shape 1e0": (file_of(b'{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}', bytes(4)), "1e0; expected an integer"),
    "shape 2^63": (file_of({"a": entry(shape=[2**63])}, bytes(4)), "expected an integer from"),
    "shape 2^200": (file_of({"a": entry(shape=[2**200])}, bytes(4)), "expected an integer from"),
    "shape of 2^63 - 1": (file_of({"a": entry(shape=[2**63 - 1])}, bytes(4)), "below 2^60"),
    "product overflows to 4": (file_of({"a": entry(shape=[2**62, 4, 1])}, bytes(4)), "below 2^60"),
    "product overflows to 0": (file_of({"a": entry(shape=[2**32, 2**32], offsets=[0, 0])}), "below 2^60"),
    "bytes overflow to 0": (file_of({"a": entry(shape=[2**62], offsets=[0, 0])}), "below 2^60"),
    "product overflows beside 0": (file_of({"a": entry(shape=[0, 2**62, 2**62], offsets=[0, 0])}), "below 2^60"),
    "33 axes": (file_of({"a": entry(shape=[1] * 33)}, bytes(4)), "one more axis; expected at most 32"),
    "a million axes": (file_of({"a": entry(shape=[1] * 1_000_000)}, bytes(4)), "one more axis; expected at most 32"),
    "half a byte": (file_of({"a": entry("F4", [3], [0, 2])}, bytes(2)), "a whole number of bytes"),
    "offsets a number": (file_of({"a": entry(offsets=4)}, bytes(4)), "a number; expected an array"),
    "no offset": (file_of({"a": entry(offsets=[])}, bytes(4)), "not described completely"),
    "one offset": (file_of({"a": entry(offsets=[4])}, bytes(4)), "not described completely"),
    "three offsets": (file_of({"a": entry(offsets=[0, 4, 4])}, bytes(4)), "a third offset"),
    "offset negative": (file_of({"a": entry(offsets=[-4, 0])}, bytes(4)), "-4; expected a number >= 0"),
    "offset a fraction": (file_of({"a": entry(offsets=[0, 4.5])}, bytes(4)), "4.5; expected an integer"),
    "offset a string": (file_of({"a": entry(offsets=["0", 4])}, bytes(4)), "a string; expected a number"),
    "offset 2^64": (file_of({"a": entry(offsets=[0, 2**64])}, bytes(4)), "expected an integer from"),
    "offset 2^63 - 1": (file_of({"a": entry(offsets=[0, 2**63 - 1])}, bytes(4)), "expected 4 bytes"),
    "extent too short": (file_of({"a": entry(offsets=[0, 3])}, bytes(3)), "expected 4 bytes for F32 of shape (1,)"),
    "extent too long": (file_of({"a": entry(offsets=[0, 5])}, bytes(5)), "expected 4 bytes"),
    "extent of a scalar": (file_of({"a": entry(shape=[], offsets=[0, 0])}), "expected 4 bytes"),
    "extent of an empty one": (file_of({"a": entry(shape=[0])}, bytes(4)), "expected 0 bytes"),
    "end before begin": (file_of({"a": entry(offsets=[4, 0])}, bytes(4)), "data from byte 4"),
    "end before begin, second": (file_of({**TWO, "b": entry("U8", [3], [8, 5])}, bytes(11)), "expected 3 bytes"),
    "hole first": (file_of({"a": entry(offsets=[4, 8])}, bytes(8)), "data from byte 4; expected data from byte 0"),
    "hole between": (file_of({**TWO, "b": entry("U8", [3], [9, 12])}, bytes(12)), "byte 9; expected data from byte 8"),
    "overlap": (file_of({**TWO, "b": entry("U8", [3], [7, 10])}, bytes(10)), "data from byte 7; expected data from byte 8"),
    "the same place": (file_of({"a": entry(), "b": entry()}, bytes(4)), "data from byte 0; expected data from byte 4"),
    "inside another": (file_of({**TWO, "b": entry("U8", [3], [2, 5])}, bytes(11)), "data from byte 2"),
    "empty inside another": (file_of({**TWO, "c": entry("U8", [0], [4, 4])}, bytes(11)), "data from byte 4"),
    "swapped": (file_of({"a": entry("F32", [2], [3, 11]), "b": entry("U8", [3], [8, 11])}, bytes(11)), "data from byte 3"),
    "data missing": (file_of(TWO), "expected at most the 0 bytes of data that the file has"),
    "data cut": (file_of(TWO, bytes(10)), "expected at most the 10 bytes of data"),
    "data behind": (file_of(TWO, bytes(12)), "12 bytes of data; expected 11"),
    "data for nothing": (file_of({}, bytes(1)), "1 bytes of data; expected 0"),
    "a bool of 2": (file_of({"a": entry("BOOL", [3], [0, 3])}, b"\0\1\2"), "a BOOL of value 2; expected 0 or 1"),
    "empty behind the end": (file_of({"a": entry("U8", [0], [9, 9])}), "data from byte 9"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_safetensors_refuses(case: str, tmp_path: Path) -> None:
    data, words = HOSTILE[case]
    with pytest.raises(ValueError, match=r"^safetensors: .*; expected .*; .*") as caught:
        _core.parse_safetensors(data)
    assert words in str(caught.value) and len(str(caught.value)) < 500
    path = tmp_path / "hostile"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=re.escape(str(caught.value).replace("safetensors", str(path), 1))):
        _core.read_safetensors(path)


# Where we are stricter: keys twice or unknown, null for no metadata, what comes before {, axes or values that nobody could use.
STRICTER = {
    "name twice", "name twice, escaped", "key of metadata twice", "metadata null", "one more key", "space first", "33 axes",
    "a million axes", "product overflows beside 0", "a bool of 2",
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(HOSTILE.keys() - STRICTER))
def test_safetensors_that_we_refuse_the_package_refuses_too(case: str) -> None:
    with pytest.raises(safetensors.SafetensorError):
        safetensors.deserialize(HOSTILE[case][0])


def small_file() -> bytes:
    return _core.safetensors_bytes(
        {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(3), "on": np.array([True, False, True])},
        {"made by": "tests"},
    )


def test_safetensors_cut_anywhere(tmp_path: Path) -> None:
    data, path = small_file(), tmp_path / "cut"
    for size in range(len(data)):
        with pytest.raises(ValueError, match="expected"):
            _core.parse_safetensors(data[:size])
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=re.escape(str(path)) + ": .*expected"):
            _core.read_safetensors(path)
    with pytest.raises(ValueError, match="bytes of data; expected"):
        _core.parse_safetensors(data + b"\0")
    _core.parse_safetensors(data)


def test_safetensors_changed_anywhere_mean_the_same_to_the_package() -> None:
    rng = random.Random(3)
    sample = small_file()
    header = 8 + int.from_bytes(sample[:8], "little")
    accepted = 0
    for round_ in range(20_000):
        data = bytearray(sample)
        for _ in range(rng.randint(1, 2)):
            data[rng.randrange(8 if round_ % 10 == 0 else header)] = rng.choice(
                b'{}[]",:\\0123456789 FIU' + bytes([rng.randrange(256)])
            )
        try:
            got, metadata = _core.parse_safetensors(bytes(data))
        except ValueError:
            continue
        accepted += 1
        expected = dict(safetensors.deserialize(bytes(data)))
        assert got.keys() == expected.keys()
        assert all(isinstance(value, str) for value in metadata.values())
        for name, array in got.items():
            assert list(array.shape) == expected[name]["shape"]
            if isinstance(array, np.ndarray):
                assert array.tobytes() == bytes(expected[name]["data"])
    assert accepted > 100


CHILD_READS = """
import resource, sys
from fastnn import _core
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20),) * 2)
try:
    _core.read_safetensors(sys.argv[1])
except ValueError as error:
    print(error)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.parametrize(
    "data",
    [
        file_of({}, length=99_000_000),
        file_of({"a": entry("U8", [2**40], [0, 2**40])}),
        file_of({"a": entry("U8", [2**59], [0, 2**59]), "b": entry("U8", [2**59], [2**59, 2**60])}),
    ],
    ids=["header", "tensor", "tensors"],
)
def test_safetensors_allocates_nothing_for_lengths_that_are_not_there(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "liar").write_bytes(data)
    child = subprocess.run([sys.executable, "-c", CHILD_READS, tmp_path / "liar"], capture_output=True, text=True, check=True)
    assert "; expected at most" in child.stdout


# ---- Disks ----------------------------------------------------------------------------------------------------------------

OLD = {"old": np.arange(3.0)}
NEW = {"new": np.arange(1000, dtype=np.int64)}


def assert_only(folder: Path, *expected: str) -> None:
    assert sorted(os.listdir(folder)) == sorted(expected)


def test_reading_says_what_the_system_said(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError, match="; expected a file that can be read; check the path") as caught:
        _core.read_safetensors(missing)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(missing))
    with pytest.raises(IsADirectoryError):
        _core.read_safetensors(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        _core.read_safetensors(tmp_path / "file" / "below")
    with pytest.raises(ValueError, match="expected a regular file"):
        _core.read_safetensors("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="expected a regular file"):
        _core.read_safetensors(tmp_path / "pipe")
    with pytest.raises(TypeError):
        _core.read_safetensors(3)
    (tmp_path / "file").chmod(0)
    if not os.access(tmp_path / "file", os.R_OK):  # nothing stops root
        with pytest.raises(PermissionError):
            _core.read_safetensors(tmp_path / "file")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems want UTF-8 in names")
def test_paths_may_hold_any_bytes(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xe9"
    with pytest.raises(FileNotFoundError) as caught:
        _core.read_safetensors(path)
    assert caught.value.filename == os.fsdecode(path)
    Path(os.fsdecode(path)).write_bytes(b"")
    with pytest.raises(ValueError, match="0 bytes; expected at least the 8") as refused:
        _core.read_safetensors(path)
    assert os.fsdecode(path) in str(refused.value)
    _core.write_safetensors(path, OLD)
    assert_same(_core.read_safetensors(os.fsdecode(path))[0], OLD)


def test_writing_says_what_the_system_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"as it was")
    for path, error in (
        (tmp_path / "missing" / "model", FileNotFoundError),
        (tmp_path / "file" / "model", NotADirectoryError),
        (tmp_path, IsADirectoryError),
        (f"{tmp_path}/new/", IsADirectoryError),
        ("", FileNotFoundError),
        (tmp_path / ("x" * 300), OSError),
    ):
        with pytest.raises(
            error, match=r"; expected a file that can be written .*what was there before is unchanged"
        ) as caught:
            _core.write_safetensors(path, NEW)
        assert caught.value.errno and caught.value.filename == str(path)
    with pytest.raises(ValueError, match="/dev/null: a device, pipe or socket; expected a regular file"):
        _core.write_safetensors("/dev/null", NEW)
    assert_only(tmp_path, "file")
    assert (tmp_path / "file").read_bytes() == b"as it was"


def test_writing_respects_permissions(tmp_path: Path) -> None:
    path = tmp_path / "model"
    _core.write_safetensors(path, OLD)
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        pytest.skip("permissions do not bind root")
    with pytest.raises(PermissionError):
        _core.write_safetensors(path, NEW)
    path.chmod(0o644)
    tmp_path.chmod(0o555)
    with pytest.raises(PermissionError):
        _core.write_safetensors(path, NEW)
    tmp_path.chmod(0o755)
    assert_same(_core.read_safetensors(path)[0], OLD)
    assert_only(tmp_path, "model")


def test_writing_replaces_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "model"
    _core.write_safetensors(path, OLD)
    with path.open("rb") as before:  # a reader of the old file goes on reading the old file
        _core.write_safetensors(path, NEW)
        assert_same(safetensors.numpy.load(before.read()), OLD)
    assert_same(safetensors.numpy.load_file(path), NEW)
    assert_only(tmp_path, "model")


def test_writing_keeps_permissions_and_honours_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "model"
    umask = os.umask(0o027)
    try:
        _core.write_safetensors(path, OLD)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        for mode in (0o600, 0o666, 0o755):
            path.chmod(mode)
            _core.write_safetensors(path, NEW)
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(umask)


def test_writing_follows_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "model").symlink_to(Path("real") / "model")
    _core.write_safetensors(tmp_path / "real" / "model", OLD)
    _core.write_safetensors(tmp_path / "model", NEW)
    assert (tmp_path / "model").is_symlink()
    assert_same(_core.read_safetensors(tmp_path / "real" / "model")[0], NEW)
    assert_only(tmp_path / "real", "model")


def test_writing_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _core.write_safetensors("model", OLD)
    _core.write_safetensors("./model", NEW)
    assert_same(_core.read_safetensors("model")[0], NEW)
    assert_only(tmp_path, "model")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        _core.write_safetensors("folder", NEW)
    assert caught.value.filename == "folder"


CHILD_WRITES = """
import errno, resource, sys
import numpy as np
from fastnn import _core
limit, path = int(sys.argv[1]), sys.argv[2]
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    _core.write_safetensors(path, {"x": np.zeros(100_000)})
except OSError as error:
    sys.exit(0 if error.errno == errno.EFBIG and error.filename == path else f"{error!r}")
sys.exit("written")
"""


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("limit", [0, 10, 100_000, 799_999])
def test_a_full_disk_leaves_what_was_there(limit: int, before: bool, tmp_path: Path) -> None:
    path = tmp_path / "model"
    if before:
        _core.write_safetensors(path, OLD)
    command = [sys.executable, "-c", CHILD_WRITES, str(limit), str(path)]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert_only(tmp_path, *(["model"] if before else []))
    if before:
        assert_same(_core.read_safetensors(path)[0], OLD)


class Interrupted(Exception):
    pass


def test_an_interrupt_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    contents = [{"x": np.full(6 << 20, value)} for value in (0.0, 1.0)]
    _core.write_safetensors(path, contents[0])

    def interrupt(*_: object) -> None:
        raise Interrupted

    def write_until_interrupted() -> None:
        while True:
            for content in contents:
                _core.write_safetensors(path, content)

    def read_until_interrupted() -> None:
        while True:
            _core.read_safetensors(path)

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        for attempt in range(6):
            signal.setitimer(signal.ITIMER_REAL, 0.02 + 0.02 * attempt)
            with pytest.raises(Interrupted):
                write_until_interrupted()
            assert_only(tmp_path, "model")
            values = np.unique(_core.read_safetensors(path)[0]["x"])
            assert values.tolist() in ([0.0], [1.0])
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Interrupted):
            read_until_interrupted()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_writing_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "model"
    cases: list[tuple[dict[Any, Any], dict[Any, Any], type[Exception], str]] = [
        ({"x": [1.0]}, {}, TypeError, "'x': list; expected a name and a NumPy array"),
        ({1: np.zeros(1)}, {}, TypeError, "1: numpy.ndarray; expected a name"),
        ({"x": np.zeros(1, np.float16)}, {}, TypeError, "tensor \"x\": dtype: 'float16'"),
        ({"x": np.zeros(1, np.complex128)}, {}, TypeError, "complex128"),
        ({"x": np.zeros(1, ">f4")}, {}, TypeError, 'tensor "x": array: dtype >f4'),
        ({"x": np.array(["a"])}, {}, TypeError, "expected"),
        ({"x": np.array([None])}, {}, TypeError, "expected a native numeric array"),
        ({"__metadata__": np.zeros(1)}, {}, ValueError, 'a tensor called "__metadata__"'),
        ({"\ud800": np.zeros(1)}, {}, ValueError, "surrogates not allowed"),
        ({}, {"x": b"\xff"}, ValueError, "is not UTF-8"),
        ({}, {b"\xff": "x"}, ValueError, "is not UTF-8"),
        ({}, {"x": 1}, TypeError, "incompatible function arguments"),
    ]
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        cases.append(({"x": np.zeros((1,) * 33)}, {}, ValueError, "expected at most 32 axes"))
    for tensors, metadata, error, words in cases:
        with pytest.raises(error, match=re.escape(words)):
            _core.write_safetensors(path, tensors, metadata)
        with pytest.raises(error, match=re.escape(words)):
            _core.safetensors_bytes(tensors, metadata)
    assert_only(tmp_path)
