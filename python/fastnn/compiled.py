"""compile, and the programs that a compiled model makes of the data it is given.

A training step is one call of one program: it gathers the batch out of the whole data set by an index vector, computes the loss
and its gradients, updates the weights and adds to the metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, losses, metrics, ops, optimizers
from fastnn.autodiff import backward
from fastnn.batches import Data, class_weights, numeric, sample_weights, shape_text
from fastnn.callbacks.base import History, Logs
from fastnn.layers.core import Input
from fastnn.losses import Loss
from fastnn.saving import Savable
from fastnn.tracing import Array, Tensor, Trace, as_tensor, building, dtype_name, flatten, layer_scope, unflatten
from fastnn.utils import check_number, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn.layers import Layer
    from fastnn.tracing import Variable
    from fastnn.training import Fit


@dataclass(frozen=True)
class Program:
    """A traced program of a model, and the form of its results."""

    function: _core.Function
    structure: Any = None  # of the outputs
    commits: bool = True  # of a prediction: whether a run changes anything


class Compiled(Savable):
    """The part of a model that knows its losses and turns them into programs."""

    name: str
    auto_named: bool
    built: bool
    # What the model takes and returns, once it is known: inputs in the order of programs, and the form in which `call` gets
    # them.
    _inputs: list[Input]
    _structure: Any
    _output_names: list[str]  # of several outputs; one output needs no name

    def __init__(self) -> None:
        self.optimizer: optimizers.Optimizer
        self.loss: Any = None  # a Loss, or one for each output
        self.metrics: list[metrics.Metric] = []
        self.history: History | None = None
        self.stop_training = False
        self._inputs, self._structure, self._output_names = [], None, []
        self._losses: list[Loss | None] = []  # one for each output
        self._loss_weights: list[float] = []
        self._metrics: list[list[metrics.Metric]] = []  # for each output
        self._weighted_metrics: list[list[metrics.Metric]] = []  # likewise
        self._log_names: list[str] = []  # of self.metrics
        self._programs: dict[Any, Program] = {}
        self._file_graph: tuple[tuple[str, ...], str, list[Array]] | None = None  # of fastnn.saving
        self._fit: Fit | None = None

    if TYPE_CHECKING:  # of Layer and Model

        def build(self, input_shape: Any) -> None: ...
        def call(self, x: Any, training: bool = False) -> Any: ...
        def __call__(self, x: Any, *others: Any, training: bool | None = None, **options: Any) -> Any: ...
        def named_variables(self) -> dict[str, Variable]: ...
        def named_weights(self) -> dict[str, Variable]: ...
        def named_layers(self) -> dict[str, Layer]: ...
        def get_weights(self) -> list[Array]: ...
        def set_weights(self, weights: Sequence[Any]) -> None: ...
        def _walk(self, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Layer]]: ...
        def _build_with(self, inputs: list[Input], structure: Any) -> None: ...
        @property
        def input_shape(self) -> Any: ...
        @property
        def output_shape(self) -> Any: ...
        def _require_built(self, what: str) -> None: ...
        @property
        def layers(self) -> list[Layer]: ...
        @property
        def trainable_variables(self) -> list[Variable]: ...
        @property
        def losses(self) -> list[Any]: ...

    def _forget_programs(self) -> None:
        self._programs = {}
        self._file_graph = None

    # ---- compile -------------------------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: optimizers.OptimizerLike = "adam",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        *,
        weighted_metrics: Any = None,
    ) -> None:
        """Says how to train: the optimizer, the loss and the metrics, by name or as objects.

        Args:
            optimizer: default `"adam"` (Keras's is `"rmsprop"`).
            loss: for example `"sparse_categorical_crossentropy"`, a Loss, or a function
                `(y_true, y_pred) -> one number per sample`; required. A model of several outputs takes one for all of them, a
                list with one for each, or a dict by their names, the others being left alone.
            metrics: a list, for example `["accuracy"]`; for several outputs a list of lists, or a dict by their names.
            loss_weights: the factors of the losses of several outputs in their sum, a list or a dict; default 1.
            weighted_metrics: as `metrics`, but means in which samples count as much as `sample_weight` and `class_weight` say.
                One that is named as a metric before it is `weighted_` and that name in logs.

        Raises:
            ValueError: a name that does not exist; the nearest ones are given. No loss. Two metrics of one name. Among
                weighted_metrics one that is no mean over samples.
            TypeError: classes instead of objects, or metrics that are no list.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(3, activation="softmax")])
            >>> model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
            >>> [metric.name for metric in model.metrics]
            ['loss', 'accuracy']
        """
        from fastnn import metrics as registry

        several = len(self._output_names) > 1
        if loss is None:
            raise ValueError(f"{self.name}: compile without a loss; expected one; pass for example loss='mean_squared_error'")
        for what, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if not several and value is not None and not isinstance(value, (list, tuple)):
                raise TypeError(f"{self.name}: {what}={value!r}; expected a list; pass {what}=[{value!r}]")
        chosen = [None if entry is None else losses.get(entry) for entry in self._per_output("loss", loss, everywhere=True)]
        if all(entry is None for entry in chosen):
            raise ValueError(f"{self.name}: loss={loss!r} for no output; expected one for at least one; name it")
        chosen_metrics = self._chosen_metrics("metrics", metrics if several else [metrics], chosen)
        weighted = self._chosen_metrics("weighted_metrics", weighted_metrics if several else [weighted_metrics], chosen)
        for metric in (m for group in weighted for m in group):
            if type(metric).update_state is not registry.Metric.update_state:
                raise ValueError(
                    f"{self.name}: weighted_metrics with {metric.name}; expected means over samples, for example 'accuracy' or "
                    "'mae'; pass it among the metrics"
                )
        factors = [1.0 if f is None else f for f in self._per_output("loss_weights", loss_weights)]
        factors = [check_number(self.name, "loss_weights", f, 1.0) for f in factors]
        means = [registry.Mean(f"{name}_loss") for name, own in zip(self._output_names, chosen) if own] if several else []
        prefixes = [f"{name}_" for name in self._output_names] if several else [""]
        names = ["loss", *(m.name for m in means)]
        names += [prefix + m.name for prefix, group in zip(prefixes, chosen_metrics) for m in group]
        for prefix, group in zip(prefixes, weighted):
            names += [f"{prefix}weighted_{m.name}" if prefix + m.name in names else prefix + m.name for m in group]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: metrics named {names}; expected different names; pass each once")
        self.optimizer = optimizers.get(optimizer)
        self.loss = chosen if several else chosen[0]
        self._losses, self._loss_weights, self._log_names = chosen, factors, names
        self._metrics, self._weighted_metrics = chosen_metrics, weighted
        self.metrics = [registry.Mean("loss"), *means, *(m for group in (*chosen_metrics, *weighted) for m in group)]
        self._forget_programs()

    def _compile_config(self) -> dict[str, Any] | None:
        """What makes `compile` do the same again."""
        if self.loss is None:
            return None
        several = len(self._output_names) > 1
        config = {"optimizer": self.optimizer, "loss": self.loss, "metrics": self._metrics if several else self._metrics[0]}
        if any(self._weighted_metrics):
            config["weighted_metrics"] = self._weighted_metrics if several else self._weighted_metrics[0]
        return config | ({"loss_weights": self._loss_weights} if several else {})

    def _chosen_metrics(self, what: str, value: Any, of_losses: Sequence[Loss | None]) -> list[list[Any]]:
        """The metrics for each output."""
        from fastnn import metrics as registry

        chosen = []
        for entry, loss in zip(self._per_output(what, value), of_losses):
            wanted = [] if entry is None else entry if isinstance(entry, (list, tuple)) else [entry]
            if wanted and loss is None:
                raise ValueError(
                    f"{self.name}: {what}={entry!r} of an output without a loss; expected one, because targets come with it; "
                    "name it"
                )
            chosen.append([registry.get(m, loss) for m in wanted if loss is not None])
        return chosen

    def _per_output(self, what: str, value: Any, everywhere: bool = False) -> list[Any]:
        """`value` as a list with an entry for each output, None where there is none."""
        names = self._output_names or ["output"]
        if isinstance(value, Mapping):
            if unknown := [key for key in value if key not in names]:
                raise unknown_name(f"{self.name}: {what}: output", unknown[0], names)
            return [value.get(name) for name in names]
        if isinstance(value, (list, tuple)):
            if len(value) != len(names):
                raise ValueError(
                    f"{self.name}: {len(value)} entries in {what}; expected {len(names)}, one for each of {', '.join(names)}; "
                    "pass a dict by these names for some of them"
                )
            return list(value)
        if value is not None and len(names) > 1 and not everywhere:
            raise TypeError(f"{self.name}: {what}={value!r} of several outputs; expected a list or a dict; pass one by names")
        return [value] * len(names)

    def _require_compiled(self, what: str) -> None:
        if self.loss is None:
            raise ValueError(
                f"{self.name}: {what} before compile; expected a loss and an optimizer; call for example "
                "model.compile(optimizer='adam', loss='mean_squared_error')"
            )

    def metrics_so_far(self) -> Logs:
        """The loss and the metrics since the epoch began, as far as they are numbers: `result()` of a metric tells the rest.

        Returns:
            A dict of floats; NaN before the first batch.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(1)])
            >>> model.compile(loss="mse")
            >>> model.metrics_so_far()
            {'loss': nan}
        """
        results: dict[str, Any] = {name: metric.result() for name, metric in zip(self._log_names, self.metrics)}
        return {name: result for name, result in results.items() if not isinstance(result, np.ndarray)}

    # ---- Programs ------------------------------------------------------------------------------------------------------------

    def _program(self, key: Any, trace: Callable[[], Program]) -> Program:
        program = self._programs.get(key)
        if program is None:
            # Two threads may both trace; the results are equal and setdefault keeps one.
            program = self._programs.setdefault(key, trace())
        return program

    def _training_program(self, data: Data) -> Program:
        gathers = self.optimizer.gathers
        return self._program(("gather" if gathers else "train", data.kind), lambda: self._trace_training(data, gathers))

    def _evaluation_program(self, data: Data) -> Program:
        return self._program(("evaluate", data.kind), lambda: self._trace_evaluation(data))

    def _prediction_program(self, inputs: list[Array], training: bool) -> Program:
        dtypes = [dtype_name(a.dtype) for a in inputs]
        return self._program(("predict", training, tuple(dtypes)), lambda: self._trace_prediction(dtypes, training))

    def _trace_training(self, data: Data, gathers: bool) -> Program:
        samples = _core.Extent("samples")
        with Trace() as trace:

            def whole(name: str, array: Array) -> Tensor:
                return trace.input(name, array.dtype.name, (samples, *array.shape[1:]))

            inputs, targets, weights = self._declare(data, whole)
            rows = trace.input("rows", "int64", (_core.Extent("batch"),))
            loss = self._trace_loss(
                [ops.gather_rows(x, rows, dtype=spec.dtype) for x, spec in zip(inputs, self._inputs)],
                [
                    None if y is None else ops.gather_rows(y, rows, dtype=self._target_dtype(y, i))
                    for i, y in enumerate(targets)
                ],
                [ops.gather_rows(w, rows, dtype="float32") for w in weights],
                training=True,
            )
            variables = self.trainable_variables
            gradients = backward([loss], [as_tensor(1.0)], [as_tensor(v) for v in variables])
            self._require_gradients(variables, gradients)
            self._require_own_weights(trace)
            if gathers:
                self.optimizer.accumulate(gradients, variables)
            else:
                self.optimizer.apply(gradients, variables)
            trace.graph.set_outputs([loss._value])  # so that the guard on it is kept
        return Program(_core.Function(trace.graph))

    def _trace_evaluation(self, data: Data) -> Program:
        batch = _core.Extent("batch")
        with Trace() as trace:

            def some(name: str, array: Array) -> Tensor:
                return trace.input(name, array.dtype.name, (batch, *array.shape[1:]))

            inputs, targets, weights = self._declare(data, some)
            loss = self._trace_loss(
                [ops.cast(x, spec.dtype) for x, spec in zip(inputs, self._inputs)],
                [None if y is None else ops.cast(y, self._target_dtype(y, i)) for i, y in enumerate(targets)],
                weights,
                training=False,
            )
            trace.graph.set_outputs([loss._value])
            trace.graph.fuse()
        return Program(_core.Function(trace.graph))

    def _declare(
        self, data: Data, declare: Callable[[str, Array], Tensor]
    ) -> tuple[list[Tensor], list[Tensor | None], list[Tensor]]:
        """The inputs of a program: tensors for the model's inputs, for the targets of each output, and for weights."""
        inputs = [declare(name, array) for name, array in zip(self._input_names(), data.inputs)]
        arrays = iter(data.targets)
        names = [f"y '{name}'" for name in self._output_names] if len(self._output_names) > 1 else ["y"]
        targets = [None if loss is None else declare(name, next(arrays)) for name, loss in zip(names, self._losses)]
        return inputs, targets, [declare(f"sample_weight {i}", array) for i, array in enumerate(data.weights)]

    def _input_names(self) -> list[str]:
        """What programs and files call the inputs: as the user does, else numbered within the model."""
        if len(self._inputs) == 1:
            return ["x" if self._inputs[0].auto_named else self._inputs[0].name]
        return [f"input_{i + 1}" if spec.auto_named else spec.name for i, spec in enumerate(self._inputs)]

    def _trace_prediction(self, dtypes: Sequence[str], training: bool) -> Program:
        graph, structure, commits = self._prediction_graph(dtypes, training)
        graph.fuse()
        return Program(_core.Function(graph), structure, commits)

    def _prediction_graph(self, dtypes: Sequence[str] | None = None, training: bool = False) -> tuple[_core.Graph, Any, bool]:
        """From a batch of inputs of these dtypes to the outputs, not fused, the form of the outputs, and whether a run writes
        Variables: a layer may keep a state."""
        with Trace() as trace:
            inputs = [
                trace.input(name, dtype, (_core.Extent("batch"), *spec.sample_shape))
                for name, dtype, spec in zip(self._input_names(), dtypes or [i.dtype for i in self._inputs], self._inputs)
            ]
            x = unflatten(self._structure, [ops.cast(x, spec.dtype) for x, spec in zip(inputs, self._inputs)])
            outputs, structure = flatten(self(x, training=training))
            trace.graph.set_outputs([output._value for output in outputs])
        return trace.graph, structure, trace.assigns()

    def _trace_loss(self, inputs: list[Tensor], targets: list[Tensor | None], weights: list[Tensor], training: bool) -> Tensor:
        """The loss of a batch: the sum over outputs of the means over samples. Metrics are updated on the way."""
        outputs = flatten(self(unflatten(self._structure, inputs), training=training))[0]
        if len(outputs) != len(self._losses):
            raise ValueError(
                f"{self.name}: {len(outputs)} outputs and {len(self._losses)} losses; expected as many; write a functional "
                "model, fastnn.Model(inputs, outputs), whose outputs are known when it is compiled"
            )
        means = iter(self.metrics[1:])
        fitted: list[Any] = []
        terms: list[Any] = []
        rows: Any = None
        for i, (output, y, loss, factor) in enumerate(zip(outputs, targets, self._losses, self._loss_weights)):
            fitted.append(None)
            if loss is None or y is None:
                continue
            fitted[i] = y = self._fit_targets(y, output, loss)
            with layer_scope(f"{self.name}/loss"):
                rows = per_sample = loss.call(y, output)
                if weights:
                    w = self._weights_of(weights, i)
                    per_sample = per_sample * ops.reshape(w, (w.shape[0], *(1 for _ in per_sample.shape[1:])))
                terms.append(ops.mean(per_sample))
                if len(outputs) > 1:
                    next(means).update(per_sample)
                    terms[-1] = terms[-1] * factor
        with layer_scope(f"{self.name}/loss"):
            penalties = self.losses
            total: Tensor = terms[0]
            for term in (*terms[1:], *penalties):
                total = total + term
            # The guard: a loss that is not finite commits nothing.
            total = ops.check_finite(total)
            if len(outputs) == 1:
                for penalty in penalties:
                    per_sample = per_sample + penalty
                self.metrics[0].update(per_sample)
            else:
                self.metrics[0].update(ops.broadcast_like(total, _first_of_rows(rows)))
        for i, (y, output) in enumerate(zip(fitted, outputs)):
            for metric in self._metrics[i]:
                with layer_scope(f"{self.name}/{metric.name}"):
                    metric.update_state(y, output)
            for metric in self._weighted_metrics[i]:
                with layer_scope(f"{self.name}/{metric.name}"):
                    metric.update(metric.call(y, output), self._weights_of(weights, i) if weights else None)
        return total

    def _weights_of(self, weights: list[Tensor], output: int) -> Tensor:
        return weights[output if len(weights) > 1 else 0]

    def _target_dtype(self, y: Any, output: int) -> str:
        loss = self._losses[output]
        if loss is None or not loss.sparse_labels:
            return "float32"
        return "int32" if y.dtype == "bool" else str(y.dtype)

    def _fit_targets(self, y: Tensor, output: Tensor, loss: Loss) -> Tensor:
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
            f"{self.name}: targets of shape {shape_text(y.shape)} for outputs of shape {shape_text(output.shape)} with the "
            f"loss {loss.name}; expected targets of shape {shape_text(wanted)}{hint or '; reshape them'}"
        )

    def _require_gradients(self, variables: Sequence[Any], gradients: Sequence[Any]) -> None:
        if not variables:
            raise ValueError(f"{self.name}: no trainable weights; expected some; add a layer such as Dense, or unfreeze one")
        missing = [v.name for v, g in zip(variables, gradients) if g is None]
        if missing:
            raise ValueError(
                f"{self.name}: the loss does not depend on {', '.join(missing)}; expected every trainable weight to matter; "
                "remove the layer or make it untrainable"
            )

    def _require_own_weights(self, trace: Trace) -> None:
        own = {id(v) for v in self.named_variables().values()}
        stray = [v.name for v in trace.variables() if v.trainable and id(v) not in own]
        if stray:
            raise ValueError(
                f"{self.name}: {', '.join(stray)} would never be trained; expected weights of the model's own layers; make "
                "them with add_weight, make inner layers attributes of their layer, or such variables with trainable=False"
            )

    def _memory(self, batch_size: int) -> Iterator[tuple[str, int, int]]:
        """(kind of program, planned bytes, bytes of all intermediates) of what a summary can know."""
        if not self.built:
            return
        shapes = [[batch_size, *spec.sample_shape] for spec in self._inputs]
        arrays = [np.zeros((1, *spec.sample_shape), spec.dtype) for spec in self._inputs]
        described = self._prediction_program(arrays, False).function.describe(shapes)
        yield "prediction", described["arena_bytes"], described["intermediate_bytes"]
        for key, program in self._programs.items():
            if key[0] == "train":
                _, targets, weights = key[1]
                rest = [[batch_size, *shape] for _, shape in (*targets, *weights)]
                described = program.function.describe([*shapes, *rest, [batch_size]])
                yield "training", described["arena_bytes"], described["intermediate_bytes"]
                return

    # ---- Data ----------------------------------------------------------------------------------------------------------------

    def _prepare(
        self, x: Any, y: Any, where: str, sample_weight: Any = None, class_weight: Mapping[int, float] | None = None
    ) -> Data:
        inputs = self._prepare_x(x, where)
        samples = len(inputs[0])
        if samples == 0:
            raise ValueError(f"{self.name}: {where}: empty arrays; expected at least one sample; check how the data was loaded")
        if len(self._losses) > 1:
            pairs = zip(self._output_names, self._per_output("y", y), self._losses)
            targets = [
                self._prepare_y(part, samples, loss, where, f"y '{name}'") for name, part, loss in pairs if loss is not None
            ]
        else:
            targets = [self._prepare_y(y, samples, self._losses[0], where, "y")]
        weights: list[Array] = []
        if sample_weight is not None:
            several = isinstance(sample_weight, (list, tuple, Mapping)) and len(self._losses) > 1
            parts = self._per_output("sample_weight", sample_weight) if several else [sample_weight]
            for part in parts:
                ones = np.ones(samples, np.float32)
                weights.append(ones if part is None else sample_weights(f"{self.name}: {where}: sample_weight", part, samples))
        if class_weight is not None:
            if len(self._losses) > 1:
                raise ValueError(
                    f"{self.name}: class_weight of several outputs; expected one output; pass sample_weight instead"
                )
            by_class = class_weights(f"{self.name}: {where}", class_weight, targets[0])
            weights = [weights[0] * by_class] if weights else [by_class]
        return Data(inputs, targets, weights)

    def _prepare_y(self, y: Any, samples: int, loss: Loss | None, where: str, name: str) -> Array:
        array = numeric(f"{self.name}: {where}: {name}", y)
        if array.ndim == 0 or len(array) != samples:
            raise ValueError(
                f"{self.name}: {where}: x has {samples} samples and {name} has shape {array.shape}; expected one target per "
                "sample; pass arrays of equal length"
            )
        if loss is not None and loss.sparse_labels and array.dtype.kind == "f":
            if not np.array_equal(array, np.floor(array)):
                raise TypeError(
                    f"{self.name}: {where}: {name} is {array.dtype} with fractions; expected integer class labels for "
                    f"{loss.name}; convert them with .astype('int64'), or choose another loss"
                )
            array = np.asarray(array, np.int64)
        return array

    def _prepare_x(self, x: Any, where: str) -> list[Array]:
        """The model's inputs as arrays, in their order; builds the model where it is not yet."""
        if not self.built:
            with building:
                if not self.built:  # several threads may make the first prediction
                    self._build_on(x, where)
        first = self._inputs[0]
        if (
            type(x) is np.ndarray
            and len(self._inputs) == 1
            and self._structure is None
            and x.ndim > 0
            and x.dtype == first.dtype
            and x.shape[1:] == first.sample_shape
            and x.flags.c_contiguous
        ):
            return [x]  # as it should be; a prediction for one sample takes a tenth longer with all that follows
        parts = self._parts(x, where)
        names = ["x"] if len(self._inputs) == 1 else [f"x '{spec.name}'" for spec in self._inputs]
        inputs = [
            self._fit_input(numeric(f"{self.name}: {where}: {n}", a), s, where, n)
            for a, s, n in zip(parts, self._inputs, names)
        ]
        if any(len(a) != len(inputs[0]) for a in inputs):
            lengths = ", ".join(f"{name} {len(a)}" for name, a in zip(names, inputs))
            raise ValueError(f"{self.name}: {where}: samples: {lengths}; expected as many of each; pass arrays of equal length")
        return inputs

    def _build_on(self, x: Any, where: str) -> None:
        """Builds the model for data of these shapes."""
        array = numeric(f"{self.name}: {where}: x", x)
        if array.ndim == 0:
            raise ValueError(f"{self.name}: {where}: x is a single number; expected an array (samples, ...); pass a batch")
        self.build(array.shape[1:])

    def _parts(self, x: Any, where: str) -> list[Any]:
        """The data of each input."""
        names = [spec.name for spec in self._inputs]
        if self._structure is None:
            return [x[names[0]]] if isinstance(x, Mapping) and x.keys() == {names[0]} else [x]
        if isinstance(x, Mapping):
            if x.keys() != set(names):
                raise ValueError(
                    f"{self.name}: {where}: x with the keys {', '.join(map(str, x))}; expected {', '.join(names)}; pass one "
                    "array each"
                )
            return [x[name] for name in names]
        if not isinstance(x, (list, tuple)) or len(x) != len(names):
            came = f"{len(x)} arrays" if isinstance(x, (list, tuple)) else type(x).__name__
            raise ValueError(
                f"{self.name}: {where}: x is {came}; expected {len(names)} arrays, {', '.join(names)}; pass a list or a dict"
            )
        return list(x)

    def _fit_input(self, x: Array, spec: Input, where: str, name: str) -> Array:
        """The array with the shape of samples that the model has; a last axis of 1 may be missing or surplus, as in Keras."""
        if x.ndim == 0:
            raise ValueError(f"{self.name}: {where}: {name} is a single number; expected an array (samples, ...); pass a batch")
        shape = x.shape[1:]
        if spec.dtype != "float32" and x.dtype.kind == "f" and not np.array_equal(x, np.floor(x)):
            raise TypeError(
                f"{self.name}: {where}: {name} is {x.dtype} with fractions; expected integers; convert them with "
                ".astype('int64')"
            )
        fitted = x
        if (*shape, 1) == spec.sample_shape:
            fitted = x[..., None]
        elif shape == (*spec.sample_shape, 1):
            fitted = x[..., 0]
        if fitted.shape[1:] == spec.sample_shape:
            return fitted
        raise ValueError(
            f"{self.name}: {where}: {name} has shape {x.shape}; expected {shape_text((None, *spec.sample_shape))}, where None "
            "is any number of samples; reshape the array"
        )


def _first_of_rows(x: Tensor) -> Tensor:
    """One number for each row."""
    return x if len(x.shape) == 1 else ops.sum(x, axes=tuple(range(1, len(x.shape))))
