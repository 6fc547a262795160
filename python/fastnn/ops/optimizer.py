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
    """Stochastic gradient descent: `v' = momentum v - lr g; p' = p + v'` (Nesterov: `p' = p + momentum v' - lr g`).

    Args:
        learning_rate: `lr`, a scalar (shape `()`) of the parameters' dtype.
        velocity: `v` of all parameters in order, one flat array `(total,)`; None when `momentum` is 0.
        parameters: `p`, float arrays of any shapes, `total` elements together.
        gradients: `g`, one per parameter, of its shape.
        momentum: at least 0 and below 1.
        nesterov: look ahead along the velocity; needs a momentum.

    Returns:
        The new velocity (None without momentum) and the list of new parameters. The operands are left as they were.

    Raises:
        ValueError: nesterov without momentum (PyTorch refuses it too, Keras computes plain descent), a momentum outside its
            range, shapes that do not fit.
        TypeError: dtypes that differ.

    Source:
        Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.

    Example:
        >>> velocity, (p,) = ops.sgd_update(np.float64(0.1), None, [np.ones(2)], [np.array([1.0, -2.0])])
        >>> p
        array([0.9, 1.2])
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
    """Adam, in Keras's form: epsilon is added to the root of the uncorrected second moment.

    `m' = m + (g - m)(1 - beta_1); v' = v + (g g - v)(1 - beta_2)`,
    `p' = p - lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m' / (sqrt(v') + epsilon)`

    Args:
        learning_rate: `lr`, a scalar (shape `()`) of the parameters' dtype.
        step: int64 scalar, the number `t` of this update, 1 for the first.
        m: first moments of all parameters in order, one flat array `(total,)`.
        v: their second moments, likewise.
        parameters: `p`, float arrays of any shapes, `total` elements together.
        gradients: `g`, one per parameter, of its shape.
        beta_1: decay of the first moment, at least 0 and below 1.
        beta_2: decay of the second, likewise.
        epsilon: keeps the division finite.

    Returns:
        The new m, the new v and the list of new parameters. The operands are left as they were.

    Raises:
        ValueError: a beta outside its range, shapes that do not fit.
        TypeError: dtypes that differ.

    Source:
        Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980.

    Example:
        >>> zeros, g = np.zeros(2), np.array([1.0, -2.0])
        >>> m, v, (p,) = ops.adam_update(np.float64(0.1), np.int64(1), zeros, zeros, [np.ones(2)], [g])
        >>> m, p.round(4)
        (array([ 0.1, -0.2]), array([0.9, 1.1]))
    """
    new_m, new_v, *updated = apply(
        "adam_update",
        [learning_rate, step, m, v, *parameters, *gradients],
        outputs=0,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
    )
    return new_m, new_v, updated
