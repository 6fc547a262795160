"""`fastnn generate`: a model of text goes on with a prompt."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import _core
from fastnn.cli.run_folder import MODEL, TOKENIZER
from fastnn.cli.running import count, say
from fastnn.models import LanguageModel
from fastnn.saving import load_model
from fastnn.text import ByteTokenizer, Tokenizer, load_tokenizer


@dataclass(frozen=True)
class Generated:
    """What was written, by the names that `--json` prints."""

    model: str
    prompt: str
    text: str  # what follows it
    tokens: int
    seconds: float
    tokens_per_second: float
    threads: int
    isa: str

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), allow_nan=False)


def load_writer(path: Path) -> tuple[LanguageModel, Tokenizer]:
    """Loads a model of text and the tokenizer beside it.

    Args:
        path: the model's file, or the folder of a run.

    Raises:
        OSError, ValueError: there is none, or one that does not write text.
    """
    file = path / MODEL if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise ValueError(f"{path}: a folder without {MODEL}; expected one; name the folder of a run, or a model's file")
    model = load_model(file)
    if not isinstance(model, LanguageModel):
        raise ValueError(f"{file}: a {type(model).__name__}; expected a model of text, such as `fastnn train gpt` makes")
    if not (file.parent / TOKENIZER).exists():
        raise ValueError(f"{file}: no {TOKENIZER} beside it; expected the tokenizer that it was trained with; put it there")
    tokenizer = load_tokenizer(file.parent / TOKENIZER)
    if tokenizer.size != model.vocabulary:
        raise ValueError(
            f"{file.parent / TOKENIZER}: {count(tokenizer.size, 'token')}, the model has {model.vocabulary:,}; expected the "
            "tokenizer that it was trained with; put it there"
        )
    return model, tokenizer


def generate(path: Path, prompt: str, tokens: int, options: Mapping[str, Any], *, stream: bool) -> Generated:
    """Continues a text.

    Args:
        path: the model's file, or the folder of a run.
        prompt: the text's beginning. Of one longer than the context its end counts, and a message says so.
        tokens: how many to add.
        options: those of `LanguageModel.stream`.
        stream: whether the text, prompt included, goes to standard output while it is written.

    Raises:
        OSError, ValueError: the model, the prompt or an option is not fit for it.
    """
    model, tokenizer = load_writer(path)
    if not prompt:
        raise ValueError("--prompt: an empty text; expected at least one character; begin the text")
    given = tokenizer.encode(prompt)
    if len(given) > model.context:
        say(f"--prompt: {count(len(given), 'token')}, of which the model sees the last {model.context:,}")
        given = given[-model.context :]
    began = time.perf_counter()
    continuation = model.stream(given, tokens, **options)  # raises before anything is written
    made: list[int] = []
    written = ""
    if stream:
        _write(prompt)
    for token in continuation:
        made.append(token)
        if stream:  # all is decoded anew, because a token's text may depend on the one before
            text = _decoded(tokenizer, made, whole=False)
            _write(text[len(written) :])
            written = text
    seconds = time.perf_counter() - began
    text = _decoded(tokenizer, made, whole=True)
    if stream:
        _write(text[len(written) :] + "\n")
    return Generated(
        model=str(path),
        prompt=prompt,
        text=text,
        tokens=len(made),
        seconds=round(seconds, 4),
        tokens_per_second=len(made) / seconds,
        threads=fastnn.num_threads(),
        isa=_core.isa(),
    )


def _decoded(tokenizer: Tokenizer, tokens: list[int], *, whole: bool) -> str:
    """Their text; without `whole`, but for the beginning of a character that further bytes will end."""
    if not isinstance(tokenizer, ByteTokenizer):
        return tokenizer.decode(np.array(tokens))
    text = tokenizer.decode(np.array(tokens), errors="replace")
    return text if whole else text.rstrip("\N{REPLACEMENT CHARACTER}")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
