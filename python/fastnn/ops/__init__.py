"""Ops: functions on NumPy arrays that also record themselves in a trace, with their derivatives.

Operands are arrays, Variables, Tensors (inside a trace) and Python numbers, which take the dtype of what they meet. Shapes are
written as letters or words, `(batch, height, width, channels)`; `(...)` is any number of axes. *Float* means float32 or
float64, *number* these and int32 and int64. All operands have one dtype unless the op says otherwise, and the result has it
too: nothing is promoted silently.

Every op raises ValueError for shapes that do not fit and TypeError for dtypes that it does not take or that differ; in a model
the error begins with the layer's path.

Each file is a family that shares one kernel stem, or is made of others (`rearrange`, `constants`); `fastnn.kernels` has the
forward and backward kernels themselves.
"""

from fastnn.ops.constants import arange, full, ones, zeros
from fastnn.ops.conv2d import conv2d
from fastnn.ops.conv2d_block import conv2d_block
from fastnn.ops.cross_entropy import (
    cross_entropy,
    softmax_cross_entropy,
    sparse_cross_entropy,
    sparse_softmax_cross_entropy,
)
from fastnn.ops.dense import dense
from fastnn.ops.dropout import dropout
from fastnn.ops.elementwise import (
    abs,
    add,
    cast,
    clip,
    divide,
    equal,
    exp,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    relu,
    sigmoid,
    sigmoid_cross_entropy,
    sqrt,
    square,
    subtract,
    tanh,
)
from fastnn.ops.finite import check_finite
from fastnn.ops.gather import gather_rows, one_hot, take
from fastnn.ops.matmul import matmul
from fastnn.ops.movement import broadcast_to, concatenate, flip, pad, slice, split, transpose
from fastnn.ops.optimizer import adam_update, sgd_update
from fastnn.ops.pool2d import max_pool2d
from fastnn.ops.rearrange import (
    expand_dims,
    moveaxis,
    repeat,
    roll,
    squeeze,
    stack,
    swapaxes,
    tile,
    unstack,
    upsample2d,
)
from fastnn.ops.reduce import argmax, broadcast_like, mean, sum, sum_to_like
from fastnn.ops.reshape import reshape
from fastnn.ops.softmax import softmax

__all__ = [
    "abs",
    "adam_update",
    "add",
    "arange",
    "argmax",
    "broadcast_like",
    "broadcast_to",
    "cast",
    "check_finite",
    "clip",
    "concatenate",
    "conv2d",
    "conv2d_block",
    "cross_entropy",
    "dense",
    "divide",
    "dropout",
    "equal",
    "exp",
    "expand_dims",
    "flip",
    "full",
    "gather_rows",
    "log",
    "matmul",
    "max_pool2d",
    "maximum",
    "mean",
    "minimum",
    "moveaxis",
    "multiply",
    "negative",
    "one_hot",
    "ones",
    "pad",
    "relu",
    "repeat",
    "reshape",
    "roll",
    "sgd_update",
    "sigmoid",
    "sigmoid_cross_entropy",
    "slice",
    "softmax",
    "softmax_cross_entropy",
    "sparse_cross_entropy",
    "sparse_softmax_cross_entropy",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "sum_to_like",
    "swapaxes",
    "take",
    "tanh",
    "tile",
    "transpose",
    "unstack",
    "upsample2d",
    "zeros",
]
