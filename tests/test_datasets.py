"""MNIST from its own package, and IDX files: good ones of every dtype, and every way to be broken."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import fastnn_datasets
import numpy as np
import pytest
from numpy.typing import NDArray

from fastnn.datasets import load_idx, mnist, read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def idx_bytes(array: NDArray, code: int | None = None) -> bytes:
    code = CODES[array.dtype.str[1:]] if code is None else code
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def digits(seed: int = 0) -> dict[str, NDArray]:
    """Seven training and three test images of 5 x 4, with labels, by the names in PARTS."""
    rng = np.random.default_rng(seed)
    shapes = ((7, 5, 4), (7,), (3, 5, 4), (3,))
    return {part: rng.integers(0, 256, shape, dtype=np.uint8) for part, shape in zip(PARTS, shapes, strict=True)}


def write_set(folder: Path, arrays: dict[str, NDArray], name: str = "{part}-ubyte") -> None:
    for part, array in arrays.items():
        path = folder / name.format(part=part)
        content = idx_bytes(array)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def assert_set(folder: Path, arrays: dict[str, NDArray]) -> None:
    (x_train, y_train), (x_test, y_test) = load_idx(folder)
    for part, loaded in zip(PARTS, (x_train, y_train, x_test, y_test), strict=True):
        assert loaded.dtype == np.uint8
        np.testing.assert_array_equal(loaded, arrays[part], strict=True)


# MNIST


@pytest.fixture
def mnist_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's MNIST folder, which `fastnn_datasets.mnist` reads instead of its own."""
    original = Path(fastnn_datasets.__file__).parent / "data" / "mnist"
    copy = Path(shutil.copytree(original, tmp_path / "data" / "mnist"))
    monkeypatch.setattr(fastnn_datasets, "_DATA", copy.parent)
    return copy


def test_mnist_is_the_published_one() -> None:
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert [a.shape for a in (x_train, y_train, x_test, y_test)] == [
        (60000, 28, 28),
        (60000,),
        (10000, 28, 28),
        (10000,),
    ]
    for array in (x_train, y_train, x_test, y_test):
        assert array.dtype == np.uint8
        assert array.flags.writeable
        assert array.flags.c_contiguous
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert abs(x_train.mean() / 255 - 0.1307) <= 5e-5
    assert abs(x_train.std() / 255 - 0.3081) <= 5e-5


def test_mnist_files_have_the_published_checksums() -> None:
    files = fastnn_datasets.mnist()
    assert {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} == {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }


def test_mnist_through_idx_files_is_the_same(tmp_path: Path) -> None:
    for name, content in fastnn_datasets.mnist().items():
        (tmp_path / name).write_bytes(content)
    for loaded, expected in zip(load_idx(tmp_path), mnist.load_data(), strict=True):
        np.testing.assert_array_equal(loaded[0], expected[0], strict=True)
        np.testing.assert_array_equal(loaded[1], expected[1], strict=True)


def test_licence_and_authors_lie_beside_the_images() -> None:
    notice = Path(fastnn_datasets.__file__).parent.joinpath("data", "mnist", "LICENSE").read_text("ascii")
    for words in ("CC BY-SA 3.0", "Yann LeCun, Corinna Cortes and Christopher J. C. Burges"):
        assert words in notice


def test_mnist_without_its_package_names_two_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastnn_datasets", None)
    with pytest.raises(ModuleNotFoundError) as error:
        mnist.load_data()
    assert error.value.name == "fastnn_datasets"
    for words in ("`pip install ./datasets`", "checkout of fastnn", "fastnn.datasets.load_idx(folder)"):
        assert words in str(error.value)


def test_mnist_on_a_python_without_lzma_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lzma", None)
    with pytest.raises(ModuleNotFoundError, match=r"has no lzma; .*build Python with liblzma") as error:
        mnist.load_data()
    assert error.value.name == "lzma"


LABELS = "train-labels-idx1-ubyte.xz"


def test_mnist_with_other_content_is_refused(mnist_copy: Path) -> None:
    content = bytearray(lzma.decompress((mnist_copy / LABELS).read_bytes()))
    content[1000] ^= 1
    (mnist_copy / LABELS).write_bytes(lzma.compress(content))
    with pytest.raises(ValueError, match=rf"{LABELS} unpacks to .*; expected 65a50cbb.*force-reinstall"):
        fastnn_datasets.mnist()


def test_mnist_truncated_is_refused(mnist_copy: Path) -> None:
    packed = (mnist_copy / LABELS).read_bytes()
    (mnist_copy / LABELS).write_bytes(packed[:-1000])
    with pytest.raises(ValueError, match=rf"{LABELS}: .*expected a whole .xz file; .*force-reinstall"):
        fastnn_datasets.mnist()


