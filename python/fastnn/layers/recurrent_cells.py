"""One step of a recurrent layer, and the whole sequence as one op: SimpleRNNCell, LSTMCell, GRUCell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from fastnn import activations, constraints, initializers, ops, regularizers
from fastnn.layers.layer import InputShape, Layer, check_size, given
from fastnn.tracing import Variable
from fastnn.utils import check_number, check_seed, generator

# What users say about one weight.
_Options: TypeAlias = tuple[initializers.InitializerLike, regularizers.RegularizerLike, constraints.ConstraintLike]


class Cell(Layer):
    """What the library's cells share: weights, dropout, and a whole sequence as one op."""

    _gates = 1
    _states = 1

    def __init__(
        self,
        units: int,
        use_bias: bool,
        of_kernel: _Options,
        of_recurrent: _Options,
        of_bias: _Options,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        name: str | None,
        input_shape: Sequence[int] | None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.units = check_size(self.name, "units", units)
        self.use_bias = check_flag(self.name, "use_bias", use_bias)
        self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint = _objects(*of_kernel)
        self.recurrent_initializer, self.recurrent_regularizer, self.recurrent_constraint = _objects(*of_recurrent)
        self.bias_initializer, self.bias_regularizer, self.bias_constraint = _objects(*of_bias)
        self.dropout = _check_rate(self.name, "dropout", dropout)
        self.recurrent_dropout = _check_rate(self.name, "recurrent_dropout", recurrent_dropout)
        self.seed = None if seed is None else check_seed(self.name, seed)
        self.random_state: Variable | None = None
        if self.dropout or self.recurrent_dropout:
            base, stream = generator.next_key() if self.seed is None else (self.seed, 0)
            # [seed, step], as of a Dropout layer.
            self.random_state = Variable(
                np.array([(base + stream * 0x9E3779B97F4A7C15) % 2**63, 0], np.int64),
                name=f"{self.name}/random_state",
                trainable=False,
            )
        self.kernel: Variable
        self.recurrent_kernel: Variable
        self.bias: Variable | None = None

    @property
    def state_size(self) -> Any:
        """The length of the state, or of each of its parts."""
        return [self.units] * self._states if self._states > 1 else self.units

    @property
    def output_size(self) -> int:
        """The length of the output."""
        return self.units

    def _activation(self, what: str, activation: Any, known: tuple[str, ...]) -> str:
        function = activations.get(activation)
        for name in known:
            if function is activations.get(name):
                return name
        raise ValueError(
            f"{self.name}: {what}={activation!r}; expected {' or '.join(map(repr, known))}; write a cell of your own with "
            "another one, and pass it to layers.RNN"
        )

    def build(self, input_shape: InputShape) -> None:
        channels = input_shape[-1] if len(input_shape) > 1 else None
        if channels is None:
            raise ValueError(
                f"{self.name}: input of shape {input_shape}; expected a last axis of known length, (batch, channels); reshape "
                "the input"
            )
        width = self._gates * self.units
        of_kernel: dict[str, Any] = {"regularizer": self.kernel_regularizer, "constraint": self.kernel_constraint}
        self.kernel = self.add_weight("kernel", (channels, width), self.kernel_initializer, **of_kernel)
        of_recurrent: dict[str, Any] = {"regularizer": self.recurrent_regularizer, "constraint": self.recurrent_constraint}
        self.recurrent_kernel = self.add_weight(
            "recurrent_kernel", (self.units, width), self.recurrent_initializer, **of_recurrent
        )
        if self.use_bias:
            of_bias: dict[str, Any] = {"regularizer": self.bias_regularizer, "constraint": self.bias_constraint}
            self.bias = self.add_weight("bias", self._bias_shape(), self._initial_bias, **of_bias)

    def _bias_shape(self) -> tuple[int, ...]:
        return (self._gates * self.units,)

    def _initial_bias(self, shape: Sequence[int], dtype: str) -> Any:
        return self.bias_initializer(shape, dtype)

    def call(self, x: Any, states: Any, training: bool) -> Any:  # type: ignore[override]
        """One step.

        Args:
            x: `(batch, channels)`.
            states: the state before it, in a list of as many as `state_size` has; one alone also by itself.
            training: whether dropout is active; each call has masks of its own.

        Returns:
            The output, `(batch, units)`, and the list of states after the step.
        """
        self.expect_rank(x, 2, "(batch, channels)")
        states = [self._converted(s) for s in (states if isinstance(states, (list, tuple)) else [states])]
        if len(states) != self._states:
            raise ValueError(f"{self.name}: {len(states)} states; expected {self._states}; pass a list of that many")
        step = ops.reshape(x, (x.shape[0], 1, x.shape[1]))
        _, after = self.sequence(step, states, None, training, False)
        return after[0], after

    def sequence(self, x: Any, states: Sequence[Any], mask: Any, training: bool, reverse: bool) -> tuple[Any, list[Any]]:
        """All steps of a sequence.

        Args:
            x: `(batch, time, channels)`.
            states: those before the first step; None stands for zeros.
            mask: `(batch, time)`, bool, or None.
            training: whether dropout is active.
            reverse: whether the last step comes first.

        Returns:
            The outputs, in x's order, and the list of states after the last step.
        """
        recurrent_mask = None
        if training and self.random_state is not None:
            # One mask for all steps, as Gal and Ghahramani have it.
            if self.dropout:
                ones = ops.ones((x.shape[0], 1, x.shape[2]), x.dtype)
                x = x * ops.dropout(ones, self.random_state, rate=self.dropout, stream=0)
            if self.recurrent_dropout:
                ones = ops.ones((x.shape[0], self.units), x.dtype)
                recurrent_mask = ops.dropout(ones, self.random_state, rate=self.recurrent_dropout, stream=1)
            self.random_state.assign(self.random_state + np.array([0, 1], np.int64))
        operands = [x, self.kernel, self.recurrent_kernel, self.bias, *states, mask, recurrent_mask]
        y, *after = self._run(operands, reverse)
        return y, after

    def _run(self, operands: list[Any], reverse: bool) -> Any:
        raise TypeError(f"{self.name}: has no _run(operands, reverse); expected one; override it")

    def get_config(self) -> dict[str, Any]:
        return {
            "units": self.units,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "recurrent_initializer": self.recurrent_initializer,
            "bias_initializer": self.bias_initializer,
            **given(
                kernel_regularizer=self.kernel_regularizer,
                recurrent_regularizer=self.recurrent_regularizer,
                bias_regularizer=self.bias_regularizer,
                kernel_constraint=self.kernel_constraint,
                recurrent_constraint=self.recurrent_constraint,
                bias_constraint=self.bias_constraint,
            ),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
            **super().get_config(),
        }


class SimpleRNNCell(Cell):
    """One step of `SimpleRNN`: `h = activation(x kernel + h recurrent_kernel + bias)`.

    Args:
        units: length of the state and of the output.
        activation: `"tanh"`, `"relu"`, or `"linear"`, which is also None.
        use_bias: as for `SimpleRNN`, as everything that follows.
        kernel_initializer: likewise.
        recurrent_initializer: likewise.
        bias_initializer: likewise.
        kernel_regularizer: likewise.
        recurrent_regularizer: likewise.
        bias_regularizer: likewise.
        kernel_constraint: likewise.
        recurrent_constraint: likewise.
        bias_constraint: likewise.
        dropout: likewise.
        recurrent_dropout: likewise.
        seed: likewise.

    It takes `(batch, channels)` and the list of states, one of shape `(batch, units)`, and returns the output and the states.

    Raises:
        ValueError: units that are no positive integer, another activation, a rate outside 0 <= rate < 1.

    Example:
        >>> y, states = layers.SimpleRNNCell(4)(np.ones((2, 3)), [np.zeros((2, 4))])
        >>> y.shape, len(states)
        ((2, 4), 1)
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
        kernel_constraint: constraints.ConstraintLike = None,
        recurrent_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            units,
            use_bias,
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
            dropout,
            recurrent_dropout,
            seed,
            name,
            input_shape,
        )
        self.activation = self._activation("activation", activation, ("tanh", "relu", "linear"))

    def _run(self, operands: list[Any], reverse: bool) -> Any:
        return ops.simple_rnn(*operands, activation=self.activation, reverse=reverse)

    def get_config(self) -> dict[str, Any]:
        return {"activation": self.activation, **super().get_config()}


class LSTMCell(Cell):
    """One step of `LSTM`.

    Args:
        units: length of the states and of the output.
        activation: `"tanh"`.
        recurrent_activation: `"sigmoid"`.
        use_bias: as for `LSTM`, as everything that follows.
        kernel_initializer: likewise.
        recurrent_initializer: likewise.
        bias_initializer: likewise.
        unit_forget_bias: likewise.
        kernel_regularizer: likewise.
        recurrent_regularizer: likewise.
        bias_regularizer: likewise.
        kernel_constraint: likewise.
        recurrent_constraint: likewise.
        bias_constraint: likewise.
        dropout: likewise.
        recurrent_dropout: likewise.
        seed: likewise.

    It takes `(batch, channels)` and the states h and c, each `(batch, units)`, in a list, and returns the output, which is h,
    and the states.

    Raises:
        ValueError: units that are no positive integer, another activation, a rate outside 0 <= rate < 1.

    Example:
        >>> y, (h, c) = layers.LSTMCell(4)(np.ones((2, 3)), [np.zeros((2, 4)), np.zeros((2, 4))])
        >>> y.shape, c.shape, bool(np.all(y == h))
        ((2, 4), (2, 4), True)
    """

    _gates = 4
    _states = 2

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
        kernel_constraint: constraints.ConstraintLike = None,
        recurrent_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            units,
            use_bias,
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
            dropout,
            recurrent_dropout,
            seed,
            name,
            input_shape,
        )
        self.activation = self._activation("activation", activation, ("tanh",))
        self.recurrent_activation = self._activation("recurrent_activation", recurrent_activation, ("sigmoid",))
        self.unit_forget_bias = check_flag(self.name, "unit_forget_bias", unit_forget_bias)

    def _initial_bias(self, shape: Sequence[int], dtype: str) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype)
        parts = [self.bias_initializer((n * self.units,), dtype) for n in (1, 2)]
        return np.concatenate([parts[0], np.ones(self.units, dtype), parts[1]])

    def _run(self, operands: list[Any], reverse: bool) -> Any:
        return ops.lstm(*operands, reverse=reverse)

    def get_config(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "recurrent_activation": self.recurrent_activation,
            "unit_forget_bias": self.unit_forget_bias,
            **super().get_config(),
        }


class GRUCell(Cell):
    """One step of `GRU`.

    Args:
        units: length of the state and of the output.
        activation: `"tanh"`.
        recurrent_activation: `"sigmoid"`.
        use_bias: as for `GRU`, as everything that follows.
        kernel_initializer: likewise.
        recurrent_initializer: likewise.
        bias_initializer: likewise.
        kernel_regularizer: likewise.
        recurrent_regularizer: likewise.
        bias_regularizer: likewise.
        kernel_constraint: likewise.
        recurrent_constraint: likewise.
        bias_constraint: likewise.
        dropout: likewise.
        recurrent_dropout: likewise.
        reset_after: likewise.
        seed: likewise.

    It takes `(batch, channels)` and the list of states, one of shape `(batch, units)`, and returns the output and the states.

    Raises:
        ValueError: units that are no positive integer, another activation, a rate outside 0 <= rate < 1.

    Example:
        >>> y, states = layers.GRUCell(4)(np.ones((2, 3)), [np.zeros((2, 4))])
        >>> y.shape, len(states)
        ((2, 4), 1)
    """

    _gates = 3

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
        kernel_constraint: constraints.ConstraintLike = None,
        recurrent_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            units,
            use_bias,
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
            dropout,
            recurrent_dropout,
            seed,
            name,
            input_shape,
        )
        self.activation = self._activation("activation", activation, ("tanh",))
        self.recurrent_activation = self._activation("recurrent_activation", recurrent_activation, ("sigmoid",))
        self.reset_after = check_flag(self.name, "reset_after", reset_after)

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _run(self, operands: list[Any], reverse: bool) -> Any:
        return ops.gru(*operands, reset_after=self.reset_after, reverse=reverse)

    def get_config(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "recurrent_activation": self.recurrent_activation,
            "reset_after": self.reset_after,
            **super().get_config(),
        }


def _objects(initializer: Any, regularizer: Any, constraint: Any) -> tuple[Any, Any, Any]:
    return initializers.get(initializer), regularizers.get(regularizer), constraints.get(constraint)


def check_flag(where: str, what: str, value: Any) -> bool:
    """`value`, if it is a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{where}: {what}={value!r}; expected True or False; pass one of them")
    return bool(value)


def _check_rate(where: str, what: str, rate: float) -> float:
    return check_number(where, what, rate, 0.2, "0 <= rate < 1, the share to drop", lambda r: 0.0 <= r < 1.0)
