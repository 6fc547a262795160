"""`fastnn predict` and `fastnn evaluate`: what a trained model reads, and how well."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import _core, losses
from fastnn.cli import data
from fastnn.cli.digits import read_digit
from fastnn.cli.run_folder import CHECKPOINT, MODEL
from fastnn.datasets import read_idx
from fastnn.saving import load_model
from fastnn.utils import to_categorical

_CLOSE = 0.1  # the least probability with which the runner-up is worth a word
_IDX_DTYPES = frozenset(b"\x08\x09\x0b\x0c\x0d\x0e")


# ---- The model ---------------------------------------------------------------------------------------------------------------


def load_reader(path: Path) -> Any:
    """Loads a model that reads digits.

    Args:
        path: its file, or the folder of a run that has ended.

    Raises:
        OSError, ValueError: there is none, or one that takes or gives something else.
    """
    file = path
    if path.is_dir():
        file = path / MODEL
        if not file.exists():
            hint = (
                "end the run, with --resume" if (path / CHECKPOINT).exists() else "name the folder of a run, or a model's file"
            )
            raise ValueError(f"{path}: a folder without {MODEL}; expected one; {hint}")
    model = load_model(file)
    takes, gives = model.input_shape, model.output_shape
    if takes not in ((None, *data.IMAGE, 1), (None, *data.IMAGE)) or gives != (None, data.CLASSES):
        raise ValueError(
            f"{file}: a model from {takes} to {gives}; expected one from images (None, 28, 28, 1) to the probabilities of ten "
            f"digits (None, {data.CLASSES}), where None is any number; name another"
        )
    return model


def _probabilities(model: Any, images: NDArray[np.uint8], path: Path) -> NDArray[np.float64]:
    outputs = model.predict(images).astype(np.float64)
    if getattr(model.loss, "from_logits", False):
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
    # False for NaN too.
    if not (np.all(outputs >= 0.0) and np.all(np.abs(outputs.sum(axis=1) - 1.0) < 1e-3)):
        raise ValueError(
            f"{path}: its outputs are no probabilities; expected rows that sum to 1; train a model that ends in softmax"
        )
    return outputs  # type: ignore[no-any-return]


# ---- predict -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prediction:
    """What one image was taken for."""

    file: str
    index: int | None  # in an IDX file
    probabilities: list[float]  # of 0 to 9

    @property
    def digit(self) -> int:
        return self.ranking()[0]

    def ranking(self) -> list[int]:
        """All digits, the most probable one first."""
        return sorted(range(len(self.probabilities)), key=lambda digit: -self.probabilities[digit])

    def as_dict(self) -> dict[str, Any]:
        """By the names that `--json` prints."""
        return {
            "file": self.file,
            "index": self.index,
            "digit": self.digit,
            "probability": self.probabilities[self.digit],
            "probabilities": self.probabilities,
        }

    def __str__(self) -> str:
        first, second = self.ranking()[:2]
        place = self.file if self.index is None else f"{self.file}[{self.index}]"
        close = f", or {second} ({_percent(self.probabilities[second])})" if self.probabilities[second] >= _CLOSE else ""
        return f"{place}: {first} ({_percent(self.probabilities[first])}){close}"


@dataclass(frozen=True)
class Predictions:
    """What the images of all files were taken for, and whether there were files that could not be read."""

    model: str
    predictions: list[Prediction]
    complete: bool

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps({"model": self.model, "predictions": [p.as_dict() for p in self.predictions]}, allow_nan=False)

    def summary(self) -> str:
        """One line an image."""
        return "\n".join(map(str, self.predictions))


def predict(path: Path, files: Sequence[str]) -> Predictions:
    """Reads the digits in pictures and IDX files. A file that cannot be read is named on standard error.

    Args:
        path: the model's file, or the folder of a run.
        files: pictures of one digit each, and IDX files of images.

    Raises:
        OSError, ValueError: the model is not fit for it.
    """
    model = load_reader(path)
    places: list[tuple[str, int | None]] = []
    images: list[NDArray[np.uint8]] = []
    complete = True
    for file in files:
        try:
            found, several = _read(file)
        except (OSError, ValueError, ImportError) as error:
            print(f"fastnn: error: {error}", file=sys.stderr)
            complete = False
            continue
        places += [(file, index if several else None) for index in range(len(found))]
        images.append(found)
    predictions: list[Prediction] = []
    if images:
        for (file, index), row in zip(places, _probabilities(model, np.concatenate(images), path)):
            # Seven digits: float32 has no more.
            predictions.append(Prediction(file, index, [float(f"{probability:.7g}") for probability in row]))
    return Predictions(str(path), predictions, complete)


def _read(file: str) -> tuple[NDArray[np.uint8], bool]:
    """The images in a file, and whether it is of the kind that holds several."""
    path = Path(file)
    if path.is_dir():
        raise ValueError(f"{file}: a folder; expected a picture or an IDX file; name the files in it")
    try:
        with path.open("rb") as opened:
            start = opened.read(4)
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file; expected a picture or an IDX file; check the path") from None
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}; expected a picture or an IDX file; name one that can be read") from error
    is_idx = len(start) == 4 and start[:2] == b"\0\0" and start[2] in _IDX_DTYPES and start[3] > 0
    if not (is_idx or start[:2] == b"\x1f\x8b"):
        return read_digit(path)[None], False
    images = read_idx(path)
    if images.dtype != np.uint8 or images.shape[1:] != data.IMAGE:
        raise ValueError(
            f"{file}: {images.dtype} of shape {images.shape}; expected images, uint8 of shape (count, 28, 28); name such a file"
        )
    return images, True


def _percent(probability: float) -> str:
    return f"{100.0 * probability:.1f} %"


# ---- evaluate ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evaluation:
    """How well a model reads a test set, by the names that `--json` prints."""

    model: str
    test_accuracy: float  # 0 to 1
    test_loss: float
    images: int
    images_per_second: float
    seconds: float
    threads: int
    isa: str

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    def summary(self) -> str:
        """For people."""
        return (
            f"test accuracy  {self.test_accuracy:.2%} (loss {self.test_loss:.4f})\n"
            f"evaluation     {self.images:,} image{'' if self.images == 1 else 's'} in {self.seconds:.2f} s, "
            f"{self.images_per_second:,.0f} images a second"
        )


def evaluate(path: Path, folder: Path | None) -> Evaluation:
    """Measures a model on the test images.

    Args:
        path: the model's file, or the folder of a run.
        folder: a folder of IDX files; None for MNIST.

    Raises:
        OSError, ValueError, ModuleNotFoundError: model or data are not fit for it.
    """
    model = load_reader(path)
    x, y = data.load(folder).test
    loss = model.loss or losses.SparseCategoricalCrossentropy()
    labels: Any = y
    if isinstance(loss, losses.CategoricalCrossentropy):
        labels = to_categorical(y, data.CLASSES)
    elif not isinstance(loss, losses.SparseCategoricalCrossentropy):
        raise ValueError(
            f"{path}: a model for the loss {loss.name}; expected a cross-entropy over classes; evaluate it in Python"
        )
    model.compile(loss=loss, metrics=["accuracy"])
    began = time.perf_counter()
    results = model.evaluate(x, labels, batch_size=256, return_dict=True)
    seconds = time.perf_counter() - began
    return Evaluation(
        model=str(path),
        test_accuracy=results["accuracy"],
        test_loss=results["loss"],
        images=len(x),
        images_per_second=len(x) / seconds,
        seconds=round(seconds, 3),
        threads=fastnn.num_threads(),
        isa=_core.isa(),
    )
