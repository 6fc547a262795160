"""The executable specification: every op's forward in plain NumPy.

`forward_ops` maps the name of an op to a function of the same operands and attributes, which returns an array, or a tuple
for an op of several results. The functions are written to be read, and to be differentiated: they take any float dtype and
complex numbers, where f(x + i h v) = f(x) + i h f'(x) v with an error of order h^2. So at h = 1e-30 the imaginary part is
the derivative along v to the last digit. For that to hold, every decision (a comparison, a maximum, the sign in |x|) looks
at real parts, and nothing drops an imaginary one.

Gradients have no reference of their own: the derivative of the forward is their specification.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    attention,
    cache_append,
    conv2d,
    conv2d_block,
    cross_entropy,
    cumsum,
    dense,
    depthwise_conv2d,
    dropout,
    elementwise,
    finite,
    gather,
    matmul,
    movement,
    norm,
    optimizer,
    pool2d,
    recurrent,
    reduce,
    reshape,
    rotary,
    softmax,
    top_k,
)

forward_ops: dict[str, Callable[..., Any]] = {
    name: getattr(family, name)
    for family in (
        attention,
        cache_append,
        conv2d,
        conv2d_block,
        cross_entropy,
        cumsum,
        dense,
        depthwise_conv2d,
        dropout,
        elementwise,
        finite,
        gather,
        matmul,
        movement,
        norm,
        optimizer,
        pool2d,
        recurrent,
        reduce,
        reshape,
        rotary,
        softmax,
        top_k,
    )
    for name in family.__all__
}

__all__ = ["forward_ops"]