def test_mnist_with_a_flipped_bit_is_refused(mnist_copy: Path) -> None:
    packed = bytearray((mnist_copy / LABELS).read_bytes())
    packed[len(packed) // 2] ^= 1
    (mnist_copy / LABELS).write_bytes(packed)
    with pytest.raises(ValueError, match=rf"{LABELS}.*; expected .*force-reinstall"):
        fastnn_datasets.mnist()


@pytest.mark.parametrize("name", [LABELS, "SHA256SUMS"])
def test_mnist_with_a_file_missing_is_refused(mnist_copy: Path, name: str) -> None:
    (mnist_copy / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"no file .*{name}; expected .*force-reinstall"):
        fastnn_datasets.mnist()


def test_mnist_without_a_checksum_is_refused(mnist_copy: Path) -> None:
    (mnist_copy / "SHA256SUMS").write_text("")
    with pytest.raises(ValueError, match=r"train-images.*expected a row in SHA256SUMS"):
        fastnn_datasets.mnist()


# One good IDX file


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", [(), (1,), (13,), (3, 5), (2, 3, 4, 5), (0,), (0, 28, 28), (4, 0)])
@pytest.mark.parametrize("dtype", list(CODES))
def test_read_idx_reads_every_dtype(tmp_path: Path, dtype: str, shape: tuple[int, ...], suffix: str) -> None:
    rng = np.random.default_rng(7)
    raw = rng.integers(-(2**31), 2**31, shape)
    array = np.asarray(raw / 3 if dtype[0] == "f" else raw).astype(dtype)
    path = tmp_path / f"array{suffix}"
    path.write_bytes(gzip.compress(idx_bytes(array)) if suffix else idx_bytes(array))
    loaded = read_idx(path)
    np.testing.assert_array_equal(loaded, array, strict=True)
    assert loaded.dtype.isnative
    assert loaded.flags.writeable


def test_read_idx_knows_literal_bytes(tmp_path: Path) -> None:
    path = tmp_path / "literal"
    path.write_bytes(bytes.fromhex("00000b02 00000001 00000003 0001 fffe 0102"))
    np.testing.assert_array_equal(read_idx(str(path)), np.array([[1, -2, 258]], np.int16), strict=True)
    path.write_bytes(bytes.fromhex("00000d01 00000002 3f800000 c0200000"))
    np.testing.assert_array_equal(read_idx(path), np.array([1.0, -2.5], np.float32), strict=True)


def test_read_idx_takes_more_than_one_piece(tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 256, (3, 2**20 + 5), dtype=np.uint8)
    path = tmp_path / "large"
    path.write_bytes(idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path), array, strict=True)


def test_read_idx_goes_by_content_not_by_name(tmp_path: Path) -> None:
    array = np.arange(5, dtype=np.uint8)
    (tmp_path / "plain.gz").write_bytes(idx_bytes(array))
    (tmp_path / "packed").write_bytes(gzip.compress(idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(tmp_path / "plain.gz"), array)
    np.testing.assert_array_equal(read_idx(tmp_path / "packed"), array)


# One broken IDX file

GOOD = idx_bytes(np.arange(60, dtype=np.uint8).reshape(3, 5, 4))
BROKEN = {
    "empty": (b"", "is empty; expected an IDX file"),
    "short magic": (GOOD[:3], "begins with the bytes 00 00 08; expected an IDX file"),
    "web page": (b"<!DOCTYPE html>", "begins with the bytes 3c 21 44 4f; expected an IDX file"),
    "bad magic": (b"\0\1" + GOOD[2:], "begins with the bytes 00 01 08 03; expected an IDX file"),
    "dtype code": (
        idx_bytes(np.zeros(3, np.uint8), code=0x0A),
        "has dtype code 0x0a; expected one of 0x08 uint8, 0x09",
    ),
    "rank": (struct.pack(">BBBB33I", 0, 0, 8, 33, *[1] * 33) + b"\0", "has rank 33; expected at most 32"),
    "short header": (GOOD[:10], "ends after 10 bytes; expected a header of 16 bytes for rank 3"),
    "no data": (GOOD[:16], r"holds 0 bytes after .*; expected 60 bytes for uint8 of shape \(3, 5, 4\)"),
    "truncated": (GOOD[:-1], r"holds 59 bytes after .*; expected 60 bytes for uint8 of shape \(3, 5, 4\)"),
    "trailing": (GOOD + b"\0", r"holds more after .*; expected 60 bytes for uint8 of shape \(3, 5, 4\)"),
    "cut inside an element": (idx_bytes(np.ones(4))[:-3], "holds 29 bytes .* expected 32 bytes for float64"),
    "huge": (
        b"\0\0\x08\3" + b"\0\0\xff\xff" * 3 + bytes(9),
        "holds 9 bytes after .*; expected 281462092005375 ",
    ),
    "overflow": (
        b"\0\0\x0e\3" + b"\xff" * 12 + bytes(9),
        r"declares float64 of shape \(4294967295, .*; expected at",
    ),
    "overflow to zero": (
        b"\0\0\x0c\4" + b"\x80\0\0\0" * 4 + bytes(9),
        r"declares int32 of shape \(2147483648, .*; expected at",
    ),
    "overflow beside zero": (
        b"\0\0\x08\3" + bytes(4) + b"\xff" * 8,
        r"declares uint8 of shape \(0, 4294967295, .*; expected at",
    ),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN)
def test_read_idx_refuses(tmp_path: Path, content: bytes, words: str, packed: bool) -> None:
    path = tmp_path / "broken-idx3-ubyte"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(ValueError, match=rf"^fastnn.datasets.read_idx: .*broken-idx3-ubyte {words}") as error:
        read_idx(path)
    assert str(path) in str(error.value)


# Gzip packs the 1 MB of zeros to 1 KB, so that the checks below cut inside and after the data.
ZEROS = gzip.compress(idx_bytes(np.zeros((1000, 1000), np.uint8)))


@pytest.mark.parametrize(
    "content",
    [ZEROS[:2], ZEROS[:9], ZEROS[:500], ZEROS[:-8], ZEROS[:-1], ZEROS + b"junk"],
    ids=["magic", "header", "data", "no checksum", "half a size", "junk behind"],
)
def test_read_idx_refuses_truncated_gzip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cut.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"cut.gz does not unpack \(.+\); expected a whole gzip file"):
        read_idx(tmp_path / "cut.gz")


