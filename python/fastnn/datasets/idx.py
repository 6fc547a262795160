"""IDX, the file format of MNIST and its relatives (Fashion-MNIST, KMNIST, EMNIST), plain or gzip.

A file is two zero bytes, one byte for the dtype, one for the rank, a big-endian uint32 for each size, then
the elements in C order, big-endian. The format has no checksum, so the length is held to the byte.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path  # imported where used: it is most of what importing this file would cost

__all__ = ["load_idx", "read_idx"]

Dataset: TypeAlias = tuple[tuple[NDArray[np.uint8], NDArray[np.uint8]], tuple[NDArray[np.uint8], NDArray[np.uint8]]]

_DTYPES = {
    code: np.dtype(name)
    for code, name in ((0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8"))
}
_MAX_RANK = 32  # of an array in NumPy 1; NumPy 2 takes 64

_PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
# Some downloads write `images.idx3`; EMNIST says `test` for `t10k` and puts the name of the split in front.
_FILE_NAME = re.compile(r"(emnist-.+-)?(train|t10k|test)-(images[-.]idx3|labels[-.]idx1)-ubyte(\.gz)?")


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one IDX file, plain or gzip, into an array.

    Whether the file is gzip is read from its first bytes, not from its name: browsers sometimes unpack a
    download and leave it the name `.gz`. Memory grows with what the file holds, never with what its header
    says.

    Args:
        path: the file.

    Returns:
        A writable array of the file's shape and dtype (uint8, int8, int16, int32, float32 or float64), in
        native byte order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an IDX file, or is truncated, damaged, or longer than its header says.

    Example:
        >>> import os, tempfile
        >>> from fastnn.datasets import read_idx
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "labels-idx1-ubyte")
        ...     with open(path, "wb") as file:
        ...         _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        ...     read_idx(path)
        array([7, 2, 1], dtype=uint8)
    """
    from pathlib import Path

    return _read(Path(path), "fastnn.datasets.read_idx")


def load_idx(folder: str | os.PathLike[str]) -> Dataset:
    """Load a data set in the format of MNIST from a folder of IDX files, plain or gzip.

    The files are called as MNIST's: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
    `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, each with or without `.gz`; `.idx3` for `-idx3`,
    `test` for `t10k` and EMNIST's `emnist-<split>-` in front are understood. Where the plain file and its
    `.gz` are both there, the plain one is read. EMNIST stores its images transposed; `x.swapaxes(1, 2)` sets
    them upright.

    Args:
        folder: where the four files lie, beside any others that are not a second complete set.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, all uint8: images `(count, height, width)` and labels
        `(count,)`, as `fastnn.datasets.mnist.load_data` returns them.

    Raises:
        FileNotFoundError: there is no such folder, or a file is missing from it.
        ValueError: there is more than one set in it; a file is damaged (see `read_idx`), or not of uint8, or
            not of the right rank; images and labels differ in count; training and test images differ in size.

    Example:
        >>> import math, pathlib, struct, tempfile
        >>> from fastnn.datasets import load_idx
        >>> def idx(*sizes):
        ...     header = struct.pack(f">4B{len(sizes)}I", 0, 0, 8, len(sizes), *sizes)
        ...     return header + bytes(math.prod(sizes))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for part, count in ("train", 6), ("t10k", 2):
        ...         _ = pathlib.Path(folder, f"{part}-images-idx3-ubyte").write_bytes(idx(count, 5, 4))
        ...         _ = pathlib.Path(folder, f"{part}-labels-idx1-ubyte").write_bytes(idx(count))
        ...     (x_train, y_train), (x_test, y_test) = load_idx(folder)
        >>> x_train.shape, y_train.shape, x_test.shape, y_test.shape
        ((6, 5, 4), (6,), (2, 5, 4), (2,))
    """
    from pathlib import Path

    where = "fastnn.datasets.load_idx"
    paths = _find_set(Path(folder), where)
    x_train, y_train, x_test, y_test = arrays = [_read(path, where) for path in paths]
    for path, array, rank in zip(paths, arrays, (3, 1, 3, 1), strict=True):
        if array.dtype != np.uint8 or array.ndim != rank:
            raise ValueError(
                f"{where}: {path} holds {array.dtype} of shape {array.shape}; expected uint8 of rank {rank}; "
                "read such a file with fastnn.datasets.read_idx"
            )
    for images, labels in ((0, 1), (2, 3)):
        if len(arrays[images]) != len(arrays[labels]):
            raise ValueError(
                f"{where}: {len(arrays[images])} images in {paths[images]} but {len(arrays[labels])} labels "
                f"in {paths[labels]}; expected a label for each image; take both files from one data set"
            )
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ValueError(
            f"{where}: images of {x_train.shape[1:]} in {paths[0]} but of {x_test.shape[1:]} in {paths[2]}; "
            "expected one size; take both files from one data set"
        )
    return (x_train, y_train), (x_test, y_test)


