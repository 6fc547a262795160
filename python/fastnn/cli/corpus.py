"""The text that `fastnn train gpt` trains and validates on: a file, or Python's documentation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastnn.text import read_text


@dataclass(frozen=True)
class TextIdentity:
    """What tells one text from another."""

    path: str | None  # None for Python's documentation
    characters: int
    vocabulary: int  # different ones
    sha256: str  # of the text in UTF-8

    def __str__(self) -> str:
        return f"{self.characters:,} characters of {self.path or PYTHON} ({self.sha256[:8]})"


PYTHON = "Python's documentation"


def identify(content: str, path: Path | None) -> TextIdentity:
    """Reads all of the text.

    Args:
        content: the text.
        path: its file; None for Python's documentation.
    """
    digest = hashlib.sha256(content.encode()).hexdigest()
    return TextIdentity(None if path is None else str(path.resolve()), len(content), len(set(content)), digest)


def load(path: Path | None) -> str:
    """The text.

    Args:
        path: a file in UTF-8; None for Python's documentation.

    Raises:
        OSError, ValueError: a file that cannot be read, or has other bytes. ImportError: a Python without documentation.
    """
    if path is not None:
        try:
            return read_text(path)
        except OSError as error:
            raise OSError(f"--text {path}: {error.strerror}; expected a text in UTF-8; name one that can be read") from error
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ImportError(
            f"{PYTHON}: {error}; expected pydoc_data, which is part of Python; name a text with --text"
        ) from error
    return "\n".join(topics[name] for name in sorted(topics))
