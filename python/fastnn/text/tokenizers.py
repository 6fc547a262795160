"""From text to integers and back.

Bytes and characters are ours, and a file of theirs is JSON: `{"fastnn.tokenizer": 1, "kind": "bytes"}`, or the kind
"characters" with its vocabulary, in the order of the tokens. What else there is comes from Hugging Face's library, where it is
installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _core

__all__ = ["ByteTokenizer", "CharacterTokenizer", "HuggingFaceTokenizer", "Tokenizer", "load_tokenizer", "read_text"]

_FORMAT = "fastnn.tokenizer"
_VERSION = 1
_SURROGATES = range(0xD800, 0xE000)  # halves of UTF-16 pairs, and no characters


class Tokenizer:
    """Base class. A subclass has `size`, `encode`, `decode` and `save`.

    Example:
        >>> class Words(fastnn.text.Tokenizer):
        ...     words = ["no", "yes"]
        ...     size = 2
        ...     def encode(self, text):
        ...         return np.array([self.words.index(word) for word in text.split()], self.dtype)
        ...     def decode(self, tokens):
        ...         return " ".join(self.words[token] for token in tokens)
        >>> Words().encode("yes no yes")
        array([1, 0, 1], dtype=uint16)
    """

    size: int  # of the vocabulary

    @property
    def dtype(self) -> np.dtype[Any]:
        """What `encode` returns: uint16 where the vocabulary allows it, else int32."""
        return np.dtype(np.uint16 if self.size <= 2**16 else np.int32)

    def encode(self, text: str) -> NDArray[Any]:
        """The tokens of a text.

        Args:
            text: of any length.

        Returns:
            Integers from 0 to `size - 1`, one axis.
        """
        raise TypeError(f"{type(self).__name__}: has no encode(text); expected one; override it")

    def decode(self, tokens: Any) -> str:
        """The text of tokens.

        Args:
            tokens: integers, one axis.
        """
        raise TypeError(f"{type(self).__name__}: has no decode(tokens); expected one; override it")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file that `load_tokenizer` reads.

        Args:
            path: where to.

        Raises:
            OSError: it cannot be written.
        """
        raise TypeError(f"{type(self).__name__}: has no save(path); expected one; override it")


class ByteTokenizer(Tokenizer):
    """The 256 bytes of UTF-8: no vocabulary to keep, no character unknown.

    Example:
        >>> tokenizer = fastnn.text.ByteTokenizer()
        >>> tokenizer.encode("né")
        array([110, 195, 169], dtype=uint16)
        >>> tokenizer.decode([110, 195, 169])
        'né'
    """

    size = 256

    def encode(self, text: str | bytes) -> NDArray[Any]:
        """The bytes of a text.

        Args:
            text: characters, or their UTF-8.

        Raises:
            TypeError: neither of them.
            ValueError: half of a pair of UTF-16, which UTF-8 has no bytes for.
        """
        if not isinstance(text, (str, bytes)):
            raise TypeError(f"ByteTokenizer.encode: {type(text).__name__}; expected str or bytes; pass one of them")
        try:
            content = text if isinstance(text, bytes) else text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"ByteTokenizer.encode: U+{ord(error.object[error.start]):04X} {_place(error.object, error.start)}; expected "
                "characters, not halves of UTF-16; decode the text as UTF-16 where it comes from"
            ) from None
        return np.frombuffer(content, np.uint8).astype(self.dtype)

    def decode(self, tokens: Any, errors: str = "strict") -> str:
        """The text of bytes.

        Args:
            tokens: integers from 0 to 255.
            errors: "strict", or "replace" to put U+FFFD where bytes are no UTF-8, as in what a model has begun to write.

        Raises:
            ValueError: tokens outside 0 to 255; bytes that are no UTF-8; errors that are neither of the two.
            TypeError: no integers.
        """
        if errors not in ("strict", "replace"):
            raise ValueError(f"ByteTokenizer.decode: errors={errors!r}; expected 'strict' or 'replace'; pass one of them")
        content = _checked("ByteTokenizer.decode", tokens, self.size).astype(np.uint8).tobytes()
        if errors == "replace":
            return content.decode(errors="replace")
        return _decoded("ByteTokenizer.decode", content, "pass errors='replace' to read the rest")

    def save(self, path: str | os.PathLike[str]) -> None:
        _write(path, {_FORMAT: _VERSION, "kind": "bytes"})


