"""Optimizer updates: one op over all parameters of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.tracing import TensorLike, apply


def check_nesterov(where: str, momentum: float, nesterov: Any) -> bool:
    """`nesterov` as a bool; with no momentum there is nothing to look ahead along, so it was meant with one."""
    if not isinstance(nesterov, bool):
        raise TypeError(f"{where}: nesterov={nesterov!r}; expected True or False; pass one of them")
    if nesterov and momentum == 0.0:
        raise ValueError(f"{where}: nesterov=True with momentum=0; expected a momentum above 0; pass for example momentum=0.9")
    return nesterov


def sgd_update(
    learning_rate: TensorLike,
    velocity: TensorLike | None,
    parameters: Sequence[TensorLike],
    gradients: Sequence[TensorLike],
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> tuple[Any, list[Any]]:
    """Stochastic gradient descent: `v = momentum v - lr g; p = p + v` (Nesterov: `p = p + momentum v - lr g`).

    Args:
        learning_rate: float scalar of the parameters' dtype.
        velocity: all parameters' velocities in one flat array; None when `momentum` is 0.
        parameters: float arrays.
        gradients: one per parameter, of its shape.
        momentum: at least 0 and below 1.
        nesterov: look ahead along the velocity (Sutskever et al., ICML 2013).

    Returns:
        The new velocity (None without momentum) and the new parameters.
    """
    results = list(
        apply(
            "sgd_update",
            [learning_rate, velocity, *parameters, *gradients],
            outputs=0,
            momentum=momentum,
            nesterov=check_nesterov("sgd_update", momentum, nesterov),
        )
    )
    return (results.pop(0) if momentum else None), results


def adam_update(
    learning_rate: TensorLike,
    step: TensorLike,
    m: TensorLike,
    v: TensorLike,
    parameters: Sequence[TensorLike],
    gradients: Sequence[TensorLike],
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> tuple[Any, Any, list[Any]]:
    """Adam (Kingma and Ba, ICLR 2015), in Keras's form: epsilon is added to the root of the uncorrected second moment.

    `m += (g - m)(1 - beta_1); v += (g g - v)(1 - beta_2); p -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)`.

    Args:
        learning_rate: float scalar of the parameters' dtype.
        step: int64 scalar, the number `t` of this update, 1 for the first.
        m: all parameters' first moments in one flat array.
        v: their second moments.
        parameters: float arrays.
        gradients: one per parameter, of its shape.
        beta_1: decay of the first moment.
        beta_2: decay of the second.
        epsilon: keeps the division finite.

    Returns:
        The new m, v and parameters.
    """
    new_m, new_v, *updated = apply(
        "adam_update",
        [learning_rate, step, m, v, *parameters, *gradients],
        outputs=0,
        beta_1=float(beta_1),
        beta_2=float(beta_2),
        epsilon=float(epsilon),
    )
    return new_m, new_v, updated
