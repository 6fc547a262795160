"""The folder of a training run: its files, and the earlier run that makes way for it."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

HISTORY = "history.csv"
CURVES = "curves.png"


class RunFolder:
    """A folder ready for a new run, with its `history.csv` open. Close it, or use it in a `with`.

    If the folder holds the files of an earlier run, they move to the first free of `<folder>.1`,
    `<folder>.2`, ...; whatever else lies in it stays.

    Args:
        path: the folder; it is made, with its parents, where it does not exist.
        columns: the header of the history.

    Raises:
        OSError: the folder cannot be made or written.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.moved_to: Path | None = None
        try:
            path.mkdir(parents=True, exist_ok=True)
            earlier = [file for file in (path / HISTORY, path / CURVES) if os.path.lexists(file)]
            if earlier:
                self.moved_to = _make_numbered(path)
                for file in earlier:
                    file.rename(self.moved_to / file.name)
            # "x": two runs that start at once must not write into the same file.
            self._file = (path / HISTORY).open("x", encoding="utf-8", newline="")
        except OSError as error:
            raise OSError(
                f"--out {path}: {error.strerror or error}; expected a folder that can be written; name one"
            ) from error
        self._writer = csv.writer(self._file, lineterminator="\n")
        self.add(columns)

    def add(self, row: Sequence[object]) -> None:
        """Appends a row to the history, at once: whatever ends the run, the finished epochs are on disk."""
        self._writer.writerow(row)
        self._file.flush()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._file.close()


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
