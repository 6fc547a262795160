"""`fastnn train`: train a model that fastnn ships, and leave a record of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fastnn
from fastnn import _core
from fastnn.callbacks import BackupAndRestore, Callback
from fastnn.callbacks.base import Logs
from fastnn.cli import confusion, curves, mistakes
from fastnn.cli.data import CLASSES, Data, absolute, load
from fastnn.cli.networks import build
from fastnn.cli.recipe import RECIPES, Recipe
from fastnn.cli.record import Record
from fastnn.cli.run_folder import CHECKPOINT, CONFUSION, CURVES, FILES, HISTORY, MISTAKES, MODEL, TRACE, RunFolder
from fastnn.cli.running import Interruption, check_extras, count, say, say_no_pictures
from fastnn.models import Sequential
from fastnn.optimizers import Adam
from fastnn.profiling import Profile, profile
from fastnn.utils import set_seed

_PICTURES = (CURVES, CONFUSION, MISTAKES)
_CHECKPOINT_SECONDS = 30.0  # what a run that is killed loses at most, beside what it does after a checkpoint


@dataclass(frozen=True)
class Result:
    """What a run has reached, by the names that `--json` prints."""

    model: str
    test_accuracy: float  # 0 to 1
    test_loss: float
    epochs: int
    images_per_second: float  # in training alone
    seconds: float  # training and the test after each epoch
    seed: int
    batch_size: int
    learning_rate: float
    threads: int
    isa: str
    files: list[str]
    profile: Profile | None = None  # of a training step, where it was asked for

    def as_json(self) -> str:
        """The result as one line of JSON."""
        facts = asdict(replace(self, profile=None))
        del facts["profile"]
        if self.profile is not None:
            names = ("seconds", "batch_size", "threads", "peak_flops", "arena_bytes")
            facts["profile"] = {name: getattr(self.profile, name) for name in names}
            facts["profile"]["ops"] = [asdict(op) for op in self.profile.ops]
        return json.dumps(facts, allow_nan=False)

    def summary(self) -> str:
        """The result for people."""
        return "\n".join(
            [
                f"test accuracy  {self.test_accuracy:.2%} (loss {self.test_loss:.4f})",
                f"training       {count(self.epochs, 'epoch')} in {self.seconds:.1f} s, "
                f"{self.images_per_second:,.0f} images a second",
                *(f"wrote          {file}" for file in self.files),
                *(() if self.profile is None else ("", self.profile.table())),
            ]
        )


def mnist(
    name: str, options: Mapping[str, Any], *, data: Path | None, out: Path, resume: bool = False, profile: bool = False
) -> Result:
    """Trains a network on MNIST and writes the files of a run: history, checkpoint, model and pictures.

    Args:
        name: one of `RECIPES`.
        options: what of the recipe is not to be as usual, by the names of its fields.
        data: a folder of IDX files; None for MNIST, or for what the run to resume was trained on.
        out: the folder for the files.
        resume: whether to go on from the checkpoint in `out`, if there is one.
        profile: whether to time the ops of a training step afterwards, and to write a trace of it too.

    Raises:
        OSError, ValueError, ModuleNotFoundError: data or folder are not fit for it, or contradict the checkpoint; nothing was
            trained. ValueError: the training diverged. KeyboardInterrupt: Ctrl-C. Both say what was kept.
    """
    earlier = Record.find(out) if resume else None
    if earlier is None:
        images = load(data)
        record = Record(replace(RECIPES[name], **options), images.identify())
    else:
        if earlier.recipe.model != name:
            raise ValueError(
                f"{out / CHECKPOINT}: of a run of {earlier.recipe.model}; expected one of {name}; name its folder with --out"
            )
        earlier.check_options(options)
        same_path = data is None or absolute(data) == earlier.data.path
        if earlier.finished and same_path and not _missing(out) and not profile:
            say(f"the run in {out} has ended before")
            return _result(earlier, out)
        try:
            images = load(earlier.data.folder if data is None else data)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; if the run's data have moved, name their folder with --data") from error
        record = Record(earlier.recipe, images.identify())
        if not record.data.has_content_of(earlier.data):
            raise ValueError(
                f"--data {images.path or 'left out'}: {record.data}, not what the checkpoint was trained on; expected "
                f"{earlier.data}; name those, or train into another --out"
            )
    drawing = check_extras()
    with RunFolder(out, Record.COLUMNS, None if earlier is None else earlier.columns()) as folder:
        if folder.moved_to is not None:
            say(f"the earlier run in {out} is now in {folder.moved_to}")
        record.folder = folder
        _announce(record, earlier)
        model = _train(record, images, out)
    try:
        _write_files(model, record, images, out, drawing)
        profiled = _profile(model, record, images, out) if profile else None
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"after the training; --resume writes the files that are missing in {out}") from error
    return _result(record, out, profiled)


def _train(record: Record, images: Data, out: Path) -> Sequential:
    recipe = record.recipe
    set_seed(recipe.seed)
    model = build(recipe.model)
    model.compile(
        optimizer=Adam(learning_rate=recipe.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    backup = BackupAndRestore(out, delete_checkpoint=False, seconds=_CHECKPOINT_SECONDS)
    try:
        with Interruption() as interruption:
            model.fit(
                *images.train,
                epochs=recipe.epochs,
                batch_size=recipe.batch_size,
                validation_data=images.test,
                callbacks=[_Schedule(recipe, images=len(images.train[0])), record, backup, interruption],
                verbose=1,
            )
    except (ValueError, OSError, KeyboardInterrupt) as error:
        done = len(record.rows)
        kept = f"the history of {count(done, 'finished epoch')} is in {out / HISTORY}"
        if isinstance(error, KeyboardInterrupt):
            goes_on = "; --resume goes on" if (out / CHECKPOINT).exists() else ""
            raise KeyboardInterrupt(f"in epoch {done + 1} of {recipe.epochs}; {kept}{goes_on}") from error
        raise ValueError(f"training stopped: {error}; {kept}") from error
    return model


class _Schedule(Callback):
    """Sets the learning rate before each step."""

    def __init__(self, recipe: Recipe, images: int) -> None:
        self._recipe = recipe
        self._steps = -(-images // recipe.batch_size)  # of an epoch
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        # At the middle of the step: the first and the last of a short run would otherwise have the rate 0.
        step = self._epoch * self._steps + batch + 0.5
        self.model.optimizer.learning_rate = self._recipe.rate(step / (self._recipe.epochs * self._steps))


# ---- What is left of a run ---------------------------------------------------------------------------------------------------


def _missing(out: Path) -> list[str]:
    """The files that a run which has ended lacks."""
    drawn = find_spec("matplotlib") is not None
    return [name for name in FILES if not (out / name).exists() and (drawn or name not in _PICTURES)]


def _result(record: Record, out: Path, profiled: Profile | None = None) -> Result:
    recipe, last = record.recipe, record.rows[-1]
    return Result(
        model=recipe.model,
        test_accuracy=last["test_accuracy"],
        test_loss=last["test_loss"],
        epochs=recipe.epochs,
        images_per_second=record.images_per_second,
        seconds=record.seconds,
        seed=recipe.seed,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        threads=record.threads,
        isa=record.isa,
        files=[str(out / name) for name in (*FILES, TRACE) if (out / name).exists()],
        profile=profiled,
    )


# ---- What is written after the training --------------------------------------------------------------------------------------


def _write_files(model: Sequential, record: Record, images: Data, out: Path, drawing: bool) -> None:
    """Writes what is not there yet: a run that was killed here is resumed for what it still owes."""
    missing = _missing(out)
    if MODEL in missing:
        model.save(out / MODEL, include_optimizer=False)
    if not drawing or not set(missing) & set(_PICTURES):
        return
    x, y = images.test
    probabilities = model.predict(x)

    def column(name: str) -> list[float]:
        return [row[name] for row in record.rows]

    names = ("loss", "accuracy", "test_loss", "test_accuracy")
    title = f"{column('test_accuracy')[-1]:.2%} test accuracy after {count(len(record.rows), 'epoch')}"
    pictures: dict[str, Callable[[Path], None]] = {
        CURVES: lambda path: curves.draw(path, title, **{name: column(name) for name in names}),
        CONFUSION: lambda path: confusion.draw(path, confusion.matrix(y, probabilities.argmax(axis=1), CLASSES)),
        MISTAKES: lambda path: mistakes.draw(path, x[..., 0], y, probabilities),
    }
    for name, draw in pictures.items():
        if name in missing:
            try:
                draw(out / name)
            except ImportError as error:
                say_no_pictures(error)
                return


def _profile(model: Sequential, record: Record, images: Data, out: Path) -> Profile:
    profiled = profile(model, *images.train, batch_size=record.recipe.batch_size)
    profiled.save_trace(out / TRACE)
    return profiled


# ---- Messages ----------------------------------------------------------------------------------------------------------------


def _announce(record: Record, earlier: Record | None) -> None:
    recipe, data = record.recipe, record.data
    say(
        f"{count(data.training_images, 'training image')}, {count(data.test_images, 'test image')}; "
        f"{count(recipe.epochs, 'epoch')}, batch size {recipe.batch_size}, seed {recipe.seed}, "
        f"{count(fastnn.num_threads(), 'thread')}, {_core.isa()}"
    )
    say(f"learning rate {recipe.learning_rate:g}: {Recipe.SCHEDULE}")
    if earlier is not None:
        record.say_resumed(earlier, f"in epoch {len(earlier.rows) + 1} of {recipe.epochs}")
