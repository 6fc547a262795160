"""`fastnn train gpt`: a small GPT on a text, character by character."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import fastnn
from fastnn import _core
from fastnn.callbacks import Callback
from fastnn.callbacks.base import Logs
from fastnn.cli import curves
from fastnn.cli.recipe import GPTRecipe
from fastnn.cli.run_folder import CURVES, HISTORY, MODEL, TOKENIZER, RunFolder
from fastnn.cli.running import Interruption, check_extras, count, say, say_no_pictures
from fastnn.losses import SparseCategoricalCrossentropy
from fastnn.models import GPT, GPTConfig
from fastnn.optimizers import AdamW
from fastnn.schedules import CosineDecay
from fastnn.text import CharacterTokenizer, RandomWindows, Windows, read_text
from fastnn.utils import set_seed

COLUMNS = ("iteration", "loss", "validation_loss", "seconds")


@dataclass(frozen=True)
class Result:
    """What a run has reached, by the names that `--json` prints."""

    model: str
    validation_loss: float  # nats a character, over all that was held out
    validation_perplexity: float
    tokens_per_second: float  # in training alone
    seconds: float  # training and evaluations
    parameters: int
    vocabulary: int
    training_tokens: int  # of the text
    validation_tokens: int
    layers: int
    heads: int
    width: int
    context: int
    batch_size: int
    iterations: int
    dropout: float
    learning_rate: float
    seed: int
    threads: int
    isa: str
    files: list[str]

    def as_json(self) -> str:
        """The result as one line of JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    def summary(self) -> str:
        """The result for people."""
        return "\n".join(
            [
                f"validation loss  {self.validation_loss:.4f} (perplexity {self.validation_perplexity:.2f})",
                f"training         {count(self.iterations, 'iteration')} in {self.seconds:.1f} s, "
                f"{self.tokens_per_second:,.0f} tokens a second",
                *(f"wrote            {file}" for file in self.files),
            ]
        )


def gpt(options: Mapping[str, Any], *, text: Path | None, out: Path) -> Result:
    """Trains a GPT on a text and writes the files of a run: history, model, vocabulary and a picture.

    Args:
        options: what of the recipe is not to be as usual, by the names of its fields.
        text: a file in UTF-8; None for Python's documentation.
        out: the folder for the files.

    Raises:
        OSError, ValueError: text or folder are not fit for it; nothing was trained. ValueError: the training diverged.
            KeyboardInterrupt: Ctrl-C. Both say what was kept.
    """
    recipe = GPTRecipe(**options)
    if recipe.width % recipe.heads:
        raise ValueError(
            f"--heads {recipe.heads} for --width {recipe.width}; expected a number that divides the width; choose another of "
            "the two"
        )
    content = _load(text)
    held_out = int(len(content) * recipe.HELD_OUT)
    if held_out <= recipe.context:
        raise ValueError(
            f"{_name(text)}: {count(len(content), 'character')}, of which {held_out} are held out; expected more than the "
            f"context of {recipe.context} there; use more text, or a smaller --context"
        )
    tokenizer = CharacterTokenizer.from_text(content)
    tokens = tokenizer.encode(content)
    train, validation = tokens[:-held_out], tokens[-held_out:]
    drawing = check_extras()
    with RunFolder(out, COLUMNS) as folder:
        if folder.moved_to is not None:
            say(f"the earlier run in {out} is now in {folder.moved_to}")
        set_seed(recipe.seed)
        model = GPT(
            GPTConfig(tokenizer.size, recipe.context, recipe.layers, recipe.heads, recipe.width, dropout=recipe.dropout)
        )
        model.build((None, recipe.context))
        say(
            f"{count(len(train), 'character')} to train on and {len(validation):,} to validate on, {tokenizer.size} different "
            f"ones, of {_name(text)}"
        )
        say(
            f"{count(model.count_params(), 'parameter')}; {count(recipe.iterations, 'iteration')}, batch size "
            f"{recipe.batch_size}, seed {recipe.seed}, {count(fastnn.num_threads(), 'thread')}, {_core.isa()}"
        )
        say(f"learning rate {recipe.learning_rate:g}: {recipe.SCHEDULE}")
        record = _Record(recipe, folder)
        _train(model, recipe, train, validation, record, out)
    try:
        model.save(out / MODEL, include_optimizer=False)
        tokenizer.save(out / TOKENIZER)
        if drawing:
            _draw(record, out / CURVES)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"after the training; files may be missing in {out}") from error
    last = record.rows[-1]
    return Result(
        model="gpt",
        validation_loss=last["validation_loss"],
        validation_perplexity=math.exp(last["validation_loss"]),
        tokens_per_second=recipe.iterations * recipe.batch_size * recipe.context / record.training_seconds,
        seconds=last["seconds"],
        parameters=model.count_params(),
        vocabulary=tokenizer.size,
        training_tokens=len(train),
        validation_tokens=len(validation),
        **{field.name: getattr(recipe, field.name) for field in fields(recipe)},
        threads=fastnn.num_threads(),
        isa=_core.isa(),
        files=[str(out / name) for name in (HISTORY, MODEL, TOKENIZER, CURVES) if (out / name).exists()],
    )


