"""Bidirectional: a recurrent layer in each direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn.layers.layer import Layer, shape_text
from fastnn.layers.recurrent import RNN, copy_of


class Bidirectional(Layer):
    """A recurrent layer over a sequence forwards, and another one over it backwards.

    Args:
        layer: an `RNN`, `LSTM`, `GRU` or `SimpleRNN`; the two layers are made of its configuration.
        merge_mode: how the two outputs become one: `"concat"`, `"sum"`, `"mul"`, `"ave"`; None returns both in a list.
        backward_layer: of whose configuration the second one is made; its `go_backwards` differs from that of `layer`.

    Called with `initial_state=`, the states of both layers in one list, and `mask=`. Outputs of all steps
    (`return_sequences`) stand at their places in time. With `return_state` a list of the output and the states of both.

    Raises:
        ValueError: another mode, layers that return different things or go in the same direction; when called, as `RNN`.
        TypeError: no recurrent layer.

    Source:
        Schuster and Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 1997.

    Example:
        >>> layers.Bidirectional(layers.GRU(4, return_sequences=True))(np.ones((2, 7, 3))).shape
        (2, 7, 8)
    """

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        backward_layer: Any = None,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        for what, value in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(value, RNN) and (what == "layer" or value is not None):
                raise TypeError(f"{self.name}: {what}={value!r}; expected a recurrent layer; pass for example layers.LSTM(64)")
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ValueError(
                f"{self.name}: merge_mode={merge_mode!r}; expected 'concat', 'sum', 'mul', 'ave' or None; pass one of them"
            )
        self.merge_mode = merge_mode
        self.forward_layer = copy_of(layer)
        if backward_layer is None:
            self._own_backward = False
            config = {**layer.get_config(), "go_backwards": not layer.go_backwards}
            self.backward_layer = type(layer).from_config({k: v for k, v in config.items() if k != "name"})
        else:
            self._own_backward = True
            self.backward_layer = copy_of(backward_layer)
        first, second = self.forward_layer, self.backward_layer
        for what in ("return_sequences", "return_state", "stateful"):
            if getattr(first, what) != getattr(second, what):
                raise ValueError(
                    f"{self.name}: {what}={getattr(first, what)} of the layer and {getattr(second, what)} of the backward "
                    "layer; expected the same; pass it to both"
                )
        if first.go_backwards == second.go_backwards:
            raise ValueError(
                f"{self.name}: go_backwards={first.go_backwards} of both layers; expected one in each direction; pass "
                "go_backwards=True to the backward layer"
            )
        first._in_order = second._in_order = True

    @property
    def layer(self) -> Any:
        """The first layer."""
        return self.forward_layer

    def reset_states(self) -> None:
        """Sets the states that stateful layers keep to zero.

        Raises:
            ValueError: layers that keep none.
        """
        self.forward_layer.reset_states()
        self.backward_layer.reset_states()

    def reset_state(self) -> None:
        """The same."""
        self.reset_states()

    def call(self, x: Any, initial_state: Any = None, mask: Any = None) -> Any:
        """The outputs.

        Args:
            x: `(batch, time, channels)`.
            initial_state: the states of the forward layer, then those of the backward layer.
            mask: bool `(batch, time)`, False where a step does not count.

        Returns:
            As the class says.
        """
        states: tuple[Any, Any] = (None, None)
        if initial_state is not None:
            n = len(self.forward_layer.state_sizes)
            wanted = n + len(self.backward_layer.state_sizes)
            given_states = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
            if len(given_states) != wanted:
                raise ValueError(
                    f"{self.name}: initial_state of {len(given_states)}; expected {wanted}, those of both layers; pass a list"
                )
            states = given_states[:n], given_states[n:]
        results = [
            layer(x, initial_state=state, mask=mask) for layer, state in zip((self.forward_layer, self.backward_layer), states)
        ]
        after: list[Any] = []
        if self.forward_layer.return_state:
            after = [*results[0][1:], *results[1][1:]]
            results = [result[0] for result in results]
        outputs = self._merged(*results)
        return [*(outputs if isinstance(outputs, list) else [outputs]), *after] if after else outputs

    def _merged(self, a: Any, b: Any) -> Any:
        if self.merge_mode is None:
            return [a, b]
        if self.merge_mode == "concat":
            return ops.concatenate([a, b], axis=-1)
        if a.shape[-1] != b.shape[-1]:
            raise ValueError(
                f"{self.name}: outputs of shapes {shape_text(a)} and {shape_text(b)} with merge_mode={self.merge_mode!r}; "
                "expected as many units in both layers; pass layers with equal units"
            )
        if self.merge_mode == "mul":
            return a * b
        return (a + b) * 0.5 if self.merge_mode == "ave" else a + b

    def get_config(self) -> dict[str, Any]:
        return {
            "layer": self.forward_layer,
            "merge_mode": self.merge_mode,
            **({"backward_layer": self.backward_layer} if self._own_backward else {}),
            **super().get_config(),
        }
