"""What a training run has done: kept in its checkpoint, so that it survives whatever ends the process."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import fastnn
from fastnn import _core, saving
from fastnn.callbacks.base import Callback, Logs
from fastnn.cli.corpus import TextIdentity
from fastnn.cli.data import Identity
from fastnn.cli.recipe import GPTRecipe, Recipe
from fastnn.cli.run_folder import CHECKPOINT, RunFolder
from fastnn.cli.running import say

Row = dict[str, Any]


class RunRecord(Callback, ABC):
    """Writes a row of the history after each epoch of `fit` and takes the time, through all parts of a run that was resumed.

    Args:
        recipe: how the run trains.
        data: what it trains on.
    """

    COLUMNS: ClassVar[tuple[str, ...]]
    PROGRAM: ClassVar[str]
    wants_logs = False

    def __init__(self, recipe: Any, data: Any) -> None:
        self.recipe = recipe
        self.data = data
        self.rows: list[Row] = []
        self.threads, self.isa = fastnn.num_threads(), _core.isa()
        self.folder: RunFolder | None = None
        self._training_seconds = 0.0  # of whole epochs
        self._start = self._epoch_start = self._trained = time.perf_counter()

    @classmethod
    @abstractmethod
    def of_state(cls, state: Mapping[str, Any]) -> Any:
        """A record without its rows, from what `get_state` returned."""

    @abstractmethod
    def row(self, epoch: int, logs: Logs) -> Row:
        """What the history has of an epoch, but for the seconds."""

    @property
    @abstractmethod
    def epochs(self) -> int:
        """How many rows a run that has ended has."""

    # ---- The run to resume ---------------------------------------------------------------------------------------------------

    @classmethod
    def find(cls, out: Path) -> Any:
        """The record of the run to resume in a folder; None where there is no checkpoint, which it says.

        Raises:
            OSError, ValueError: a checkpoint of something else.
        """
        if (out / CHECKPOINT).exists():
            return cls.of_checkpoint(out / CHECKPOINT)
        say(f"no {CHECKPOINT} in {out}: this is a new run")
        return None

    @classmethod
    def of_checkpoint(cls, path: Path) -> Any:
        """The record of the run that left a checkpoint.

        Raises:
            OSError, ValueError: there is none, or one of something else.
        """
        checkpoint = saving.read_checkpoint(path)
        try:
            state = checkpoint["callbacks"][cls.__name__]
            record = cls.of_state(state)
            record.set_state(state)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path}: a checkpoint of another program (no {error}); expected one of {cls.PROGRAM}; train into another --out"
            ) from error
        return record

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raises where what is asked for is not what the run's recipe has.

        Args:
            options: by the names of the recipe's fields.
        """
        for name, value in options.items():
            kept = getattr(self.recipe, name)
            if value != kept:
                raise ValueError(
                    f"--{name.replace('_', '-')} {value} contradicts the checkpoint's {kept}; leave it out, or train into "
                    "another --out"
                )

    def say_resumed(self, earlier: RunRecord, where: str) -> None:
        """Says that the run goes on from its earlier part.

        Args:
            earlier: that part's record.
            where: the place where it goes on.
        """
        say("the training has ended before" if earlier.finished else f"resuming {where}")
        if not earlier.finished and earlier.isa != self.isa:
            say(f"the run began with {earlier.isa}: with {self.isa} it can end with other bits")

    # ---- What is known -------------------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        return len(self.rows) == self.epochs

    @property
    def seconds(self) -> float:
        """Of training and of the evaluation after each epoch."""
        return float(self.rows[-1]["seconds"])

    def columns(self) -> list[list[Any]]:
        """The rows of the history."""
        return [[row[column] for column in self.COLUMNS] for row in self.rows]

    # ---- While training ------------------------------------------------------------------------------------------------------

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_start = self._trained = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        row = {**self.row(epoch, logs or {}), "seconds": round(time.perf_counter() - self._start, 3)}
        self._training_seconds += self._trained - self._epoch_start
        self._epoch_start = self._trained
        self.threads, self.isa = fastnn.num_threads(), _core.isa()
        self.rows.append(row)
        if self.folder is not None:
            self.folder.add([row[column] for column in self.COLUMNS])

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
        self.rows = [{column: row[column] for column in self.COLUMNS} for row in state["rows"]]
        self.threads, self.isa = state["threads"], state["isa"]
        self._training_seconds = state["training_seconds"]
        self._start = time.perf_counter() - state["seconds"]


class Record(RunRecord):
    """Of a run on MNIST."""

    COLUMNS = ("epoch", "loss", "accuracy", "test_loss", "test_accuracy", "seconds")
    PROGRAM = "fastnn train on MNIST"
    recipe: Recipe
    data: Identity

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Record:
        return cls(Recipe(**state["recipe"]), Identity(**state["data"]))

    @property
    def epochs(self) -> int:
        return self.recipe.epochs

    @property
    def images_per_second(self) -> float:
        """In training alone."""
        return self.data.training_images * len(self.rows) / self._training_seconds

    def row(self, epoch: int, logs: Logs) -> Row:
        return {
            "epoch": epoch + 1,
            "loss": float(logs["loss"]),
            "accuracy": float(logs["accuracy"]),
            "test_loss": float(logs["val_loss"]),
            "test_accuracy": float(logs["val_accuracy"]),
        }


class TextRecord(RunRecord):
    """Of a run of `fastnn train gpt`; what `fit` calls an epoch is the part between two evaluations."""

    COLUMNS = ("iteration", "loss", "validation_loss", "seconds")
    PROGRAM = "fastnn train gpt"
    recipe: GPTRecipe
    data: TextIdentity

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> TextRecord:
        return cls(GPTRecipe(**state["recipe"]), TextIdentity(**state["data"]))

    @property
    def epochs(self) -> int:
        return self.recipe.evaluations

    @property
    def part(self) -> int:
        """The iterations between two evaluations."""
        return self.recipe.iterations // self.recipe.evaluations

    @property
    def iterations(self) -> int:
        """How many the history has."""
        return self.part * len(self.rows)

    @property
    def tokens_per_second(self) -> float:
        """In training alone."""
        return self.iterations * self.recipe.batch_size * self.recipe.context / self._training_seconds

    def row(self, epoch: int, logs: Logs) -> Row:
        return {
            "iteration": self.part * (epoch + 1),
            "loss": float(logs["loss"]),
            "validation_loss": float(logs["val_loss"]),
        }
