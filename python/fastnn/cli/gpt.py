"""`fastnn train gpt`: a small GPT on a text, character by character."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import fastnn
from fastnn import _core
from fastnn.callbacks import BackupAndRestore
from fastnn.cli import corpus, curves
from fastnn.cli.recipe import GPTRecipe
from fastnn.cli.record import TextRecord
from fastnn.cli.run_folder import CHECKPOINT, CURVES, HISTORY, MODEL, TOKENIZER, RunFolder
from fastnn.cli.running import Interruption, check_extras, count, say, say_no_pictures
from fastnn.losses import SparseCategoricalCrossentropy
from fastnn.models import GPT, GPTConfig
from fastnn.optimizers import AdamW
from fastnn.schedules import CosineDecay
from fastnn.text import CharacterTokenizer, RandomWindows, Windows
from fastnn.utils import set_seed

_FILES = (HISTORY, MODEL, CHECKPOINT, TOKENIZER, CURVES)
_CHECKPOINT_SECONDS = 30.0  # what a run that is killed loses at most, beside what it does after a checkpoint


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


def gpt(options: Mapping[str, Any], *, text: Path | None, out: Path, resume: bool = False) -> Result:
    """Trains a GPT on a text and writes the files of a run: history, checkpoint, model, vocabulary and a picture.

    Args:
        options: what of the recipe is not to be as usual, by the names of its fields.
        text: a file in UTF-8; None for Python's documentation, or for what the run to resume was trained on.
        out: the folder for the files.
        resume: whether to go on from the checkpoint in `out`, if there is one.

    Raises:
        OSError, ValueError: text or folder are not fit for it, or contradict the checkpoint; nothing was trained. ValueError:
            the training diverged. KeyboardInterrupt: Ctrl-C. Both say what was kept.
    """
    earlier = TextRecord.find(out) if resume else None
    if earlier is None:
        recipe = GPTRecipe(**options)
        if recipe.width % recipe.heads:
            raise ValueError(
                f"--heads {recipe.heads} for --width {recipe.width}; expected a number that divides the width; choose another "
                "of the two"
            )
    else:
        earlier.check_options(options)
        recipe = earlier.recipe
        same_path = text is None or str(text.resolve()) == earlier.data.path
        if earlier.finished and same_path and not _missing(out):
            say(f"the run in {out} has ended before")
            return _result(earlier, out)
        if text is None and earlier.data.path is not None:
            text = Path(earlier.data.path)
    content = corpus.load(text)
    held_out = _held_out(recipe, len(content))
    if held_out <= recipe.context:
        raise ValueError(
            f"{text or corpus.PYTHON}: {count(len(content), 'character')}, of which {held_out} are held out; expected more "
            f"than the context of {recipe.context} there; use more text, or a smaller --context"
        )
    record = TextRecord(recipe, corpus.identify(content, text))
    if earlier is not None and record.data.sha256 != earlier.data.sha256:
        raise ValueError(
            f"--text {record.data.path or 'left out'}: {record.data}, not what the checkpoint was trained on; expected "
            f"{earlier.data}; name that text, or train into another --out"
        )
    tokenizer = CharacterTokenizer.from_text(content)
    tokens = tokenizer.encode(content)
    drawing = check_extras()
    with RunFolder(out, TextRecord.COLUMNS, None if earlier is None else earlier.columns()) as folder:
        if folder.moved_to is not None:
            say(f"the earlier run in {out} is now in {folder.moved_to}")
        record.folder = folder
        set_seed(recipe.seed)
        model = _build(record)
        _announce(record, model, earlier)
        _train(model, record, tokens[:-held_out], tokens[-held_out:], out)
    try:
        _write_files(model, tokenizer, record, out, drawing)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"after the training; --resume writes the files that are missing in {out}") from error
    return _result(record, out)


def _held_out(recipe: GPTRecipe, characters: int) -> int:
    return int(characters * recipe.HELD_OUT)


def _build(record: TextRecord) -> GPT:
    recipe = record.recipe
    sizes = (record.data.vocabulary, recipe.context, recipe.layers, recipe.heads, recipe.width)
    model = GPT(GPTConfig(*sizes, dropout=recipe.dropout))
    model.build((None, recipe.context))
    return model


def _result(record: TextRecord, out: Path) -> Result:
    recipe, last = record.recipe, record.rows[-1]
    held_out = _held_out(recipe, record.data.characters)
    return Result(
        model="gpt",
        validation_loss=last["validation_loss"],
        validation_perplexity=math.exp(last["validation_loss"]),
        tokens_per_second=record.tokens_per_second,
        seconds=record.seconds,
        parameters=_build(record).count_params(),
        vocabulary=record.data.vocabulary,
        training_tokens=record.data.characters - held_out,
        validation_tokens=held_out,
        **{field.name: getattr(recipe, field.name) for field in fields(recipe)},
        threads=record.threads,
        isa=record.isa,
        files=[str(out / name) for name in _FILES if (out / name).exists()],
    )


def _announce(record: TextRecord, model: GPT, earlier: TextRecord | None) -> None:
    recipe, data = record.recipe, record.data
    held_out = _held_out(recipe, data.characters)
    say(
        f"{count(data.characters - held_out, 'character')} to train on and {held_out:,} to validate on (before the end "
        f"on one batch in {recipe.SAMPLE}), {data.vocabulary} different ones, of {data.path or corpus.PYTHON}"
    )
    say(
        f"{count(model.count_params(), 'parameter')}; {count(recipe.iterations, 'iteration')}, batch size "
        f"{recipe.batch_size}, seed {recipe.seed}, {count(fastnn.num_threads(), 'thread')}, {_core.isa()}"
    )
    say(f"learning rate {recipe.learning_rate:g}: {recipe.SCHEDULE}")
    if earlier is not None:
        record.say_resumed(earlier, f"behind iteration {earlier.iterations:,} of {recipe.iterations:,}")


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


class _HeldOut:
    """What to validate on: all that was held out at the end of the run, a sample of it on the way there."""

    def __init__(self, windows: Windows, record: TextRecord) -> None:
        self._windows = windows
        self._record = record

    def __iter__(self) -> Iterator[Any]:
        is_last = len(self._record.rows) == self._record.epochs - 1
        return islice(self._windows, 0, None, 1 if is_last else self._record.recipe.SAMPLE)


def _train(model: GPT, record: TextRecord, train: Any, validation: Any, out: Path) -> None:
    recipe = record.recipe
    model.compile(_optimizer(recipe), SparseCategoricalCrossentropy(from_logits=True))
    backup = BackupAndRestore(out, delete_checkpoint=False, seconds=_CHECKPOINT_SECONDS)
    try:
        with Interruption() as interruption:
            model.fit(
                RandomWindows(train, recipe.context, recipe.batch_size),
                steps_per_epoch=record.part,
                epochs=record.epochs,
                validation_data=_HeldOut(Windows(validation, recipe.context), record),
                callbacks=[record, backup, interruption],
                verbose=1,
            )
    except (ValueError, OSError, KeyboardInterrupt) as error:
        kept = f"the history of {count(record.iterations, 'iteration')} is in {out / HISTORY}"
        if isinstance(error, KeyboardInterrupt):
            goes_on = "; --resume goes on" if (out / CHECKPOINT).exists() else ""
            raise KeyboardInterrupt(f"before iteration {recipe.iterations:,}; {kept}{goes_on}") from error
        raise ValueError(f"training stopped: {error}; {kept}") from error


# ---- What is written after the training --------------------------------------------------------------------------------------


def _missing(out: Path) -> list[str]:
    """The files that a run which has ended lacks."""
    drawn = find_spec("matplotlib") is not None
    return [name for name in _FILES if not (out / name).exists() and (drawn or name != CURVES)]


def _write_files(model: GPT, tokenizer: CharacterTokenizer, record: TextRecord, out: Path, drawing: bool) -> None:
    """Writes what is not there yet: a run that was killed here is resumed for what it still owes."""
    missing = _missing(out)
    if MODEL in missing:
        model.save(out / MODEL, include_optimizer=False)
    if TOKENIZER in missing:
        tokenizer.save(out / TOKENIZER)
    if drawing and CURVES in missing:
        _draw(record, out / CURVES)


def _draw(record: TextRecord, path: Path) -> None:
    title = f"validation loss {record.rows[-1]['validation_loss']:.3f} after {count(record.iterations, 'iteration')}"
    columns = {name: [row[name] for row in record.rows] for name in TextRecord.COLUMNS}
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
