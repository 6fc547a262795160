"""The images that the command trains and tests on: MNIST, or a folder of IDX files in its form."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn.datasets import load_idx, mnist

CLASSES = 10
IMAGE = (28, 28)

Set: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class Identity:
    """What tells one data set from another."""

    path: str | None  # the folder it came from; None for MNIST
    training_images: int
    test_images: int
    sha256: str  # of all images and labels

    def __str__(self) -> str:
        place = self.path or "fastnn-datasets"
        return f"{self.training_images:,} training and {self.test_images:,} test images of {place} ({self.sha256[:8]})"

    @property
    def folder(self) -> Path | None:
        """What to give `load`."""
        return None if self.path is None else Path(self.path)

    def has_content_of(self, other: Identity) -> bool:
        """Whether both are the same images, wherever they lie."""
        return self.sha256 == other.sha256


@dataclass(frozen=True)
class Data:
    """Images as a network takes them, uint8 of `(count, 28, 28, 1)`, and labels from 0 to 9."""

    train: Set
    test: Set
    path: str | None

    def identify(self) -> Identity:
        """Reads all of it: 55 MB for MNIST, some hundredths of a second."""
        digest = hashlib.sha256()
        for array in (*self.train, *self.test):
            digest.update(repr(array.shape).encode())
            digest.update(array.data)
        return Identity(self.path, len(self.train[0]), len(self.test[0]), digest.hexdigest())


def absolute(folder: Path | None) -> str | None:
    """The path of `--data` as it is remembered."""
    return None if folder is None else str(folder.resolve())


def load(folder: Path | None) -> Data:
    """Loads the training and the test set.

    Args:
        folder: a folder of IDX files; None for MNIST.

    Raises:
        OSError, ValueError: files that are missing, damaged or of another form. ModuleNotFoundError: no fastnn-datasets.
    """
    parts = mnist.load_data() if folder is None else load_idx(folder)
    for name, (x, y) in zip(("training", "test"), parts):
        if len(x) == 0 or x.shape[1:] != IMAGE:
            raise ValueError(
                f"--data {folder}: {name} images of shape {x.shape}; expected at least one of {IMAGE}; "
                "name a folder with MNIST or a set of its form"
            )
        if y.max() >= CLASSES:
            raise ValueError(
                f"--data {folder}: a {name} label is {y.max()}; expected 0 to {CLASSES - 1}; "
                "name a folder with MNIST or a set of its form"
            )
    (x_train, y_train), (x_test, y_test) = parts
    return Data((x_train[..., None], y_train), (x_test[..., None], y_test), absolute(folder))
