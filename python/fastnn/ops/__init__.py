"""Ops: functions on NumPy arrays that also record themselves in a trace, with their derivatives.

Operands are arrays, Variables, Tensors (inside a trace) and Python numbers, which take the dtype of what they meet. Shapes are
written as letters or words, `(batch, height, width, channels)`; `(...)` is any number of axes. *Float* means float32 or
float64, *number* these and int32 and int64. All operands have one dtype unless the op says otherwise, and the result has it
too: nothing is promoted silently.

Every op raises ValueError for shapes that do not fit and TypeError for dtypes that it does not take or that differ; in a model
the error begins with the layer's path.

Each file is a family that shares one kernel stem; `fastnn.kernels` has the forward and backward kernels themselves.
"""

from fastnn.ops.conv2d import conv1d, conv2d, conv2d_transpose, separable_conv2d
from fastnn.ops.conv2d_block import conv2d_block
from fastnn.ops.cross_entropy import (
    cross_entropy,
    softmax_cross_entropy,
    sparse_cross_entropy,
    sparse_softmax_cross_entropy,
)
from fastnn.ops.dense import dense
from fastnn.ops.depthwise_conv2d import depthwise_conv2d
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
from fastnn.ops.gather import gather_rows
from fastnn.ops.matmul import matmul
from fastnn.ops.norm import batch_norm, batch_norm_inference, group_norm, layer_norm, rms_norm
from fastnn.ops.optimizer import adagrad_update, adam_update, lion_update, rmsprop_update, sgd_update
from fastnn.ops.pool2d import average_pool1d, average_pool2d, global_max_pool2d, max_pool1d, max_pool2d
from fastnn.ops.reduce import argmax, broadcast_like, mean, sum, sum_to_like
from fastnn.ops.reshape import reshape
from fastnn.ops.softmax import softmax

__all__ = [
    "abs",
    "adagrad_update",
    "adam_update",
    "add",
    "argmax",
    "average_pool1d",
    "average_pool2d",
    "batch_norm",
    "batch_norm_inference",
    "broadcast_like",
    "cast",
    "check_finite",
    "clip",
    "conv1d",
    "conv2d",
    "conv2d_block",
    "conv2d_transpose",
    "cross_entropy",
    "dense",
    "depthwise_conv2d",
    "divide",
    "dropout",
    "equal",
    "exp",
    "gather_rows",
    "global_max_pool2d",
    "group_norm",
    "layer_norm",
    "lion_update",
    "log",
    "matmul",
    "max_pool1d",
    "max_pool2d",
    "maximum",
    "mean",
    "minimum",
    "multiply",
    "negative",
    "relu",
    "reshape",
    "rms_norm",
    "rmsprop_update",
    "separable_conv2d",
    "sgd_update",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
    "sparse_cross_entropy",
    "sparse_softmax_cross_entropy",
    "sqrt",
    "square",
    "subtract",
    "sum",
    "sum_to_like",
    "tanh",
]