def parse_idx(stream: BinaryIO, where: str) -> NDArray[Any]:
    """Read an array from an open, unpacked IDX file; errors begin with `where`, which names the file."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        came = f"begins with the bytes {magic.hex(' ')}" if magic else "is empty"
        raise ValueError(
            f"{where} {came}; expected an IDX file (00 00, dtype, rank) or a gzip file (1f 8b); "
            "download it again, and look whether the server sent a web page instead"
        )
    code, rank = magic[2], magic[3]
    if code not in _DTYPES:
        known = ", ".join(f"0x{known:02x} {dtype.name}" for known, dtype in _DTYPES.items())
        raise ValueError(f"{where} has dtype code 0x{code:02x}; expected one of {known}; write it so")
    if rank > _MAX_RANK:
        raise ValueError(f"{where} has rank {rank}; expected at most {_MAX_RANK}; write it with fewer axes")
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise ValueError(
            f"{where} ends after {4 + len(sizes)} bytes; expected a header of {4 + 4 * rank} bytes for "
            f"rank {rank}; download it again"
        )
    dtype = _DTYPES[code]
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    # NumPy refuses such shapes even where another size is 0 and nothing would be stored.
    if math.prod(size or 1 for size in shape) * dtype.itemsize > sys.maxsize:
        raise ValueError(
            f"{where} declares {dtype.name} of shape {shape}; expected at most {sys.maxsize} bytes; "
            "the header is damaged: download it again"
        )
    expected = math.prod(shape) * dtype.itemsize
    data = bytearray()
    # In pieces, because read(n) makes room for n bytes first. One byte more than expected shows whether the
    # file goes on, and takes gzip to its end, where it compares the checksum.
    while piece := stream.read(min(1 << 20, expected + 1 - len(data))):
        data += piece
    if len(data) != expected:
        came = "more" if len(data) > expected else f"{len(data)} bytes"
        raise ValueError(
            f"{where} holds {came} after its header; expected {expected} bytes for {dtype.name} of shape "
            f"{shape}; download it again"
        )
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _read(path: Path, where: str) -> NDArray[Any]:
    if path.is_dir():
        raise ValueError(f"{where}: {path} is a folder; expected an IDX file; read a folder with fastnn.datasets.load_idx")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{where}: no file {path}; expected an IDX file; check the path (now in {os.getcwd()})"
        ) from None
    where = f"{where}: {path}"
    with file:
        if not file.peek(2).startswith(b"\x1f\x8b"):
            return parse_idx(file, where)
        import gzip
        import zlib

        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                return parse_idx(cast(BinaryIO, unpacked), where)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{where} does not unpack ({error}); expected a whole gzip file; download it again") from error


def _find_set(folder: Path, where: str) -> Sequence[Path]:
    """The paths of _PARTS in `folder`, which may hold other files."""
    if not folder.is_dir():
        if folder.exists():
            raise ValueError(f"{where}: {folder} is a file; expected a folder; read one file with fastnn.datasets.read_idx")
        raise FileNotFoundError(f"{where}: no folder {folder}; expected four IDX files; check the path (now in {os.getcwd()})")
    sets: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):  # `-ubyte` sorts before `-ubyte.gz`, and the first one stays
        match = _FILE_NAME.fullmatch(path.name)
        if match and path.is_file():
            split, half, kind, _ = match.groups(default="")
            part = f"{half.replace('test', 't10k')}-{kind.replace('.', '-')}"
            sets.setdefault(split, {}).setdefault(part, path)
    complete = [split for split, files in sets.items() if len(files) == len(_PARTS)]
    if len(complete) > 1:
        names = ", ".join(f"{split}train-..." for split in complete)
        raise ValueError(
            f"{where}: {folder} holds {len(complete)} data sets ({names}); expected one; "
            "move the four files that you want into a folder of their own"
        )
    if not complete:
        found = ", ".join(path.name for files in sets.values() for path in files.values())
        # What is missing is certain only where one set has been begun.
        split, begun = next(iter(sets.items())) if len(sets) == 1 else ("", {})
        missing = ", ".join(f"{split}{part}-ubyte" for part in _PARTS if part not in begun)
        raise FileNotFoundError(
            f"{where}: {folder} holds {found or 'no IDX file of a known name'}; expected {missing}"
            f"{' as well' if begun else ''}, plain or .gz; put all four files there under these names"
        )
    return [sets[complete[0]][part] for part in _PARTS]