def test_read_idx_refuses_gzip_with_a_wrong_checksum(tmp_path: Path) -> None:
    # Level 0 only stores, so that a changed byte still unpacks.
    content = bytearray(gzip.compress(GOOD, compresslevel=0))
    assert content.count(bytes(range(60))) == 1
    content[content.index(bytes(range(60)))] ^= 1
    (tmp_path / "flipped.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"flipped.gz does not unpack .*CRC.*; expected a whole gzip file"):
        read_idx(tmp_path / "flipped.gz")


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_read_idx_makes_no_room_for_what_a_header_only_claims(tmp_path: Path, packed: bool) -> None:
    import tracemalloc

    content = b"\0\0\x08\2" + struct.pack(">2I", 2**20, 2**12) + bytes(100)  # claims 4 GiB
    (tmp_path / "liar").write_bytes(gzip.compress(content) if packed else content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"holds 100 bytes after its header; expected 4294967296 bytes"):
            read_idx(tmp_path / "liar")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 4 << 20


def test_read_idx_stops_unpacking_where_the_array_ends(tmp_path: Path) -> None:
    import tracemalloc

    bomb = idx_bytes(np.zeros(100, np.uint8)) + bytes(64 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bomb, compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"holds more after its header; expected 100 bytes"):
            read_idx(tmp_path / "bomb.gz")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 4 << 20


def test_read_idx_names_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^fastnn.datasets.read_idx: no file .*absent; expected"):
        read_idx(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"is a folder; expected an IDX file; .*load_idx"):
        read_idx(tmp_path)


# A folder of four


@pytest.mark.parametrize(
    "name",
    ["{part}-ubyte", "{part}-ubyte.gz", "emnist-letters-{part}-ubyte", "emnist-by-class-{part}-ubyte.gz"],
)
def test_load_idx_knows_the_usual_names(tmp_path: Path, name: str) -> None:
    arrays = digits()
    write_set(tmp_path, arrays, name)
    (tmp_path / "README-idx3-ubyte.txt").write_text("of no interest")
    (tmp_path / "train-images-idx1-ubyte").write_text("not a name of the format")
    assert_set(tmp_path, arrays)
    assert_set(os.fspath(tmp_path), arrays)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_load_idx_knows_dots_and_test_for_t10k(tmp_path: Path, suffix: str) -> None:
    arrays = digits()
    renamed = {part.replace("-idx", ".idx").replace("t10k", "test"): array for part, array in arrays.items()}
    write_set(tmp_path, renamed, "{part}-ubyte" + suffix)
    assert (tmp_path / f"test-images.idx3-ubyte{suffix}").exists()
    assert_set(tmp_path, arrays)


def test_load_idx_prefers_the_plain_file(tmp_path: Path) -> None:
    write_set(tmp_path, digits(seed=1), "{part}-ubyte.gz")
    arrays = digits(seed=2)
    write_set(tmp_path, arrays, "{part}-ubyte")
    assert_set(tmp_path, arrays)


def test_load_idx_passes_over_a_set_that_is_not_whole(tmp_path: Path) -> None:
    arrays = digits()
    write_set(tmp_path, arrays, "emnist-digits-{part}-ubyte")
    write_set(tmp_path, {part: arrays[part] for part in PARTS[:2]}, "emnist-letters-{part}-ubyte")
    assert_set(tmp_path, arrays)


def test_load_idx_refuses_two_sets(tmp_path: Path) -> None:
    write_set(tmp_path, digits(), "emnist-digits-{part}-ubyte.gz")
    write_set(tmp_path, digits(), "emnist-letters-{part}-ubyte.gz")
    with pytest.raises(ValueError, match=r"2 data sets \(emnist-digits-train.*, emnist-letters-.*; expected one"):
        load_idx(tmp_path)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("prefix", ["", "emnist-mnist-"])
def test_load_idx_names_the_missing_file(tmp_path: Path, prefix: str, part: str) -> None:
    write_set(tmp_path, digits(), prefix + "{part}-ubyte")
    (tmp_path / f"{prefix}{part}-ubyte").unlink()
    (tmp_path / f"{prefix}{part}-ubyte").mkdir()
    with pytest.raises(FileNotFoundError, match=rf"holds .*; expected {prefix}{part}-ubyte as well, plain"):
        load_idx(tmp_path)


def test_load_idx_names_all_four_in_an_empty_folder(tmp_path: Path) -> None:
    words = "holds no IDX file of a known name; expected " + ", ".join(f"{part}-ubyte" for part in PARTS)
    with pytest.raises(FileNotFoundError, match=words + ", plain or .gz; put"):
        load_idx(tmp_path)


def test_load_idx_names_a_missing_folder_and_a_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^fastnn.datasets.load_idx: no folder .*absent; exp"):
        load_idx(tmp_path / "absent")
    (tmp_path / "file").write_bytes(GOOD)
    with pytest.raises(ValueError, match=r"file is a file; expected a folder; .*read_idx"):
        load_idx(tmp_path / "file")


@pytest.mark.parametrize("half", ["train", "t10k"])
def test_load_idx_refuses_unequal_counts(tmp_path: Path, half: str) -> None:
    arrays = digits()
    count = len(arrays[f"{half}-labels-idx1"])
    arrays[f"{half}-labels-idx1"] = arrays[f"{half}-labels-idx1"][:-1]
    write_set(tmp_path, arrays)
    words = f"{count} images in .*{half}-images-idx3-ubyte but {count - 1} labels in .*{half}-labels-idx1-ubyte;"
    with pytest.raises(ValueError, match=words):
        load_idx(tmp_path)


def test_load_idx_refuses_images_of_two_sizes(tmp_path: Path) -> None:
    arrays = digits()
    arrays["t10k-images-idx3"] = arrays["t10k-images-idx3"][:, :4]
    write_set(tmp_path, arrays)
    with pytest.raises(ValueError, match=r"\(5, 4\) in .*train-.* but of \(4, 4\) in .*t10k-.*; expected one"):
        load_idx(tmp_path)


@pytest.mark.parametrize("part", PARTS)
def test_load_idx_refuses_another_dtype_or_rank(tmp_path: Path, part: str) -> None:
    arrays = digits()
    write_set(tmp_path, {**arrays, part: arrays[part].astype(np.int16)})
    with pytest.raises(ValueError, match=rf"{part}-ubyte holds int16 of shape .*; expected uint8 of rank"):
        load_idx(tmp_path)
    write_set(tmp_path, {**arrays, part: arrays[part][..., None]})
    with pytest.raises(ValueError, match=rf"{part}-ubyte holds uint8 of shape .*, 1.; expected uint8 of rank"):
        load_idx(tmp_path)


def test_load_idx_names_the_broken_file(tmp_path: Path) -> None:
    write_set(tmp_path, digits())
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"^fastnn.datasets.load_idx: .*t10k-labels-idx1-ubyte begins with the"):
        load_idx(tmp_path)


def test_import_leaves_decoders_and_images_alone() -> None:
    # An empty parent package, so that what the rest of fastnn imports does not count.
    code = """
import sys, types, numpy
sys.modules["fastnn"] = parent = types.ModuleType("fastnn")
parent.__path__ = [sys.argv[1]]
before = set(sys.modules)
import fastnn.datasets
print(*sorted({"gzip", "lzma", "pathlib", "zlib", "fastnn_datasets"} & (set(sys.modules) - before)))
"""
    command = [sys.executable, "-c", code, os.fspath(Path(mnist.__file__).parents[1])]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == ""
