"""Recurrent networks over whole sequences.

Beside what the network computes each function returns what its gradient is made of: what was multiplied with
recurrent_kernel, and the derivatives along the gates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ._types import Array

__all__ = ["gru", "lstm", "simple_rnn"]


def _sigmoid(a: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-a)))


class _Steps:
    """The steps of a sequence in order: for each the input, the recurrent operand, and who takes part."""

    def __init__(
        self,
        x: Array,
        states: Sequence[Array | None],
        units: int,
        mask: Array | None,
        recurrent_mask: Array | None,
        reverse: bool,
        weights: Sequence[Array | None],
    ) -> None:
        batch, time, _ = x.shape
        dtype = np.result_type(x, *(w for w in (*weights, *states, recurrent_mask) if w is not None))
        self.states = [np.zeros((batch, units), dtype) if s is None else s.astype(dtype) for s in states]
        self.y, self.previous = np.zeros((2, batch, time, units), dtype)
        self._x, self._order = x, range(time)[::-1] if reverse else range(time)
        self._counts = np.ones((batch, time), bool) if mask is None else mask
        self._factor = 1 if recurrent_mask is None else recurrent_mask

    def __iter__(self) -> Iterator[tuple[int, Array, Array]]:
        for t in self._order:
            self.previous[:, t] = self.states[0] * self._factor
            yield t, self._x[:, t], self.previous[:, t]

    def end(self, t: int, *states: Array) -> None:
        """The states after step t, which a masked row does not take."""
        counts = self._counts[:, t, None]
        self.states = [np.where(counts, new, old) for new, old in zip(states, self.states)]
        place = self._order.index(t)
        before = np.zeros_like(states[0]) if place == 0 else self.y[:, self._order[place - 1]]
        self.y[:, t] = np.where(counts, states[0], before)

    def where_it_counts(self, t: int, *factors: Array, masked: int) -> Array:
        """The derivatives of step t, (batch, factors, units): of a masked row 0, and 1 for the factor number `masked`."""
        held = np.zeros((len(factors), 1))
        if masked >= 0:
            held[masked] = 1
        return np.where(self._counts[:, t, None, None], np.stack(factors, axis=1), held)


_ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "relu": (lambda a: np.where(a.real > 0, a, 0 * a), lambda h: np.where(h.real > 0, 1.0, 0.0) + 0 * h),
    "linear": (lambda a: a, np.ones_like),
}


def simple_rnn(
    x: Array,
    kernel: Array,
    recurrent_kernel: Array,
    bias: Array | None = None,
    h0: Array | None = None,
    mask: Array | None = None,
    recurrent_mask: Array | None = None,
    *,
    activation: str = "tanh",
    reverse: bool = False,
) -> tuple[Array, Array, Array, Array]:
    """Return y, the last state, what met recurrent_kernel, and the derivative of the activation."""
    steps = _Steps(x, [h0], len(recurrent_kernel), mask, recurrent_mask, reverse, (kernel, recurrent_kernel, bias))
    function, derivative = _ACTIVATIONS[activation]
    derivatives = np.zeros_like(steps.y)
    for t, x_t, h in steps:
        a = x_t @ kernel + h @ recurrent_kernel + (0 if bias is None else bias)
        new = function(a)
        derivatives[:, t] = steps.where_it_counts(t, derivative(new), masked=-1)[:, 0]
        steps.end(t, new)
    return steps.y, steps.states[0], steps.previous, derivatives


def lstm(
    x: Array,
    kernel: Array,
    recurrent_kernel: Array,
    bias: Array | None = None,
    h0: Array | None = None,
    c0: Array | None = None,
    mask: Array | None = None,
    recurrent_mask: Array | None = None,
    *,
    reverse: bool = False,
) -> tuple[Array, Array, Array, Array, Array]:
    """Return y, the last h and c, what met recurrent_kernel, and the derivatives along the gates."""
    units = len(recurrent_kernel)
    steps = _Steps(x, [h0, c0], units, mask, recurrent_mask, reverse, (kernel, recurrent_kernel, bias))
    derivatives = np.zeros((*steps.y.shape[:2], 6, units), steps.y.dtype)
    for t, x_t, h in steps:
        a = x_t @ kernel + h @ recurrent_kernel + (0 if bias is None else bias)
        i, f, o = (_sigmoid(a[:, k * units : (k + 1) * units]) for k in (0, 1, 3))
        g, before = np.tanh(a[:, 2 * units : 3 * units]), steps.states[1]
        c = f * before + i * g
        u = np.tanh(c)
        factors = g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), u * o * (1 - o), o * (1 - u * u), f
        derivatives[:, t] = steps.where_it_counts(t, *factors, masked=5)
        steps.end(t, o * u, c)
    return steps.y, *steps.states, steps.previous, derivatives


def gru(
    x: Array,
    kernel: Array,
    recurrent_kernel: Array,
    bias: Array | None = None,
    h0: Array | None = None,
    mask: Array | None = None,
    recurrent_mask: Array | None = None,
    *,
    reset_after: bool = True,
    reverse: bool = False,
) -> tuple[Array, Array, Array, Array, Array]:
    """Return y, the last state, what met recurrent_kernel, the derivatives along the gates, and r times h."""
    units = len(recurrent_kernel)
    steps = _Steps(x, [h0], units, mask, recurrent_mask, reverse, (kernel, recurrent_kernel, bias))
    derivatives = np.zeros((*steps.y.shape[:2], 5, units), steps.y.dtype)
    reset = np.zeros_like(steps.y)
    nothing = np.zeros(3 * units, steps.y.dtype)
    of_x, of_h = (nothing, nothing) if bias is None else bias if reset_after else (bias, nothing)
    last = slice(2 * units, None)
    for t, x_t, h in steps:
        from_x, from_h = x_t @ kernel + of_x, h @ recurrent_kernel + of_h
        z, r = (_sigmoid((from_x + from_h)[:, k * units : (k + 1) * units]) for k in (0, 1))
        reset[:, t] = r * h
        inner = from_h[:, last] if reset_after else h
        n = np.tanh(from_x[:, last] + (r * inner if reset_after else (r * h) @ recurrent_kernel[:, last]))
        before = steps.states[0]
        factors = z, (before - n) * z * (1 - z), (1 - z) * (1 - n * n), r, inner * r * (1 - r)
        derivatives[:, t] = steps.where_it_counts(t, *factors, masked=0)
        steps.end(t, z * before + (1 - z) * n)
    return steps.y, steps.states[0], steps.previous, derivatives, reset
