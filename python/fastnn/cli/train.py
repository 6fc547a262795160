"""`fastnn train`: train a model that fastnn ships, and leave a record of it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fastnn
from fastnn import _core, layers
from fastnn.callbacks.base import Callback, Logs
from fastnn.cli import curves
from fastnn.cli.recipe import Recipe
from fastnn.cli.run_folder import CURVES, HISTORY, RunFolder
from fastnn.datasets import load_idx, mnist
from fastnn.models import Sequential
from fastnn.optimizers import Adam
from fastnn.utils import set_seed

_CLASSES = 10
_IMAGE = (28, 28)
_COLUMNS = ("epoch", "loss", "accuracy", "test_loss", "test_accuracy", "seconds")


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

    def as_json(self) -> str:
        """The result as one line of JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    def summary(self) -> str:
        """The result for people."""
        return "\n".join(
            [
                f"test accuracy  {self.test_accuracy:.2%} (loss {self.test_loss:.4f})",
                f"training       {_count(self.epochs, 'epoch')} in {self.seconds:.1f} s, "
                f"{self.images_per_second:,.0f} images a second",
                *(f"wrote          {file}" for file in self.files),
            ]
        )


def mnist_cnn(recipe: Recipe, *, data: Path | None, out: Path) -> Result:
    """Trains the MNIST network and writes `history.csv` and `curves.png`.

    Args:
        recipe: how to train.
        data: a folder of IDX files; None for MNIST.
        out: the folder for the files.

    Raises:
        OSError, ValueError, ModuleNotFoundError: data or folder are not fit for it; nothing was trained.
        ValueError: the training diverged. KeyboardInterrupt: Ctrl-C. Both say what was kept.
    """
    (x_train, y_train), (x_test, y_test) = _load(data)
    drawing = _check_extras()
    with RunFolder(out, _COLUMNS) as folder:
        if folder.moved_to is not None:
            _say(f"the earlier run in {out} is now in {folder.moved_to}")
        set_seed(recipe.seed)
        model = _build_mnist_cnn()
        model.compile(
            optimizer=Adam(learning_rate=recipe.learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        _say(
            f"{_count(len(x_train), 'training image')}, {_count(len(x_test), 'test image')}; "
            f"{_count(recipe.epochs, 'epoch')}, batch size {recipe.batch_size}, seed {recipe.seed}, "
            f"{_count(fastnn.num_threads(), 'thread')}, {_core.isa()}"
        )
        _say(f"learning rate {recipe.learning_rate:g}: {Recipe.SCHEDULE}")
        record = _Record(folder)
        try:
            model.fit(
                x_train,
                y_train,
                epochs=recipe.epochs,
                batch_size=recipe.batch_size,
                validation_data=(x_test, y_test),
                callbacks=[_Schedule(recipe, images=len(x_train)), record],
                verbose=1,
            )
        except (ValueError, KeyboardInterrupt) as error:
            done = len(record.rows)
            kept = f"the history of {_count(done, 'finished epoch')} is in {folder.path / HISTORY}"
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(f"in epoch {done + 1} of {recipe.epochs}; {kept}") from error
            raise ValueError(f"training stopped: {error}; {kept}") from error
        files = [folder.path / HISTORY]
        if drawing and _draw(folder.path / CURVES, record):
            files.append(folder.path / CURVES)
    last = record.rows[-1]
    return Result(
        model="mnist-cnn",
        test_accuracy=last["test_accuracy"],
        test_loss=last["test_loss"],
        epochs=recipe.epochs,
        images_per_second=len(x_train) * recipe.epochs / record.training_seconds,
        seconds=record.seconds,
        seed=recipe.seed,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        threads=fastnn.num_threads(),
        isa=_core.isa(),
        files=[str(file) for file in files],
    )


def _build_mnist_cnn() -> Sequential:
    return Sequential(
        [
            layers.Rescaling(1 / 255, input_shape=(*_IMAGE, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(_CLASSES, activation="softmax"),
        ]
    )


def _load(folder: Path | None) -> Any:
    """Training and test set, the images as the network takes them, uint8 of (count, 28, 28, 1)."""
    if folder is None:
        return tuple((x[..., None], y) for x, y in mnist.load_data())
    parts = load_idx(folder)
    for name, (x, y) in zip(("training", "test"), parts):
        if len(x) == 0 or x.shape[1:] != _IMAGE:
            raise ValueError(
                f"--data {folder}: {name} images of shape {x.shape}; expected at least one of {_IMAGE}; "
                "name a folder with MNIST or a set of its form"
            )
        if y.max() >= _CLASSES:
            raise ValueError(
                f"--data {folder}: a {name} label is {y.max()}; expected 0 to {_CLASSES - 1}; "
                "name a folder with MNIST or a set of its form"
            )
    return tuple((x[..., None], y) for x, y in parts)


# ---- While training ----------------------------------------------------------------------------------------


class _Schedule(Callback):
    """Sets the learning rate before each step."""

    def __init__(self, recipe: Recipe, images: int) -> None:
        self._recipe = recipe
        self._steps = recipe.epochs * -(-images // recipe.batch_size)
        self._step = 0

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        # At the middle of the step: the first and the last of a short run would otherwise have the rate 0.
        self.model.optimizer.learning_rate = self._recipe.rate((self._step + 0.5) / self._steps)
        self._step += 1


class _Record(Callback):
    """Writes each epoch to the history and takes the time."""

    def __init__(self, folder: RunFolder) -> None:
        self.rows: list[dict[str, float]] = []
        self.training_seconds = 0.0
        self._folder = folder
        self._start = self._epoch_start = self._trained = time.perf_counter()

    @property
    def seconds(self) -> float:
        return self.rows[-1]["seconds"]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        row = {
            "epoch": epoch + 1,
            "loss": float(logs["loss"]),
            "accuracy": float(logs["accuracy"]),
            "test_loss": float(logs["val_loss"]),
            "test_accuracy": float(logs["val_accuracy"]),
            "seconds": round(time.perf_counter() - self._start, 3),
        }
        self.training_seconds += self._trained - self._epoch_start
        self.rows.append(row)
        self._folder.add([row[column] for column in _COLUMNS])


# ---- Messages and the picture ------------------------------------------------------------------------------


def _check_extras() -> bool:
    """Says before the training what will be missing; returns whether the curves can be drawn."""
    missing = [name for name in ("tqdm", "matplotlib") if find_spec(name) is None]
    lost = {"tqdm": "no live progress bar", "matplotlib": f"no {CURVES}"}
    if missing:
        _say(
            f"{' and '.join(lost[name] for name in missing)}: {' and '.join(missing)} not installed; "
            "in a checkout of fastnn, pip install '.[cli]' brings what is missing"
        )
    return "matplotlib" not in missing


def _draw(path: Path, record: _Record) -> bool:
    def column(name: str) -> list[float]:
        return [row[name] for row in record.rows]

    names = ("loss", "accuracy", "test_loss", "test_accuracy")
    last = record.rows[-1]
    title = f"{last['test_accuracy']:.2%} test accuracy after {_count(len(record.rows), 'epoch')}"
    try:
        curves.draw(path, title, **{name: column(name) for name in names})
    except ImportError as error:
        _say(f"no {CURVES}: matplotlib cannot be used ({error}); in a checkout of fastnn, pip install '.[cli]' brings it")
        return False
    return True


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _say(message: str) -> None:
    print(f"fastnn: {message}", file=sys.stderr)
