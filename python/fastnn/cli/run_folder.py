"""The folder of a training run: its files, and the earlier run that makes way for it."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

HISTORY = "history.csv"
MODEL = "model.safetensors"
CHECKPOINT = "checkpoint.safetensors"
CURVES = "curves.png"
CONFUSION = "confusion.png"
MISTAKES = "mistakes.png"
FILES = (HISTORY, MODEL, CHECKPOINT, CURVES, CONFUSION, MISTAKES)
TRACE = "trace.json"  # where it was asked for
TOKENIZER = "tokenizer.json"  # of a model of text


class RunFolder:
    """A folder ready for a run, with its `history.csv` open. Close it, or use it in a `with`.

    A new run moves the files of an earlier one to the first free of `<folder>.1`, `<folder>.2`, ...; whatever else lies in the
    folder stays.

    Args:
        path: the folder; it is made, with its parents, where it does not exist.
        columns: the header of the history.
        rows: the history so far of the run that lies there and goes on; None for a new run.

    Raises:
        OSError: the folder cannot be made or written.
    """

    def __init__(self, path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]] | None = None) -> None:
        self.path = path
        self.moved_to: Path | None = None
        history = path / HISTORY
        try:
            path.mkdir(parents=True, exist_ok=True)
            for leftover in path.glob(".fastnn-*.tmp"):  # of a save that was killed
                leftover.unlink(missing_ok=True)
            if rows is None:
                self._move_aside()
                # "x": two runs that start at once must not write into the same file.
                self._file = history.open("x", encoding="utf-8", newline="")
            else:
                self._file = temporary(history).open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file, lineterminator="\n")
            self._writer.writerows([columns, *(rows or ())])
            self._file.flush()
            if rows is not None:
                os.replace(self._file.name, history)  # the file stays open, and is the history now
        except OSError as error:
            raise OSError(
                f"--out {path}: {error.strerror or error}; expected a folder that can be written; name one"
            ) from error

    def _move_aside(self) -> None:
        earlier = [file for name in (*FILES, TRACE, TOKENIZER) if os.path.lexists(file := self.path / name)]
        if earlier:
            self.moved_to = _make_numbered(self.path)
            for file in earlier:
                file.rename(self.moved_to / file.name)

    def add(self, row: Sequence[object]) -> None:
        """Appends a row to the history, at once: whatever ends the run, the finished epochs are on disk."""
        self._writer.writerow(row)
        self._file.flush()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._file.close()


def write_new(path: Path, content: bytes) -> None:
    """Writes a file that is there as a whole or not at all, and never in place of another.

    Raises:
        FileExistsError: there is a file of that name. OSError: it cannot be written.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    temporary(path).write_bytes(content)
    os.replace(temporary(path), path)


def temporary(path: Path) -> Path:
    """What a file is called until it is whole. Always the same name: what a killed process left is written over."""
    return path.with_name(f".{path.name}.tmp")


def _make_numbered(path: Path) -> Path:
    path = path.resolve() if path.name in ("", "..") else path  # "." and ".." have no name to add a number to
    number = 1
    while True:
        candidate = path.with_name(f"{path.name}.{number}")
        try:
            candidate.mkdir()
        except FileExistsError:
            number += 1
        else:
            return candidate
