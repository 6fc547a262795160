"""Recurrent networks over whole sequences, and single steps of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.constants import ones
from fastnn.ops.cumsum import cumsum
from fastnn.ops.elementwise import cast, less_equal, logical_and, not_equal
from fastnn.ops.gather import take
from fastnn.ops.movement import concatenate
from fastnn.ops.rearrange import stack
from fastnn.ops.reshape import reshape
from fastnn.tracing import Tensor, TensorLike, apply, layer_scope


def simple_rnn(
    x: TensorLike,
    kernel: TensorLike,
    recurrent_kernel: TensorLike,
    bias: TensorLike | None = None,
    h0: TensorLike | None = None,
    mask: TensorLike | None = None,
    recurrent_mask: TensorLike | None = None,
    *,
    lengths: TensorLike | None = None,
    activation: str = "tanh",
    reverse: bool = False,
) -> tuple[Any, Any]:
    """`h = activation(x[:, t] kernel + h recurrent_kernel + bias)`, step by step.

    Args:
        x: float array of shape `(batch, time, channels)`.
        kernel: shape `(channels, units)`.
        recurrent_kernel: shape `(units, units)`.
        bias: shape `(units,)`, or None.
        h0: the state before the first step, shape `(batch, units)`; None stands for zeros.
        mask: bool, shape `(batch, time)`: a step whose mask is False leaves the state as it is, and its output is the one
            before, zeros at the first step.
        recurrent_mask: shape `(batch, units)`, multiplies h before every product with `recurrent_kernel`: a dropout of state
            that is the same at all steps. It has no gradient.
        lengths: int32 or int64 `(batch,)`: how many steps of each sample are there; those behind do not count, as if `mask`
            were False there.
        activation: `"tanh"`, `"relu"` or `"linear"`.
        reverse: begin with the last step of x. Outputs keep their places in time; Keras's layers return them in the order of
            computation.

    Returns:
        The outputs, `(batch, time, units)`, and the last state, `(batch, units)`.

    Raises:
        ValueError: shapes that do not fit, another activation; a length outside the steps, the sample is named.
        TypeError: the dtypes differ, a mask that is not bool, lengths that are no integers.

    Source:
        Elman, "Finding structure in time", Cognitive Science 1990.

    Example:
        >>> y, h = ops.simple_rnn(np.ones((1, 3, 1)), np.array([[1.0]]), np.array([[0.5]]), activation="linear")
        >>> y.ravel(), h.ravel()
        (array([1.  , 1.5 , 1.75]), array([1.75]))
    """
    mask = _counting("simple_rnn", x, mask, lengths)
    operands = [x, kernel, recurrent_kernel, bias, h0, mask, recurrent_mask]
    return apply("simple_rnn", operands, outputs=4, activation=activation, reverse=reverse)[:2]


def lstm(
    x: TensorLike,
    kernel: TensorLike,
    recurrent_kernel: TensorLike,
    bias: TensorLike | None = None,
    h0: TensorLike | None = None,
    c0: TensorLike | None = None,
    mask: TensorLike | None = None,
    recurrent_mask: TensorLike | None = None,
    *,
    lengths: TensorLike | None = None,
    reverse: bool = False,
) -> tuple[Any, Any, Any]:
    """`c = f c + i tanh(a_c)`, `h = o tanh(c)`, the gates `i, f, o = sigmoid(a_i, a_f, a_o)`, step by step.

    The sums are `a = x[:, t] kernel + h recurrent_kernel + bias`.

    Args:
        x: float array of shape `(batch, time, channels)`.
        kernel: shape `(channels, 4 units)`, the gates in Keras's order i, f, c, o; PyTorch has i, f, g, o, transposed.
        recurrent_kernel: shape `(units, 4 units)`.
        bias: shape `(4 units,)`, or None; PyTorch has two, which count as their sum.
        h0: the output before the first step, shape `(batch, units)`; None stands for zeros.
        c0: likewise the cell's state.
        mask: as for `simple_rnn`.
        recurrent_mask: likewise.
        lengths: likewise.
        reverse: likewise.

    Returns:
        The outputs, `(batch, time, units)`, and the last h and c, `(batch, units)`.

    Raises:
        ValueError: shapes that do not fit; a length outside the steps, the sample is named.
        TypeError: the dtypes differ, a mask that is not bool, lengths that are no integers.

    Source:
        Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997; the forget gate: Gers, Schmidhuber,
        Cummins, "Learning to forget", Neural Computation 2000.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> kernel, recurrent_kernel = rng.standard_normal((3, 8)), rng.standard_normal((2, 8))
        >>> y, h, c = ops.lstm(rng.standard_normal((5, 7, 3)), kernel, recurrent_kernel)
        >>> y.shape, h.shape, c.shape, bool(np.all(y[:, -1] == h))
        ((5, 7, 2), (5, 2), (5, 2), True)
    """
    mask = _counting("lstm", x, mask, lengths)
    operands = [x, kernel, recurrent_kernel, bias, h0, c0, mask, recurrent_mask]
    return apply("lstm", operands, outputs=5, reverse=reverse)[:3]


def gru(
    x: TensorLike,
    kernel: TensorLike,
    recurrent_kernel: TensorLike,
    bias: TensorLike | None = None,
    h0: TensorLike | None = None,
    mask: TensorLike | None = None,
    recurrent_mask: TensorLike | None = None,
    *,
    lengths: TensorLike | None = None,
    reset_after: bool = True,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """`h = z h + (1 - z) tanh(x[:, t] kernel_h + b_h + r (h recurrent_h + b'_h))`, `z, r = sigmoid(a_z, a_r)`, step by step.

    The sums a are those of `lstm`, with both biases.

    Args:
        x: float array of shape `(batch, time, channels)`.
        kernel: shape `(channels, 3 units)`, the gates in Keras's order z, r, h; PyTorch has r, z, n, transposed.
        recurrent_kernel: shape `(units, 3 units)`.
        bias: shape `(2, 3 units)`, beside `kernel` and beside `recurrent_kernel`, without `reset_after` `(3 units,)`; or None.
        h0: the state before the first step, shape `(batch, units)`; None stands for zeros.
        mask: as for `simple_rnn`.
        recurrent_mask: likewise.
        lengths: likewise.
        reset_after: False resets h before its product: `tanh(x kernel_h + b_h + (r h) recurrent_h)`.
        reverse: as for `simple_rnn`.

    Returns:
        The outputs, `(batch, time, units)`, and the last state, `(batch, units)`.

    Raises:
        ValueError: shapes that do not fit; a length outside the steps, the sample is named.
        TypeError: the dtypes differ, a mask that is not bool, lengths that are no integers.

    Source:
        Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", EMNLP
        2014, arXiv:1406.1078.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> kernel, recurrent_kernel = rng.standard_normal((3, 6)), rng.standard_normal((2, 6))
        >>> y, h = ops.gru(rng.standard_normal((5, 7, 3)), kernel, recurrent_kernel, np.zeros((2, 6)))
        >>> y.shape, h.shape, bool(np.all(y[:, -1] == h))
        ((5, 7, 2), (5, 2), True)
    """
    mask = _counting("gru", x, mask, lengths)
    operands = [x, kernel, recurrent_kernel, bias, h0, mask, recurrent_mask]
    return apply("gru", operands, outputs=5, reset_after=reset_after, reverse=reverse)[:2]


def rnn_cell(
    x: TensorLike,
    h: TensorLike,
    kernel: TensorLike,
    recurrent_kernel: TensorLike,
    bias: TensorLike | None = None,
    *,
    activation: str = "tanh",
) -> Any:
    """One step of `simple_rnn`: `activation(x kernel + h recurrent_kernel + bias)`.

    Args:
        x: shape `(batch, channels)`.
        h: the state before, shape `(batch, units)`.
        kernel: as for `simple_rnn`.
        recurrent_kernel: likewise.
        bias: likewise.
        activation: likewise.

    Returns:
        The state after, shape `(batch, units)`.

    Example:
        >>> ops.rnn_cell(np.array([[1.0]]), np.array([[4.0]]), np.array([[1.0]]), np.array([[0.5]]), activation="linear")
        array([[3.]])
    """
    return simple_rnn(_one_step(x), kernel, recurrent_kernel, bias, h, activation=activation)[1]


def lstm_cell(
    x: TensorLike,
    h: TensorLike,
    c: TensorLike,
    kernel: TensorLike,
    recurrent_kernel: TensorLike,
    bias: TensorLike | None = None,
) -> tuple[Any, Any]:
    """One step of `lstm`.

    Args:
        x: shape `(batch, channels)`.
        h: the output before, shape `(batch, units)`.
        c: the cell's state before, likewise.
        kernel: as for `lstm`.
        recurrent_kernel: likewise.
        bias: likewise.

    Returns:
        h and c after the step.

    Example:
        >>> h, c = ops.lstm_cell(np.zeros((1, 3)), np.zeros((1, 1)), np.ones((1, 1)), np.zeros((3, 4)), np.zeros((1, 4)))
        >>> h.round(4), c
        (array([[0.2311]]), array([[0.5]]))
    """
    return lstm(_one_step(x), kernel, recurrent_kernel, bias, h, c)[1:]


def gru_cell(
    x: TensorLike,
    h: TensorLike,
    kernel: TensorLike,
    recurrent_kernel: TensorLike,
    bias: TensorLike | None = None,
    *,
    reset_after: bool = True,
) -> Any:
    """One step of `gru`.

    Args:
        x: shape `(batch, channels)`.
        h: the state before, shape `(batch, units)`.
        kernel: as for `gru`.
        recurrent_kernel: likewise.
        bias: likewise.
        reset_after: likewise.

    Returns:
        The state after, shape `(batch, units)`.

    Example:
        >>> ops.gru_cell(np.zeros((1, 3)), np.ones((1, 1)), np.zeros((3, 3)), np.zeros((1, 3)))
        array([[0.5]])
    """
    return gru(_one_step(x), kernel, recurrent_kernel, bias, h, reset_after=reset_after)[1]


def _one_step(x: Any) -> Any:
    return reshape(x, (x.shape[0], 1, *x.shape[1:]))


def _counting(op: str, x: Any, mask: Any, lengths: Any) -> Any:
    """The mask of the steps that count, by a mask and by lengths."""
    if lengths is None or len(x.shape) != 3:
        return mask
    dtype = str(getattr(lengths, "dtype", type(lengths).__name__))
    if dtype not in ("int32", "int64"):
        raise TypeError(f"{op}: `lengths` is {dtype}; expected an array of int32 or int64; convert it with .astype('int64')")
    batch, time, _ = x.shape
    if lengths.ndim != 1 or (isinstance(batch, int) and isinstance(lengths.shape[0], int) and lengths.shape[0] != batch):
        raise ValueError(f"{op}: `lengths` has shape {tuple(lengths.shape)}; expected ({batch},); pass one number per sample")
    if isinstance(lengths, np.ndarray) and isinstance(time, int):
        for sample in np.flatnonzero((lengths < 0) | (lengths > time))[:1]:
            raise ValueError(
                f"{op}: length {lengths[sample]} of sample {sample}; expected 0 to {time}, the number of steps; correct "
                "`lengths`"
            )
    steps = cumsum(ones((time,), dtype))  # 1, 2, ...: also of a time that is not known yet
    some = not_equal(lengths, 0)
    with layer_scope(f"{op}: lengths - 1"):
        last = take(steps, lengths - cast(some, dtype), axis=0)  # the length itself; but a take looks whether it is there
    counts = logical_and(less_equal(steps, reshape(last, (batch, 1))), reshape(some, (batch, 1)))
    return counts if mask is None else logical_and(mask, counts)


def _operands(node: Node) -> list[Tensor | None]:
    return [*node.inputs, *[None] * 8][:8]


def _sum(dz: Tensor) -> Any:
    return apply("sum", [dz], axes=(0, 1))


@vjp("simple_rnn")
def _simple_rnn(node: Node, dy: Tensor | None, dh: Tensor | None, *_saved: Tensor | None) -> Cotangents:
    x, kernel, recurrent_kernel, bias, h0, mask, recurrent_mask = _operands(node)[:7]
    previous, derivatives = node.outputs[2:]
    operands = [derivatives, recurrent_kernel, dy, dh, mask, recurrent_mask]
    dz, dh0 = apply("simple_rnn_backward", operands, outputs=2, reverse=node.attributes["reverse"])
    dx, dkernel = apply("dense_backward_input", [dz, kernel]), apply("dense_backward_kernel", [x, dz])
    drecurrent = apply("dense_backward_kernel", [previous, dz])
    return dx, dkernel, drecurrent, None if bias is None else _sum(dz), None if h0 is None else dh0, None, None


@vjp("lstm")
def _lstm(node: Node, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None, *_: Tensor | None) -> Cotangents:
    x, kernel, recurrent_kernel, bias, h0, c0, mask, recurrent_mask = _operands(node)
    previous, derivatives = node.outputs[3:]
    operands = [derivatives, recurrent_kernel, dy, dh, dc, mask, recurrent_mask]
    dz, dh0, dc0 = apply("lstm_backward", operands, outputs=3, **node.attributes)
    dx, dkernel = apply("dense_backward_input", [dz, kernel]), apply("dense_backward_kernel", [x, dz])
    drecurrent = apply("dense_backward_kernel", [previous, dz])
    dbias = None if bias is None else _sum(dz)
    return dx, dkernel, drecurrent, dbias, None if h0 is None else dh0, None if c0 is None else dc0, None, None


@vjp("gru")
def _gru(node: Node, dy: Tensor | None, dh: Tensor | None, *_saved: Tensor | None) -> Cotangents:
    x, kernel, recurrent_kernel, bias, h0, mask, recurrent_mask = _operands(node)[:7]
    _y, _h, previous, derivatives, reset = node.outputs
    operands = [derivatives, recurrent_kernel, dy, dh, mask, recurrent_mask]
    dz, of_h, dh0 = apply("gru_backward", operands, outputs=3, **node.attributes)
    dx, dkernel = apply("dense_backward_input", [dz, kernel]), apply("dense_backward_kernel", [x, dz])
    if node.attributes["reset_after"]:
        drecurrent = apply("dense_backward_kernel", [previous, of_h])
        dbias = None if bias is None else stack([_sum(dz), _sum(of_h)])
    else:  # the last third of recurrent_kernel met r h
        third = dz.shape[-1] // 3
        zr, candidate = dz[:, :, : 2 * third], dz[:, :, 2 * third :]
        drecurrent = concatenate(
            [apply("dense_backward_kernel", [previous, zr]), apply("dense_backward_kernel", [reset, candidate])], axis=1
        )
        dbias = None if bias is None else _sum(dz)
    return dx, dkernel, drecurrent, dbias, None if h0 is None else dh0, None, None