# ---- The text ----------------------------------------------------------------------------------------------------------------


def _name(text: Path | None) -> str:
    return "Python's documentation" if text is None else str(text)


def _load(text: Path | None) -> str:
    if text is not None:
        try:
            return read_text(text)
        except OSError as error:
            raise OSError(f"--text {text}: {error.strerror}; expected a text in UTF-8; name one that can be read") from error
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ImportError(
            f"Python's documentation: {error}; expected pydoc_data, which is part of Python; name a text with --text"
        ) from error
    return "\n".join(topics[name] for name in sorted(topics))


# ---- Training ----------------------------------------------------------------------------------------------------------------


def _optimizer(recipe: GPTRecipe) -> AdamW:
    warm_up = min(recipe.WARM_UP, recipe.iterations // 10)
    schedule = CosineDecay(
        recipe.learning_rate / (warm_up + 1),  # the first step would have the rate 0
        decay_steps=recipe.iterations - warm_up,
        alpha=recipe.FLOOR,
        warmup_target=recipe.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = AdamW(schedule, recipe.WEIGHT_DECAY, beta_2=recipe.BETA_2, global_clipnorm=recipe.CLIP)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])  # what is left are matrices
    return optimizer


def _train(model: GPT, recipe: GPTRecipe, train: Any, validation: Any, record: _Record, out: Path) -> None:
    model.compile(_optimizer(recipe), SparseCategoricalCrossentropy(from_logits=True))
    try:
        with Interruption() as interruption:
            model.fit(
                RandomWindows(train, recipe.context, recipe.batch_size),
                steps_per_epoch=recipe.iterations // recipe.evaluations,
                epochs=recipe.evaluations,
                validation_data=Windows(validation, recipe.context),
                callbacks=[record, interruption],
                verbose=1,
            )
    except (ValueError, OSError, KeyboardInterrupt) as error:
        kept = f"the history of {count(record.iterations, 'iteration')} is in {out / HISTORY}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"before iteration {recipe.iterations:,}; {kept}") from error
        raise ValueError(f"training stopped: {error}; {kept}") from error


class _Record(Callback):
    """Writes the history, and takes the time of training and of all."""

    wants_logs = False

    def __init__(self, recipe: GPTRecipe, folder: RunFolder) -> None:
        self.rows: list[dict[str, Any]] = []
        self.training_seconds = 0.0
        self._folder = folder
        self._part = recipe.iterations // recipe.evaluations
        self._start = self._part_start = self._trained = time.perf_counter()

    @property
    def iterations(self) -> int:
        """How many the history has."""
        return self._part * len(self.rows)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._part_start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        self.training_seconds += self._trained - self._part_start
        self.rows.append(
            {
                "iteration": self._part * (epoch + 1),
                "loss": float(logs["loss"]),
                "validation_loss": float(logs["val_loss"]),
                "seconds": round(time.perf_counter() - self._start, 3),
            }
        )
        self._folder.add([self.rows[-1][column] for column in COLUMNS])


def _draw(record: _Record, path: Path) -> None:
    title = f"validation loss {record.rows[-1]['validation_loss']:.3f} after {count(record.iterations, 'iteration')}"
    columns = {name: [row[name] for row in record.rows] for name in COLUMNS}
    try:
        curves.draw_loss(
            path,
            title,
            iterations=columns["iteration"],
            loss=columns["loss"],
            validation_loss=columns["validation_loss"],
        )
    except ImportError as error:
        say_no_pictures(error)
