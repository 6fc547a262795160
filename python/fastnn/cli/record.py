"""What a training run has done: kept in its checkpoint, so that it survives whatever ends the process."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fastnn
from fastnn import _core, saving
from fastnn.callbacks.base import Callback, Logs
from fastnn.cli.data import Identity
from fastnn.cli.recipe import Recipe
from fastnn.cli.run_folder import RunFolder

COLUMNS = ("epoch", "loss", "accuracy", "test_loss", "test_accuracy", "seconds")

Row = dict[str, Any]


class Record(Callback):
    """Writes each epoch to the history and takes the time, through all parts of a run that was resumed.

    Args:
        recipe: how the run trains.
        data: what it trains on.
    """

    def __init__(self, recipe: Recipe, data: Identity) -> None:
        self.recipe = recipe
        self.data = data
        self.rows: list[Row] = []
        self.threads, self.isa = fastnn.num_threads(), _core.isa()
        self.folder: RunFolder | None = None
        self._training_seconds = 0.0  # of whole epochs
        self._start = self._epoch_start = self._trained = time.perf_counter()

    @classmethod
    def of_checkpoint(cls, path: Path) -> Record:
        """The record of the run that left a checkpoint.

        Raises:
            OSError, ValueError: there is none, or one of something else.
        """
        checkpoint = saving.read_checkpoint(path)
        try:
            state = checkpoint["callbacks"][cls.__name__]
            record = cls(Recipe(**state["recipe"]), Identity(**state["data"]))
            record.set_state(state)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path}: a checkpoint of another program (no {error}); expected one of fastnn train on MNIST; train "
                "into another --out"
            ) from error
        return record

    @property
    def finished(self) -> bool:
        return len(self.rows) == self.recipe.epochs

    @property
    def seconds(self) -> float:
        """Of training and of the test after each epoch."""
        return float(self.rows[-1]["seconds"])

    @property
    def images_per_second(self) -> float:
        """In training alone."""
        return self.data.training_images * len(self.rows) / self._training_seconds

    def columns(self) -> list[list[Any]]:
        """The rows of the history."""
        return [[row[column] for column in COLUMNS] for row in self.rows]

    # ---- While training ------------------------------------------------------------------------------------------------------

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_start = self._trained = time.perf_counter()

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
        self._training_seconds += self._trained - self._epoch_start
        self._epoch_start = self._trained
        self.threads, self.isa = fastnn.num_threads(), _core.isa()
        self.rows.append(row)
        if self.folder is not None:
            self.folder.add([row[column] for column in COLUMNS])

    def get_state(self) -> dict[str, Any]:
        return {
            "recipe": asdict(self.recipe),
            "data": asdict(self.data),
            "rows": self.rows,
            "seconds": time.perf_counter() - self._start,
            "training_seconds": self._training_seconds + (self._trained - self._epoch_start),
            "threads": self.threads,
            "isa": self.isa,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.rows = [{column: row[column] for column in COLUMNS} for row in state["rows"]]
        self.threads, self.isa = state["threads"], state["isa"]
        self._training_seconds = state["training_seconds"]
        self._start = time.perf_counter() - state["seconds"]
