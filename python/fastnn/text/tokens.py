"""Files of tokens, which may be larger than memory, and the windows of them that a model is trained on.

A file is NumPy's `.npy` with one axis of integers: any program reads it, and it is mapped, so that memory has only the pages
that windows touch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastnn import _core
from fastnn.utils import check_seed, generator

__all__ = ["RandomWindows", "Windows", "open_tokens", "write_tokens"]

_DTYPES = ("uint8", "uint16", "int32")

Batch = tuple[NDArray[np.int32], NDArray[np.int32]]


def write_tokens(path: str | os.PathLike[str], tokens: Any, dtype: Any = None) -> int:
    """Writes tokens into a file, as a whole or not at all.

    Args:
        path: the file, by custom with the ending `.npy`; one that is there is replaced.
        tokens: integers of one axis, or an iterable of such arrays, which are written one after the other: the whole need not
            fit into memory.
        dtype: uint8, uint16 or int32; default that of the first array, which has to be one of them.

    Returns:
        How many tokens there are.

    Raises:
        ValueError: no tokens at all, more than one axis, another dtype, or a token that it cannot hold.
        TypeError: no integers.
        OSError: the file cannot be written.

    Example:
        >>> import os, tempfile
        >>> tokenizer = fastnn.text.ByteTokenizer()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "lines.npy")
        ...     fastnn.text.write_tokens(path, (tokenizer.encode(line) for line in ("one", "two")))
        ...     tokenizer.decode(fastnn.text.open_tokens(path))
        6
        'onetwo'
    """
    parts: Iterable[Any] = [tokens] if hasattr(tokens, "__array__") or _is_numbers(tokens) else tokens
    where = os.fspath(path)
    temporary = f"{where}.tmp"
    try:
        with open(temporary, "wb") as file:
            count = _write_parts(where, file, parts, None if dtype is None else np.dtype(dtype))
        os.replace(temporary, where)
    finally:
        if os.path.lexists(temporary):
            os.remove(temporary)
    return count


def _is_numbers(tokens: Any) -> bool:
    return isinstance(tokens, (list, tuple)) and bool(tokens) and isinstance(tokens[0], (int, np.integer))


def _write_parts(where: str, file: BinaryIO, parts: Iterable[Any], dtype: np.dtype[Any] | None) -> int:
    count = 0
    begin = 0
    for number, part in enumerate(parts):
        array = np.asarray(part)
        if array.dtype.kind not in "iu" and array.size:
            raise TypeError(f"{where}: tokens of dtype {array.dtype}; expected integers; encode the text first")
        if array.ndim != 1:
            raise ValueError(f"{where}: tokens of shape {array.shape}; expected one axis; flatten them")
        if begin == 0:
            dtype = dtype or array.dtype
            if dtype.name not in _DTYPES:
                raise ValueError(f"{where}: dtype {dtype.name}; expected {', '.join(_DTYPES)}; pass dtype='uint16' for example")
            dtype = dtype.newbyteorder("<")
            _write_header(file, dtype, 0)
            begin = file.tell()
        assert dtype is not None
        limits = np.iinfo(dtype)
        outside = array[(array < limits.min) | (array > limits.max)] if array.dtype != dtype else array[:0]
        if outside.size:
            raise ValueError(
                f"{where}: the token {outside[0]} in array {number}; expected what {dtype.name} holds; pass another dtype"
            )
        file.write(array.astype(dtype).tobytes())
        count += len(array)
    if count == 0:
        raise ValueError(f"{where}: no tokens; expected at least one; check the text")
    file.seek(0)
    # NumPy leaves room for the length to grow in place.
    assert dtype is not None
    _write_header(file, dtype, count)
    assert file.tell() == begin
    return count


def _write_header(file: BinaryIO, dtype: np.dtype[Any], count: int) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": (count,)})


def open_tokens(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Maps a file of tokens: an array that is read from disk where it is used.

    Args:
        path: a `.npy` of one axis of uint8, uint16 or int32, from `write_tokens` or from `numpy.save`.

    Returns:
        A read-only array.

    Raises:
        ValueError: a file of another form, a damaged or an empty one.
        OSError: no such file.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "tokens.npy")
        ...     np.save(path, np.arange(1000, dtype=np.uint16))
        ...     tokens = fastnn.text.open_tokens(path)
        ...     tokens[-3:].tolist(), tokens.dtype.name
        ([997, 998, 999], 'uint16')
    """
    where = os.fspath(path)
    try:
        tokens: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{where}: {error}; expected a whole .npy with tokens; write it with write_tokens") from None
    if not isinstance(tokens, np.ndarray):  # an archive, .npz
        tokens.close()
        raise ValueError(f"{where}: an archive of arrays; expected a .npy with tokens; write it with write_tokens")
    if tokens.ndim != 1 or tokens.dtype.name not in _DTYPES or len(tokens) == 0:
        raise ValueError(
            f"{where}: {tokens.dtype.name} of shape {tokens.shape}; expected one axis of {', '.join(_DTYPES)} and at least one "
            "token; write it with write_tokens"
        )
    return tokens