class CharacterTokenizer(Tokenizer):
    """One token for each character (code point) of a vocabulary.

    Args:
        vocabulary: the characters, in the order of their tokens: a string, or strings of one character.

    Raises:
        ValueError: none, one twice, or what is no character.
        TypeError: no strings.

    Example:
        >>> tokenizer = fastnn.text.CharacterTokenizer.from_text("to be, or not to be")
        >>> tokenizer.vocabulary
        ' ,benort'
        >>> tokenizer.encode("not")
        array([4, 5, 7], dtype=uint16)
        >>> tokenizer.decode([2, 3, 3])
        'bee'
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        characters = list(vocabulary)
        if not characters:
            raise ValueError("CharacterTokenizer: an empty vocabulary; expected at least one character; pass a string of them")
        first: dict[str, int] = {}
        for token, character in enumerate(characters):
            if not isinstance(character, str):
                raise TypeError(
                    f"CharacterTokenizer: {character!r} as token {token}; expected strings of one character; pass a string"
                )
            if len(character) != 1 or ord(character) in _SURROGATES:
                raise ValueError(
                    f"CharacterTokenizer: {character!r} as token {token}; expected one character for each; split it"
                )
            if first.setdefault(character, token) != token:
                raise ValueError(
                    f"CharacterTokenizer: {character!r} as token {first[character]} and {token}; expected each character once; "
                    "remove one"
                )
        self.vocabulary = "".join(characters)
        self.size = len(characters)
        self._points = _code_points(self.vocabulary)
        self._tokens = np.full(int(self._points.max()) + 1, -1, np.int32)  # by code point: 4 MB at most
        self._tokens[self._points] = np.arange(self.size)

    @classmethod
    def from_text(cls, text: str) -> CharacterTokenizer:
        """A tokenizer for the characters of a text, in the order of their code points.

        Args:
            text: at least one character.
        """
        return cls(sorted(set(text)))

    def encode(self, text: str) -> NDArray[Any]:
        """The tokens of a text, one a character.

        Args:
            text: of any length.

        Raises:
            ValueError: a character outside the vocabulary.
            TypeError: no string.
        """
        if not isinstance(text, str):
            raise TypeError(f"CharacterTokenizer.encode: {type(text).__name__}; expected str; decode bytes first")
        points = _code_points(text)
        known = points < len(self._tokens)
        tokens = self._tokens[np.where(known, points, 0)]
        unknown = np.flatnonzero(~known | (tokens < 0))
        if unknown.size:
            at = int(unknown[0])
            raise ValueError(
                f"CharacterTokenizer.encode: {text[at]!r} (U+{ord(text[at]):04X}) {_place(text, at)}; expected the {self.size} "
                "characters of the vocabulary; make the tokenizer of all the text, or take the character out"
            )
        return tokens.astype(self.dtype)

    def decode(self, tokens: Any) -> str:
        """The text of tokens.

        Args:
            tokens: integers, one axis.

        Raises:
            ValueError: a token outside the vocabulary.
            TypeError: no integers.
        """
        return self._points[_checked("CharacterTokenizer.decode", tokens, self.size)].tobytes().decode("utf-32-le")

    def save(self, path: str | os.PathLike[str]) -> None:
        _write(path, {_FORMAT: _VERSION, "kind": "characters", "vocabulary": list(self.vocabulary)})


class HuggingFaceTokenizer(Tokenizer):
    """A `tokenizer.json` of Hugging Face's library `tokenizers`, which does the work: byte pairs, word pieces and the like.

    Args:
        path: the file.

    Raises:
        ModuleNotFoundError: the library is missing.
        ValueError: a file that it cannot read.
        OSError: no such file.

    `encode` adds no special tokens, and `decode` leaves none out: a text comes back as it went in, as far as the tokenizer
    itself is reversible. `inner` is the library's own object.

    Example:
        >>> tokenizer = fastnn.text.HuggingFaceTokenizer("gpt2/tokenizer.json")  # doctest: +SKIP
        >>> tokenizer.encode("Hello world")  # doctest: +SKIP
        array([15496,   995], dtype=uint16)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            import tokenizers
        except ModuleNotFoundError as error:
            if error.name != "tokenizers":
                raise
            raise ModuleNotFoundError(
                "fastnn.text.HuggingFaceTokenizer: the library tokenizers is not installed; expected it for a file of its "
                "format; in a checkout of fastnn, pip install '.[text]' brings it",
                name="tokenizers",
            ) from None
        content = _read(path)
        try:
            self.inner: Any = tokenizers.Tokenizer.from_str(content)
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(
                f"{os.fspath(path)}: {error}; expected a tokenizer.json that tokenizers {tokenizers.__version__} reads; name "
                "one"
            ) from None
        self.size = max(self.inner.get_vocab(with_added_tokens=True).values(), default=-1) + 1  # there may be gaps

    def encode(self, text: str) -> NDArray[Any]:
        """The tokens of a text.

        Args:
            text: of any length.

        Raises:
            TypeError: no string.
        """
        if not isinstance(text, str):
            raise TypeError(f"HuggingFaceTokenizer.encode: {type(text).__name__}; expected str; decode bytes first")
        return np.array(self.inner.encode(text, add_special_tokens=False).ids, self.dtype)

    def decode(self, tokens: Any) -> str:
        """The text of tokens.

        Args:
            tokens: integers, one axis.

        Raises:
            ValueError: a token outside the vocabulary.
            TypeError: no integers.
        """
        ids = _checked("HuggingFaceTokenizer.decode", tokens, self.size)
        text: str = self.inner.decode(ids.tolist(), skip_special_tokens=False)
        return text

    def save(self, path: str | os.PathLike[str]) -> None:
        _write_text(path, self.inner.to_str())


