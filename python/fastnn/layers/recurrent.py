"""Layers with a state along time: RNN for any cell, SimpleRNN, LSTM, GRU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import activations, constraints, initializers, ops, regularizers
from fastnn.layers.layer import InputShape, Layer, check_size, given
from fastnn.layers.recurrent_cells import Cell, GRUCell, LSTMCell, SimpleRNNCell, check_flag
from fastnn.tracing import Variable

_MOST_STEPS = 256  # of a cell that is unrolled: every step is a node for each of its ops


class RNN(Layer):
    """A cell applied to one step of a sequence after the other.

    A cell of your own is a layer whose `call(x, states)` takes `(batch, channels)` and the list of states and returns the
    output and the list of states after the step, and which says how long they are: `state_size`, an int or a list of ints. It
    is unrolled: every step is recorded by itself, so a sequence has at most 256. `SimpleRNN`, `LSTM` and `GRU`, and `RNN` of
    their cells, compute a sequence of any length in one kernel.

    Args:
        cell: the cell.
        return_sequences: return the outputs of all steps instead of the last.
        return_state: return the states after the last step too.
        go_backwards: begin with the last step; the outputs of all steps then come in this order, too.
        stateful: begin where the call before ended, for each place in the batch; `reset_states` begins anew. C++ programs,
            which change nothing, do not load a model of such a layer: for them return the state and pass it in.
        batch_size: the length of all batches of a stateful layer. Calls on arrays know it; a model does not.

    Called with `initial_state=`, the list of states before the first step, each `(batch, size)`, and `mask=`, bool of shape
    `(batch, time)`: a step whose mask is False leaves the states as they are, and its output is the one before, or 0.

    Input shape `(batch, time, channels)`, output shape `(batch, units)`, or `(batch, time, units)` with `return_sequences`;
    with `return_state` a list of this and the states.

    Raises:
        ValueError: when called, an input without 3 axes, states or masks that do not fit, more than 256 steps of another cell,
            a stateful layer that does not know its batch.
        TypeError: a cell that is no layer or has no `state_size`.

    Example:
        >>> class Decaying(layers.Layer):
        ...     state_size = 3
        ...     def call(self, x, states):
        ...         h = states[0] * 0.5 + x
        ...         return h, [h]
        >>> layers.RNN(Decaying())(np.ones((1, 3, 3)))
        array([[1.75, 1.75, 1.75]], dtype=float32)
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        *,
        batch_size: int | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        activity_regularizer: regularizers.RegularizerLike = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, activity_regularizer=activity_regularizer)
        sizes = getattr(cell, "state_size", None)
        sizes = list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]
        if not isinstance(cell, Layer) or not all(isinstance(n, (int, np.integer)) for n in sizes):
            raise TypeError(
                f"{self.name}: cell={cell!r}; expected a layer with a state_size, an int or a list of ints; derive one from "
                "layers.Layer, or pass for example layers.LSTMCell(64)"
            )
        self.cell = cell
        self.return_sequences = check_flag(self.name, "return_sequences", return_sequences)
        self.return_state = check_flag(self.name, "return_state", return_state)
        self.go_backwards = check_flag(self.name, "go_backwards", go_backwards)
        self.stateful = check_flag(self.name, "stateful", stateful)
        self.batch_size = None if batch_size is None else check_size(self.name, "batch_size", batch_size)
        if self.batch_size is not None and not stateful:
            raise ValueError(
                f"{self.name}: batch_size={batch_size} of a layer that keeps no state; expected stateful=True beside it; leave "
                "it out"
            )
        self.state_sizes = [int(n) for n in sizes]
        self._in_order = False  # whether outputs keep their places in time whatever go_backwards says

    def build(self, input_shape: InputShape) -> None:
        if len(input_shape) == 3 and isinstance(self.cell, Cell) and not self.cell.built:
            self.cell.build((input_shape[0], input_shape[2]))
            self.cell.built = True
        if self.stateful and self.batch_size is not None:
            self._make_states(self.batch_size)

    # ---- States kept from call to call ---------------------------------------------------------------------------------------

    @property
    def states(self) -> list[Variable]:
        """What a stateful layer keeps: the states after the last call, empty before the first."""
        return [v for name, v in vars(self).items() if name.startswith("_state_") and isinstance(v, Variable)]

    def _make_states(self, batch: int) -> None:
        for i, size in enumerate(self.state_sizes):
            state = Variable(np.zeros((batch, size), np.float32), name=f"{self.name}/state_{i}", trainable=False)
            setattr(self, f"_state_{i}", state)  # an attribute, where files and copies find it

    def reset_states(self) -> None:
        """Sets the states that a stateful layer keeps to zero.

        Raises:
            ValueError: a layer that keeps none.

        Example:
            >>> layer = layers.SimpleRNN(1, "linear", kernel_initializer="ones", recurrent_initializer="ones", stateful=True)
            >>> x = np.ones((1, 2, 1))
            >>> layer(x).item(), layer(x).item()
            (2.0, 4.0)
            >>> layer.reset_states()
            >>> layer(x).item()
            2.0
        """
        if not self.stateful:
            raise ValueError(f"{self.name}: reset_states of a layer that keeps none; expected stateful=True; pass it")
        for state in self.states:
            state.assign(0.0)

    def reset_state(self) -> None:
        """The same."""
        self.reset_states()

    def unbuild(self) -> None:
        """Forgets weights and states."""
        super().unbuild()
        for name in [name for name in vars(self) if name.startswith("_state_")]:
            delattr(self, name)

    def _initial_states(self, x: Any, initial_state: Any) -> list[Any]:
        if initial_state is not None:
            states = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
            if len(states) != len(self.state_sizes):
                raise ValueError(
                    f"{self.name}: initial_state of {len(states)}; expected {len(self.state_sizes)}; pass a list of that many"
                )
            return [self._converted(state) for state in states]
        if not self.stateful:
            return [None] * len(self.state_sizes)
        if not isinstance(x.shape[0], int) and not (self.states and isinstance(self.cell, Cell)):
            raise ValueError(
                f"{self.name}: a stateful layer in a model, whose batches have any length; expected one of the library's "
                "cells, and a length that is known; pass batch_size="
            )
        if not self.states:
            self._make_states(x.shape[0])
        states = self.states
        if isinstance(x.shape[0], int) and states[0].shape[0] != x.shape[0]:
            raise ValueError(
                f"{self.name}: a batch of {x.shape[0]}; expected {states[0].shape[0]}, as many as it keeps states of; pass "
                "batches of equal length"
            )
        return list(states)

    # ---- Computing -----------------------------------------------------------------------------------------------------------

    def call(  # type: ignore[override]
        self, x: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """The outputs.

        Args:
            x: `(batch, time, channels)`.
            initial_state: the states before the first step; default zeros, or what a stateful layer keeps.
            mask: bool `(batch, time)`, False where a step does not count.
            training: whether dropout is active.

        Returns:
            As the class says.
        """
        self.expect_rank(x, 3, "(batch, time, channels)")
        states = self._initial_states(x, initial_state)
        if isinstance(self.cell, Cell):
            y, after = self.cell.sequence(x, states, mask, training, self.go_backwards)
        else:
            y, after = self._unrolled(x, states, mask)
        if self.stateful and self.states:
            for variable, state in zip(self.states, after):
                variable.assign(state)
        if self.return_sequences:
            output = y[:, ::-1] if self.go_backwards and not self._in_order else y
        elif isinstance(self.cell, Cell) and mask is None and not self.stateful:
            output = after[0]  # so that nothing needs the other outputs
        else:
            output = y[:, 0] if self.go_backwards else y[:, -1]
        return [output, *after] if self.return_state else output

    def _unrolled(self, x: Any, states: list[Any], mask: Any) -> tuple[Any, list[Any]]:
        batch, time = x.shape[:2]
        if not isinstance(time, int) or not 1 <= time <= _MOST_STEPS:
            raise ValueError(
                f"{self.name}: {time} steps of {type(self.cell).__name__}, which is unrolled; expected 1 to {_MOST_STEPS}; cut "
                "the sequence into pieces with return_state and initial_state, or use LSTM, GRU or SimpleRNN"
            )
        states = [ops.zeros((batch, n), x.dtype) if s is None else s for n, s in zip(self.state_sizes, states)]
        outputs: list[Any] = []
        for t in range(time)[:: -1 if self.go_backwards else 1]:
            output, after = self.cell(x[:, t], states)
            after = list(after) if isinstance(after, (list, tuple)) else [after]
            if mask is not None:
                counts = mask[:, t : t + 1]
                output = ops.where(counts, output, outputs[-1] if outputs else ops.zeros(output.shape, output.dtype))
                after = [ops.where(counts, new, old) for new, old in zip(after, states)]
            states = after
            outputs.append(output)
        return ops.stack(outputs[:: -1 if self.go_backwards else 1], axis=1), states

    # ---- Configuration -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            "cell": self.cell,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            **given(batch_size=self.batch_size),
            **super().get_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` returned, with a cell and weights of its own.

        Args:
            config: the constructor's arguments by name.
        """
        if isinstance(config.get("cell"), Layer):
            config = {**config, "cell": copy_of(config["cell"])}
        return super().from_config(config)


class _OwnCell(RNN):
    """A layer that makes its cell: its configuration is that of both."""

    def __getattr__(self, name: str) -> Any:
        cell = vars(self).get("cell")
        if cell is None or name.startswith("_"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(cell, name)  # layer.units, layer.kernel

    def get_config(self) -> dict[str, Any]:
        of_layer = super().get_config()
        cell = of_layer.pop("cell")
        of_cell = {key: value for key, value in cell.get_config().items() if key not in ("name", "input_shape", "trainable")}
        return {**of_cell, **of_layer}


class SimpleRNN(_OwnCell):
    """Recurrent layer: `h = activation(x[:, t] kernel + h recurrent_kernel + bias)`, step by step.

    Args:
        units: length of the state and of the output.
        activation: `"tanh"`, `"relu"`, or `"linear"`, which is also None.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel, shape `(channels, units)`.
        recurrent_initializer: of the recurrent kernel, shape `(units, units)`.
        bias_initializer: of the bias, shape `(units,)`.
        kernel_regularizer: what the kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        recurrent_regularizer: likewise the recurrent kernel.
        bias_regularizer: likewise the bias.
        kernel_constraint: what is done to the kernel after an update: a name or object of `fastnn.constraints`, or None.
        recurrent_constraint: likewise to the recurrent kernel.
        bias_constraint: likewise to the bias.
        dropout: while training, the share of the input's channels that are set to zero, the same ones at all steps.
        recurrent_dropout: likewise of the state, where it meets the recurrent kernel.
        seed: of the masks; default one from the library's generator.
        return_sequences: as for `RNN`, as everything that follows.
        return_state: likewise.
        go_backwards: likewise.
        stateful: likewise.
        batch_size: likewise.
        activity_regularizer: what the output adds to the loss, divided by the length of the batch.

    Shapes, `initial_state=` and `mask=` are those of `RNN`.

    Raises:
        ValueError: units that are no positive integer, another activation, a rate outside 0 <= rate < 1; when called, as `RNN`.

    Source:
        Elman, "Finding structure in time", Cognitive Science 1990. Dropout: Gal and Ghahramani, "A theoretically grounded
        application of dropout in recurrent neural networks", NeurIPS 2016, arXiv:1512.05287.

    Example:
        >>> layers.SimpleRNN(4)(np.ones((2, 7, 3))).shape
        (2, 4)
    """

    def __init__(
        self,
        units: int,
        activation: activations.ActivationLike = "tanh",
        use_bias: bool = True,
        kernel_initializer: initializers.InitializerLike = "glorot_uniform",
        recurrent_initializer: initializers.InitializerLike = "orthogonal",
        bias_initializer: initializers.InitializerLike = "zeros",
        kernel_regularizer: regularizers.RegularizerLike = None,
        recurrent_regularizer: regularizers.RegularizerLike = None,
        bias_regularizer: regularizers.RegularizerLike = None,
        activity_regularizer: regularizers.RegularizerLike = None,
        kernel_constraint: constraints.ConstraintLike = None,
        recurrent_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        *,
        seed: int | None = None,
        batch_size: int | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        cell = SimpleRNNCell(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
        )
        super().__init__(
            cell,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            batch_size=batch_size,
            name=name,
            input_shape=input_shape,
            activity_regularizer=activity_regularizer,
        )


class LSTM(_OwnCell):
    """Long short-term memory: `c = f c + i tanh(a_c)`, `h = o tanh(c)`, the gates `i, f, o = sigmoid(a_i, a_f, a_o)`, with
    `a = x[:, t] kernel + h recurrent_kernel + bias`.

    Args:
        units: length of the states h and c, and of the output, which is h.
        activation: `"tanh"`.
        recurrent_activation: `"sigmoid"`.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel, shape `(channels, 4 units)`, the gates i, f, c, o side by side.
        recurrent_initializer: of the recurrent kernel, shape `(units, 4 units)`.
        bias_initializer: of the bias, shape `(4 units,)`.
        unit_forget_bias: the bias of the forget gate begins as ones.
        kernel_regularizer: as for `SimpleRNN`, as everything that follows.
        recurrent_regularizer: likewise.
        bias_regularizer: likewise.
        activity_regularizer: likewise.
        kernel_constraint: likewise.
        recurrent_constraint: likewise.
        bias_constraint: likewise.
        dropout: likewise.
        recurrent_dropout: likewise; Keras drops other parts of the state for each gate.
        seed: likewise.
        return_sequences: likewise.
        return_state: likewise; the states are h and c.
        go_backwards: likewise.
        stateful: likewise.
        batch_size: likewise.

    Shapes, `initial_state=` and `mask=` are those of `RNN`.

    Raises:
        ValueError: units that are no positive integer, another activation, a rate outside 0 <= rate < 1; when called, as `RNN`.

    Source:
        Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997; the bias of the forget gate: Jozefowicz,
        Zaremba, Sutskever, "An empirical exploration of recurrent network architectures", ICML 2015.

    Example:
        >>> model = fastnn.Sequential([layers.LSTM(8, input_shape=(28, 28)), layers.Dense(10, activation="softmax")])
        >>> model.predict(np.ones((2, 28, 28))).shape, model.count_params()
        ((2, 10), 1274)
        >>> y, h, c = layers.LSTM(4, return_sequences=True, return_state=True)(np.ones((2, 7, 3)))
        >>> y.shape, h.shape, c.shape
        ((2, 7, 4), (2, 4), (2, 4))
    """

    def __init__(
        self,
        units: int,
        activation: activations.ActivationLike = "tanh",
        recurrent_activation: activations.ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: initializers.InitializerLike = "glorot_uniform",
        recurrent_initializer: initializers.InitializerLike = "orthogonal",
        bias_initializer: initializers.InitializerLike = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: regularizers.RegularizerLike = None,
        recurrent_regularizer: regularizers.RegularizerLike = None,
        bias_regularizer: regularizers.RegularizerLike = None,
        activity_regularizer: regularizers.RegularizerLike = None,
        kernel_constraint: constraints.ConstraintLike = None,
        recurrent_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        *,
        batch_size: int | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        cell = LSTMCell(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            unit_forget_bias,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
        )
        super().__init__(
            cell,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            batch_size=batch_size,
            name=name,
            input_shape=input_shape,
            activity_regularizer=activity_regularizer,
        )


class GRU(_OwnCell):
    """Gated recurrent units: `h = z h + (1 - z) n`, the gates `z, r = sigmoid(a_z, a_r)`, and the candidate
    `n = tanh(x[:, t] kernel_h + b_h + r (h recurrent_h + b'_h))`, without `reset_after`
    `tanh(x[:, t] kernel_h + b_h + (r h) recurrent_h)`.

    Args:
        units: length of the state and of the output.
        activation: `"tanh"`.
        recurrent_activation: `"sigmoid"`.
        use_bias: whether to add biases.
        kernel_initializer: of the kernel, shape `(channels, 3 units)`, the gates z, r, h side by side.
        recurrent_initializer: of the recurrent kernel, shape `(units, 3 units)`.
        bias_initializer: of the bias, shape `(2, 3 units)`, beside the kernel and beside the recurrent kernel; without
            `reset_after` `(3 units,)`.
        kernel_regularizer: as for `SimpleRNN`, as everything that follows.
        recurrent_regularizer: likewise.
        bias_regularizer: likewise.
        activity_regularizer: likewise.
        kernel_constraint: likewise.
        recurrent_constraint: likewise.
        bias_constraint: likewise.
        dropout: likewise.
        recurrent_dropout: likewise; Keras drops other parts of the state for each gate.
        seed: likewise.
        return_sequences: likewise.
        return_state: likewise.
        go_backwards: likewise.
        stateful: likewise.
        reset_after: whether the state is reset after its product, as in cuDNN and PyTorch, or before.
        batch_size: as for `RNN`.

    Shapes, `initial_state=` and `mask=` are those of `RNN`.

    Raises:
        ValueError: units that are no positive integer, another activation, a rate outside 0 <= rate < 1; when called, as `RNN`.

    Source:
        Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", EMNLP
        2014, arXiv:1406.1078.

    Example:
        >>> gru = layers.GRU(4)
        >>> gru(np.ones((2, 7, 3))).shape, gru.count_params()
        ((2, 4), 108)
    """

    def __init__(
        self,
        units: int,
        activation: activations.ActivationLike = "tanh",
        recurrent_activation: activations.ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: initializers.InitializerLike = "glorot_uniform",
        recurrent_initializer: initializers.InitializerLike = "orthogonal",
        bias_initializer: initializers.InitializerLike = "zeros",
        kernel_regularizer: regularizers.RegularizerLike = None,
        recurrent_regularizer: regularizers.RegularizerLike = None,
        bias_regularizer: regularizers.RegularizerLike = None,
        activity_regularizer: regularizers.RegularizerLike = None,
        kernel_constraint: constraints.ConstraintLike = None,
        recurrent_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        *,
        reset_after: bool = True,
        batch_size: int | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        cell = GRUCell(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            reset_after,
            seed,
        )
        super().__init__(
            cell,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            batch_size=batch_size,
            name=name,
            input_shape=input_shape,
            activity_regularizer=activity_regularizer,
        )


def copy_of(layer: Any) -> Any:
    """A layer of the same configuration, with weights of its own."""
    copy = type(layer).from_config(layer.get_config())
    copy.auto_named = layer.auto_named
    return copy