class _Slices:
    """Windows of tokens, each with the tokens that follow."""

    def __init__(self, tokens: Any, context: int, batch_size: int) -> None:
        where = type(self).__name__
        array = tokens if isinstance(tokens, np.ndarray) else np.asarray(tokens)
        if array.dtype.kind not in "iu":
            raise TypeError(f"{where}: tokens of dtype {array.dtype}; expected integers; encode the text first")
        for name, value in (("context", context), ("batch_size", batch_size)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{where}: {name}={value!r}; expected a positive integer; pass for example 64")
        if array.ndim != 1 or len(array) <= context:
            raise ValueError(
                f"{where}: tokens of shape {array.shape}; expected one axis of more than the context, {context}; pass more "
                "text or a smaller context"
            )
        self.tokens = array
        self.context, self.batch_size = int(context), int(batch_size)
        self._offsets = np.arange(self.context + 1)

    def _at(self, starts: NDArray[np.int64]) -> Batch:
        windows = self.tokens[starts[:, None] + self._offsets].astype(np.int32)
        return np.ascontiguousarray(windows[:, :-1]), np.ascontiguousarray(windows[:, 1:])


class RandomWindows(_Slices):
    """Batches of windows from random places, without end: an iterator of `(tokens, the tokens that follow)` for `fit`.

    Args:
        tokens: integers of one axis; an array, or what `open_tokens` returned.
        context: the length of a window.
        batch_size: windows in a batch.
        seed: the same seed gives the same windows; None takes the next of the process's random streams, as `set_seed` sets.

    Each batch is two arrays, int32 `(batch_size, context)`. Every place is equally likely, and places are drawn independently.
    `fit` needs `steps_per_epoch`. `BackupAndRestore` keeps where it is.

    Raises:
        ValueError: fewer tokens than one window and what follows it; a context, batch size or seed outside its range.
        TypeError: tokens that are no integers.

    Example:
        >>> x, y = next(fastnn.text.RandomWindows(np.arange(100), context=4, batch_size=2, seed=0))
        >>> x.shape, np.array_equal(y, x + 1)
        ((2, 4), True)
    """

    def __init__(self, tokens: Any, context: int, batch_size: int, seed: int | None = None) -> None:
        super().__init__(tokens, context, batch_size)
        self._key = generator.next_key() if seed is None else (check_seed("RandomWindows", seed), 0)
        self._step = 0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        uniform = _core.random_uniform(*self._key, self._step, [self.batch_size], "float64")
        self._step += 1
        return self._at((uniform * (len(self.tokens) - self.context)).astype(np.int64))

    def get_state(self) -> dict[str, Any]:
        """Where it is: how many batches it has given, and of which random stream."""
        seed, stream = self._key
        sizes = {"tokens": len(self.tokens), "context": self.context, "batch_size": self.batch_size}
        return {"seed": seed, "stream": stream, "step": self._step, **sizes}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where another one was, of equal sizes.

        Args:
            state: what its `get_state` returned.

        Raises:
            ValueError: a state of other sizes, or none at all.
        """
        own = self.get_state()
        for name, value in own.items():
            there = state.get(name)
            fits = there == value if name in ("tokens", "context", "batch_size") else type(there) is int and there >= 0
            if not fits:
                raise ValueError(
                    f"RandomWindows: a state with {name}={there!r}; expected one of the same text, context and batch size, "
                    f"here {own}; pass those"
                )
        self._key, self._step = (state["seed"], state["stream"]), state["step"]


class Windows(_Slices):
    """Batches of windows one after the other without overlap, to validate on: an iterable that begins anew each time.

    Args:
        tokens: integers of one axis; an array, or what `open_tokens` returned.
        context: the length of a window.
        batch_size: windows in a batch; the last batch has what is left.

    What is left at the end, less than a window, is not used. `len` is the number of batches.

    Raises:
        ValueError: fewer tokens than one window and what follows it; a context or batch size outside its range.
        TypeError: tokens that are no integers.

    Example:
        >>> [x.tolist() for x, y in fastnn.text.Windows(np.arange(8), context=2, batch_size=2)]
        [[[0, 1], [2, 3]], [[4, 5]]]
    """

    def __init__(self, tokens: Any, context: int, batch_size: int = 32) -> None:
        super().__init__(tokens, context, batch_size)
        self.windows = (len(self.tokens) - 1) // self.context

    def __len__(self) -> int:
        return -(-self.windows // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        starts = np.arange(self.windows) * self.context
        for begin in range(0, self.windows, self.batch_size):
            yield self._at(starts[begin : begin + self.batch_size])