def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """Reads a tokenizer that was saved, or a `tokenizer.json` of Hugging Face.

    Args:
        path: the file.

    Raises:
        ValueError: a file of another form.
        ModuleNotFoundError: a file of Hugging Face's, and no library to read it.
        OSError: no such file.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "tokenizer.json")
        ...     fastnn.text.CharacterTokenizer("abc").save(path)
        ...     fastnn.text.load_tokenizer(path).encode("cab").tolist()
        [2, 0, 1]
    """
    where = os.fspath(path)
    facts = _core.parse_json(_read(path), where)
    if isinstance(facts, dict) and _FORMAT not in facts and "model" in facts:
        return HuggingFaceTokenizer(path)
    if not isinstance(facts, dict) or _FORMAT not in facts:
        raise ValueError(f"{where}: no tokenizer; expected an object with {_FORMAT}, or a tokenizer.json; name one of these")
    if facts[_FORMAT] != _VERSION:
        raise ValueError(
            f"{where}: {_FORMAT} {facts[_FORMAT]!r}; expected {_VERSION}; read it with the version of fastnn that wrote it"
        )
    kind = facts.get("kind")
    if kind == "bytes":
        return ByteTokenizer()
    vocabulary = facts.get("vocabulary")
    if kind != "characters" or not isinstance(vocabulary, list):
        without = " without a list, its vocabulary" if kind == "characters" else ""
        raise ValueError(
            f"{where}: the kind {kind!r}{without}; expected 'bytes', or 'characters' with their vocabulary; write the file "
            "with save"
        )
    try:
        return CharacterTokenizer(vocabulary)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from None


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file in UTF-8, with its line ends as they are.

    Args:
        path: the file.

    Raises:
        ValueError: bytes that are no UTF-8; the message has their place.
        OSError: no such file.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = file.write("naïve".encode())
        ...     file.flush()
        ...     fastnn.text.read_text(file.name)
        'naïve'
    """
    with open(path, "rb") as file:
        content = file.read()
    return _decoded(os.fspath(path), content, "convert the file, for example with iconv")


def _decoded(where: str, content: bytes, fix: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where}: the byte 0x{content[error.start]:02X} at offset {error.start} is no UTF-8 ({error.reason}); expected "
            f"UTF-8; {fix}"
        ) from None


def _code_points(text: str) -> NDArray[np.uint32]:
    # Halves of pairs pass here, and are in no vocabulary.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _place(text: str, index: int) -> str:
    """Where a character is, for errors: lines and columns from 1, as editors count."""
    return f"at index {index} (line {text.count(chr(10), 0, index) + 1}, column {index - text.rfind(chr(10), 0, index)})"


def _checked(where: str, tokens: Any, size: int) -> NDArray[np.int64]:
    """Tokens as integers of one axis that are all of the vocabulary."""
    array = np.asarray(tokens)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{where}: tokens of dtype {array.dtype}; expected integers; convert them with .astype('int64')")
    if array.ndim != 1:
        raise ValueError(f"{where}: tokens of shape {array.shape}; expected one axis; decode row by row")
    outside = np.flatnonzero((array < 0) | (array >= size))
    if outside.size:
        at = int(outside[0])
        raise ValueError(
            f"{where}: the token {array[at]} at index {at}; expected 0 to {size - 1}; decode with its own tokenizer"
        )
    return array.astype(np.int64)


def _read(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        return _decoded(os.fspath(path), file.read(), "name a file of JSON")


def _write(path: str | os.PathLike[str], facts: dict[str, Any]) -> None:
    _write_text(path, _core.dump_json(facts, os.fspath(path)) + "\n")


def _write_text(path: str | os.PathLike[str], content: str) -> None:
    temporary = f"{os.fspath(path)}.tmp"
    with open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(content)
    os.replace(temporary, path)  # whole, or not at all
