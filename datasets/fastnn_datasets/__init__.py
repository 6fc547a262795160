"""Data sets as files inside a package, for fastnn: no download, and nothing but the standard library."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

__all__ = ["mnist"]

_DATA = Path(__file__).parent / "data"
_REINSTALL = "run `pip install --force-reinstall ./datasets` in a checkout of fastnn"


def mnist() -> dict[str, bytes]:
    """Return the four original MNIST files, unpacked and compared with their SHA-256.

    Returns:
        The content of each IDX file by its name, in this order: train-images-idx3-ubyte,
        train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte.
        `fastnn.datasets.mnist.load_data` makes arrays of them.

    Raises:
        FileNotFoundError: a file of this package is missing.
        ValueError: a file of this package is truncated or corrupted.

    Example:
        >>> import fastnn_datasets
        >>> files = fastnn_datasets.mnist()
        >>> len(files["train-images-idx3-ubyte"])  # 16 bytes of header and 60,000 images of 28 x 28
        47040016
    """
    names = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
    folder = _DATA / "mnist"
    sums = _content(folder / "SHA256SUMS").decode("ascii", errors="replace")
    digests = {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", sums, re.MULTILINE)}
    absent = "a row in SHA256SUMS"
    return {name: _unpacked(folder / f"{name}.xz", digests.get(name, absent)) for name in names}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"fastnn_datasets: no file {path}; expected it beside the package's code; {_REINSTALL}"
        ) from None


def _unpacked(path: Path, expected: str) -> bytes:
    try:
        import lzma
    except ModuleNotFoundError as error:  # a Python built from source on a machine without liblzma's headers
        raise ModuleNotFoundError(
            f"fastnn_datasets: this Python has no {error.name}; expected the standard module lzma, to read "
            f"{path.name}; build Python with liblzma's headers installed",
            name=error.name,
        ) from None
    try:
        content = lzma.decompress(_content(path))
    except lzma.LZMAError as error:
        raise ValueError(f"fastnn_datasets: {path}: {error}; expected a whole .xz file; {_REINSTALL}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise ValueError(f"fastnn_datasets: {path} unpacks to SHA-256 {digest}; expected {expected}; {_REINSTALL}")
    return content
