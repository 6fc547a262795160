"""fit, evaluate, predict: which rows of the data go through which program, and who is told about it.

Everything that computes is in the programs of fastnn.compiled; here indices are shuffled and the clock is looked at.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.batches import ArrayBatches, Data, IterableBatches, is_iterable_of_batches
from fastnn.callbacks.base import Callback, CallbackList, History, Logs, Progress, format_logs
from fastnn.compiled import Compiled
from fastnn.tracing import Array, unflatten
from fastnn.utils import check_number, generator

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Position:
    """Where a `fit` stands: with the weights, all it needs to go on."""

    epoch: int  # finished ones
    step: int  # finished ones of the next epoch
    seed: int  # of the shuffling, with its stream; the epoch is its step
    stream: int
    samples: int  # 0 of an iterable
    batch_size: int
    shuffle: bool


@dataclass
class Fit:
    """A `fit` that is going on, for callbacks that save and restore it."""

    position: Position
    hooks: CallbackList
    batches: ArrayBatches | IterableBatches


class Trainer(Compiled):
    """The part of a model that trains and predicts; models derive from it."""

    # ---- fit -----------------------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
    ) -> History:
        """Trains on arrays, or on an iterable of batches.

        Args:
            x: samples, `(samples, ...)`; any numeric dtype, cast to float32 batch by batch. Of a model with several inputs a
                list or a dict by their names. Or an iterable of batches `(x, y)` or `(x, y, sample_weight)`, which begins anew
                for each epoch or, with `steps_per_epoch`, goes on.
            y: labels or targets, one per sample; of several outputs a list or a dict. None for an iterable.
            batch_size: samples per step, default 32; the last step of an epoch takes what is left.
            epochs: the epoch to stop at.
            verbose: 0 silent, 1 a progress bar on standard error (one line per epoch without tqdm), 2 one line per epoch;
                "auto" is 1.
            callbacks: instances of `fastnn.callbacks.Callback`.
            validation_split: the share of samples, taken from the end, to evaluate on after each epoch and not to train on.
            validation_data: `(x, y)` or `(x, y, sample_weight)` or an iterable of batches to evaluate on instead.
            shuffle: whether to draw the samples in a new order each epoch; an iterable has its own.
            class_weight: factors of the loss by class, 1 for others; for one output whose targets are classes.
            sample_weight: factors of the loss, one per sample. Metrics do not count them.
            initial_epoch: where to go on counting.
            steps_per_epoch: how many batches an epoch has; default all.

        Returns:
            A `History`: `.history["loss"]` and so on, one number per epoch.

        Raises:
            ValueError: shapes that do not fit, a label outside the classes, NaN or infinity in the data or the loss, an option
                outside its range. The weights are then those of the last whole step.
            TypeError: arrays that hold no numbers.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(2,))])
            >>> model.compile(fastnn.optimizers.SGD(0.1, momentum=0.9), loss="mse")
            >>> x = np.array([[0, 1], [1, 0], [1, 1]])
            >>> history = model.fit(x, x @ [[1.0], [2.0]], epochs=300, verbose=0)
            >>> model.get_weights()[0].round(2)
            array([[1.],
                   [2.]], dtype=float32)
        """
        self._require_compiled("fit")
        epochs = _positive(self.name, "epochs", epochs)
        if isinstance(initial_epoch, bool) or not isinstance(initial_epoch, (int, np.integer)) or initial_epoch < 0:
            raise ValueError(f"{self.name}: initial_epoch={initial_epoch!r}; expected an integer >= 0; pass 0 to start anew")
        steps = None if steps_per_epoch is None else _positive(self.name, "steps_per_epoch", steps_per_epoch)
        level = _verbosity(self.name, verbose, auto=1)
        batches: ArrayBatches | IterableBatches
        if is_iterable_of_batches(x):
            self._refuse_with_batches(y=y, batch_size=batch_size, sample_weight=sample_weight, split=validation_split or None)
            size = 0
            batches = self._batches("fit", x, steps, class_weight)
            validation = None if validation_data is None else self._validation(validation_data)
        else:
            size = 32 if batch_size is None else _positive(self.name, "batch_size", batch_size)
            data, validation = self._hold_out(
                self._prepare(x, y, "fit", sample_weight, class_weight), validation_split, validation_data
            )
            most = -(-data.samples // size)
            if steps is not None and steps > most:
                raise ValueError(
                    f"{self.name}: steps_per_epoch={steps} for {data.samples} samples; expected at most {most} batches of "
                    f"{size}; pass less, or more epochs"
                )
            batches = ArrayBatches(data, size, steps)
            self._training_program(data)

        seed, stream = generator.next_key()
        self.history = History()
        progress = [Progress(level)] if level else []
        callbacks = [callbacks] if isinstance(callbacks, Callback) else callbacks or ()
        params = {"epochs": epochs, "steps": batches.steps, "verbose": level}
        hooks = CallbackList([*callbacks, *progress, self.history], self, params)
        at = Position(int(initial_epoch), 0, seed, stream, batches.samples, size, bool(shuffle))
        self._fit = Fit(at, hooks, batches)
        self.stop_training = False
        try:
            hooks.call("on_train_begin", {})  # a callback may move the position
            while at.epoch < epochs and not self.stop_training:
                epoch = at.epoch
                batches.begin_epoch((at.seed, at.stream, epoch) if shuffle else None)
                if at.step == 0:
                    self._reset_metrics()
                hooks.call("on_epoch_begin", epoch, {})
                try:
                    self._train_epoch(batches, at, hooks)
                except NotFinite:
                    if not hooks.ends_quietly:
                        raise
                    self.stop_training = True
                    break
                logs = self.metrics_so_far()
                if validation is not None:
                    results = self._evaluate(validation, size or 32)
                    logs.update({f"val_{name}": value for name, value in results.items()})
                at.epoch, at.step = epoch + 1, 0
                hooks.call("on_epoch_end", epoch, logs)
        finally:
            self._fit = None
            for bar in progress:
                bar.close()
        self.optimizer.finalize_variable_values(self.trainable_variables)
        hooks.call("on_train_end", {})
        return self.history

    def _train_epoch(self, batches: ArrayBatches | IterableBatches, at: Position, hooks: CallbackList) -> None:
        """The steps that are left of an epoch."""
        step, run, known = at.step, None, None
        accumulates = self.optimizer.gradient_accumulation_steps is not None  # then two programs take turns
        while batches.steps is None or step < batches.steps:
            for hook, wants_logs in hooks.on_batch_begin:
                hook(step, self.metrics_so_far() if wants_logs and step else {})
            with _batch_context("fit", f"epoch {at.epoch + 1}, batch {step}"):
                batch = batches.batch(step)
                if batch is None:
                    return
                data, arrays = batch
                if run is None or data is not known or accumulates:
                    run, known = self._training_program(data).function, data
                run.run(arrays, True)
            step += 1
            at.step = step
            for hook, wants_logs in hooks.on_batch_end:
                hook(step - 1, self.metrics_so_far() if wants_logs else {})

    def _batches(
        self, where: str, batches: Any, steps: int | None, class_weight: Mapping[int, float] | None = None
    ) -> IterableBatches:
        def prepare(x: Any, y: Any, weights: Any = None) -> Data:
            return self._prepare(x, y, where, weights, class_weight)

        return IterableBatches(f"{self.name}: {where}", batches, steps, prepare)

    def _refuse_with_batches(self, **options: Any) -> None:
        for name, value in options.items():
            if value is not None:
                raise ValueError(
                    f"{self.name}: {name} beside an iterable of batches; expected the batches to have it; leave it out, or "
                    "pass arrays"
                )

    def train_on_batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """One step on one batch.

        Args:
            x: samples, as for `fit`.
            y: labels or targets.
            sample_weight: as for `fit`.
            class_weight: likewise.
            return_dict: as for `evaluate`.

        Returns:
            The loss and the metrics of this batch alone, before the update, in the form of `evaluate`.

        Raises:
            ValueError, TypeError: as `fit`; the weights are then as before.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(1, kernel_initializer="zeros", input_shape=(2,))])
            >>> model.compile("sgd", loss="mse")
            >>> model.train_on_batch(np.ones((4, 2)), np.full((4, 1), 3.0))
            9.0
        """
        self._require_compiled("train_on_batch")
        data = self._prepare(x, y, "train_on_batch", sample_weight, class_weight)
        run = self._training_program(data).function
        self._reset_metrics()
        with _batch_context("train_on_batch", "batch 0"):
            run.run([*data.arrays, np.arange(data.samples, dtype=np.int64)], True)
        return _results(self.metrics_so_far(), return_dict)

    def _hold_out(self, data: Data, split: float, validation: Any) -> tuple[Data, Any]:
        if validation is not None:
            return data, self._validation(validation)
        check_number(self.name, "validation_split", split, 0.1, "0 <= share < 1", lambda share: 0.0 <= share < 1.0)
        if split == 0.0:
            return data, None
        kept = int(data.samples * (1.0 - split))
        if kept == 0 or kept == data.samples:
            raise ValueError(
                f"{self.name}: validation_split={split} of {data.samples} samples leaves {kept} to train on; expected some on "
                "both sides; use more data or another share"
            )
        return data.rows(0, kept), data.rows(kept, None)

    def _validation(self, validation: Any) -> Any:
        if is_iterable_of_batches(validation):
            return self._batches("fit, validation_data", validation, None)
        if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
            raise ValueError(
                f"{self.name}: validation_data is no pair; expected (x, y) or (x, y, sample_weight); pass arrays in a tuple"
            )
        x, y, *weights = validation
        return self._prepare(x, y, "fit, validation_data", *weights)

    def _reset_metrics(self) -> None:
        for metric in self.metrics:
            metric.reset()

    # ---- evaluate and predict ------------------------------------------------------------------------------------------------

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        verbose: int | str = 0,
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """The loss and the metrics on arrays, or on an iterable of batches.

        Args:
            x: samples, as for `fit`.
            y: labels or targets.
            batch_size: samples per run; the result does not depend on it beyond rounding.
            verbose: 0 or "auto" silent, 1 or 2 one line on standard error.
            sample_weight: as for `fit`.
            return_dict: return a dict by name.

        Returns:
            A list `[loss, *metrics]` of floats, just the loss without metrics, or a dict.

        Raises:
            ValueError, TypeError: as `fit`, NaN or infinity in the loss too.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(2,))])
            >>> model.compile(loss="mse", metrics=["mean_squared_error"])
            >>> model.evaluate(np.ones((4, 2)), np.zeros((4, 1)), return_dict=True)
            {'loss': 4.0, 'mean_squared_error': 4.0}
        """
        self._require_compiled("evaluate")
        batch_size = _positive(self.name, "batch_size", batch_size)
        level = _verbosity(self.name, verbose, auto=0)
        if is_iterable_of_batches(x):
            self._refuse_with_batches(y=y, sample_weight=sample_weight)
            results = self._evaluate(self._batches("evaluate", x, None), batch_size)
        else:
            results = self._evaluate(self._prepare(x, y, "evaluate", sample_weight), batch_size)
        if level:
            print(format_logs(results), file=sys.stderr)
        return _results(results, return_dict)

    def _evaluate(self, data: Data | IterableBatches, batch_size: int) -> Logs:
        self._reset_metrics()
        for step, batch in enumerate(_slices(data, batch_size)):
            with _batch_context("evaluate", f"batch {step}"):
                self._evaluation_program(batch).function.run(batch.arrays, True)
        return self.metrics_so_far()

    def predict(self, x: Any, batch_size: int | None = None, verbose: int | str = 0) -> Any:
        """The outputs for samples, as one array. NaN and infinity pass through, as in NumPy.

        Args:
            x: samples, as for `fit`.
            batch_size: samples per run, for memory only: the bits of a row do not depend on it. Default 256.
            verbose: 0 or "auto" silent, 1 or 2 one line on standard error.

        Returns:
            float32 `(samples, ...)`; of several outputs a list or dict of such arrays. Several threads may call it at once.

        Raises:
            ValueError: a shape that does not fit, an option outside its range.
            TypeError: an array that holds no numbers.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(2,))])
            >>> model.predict(np.array([[1, 2], [3, 4]], np.uint8))
            array([[3.],
                   [7.]], dtype=float32)
        """
        batch_size = 256 if batch_size is None else _positive(self.name, "batch_size", batch_size)
        level = _verbosity(self.name, verbose, auto=0)
        inputs = self._prepare_x(x, "predict")
        program, samples = self._prediction_program(inputs, training=False), len(inputs[0])
        began = time.perf_counter()
        if samples <= batch_size:
            outputs: list[Array] = program.function.run(inputs, program.commits)
        else:
            outputs = program.function.run_batches(inputs, batch_size, program.commits)
        if level:
            print(f"{samples} samples in {time.perf_counter() - began:.3f} s", file=sys.stderr)
        return unflatten(program.structure, outputs)

    def _call_on_array(self, x: Any, training: bool) -> Any:
        inputs = self._prepare_x(x, "call")
        program = self._prediction_program(inputs, training)
        return unflatten(program.structure, program.function.run(inputs, program.commits))


def _slices(data: Data | IterableBatches, batch_size: int) -> Iterator[Data]:
    """The batches of an evaluation, in order."""
    if isinstance(data, Data):
        for start in range(0, data.samples, batch_size):
            yield data.rows(start, start + batch_size)
        return
    data.begin_epoch(None)
    step = 0
    while (batch := data.batch(step)) is not None:
        yield batch[0]
        step += 1


def _results(logs: Logs, return_dict: bool) -> float | list[float] | Logs:
    values = list(logs.values())
    return logs if return_dict else values if len(values) > 1 else values[0]


def _positive(where: str, what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{where}: {what}={value!r}; expected a positive integer; pass for example 32")
    return int(value)


def _verbosity(where: str, verbose: Any, auto: int) -> int:
    if isinstance(verbose, str) and verbose == "auto":
        return auto
    if not isinstance(verbose, (int, np.integer)) or not 0 <= verbose <= 2:
        raise ValueError(f"{where}: verbose={verbose!r}; expected 'auto', 0, 1 or 2; pass 0 for silence")
    return int(verbose)


class NotFinite(ValueError):
    """A loss that is NaN or infinite."""


@contextmanager
def _batch_context(what: str, which: str) -> Iterator[None]:
    """Says which batch an error of the program belongs to."""
    try:
        yield
    except ValueError as error:
        kind = NotFinite if "check_finite: " in str(error) else ValueError
        raise kind(f"{what}: {which}: {error}") from None
