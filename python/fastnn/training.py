"""compile, fit, evaluate, predict.

A training step is one call of one program: it gathers the batch out of the whole data set by an index vector, computes the loss
and its gradients, updates the weights and adds to the metrics. Python only shuffles indices and looks at the clock.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, losses, metrics, ops, optimizers
from fastnn.autodiff import backward
from fastnn.callbacks import Callback, CallbackList, History, Logs, Progress, format_logs
from fastnn.saving import Savable
from fastnn.tracing import Array, Tensor, Trace, as_tensor, building, layer_scope, rectangular
from fastnn.utils import check_number, generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn.layers import Layer
    from fastnn.tracing import Variable

# What programs read as it is, casting each batch while they gather it; anything else is converted once.
_NATIVE = ("float32", "float64", "int32", "int64", "uint8", "bool")


@dataclass
class Position:
    """Where a `fit` stands: with the weights, all it needs to go on."""

    epoch: int  # finished ones
    step: int  # finished ones of the next epoch
    seed: int  # of the shuffling, with its stream; the epoch is its step
    stream: int
    samples: int
    batch_size: int
    shuffle: bool


@dataclass
class Fit:
    """A `fit` that is going on, for callbacks that save and restore it."""

    position: Position
    hooks: CallbackList


class Trainer(Savable):
    """The part of a model that trains and predicts; models derive from it."""

    name: str
    auto_named: bool
    built: bool
    _input_shape: tuple[int, ...] | None

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return []

    @property
    def trainable_variables(self) -> list[Variable]:
        """The weights that training changes."""
        return []

    def __init__(self) -> None:
        self.optimizer: optimizers.Optimizer
        self.loss: losses.Loss | None = None
        self.metrics: list[metrics.Metric] = []
        self.history: History | None = None
        self.stop_training = False
        self._programs: dict[Any, _core.Function] = {}
        self._file_graph: tuple[tuple[str, ...], str, list[Array]] | None = None  # of fastnn.saving
        self._fit: Fit | None = None

    def build(self, input_shape: Sequence[int | None]) -> None: ...
    def call(self, x: Any, training: bool = False) -> Any: ...
    def _require_built(self, what: str) -> None: ...

    def _forget_programs(self) -> None:
        self._programs = {}
        self._file_graph = None

    # ---- compile -------------------------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: optimizers.OptimizerLike = "adam",
        loss: losses.LossLike | None = None,
        metrics: Sequence[metrics.MetricLike] | None = None,
    ) -> None:
        """Says how to train: the optimizer, the loss and the metrics, by name or as objects.

        Args:
            optimizer: default `"adam"` (Keras's is `"rmsprop"`).
            loss: for example `"sparse_categorical_crossentropy"`, a Loss, or a function
                `(y_true, y_pred) -> one number per sample`; required.
            metrics: a list, for example `["accuracy"]`.

        Raises:
            ValueError: a name that does not exist; the nearest ones are given. No loss. Two metrics of one name.
            TypeError: classes instead of objects, or metrics that are no list.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(3, activation="softmax")])
            >>> model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
            >>> [metric.name for metric in model.metrics]
            ['loss', 'accuracy']
        """
        from fastnn import metrics as registry

        if loss is None:
            raise ValueError(f"{self.name}: compile without a loss; expected one; pass for example loss='mean_squared_error'")
        if metrics is not None and not isinstance(metrics, (list, tuple)):
            raise TypeError(f"{self.name}: metrics={metrics!r}; expected a list; pass metrics=[{metrics!r}]")
        chosen_loss, chosen_optimizer = losses.get(loss), optimizers.get(optimizer)
        chosen_metrics = [registry.get(m, chosen_loss) for m in metrics or ()]
        names = ["loss", *(m.name for m in chosen_metrics)]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: metrics named {names}; expected different names; pass each once")
        self.loss, self.optimizer = chosen_loss, chosen_optimizer
        self.metrics = [registry.Mean("loss"), *chosen_metrics]
        self._forget_programs()

    def _require_compiled(self, what: str) -> losses.Loss:
        if self.loss is None:
            raise ValueError(
                f"{self.name}: {what} before compile; expected a loss and an optimizer; call for example "
                "model.compile(optimizer='adam', loss='mean_squared_error')"
            )
        return self.loss

    def metrics_so_far(self) -> Logs:
        """The loss and the metrics since the epoch began.

        Returns:
            A dict of floats; NaN before the first batch.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(1)])
            >>> model.compile(loss="mse")
            >>> model.metrics_so_far()
            {'loss': nan}
        """
        return {metric.name: metric.result() for metric in self.metrics}

    # ---- fit -----------------------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, Any] | None = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
    ) -> History:
        """Trains on arrays.

        Args:
            x: samples, `(samples, ...)`; any numeric dtype, cast to float32 batch by batch.
            y: labels or targets, one per sample.
            batch_size: samples per step, default 32; the last step of an epoch takes what is left.
            epochs: the epoch to stop at.
            verbose: 0 silent, 1 a progress bar on standard error (one line per epoch without tqdm), 2 one line per epoch;
                "auto" is 1.
            callbacks: instances of `fastnn.callbacks.Callback`.
            validation_split: the share of samples, taken from the end, to evaluate on after each epoch and not to train on.
            validation_data: `(x, y)` to evaluate on instead.
            shuffle: whether to draw the samples in a new order each epoch.
            initial_epoch: where to go on counting.

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
        batch_size = 32 if batch_size is None else _positive(self.name, "batch_size", batch_size)
        epochs = _positive(self.name, "epochs", epochs)
        if isinstance(initial_epoch, bool) or not isinstance(initial_epoch, (int, np.integer)) or initial_epoch < 0:
            raise ValueError(f"{self.name}: initial_epoch={initial_epoch!r}; expected an integer >= 0; pass 0 to start anew")
        level = _verbosity(self.name, verbose, auto=1)
        x, y = self._prepare(x, y, "fit")
        x, y, validation = self._hold_out(x, y, validation_split, validation_data)
        run = self._training_program(x, y)

        samples = len(x)
        steps = -(-samples // batch_size)
        seed, stream = generator.next_key()
        self.history = History()
        progress = [Progress(level)] if level else []
        callbacks = [callbacks] if isinstance(callbacks, Callback) else callbacks or ()
        hooks = CallbackList([*callbacks, *progress, self.history], self, {"epochs": epochs, "steps": steps, "verbose": level})
        at = Position(int(initial_epoch), 0, seed, stream, samples, batch_size, bool(shuffle))
        self._fit = Fit(at, hooks)
        self.stop_training = False
        order = np.arange(samples, dtype=np.int64)
        try:
            hooks.call("on_train_begin", {})  # a callback may move the position
            while at.epoch < epochs and not self.stop_training:
                epoch = at.epoch
                if shuffle:
                    order = _core.random_permutation(at.seed, at.stream, epoch, samples)
                if at.step == 0:
                    self._reset_metrics()
                hooks.call("on_epoch_begin", epoch, {})
                for step in range(at.step, steps):
                    for hook, wants_logs in hooks.on_batch_begin:
                        hook(step, self.metrics_so_far() if wants_logs and step else {})
                    with _batch_context("fit", f"epoch {epoch + 1}, batch {step}"):
                        run.run([x, y, order[step * batch_size : (step + 1) * batch_size]], True)
                    at.step = step + 1
                    for hook, wants_logs in hooks.on_batch_end:
                        hook(step, self.metrics_so_far() if wants_logs else {})
                logs = self.metrics_so_far()
                if validation is not None:
                    results = self._evaluate(validation[0], validation[1], batch_size)
                    logs.update({f"val_{name}": value for name, value in results.items()})
                at.epoch, at.step = epoch + 1, 0
                hooks.call("on_epoch_end", epoch, logs)
        finally:
            self._fit = None
            for bar in progress:
                bar.close()
        hooks.call("on_train_end", {})
        return self.history

    def train_on_batch(self, x: Any, y: Any, return_dict: bool = False) -> float | list[float] | Logs:
        """One step on one batch.

        Args:
            x: samples, as for `fit`.
            y: labels or targets.
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
        x, y = self._prepare(x, y, "train_on_batch")
        run = self._training_program(x, y)
        self._reset_metrics()
        with _batch_context("train_on_batch", "batch 0"):
            run.run([x, y, np.arange(len(x), dtype=np.int64)], True)
        return _results(self.metrics_so_far(), return_dict)

    def _hold_out(
        self, x: Array, y: Array, split: float, data: tuple[Any, Any] | None
    ) -> tuple[Array, Array, tuple[Array, Array] | None]:
        if data is not None:
            if not isinstance(data, (tuple, list)) or len(data) != 2:
                raise ValueError(f"{self.name}: validation_data is no pair; expected (x, y); pass two arrays")
            return x, y, self._prepare(*data, "fit, validation_data")
        check_number(self.name, "validation_split", split, 0.1, "0 <= share < 1", lambda share: 0.0 <= share < 1.0)
        if split == 0.0:
            return x, y, None
        kept = int(len(x) * (1.0 - split))
        if kept == 0 or kept == len(x):
            raise ValueError(
                f"{self.name}: validation_split={split} of {len(x)} samples leaves {kept} to train on; expected some on both "
                "sides; use more data or another share"
            )
        return x[:kept], y[:kept], (x[kept:], y[kept:])

    def _reset_metrics(self) -> None:
        for metric in self.metrics:
            metric.reset()

    # ---- evaluate and predict ------------------------------------------------------------------------------------------------

    def evaluate(
        self, x: Any, y: Any, batch_size: int = 32, verbose: int | str = 0, return_dict: bool = False
    ) -> float | list[float] | Logs:
        """The loss and the metrics on arrays.

        Args:
            x: samples, as for `fit`.
            y: labels or targets.
            batch_size: samples per run; the result does not depend on it beyond rounding.
            verbose: 0 or "auto" silent, 1 or 2 one line on standard error.
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
        results = self._evaluate(*self._prepare(x, y, "evaluate"), batch_size)
        if level:
            print(format_logs(results), file=sys.stderr)
        return _results(results, return_dict)

    def _evaluate(self, x: Array, y: Array, batch_size: int) -> Logs:
        run = self._evaluation_program(x, y)
        self._reset_metrics()
        for step, start in enumerate(range(0, len(x), batch_size)):
            with _batch_context("evaluate", f"batch {step}"):
                run.run([x[start : start + batch_size], y[start : start + batch_size]], True)
        return self.metrics_so_far()

    def predict(self, x: Any, batch_size: int | None = None, verbose: int | str = 0) -> Array:
        """The outputs for samples, as one array. NaN and infinity pass through, as in NumPy.

        Args:
            x: samples, as for `fit`.
            batch_size: samples per run, for memory only: the bits of a row do not depend on it. Default 256.
            verbose: 0 or "auto" silent, 1 or 2 one line on standard error.

        Returns:
            float32 `(samples, ...)`. Several threads may call it at once.

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
        x = self._prepare_x(x, "predict")
        run = self._prediction_program(x, training=False)
        began = time.perf_counter()
        starts = range(0, len(x), batch_size) if len(x) else [0]
        parts: list[Array] = [run.run([x[i : i + batch_size]], False)[0] for i in starts]
        if level:
            print(f"{len(x)} samples in {time.perf_counter() - began:.3f} s", file=sys.stderr)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _call_on_array(self, x: Any, training: bool) -> Array:
        x = self._prepare_x(x, "call")
        output: Array = self._prediction_program(x, training).run([x], training)[0]
        return output

    # ---- Programs ------------------------------------------------------------------------------------------------------------

    def _program(self, key: Any, trace: Callable[[], _core.Function]) -> _core.Function:
        program = self._programs.get(key)
        if program is None:
            # Two threads may both trace; the results are equal and setdefault keeps one.
            program = self._programs.setdefault(key, trace())
        return program

    def _training_program(self, x: Array, y: Array) -> _core.Function:
        return self._program(("train", x.dtype, y.dtype, y.shape[1:]), lambda: self._trace_training(x, y))

    def _evaluation_program(self, x: Array, y: Array) -> _core.Function:
        return self._program(("evaluate", x.dtype, y.dtype, y.shape[1:]), lambda: self._trace_evaluation(x, y))

    def _prediction_program(self, x: Array, training: bool) -> _core.Function:
        return self._program(("predict", training, x.dtype), lambda: self._trace_prediction(x, training))

    def _trace_training(self, x: Array, y: Array) -> _core.Function:
        samples = _core.Extent("samples")
        with Trace() as trace:
            x_all = trace.input("x", x.dtype.name, (samples, *x.shape[1:]))
            y_all = trace.input("y", y.dtype.name, (samples, *y.shape[1:]))
            rows = trace.input("rows", "int64", (_core.Extent("batch"),))
            x_batch = ops.gather_rows(x_all, rows, dtype="float32")
            y_batch = ops.gather_rows(y_all, rows, dtype=self._target_dtype(y))
            loss = self._trace_loss(x_batch, y_batch, training=True)
            variables = self.trainable_variables
            gradients = backward([loss], [as_tensor(1.0)], [as_tensor(v) for v in variables])
            self._require_gradients(variables, gradients)
            self._require_own_weights(trace)
            self.optimizer.apply(gradients, variables)
            trace.graph.set_outputs([loss._value])  # so that the guard on it is kept
        return _core.Function(trace.graph)

    def _trace_evaluation(self, x: Array, y: Array) -> _core.Function:
        batch = _core.Extent("batch")
        with Trace() as trace:
            x_batch = ops.cast(trace.input("x", x.dtype.name, (batch, *x.shape[1:])), "float32")
            y_batch = ops.cast(trace.input("y", y.dtype.name, (batch, *y.shape[1:])), self._target_dtype(y))
            loss = self._trace_loss(x_batch, y_batch, training=False)
            trace.graph.set_outputs([loss._value])
            trace.graph.fuse()
        return _core.Function(trace.graph)

    def _trace_prediction(self, x: Array, training: bool) -> _core.Function:
        graph = self._prediction_graph(x.dtype.name, training)
        graph.fuse()
        return _core.Function(graph)

    def _prediction_graph(self, dtype: str = "float32", training: bool = False) -> _core.Graph:
        """From a batch `x` of this dtype to the outputs, not fused."""
        assert self._input_shape is not None
        with Trace() as trace:
            x = trace.input("x", dtype, (_core.Extent("batch"), *self._input_shape))
            output = self.call(ops.cast(x, "float32"), training)
            trace.graph.set_outputs([output._value])
        return trace.graph

    def _trace_loss(self, x: Tensor, y: Tensor, training: bool) -> Tensor:
        """The mean loss of a batch; metrics are updated on the way."""
        loss = self._require_compiled("training")
        output = self.call(x, training)
        y = self._fit_targets(y, output, loss)
        with layer_scope(f"{self.name}/loss"):
            per_sample = loss.call(y, output)
            # The guard: a loss that is not finite commits nothing.
            mean: Tensor = ops.check_finite(ops.mean(per_sample))
            self.metrics[0].update(per_sample)
        for metric in self.metrics[1:]:
            with layer_scope(f"{self.name}/{metric.name}"):
                metric.update_state(y, output)
        return mean

    def _target_dtype(self, y: Array) -> str:
        assert self.loss is not None
        if not self.loss.sparse_labels:
            return "float32"
        return "int32" if y.dtype.name == "bool" else y.dtype.name

    def _fit_targets(self, y: Tensor, output: Tensor, loss: losses.Loss) -> Tensor:
        """Drops or adds a last axis of 1, as Keras does, and refuses what would only broadcast by accident."""
        wanted = output.shape[:-1] if loss.sparse_labels else output.shape
        if y.shape == wanted:
            return y
        if y.shape == (*wanted, 1) or (*y.shape, 1) == wanted:
            adjusted: Tensor = ops.reshape(y, wanted)
            return adjusted
        hint = ""
        if loss.sparse_labels and y.shape == output.shape:
            hint = "; for one-hot targets use categorical_crossentropy"
        if not loss.sparse_labels and y.shape == output.shape[:-1]:
            hint = "; for integer labels use a sparse_ loss or fastnn.utils.to_categorical"
        raise ValueError(
            f"{self.name}: targets of shape {_named(y.shape)} for outputs of shape {_named(output.shape)} with the loss "
            f"{loss.name}; expected targets of shape {_named(wanted)}{hint or '; reshape them'}"
        )

    def _require_gradients(self, variables: Sequence[Any], gradients: Sequence[Any]) -> None:
        if not variables:
            raise ValueError(f"{self.name}: no trainable weights; expected some; add a layer such as Dense")
        missing = [v.name for v, g in zip(variables, gradients) if g is None]
        if missing:
            raise ValueError(
                f"{self.name}: the loss does not depend on {', '.join(missing)}; expected every trainable weight to matter; "
                "remove the layer or make it untrainable"
            )

    def _require_own_weights(self, trace: Trace) -> None:
        own = {id(v) for v in self.trainable_variables}
        stray = [v.name for v in trace.variables() if v.trainable and id(v) not in own]
        if stray:
            raise ValueError(
                f"{self.name}: {', '.join(stray)} would never be trained; expected weights made with add_weight by "
                "the model's own layers; put inner layers into the model's list, or make such variables with trainable=False"
            )

    def _memory(self, batch_size: int) -> Iterator[tuple[str, int, int]]:
        """(kind of program, planned bytes, bytes of all intermediates) of what a summary can know."""
        if self._input_shape is None:
            return
        x = np.zeros((1, *self._input_shape), np.float32)
        described = self._prediction_program(x, False).describe([[batch_size, *self._input_shape]])
        yield "prediction", described["arena_bytes"], described["intermediate_bytes"]
        for key, program in self._programs.items():
            if key[0] == "train":
                shapes = [[batch_size, *self._input_shape], [batch_size, *key[3]], [batch_size]]
                described = program.describe(shapes)
                yield "training", described["arena_bytes"], described["intermediate_bytes"]
                return

    # ---- Data ----------------------------------------------------------------------------------------------------------------

    def _prepare(self, x: Any, y: Any, where: str) -> tuple[Array, Array]:
        x = self._prepare_x(x, where)
        y = _numeric(f"{self.name}: {where}: y", y)
        if y.ndim == 0 or len(y) != len(x):
            raise ValueError(
                f"{self.name}: {where}: x has {len(x)} samples and y has shape {y.shape}; expected one target per sample; "
                "pass arrays of equal length"
            )
        if len(x) == 0:
            raise ValueError(f"{self.name}: {where}: empty arrays; expected at least one sample; check how the data was loaded")
        assert self.loss is not None
        if self.loss.sparse_labels and y.dtype.kind == "f":
            if not np.array_equal(y, np.floor(y)):
                raise TypeError(
                    f"{self.name}: {where}: y is {y.dtype} with fractions; expected integer class labels for {self.loss.name}; "
                    "convert them with .astype('int64'), or choose another loss"
                )
            y = y.astype(np.int64)
        return x, y

    def _prepare_x(self, x: Any, where: str) -> Array:
        x = _numeric(f"{self.name}: {where}: x", x)
        if x.ndim == 0:
            raise ValueError(f"{self.name}: {where}: x is a single number; expected an array (samples, ...); pass a batch")
        if not self.built:
            with building:
                if not self.built:  # several threads may make the first prediction
                    self.build(x.shape[1:])
        assert self._input_shape is not None
        shape = x.shape[1:]
        if shape != self._input_shape:
            if (*shape, 1) == self._input_shape:
                x = x[..., None]
            elif shape == (*self._input_shape, 1):
                x = x[..., 0]
            else:
                raise ValueError(
                    f"{self.name}: {where}: x has shape {x.shape}; expected "
                    f"{_named((None, *self._input_shape))}, where None is any number of samples; reshape the array"
                )
        adjusted: Array = x
        return adjusted


def _results(logs: Logs, return_dict: bool) -> float | list[float] | Logs:
    values = list(logs.values())
    return logs if return_dict else values if len(values) > 1 else values[0]


def _named(shape: Sequence[Any]) -> str:
    inner = ", ".join(str(d) for d in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


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


def _numeric(where: str, array: Any) -> Array:
    """A C-contiguous array of a dtype that programs read, without a copy where it is one."""
    array = rectangular(where, array)
    if array.dtype.name in _NATIVE and array.dtype.isnative:
        return array if array.ndim == 0 or array.flags.c_contiguous else np.ascontiguousarray(array)
    if array.dtype.kind in "iu":
        return np.ascontiguousarray(array, np.int64)
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, np.float32)
    raise TypeError(f"{where}: dtype {array.dtype}; expected numbers; convert the array with .astype('float32')")


@contextmanager
def _batch_context(what: str, which: str) -> Iterator[None]:
    """Says which batch an error of the program belongs to."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {which}: {error}") from None
