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
    weight_decay: Sequence[float] = (),
) -> tuple[Any, list[Any]]:
    """Stochastic gradient descent: `v' = momentum v - lr g; p' = p + v'` (Nesterov: `p' = p + momentum v' - lr g`).

    Args:
        learning_rate: `lr`, a scalar (shape `()`) of the parameters' dtype.
        velocity: `v` of all parameters in order, one flat array `(total,)`; None when `momentum` is 0.
        parameters: `p`, float arrays of any shapes, `total` elements together.
        gradients: `g`, one per parameter, of its shape.
        momentum: at least 0 and below 1.
        nesterov: look ahead along the velocity; needs a momentum.
        weight_decay: for each parameter a number; `p (1 - lr weight_decay)` stands for p. None at all: nothing decays.

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
            weight_decay=list(weight_decay),
        )
    )
    return (results.pop(0) if momentum else None), results


def adam_update(
    learning_rate: TensorLike,
    step: TensorLike,
    m: TensorLike,
    v: TensorLike,
    v_max: TensorLike | None,
    parameters: Sequence[TensorLike],
    gradients: Sequence[TensorLike],
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    weight_decay: Sequence[float] = (),
) -> tuple[Any, Any, Any, list[Any]]:
    """Adam, in Keras's form: epsilon is added to the root of the uncorrected second moment.

    `m' = m + (g - m)(1 - beta_1); v' = v + (g g - v)(1 - beta_2)`,
    `p' = p - lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m' / (sqrt(v') + epsilon)`

    Args:
        learning_rate: `lr`, a scalar (shape `()`) of the parameters' dtype.
        step: int64 scalar, the number `t` of this update, 1 for the first.
        m: first moments of all parameters in order, one flat array `(total,)`.
        v: their second moments, likewise.
        v_max: with `amsgrad` the largest v so far, likewise; else None.
        parameters: `p`, float arrays of any shapes, `total` elements together.
        gradients: `g`, one per parameter, of its shape.
        beta_1: decay of the first moment, at least 0 and below 1.
        beta_2: decay of the second, likewise.
        epsilon: keeps the division finite.
        amsgrad: `max(v_max, v')` stands for v' in p'.
        weight_decay: for each parameter a number; `p (1 - lr weight_decay)` stands for p. None at all: nothing decays.

    Returns:
        The new m, v and v_max (None without amsgrad) and the list of new parameters. The operands are left as they were.

    Raises:
        ValueError: a beta outside its range, shapes that do not fit.
        TypeError: dtypes that differ.

    Source:
        Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980; Reddi, Kale, Kumar, "On the
        convergence of Adam and beyond", ICLR 2018; Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Example:
        >>> zeros, g = np.zeros(2), np.array([1.0, -2.0])
        >>> m, v, _, (p,) = ops.adam_update(np.float64(0.1), np.int64(1), zeros, zeros, None, [np.ones(2)], [g])
        >>> m, p.round(4)
        (array([ 0.1, -0.2]), array([0.9, 1.1]))
    """
    results = list(
        apply(
            "adam_update",
            [learning_rate, step, m, v, v_max, *parameters, *gradients],
            outputs=0,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            weight_decay=list(weight_decay),
        )
    )
    return results.pop(0), results.pop(0), (results.pop(0) if amsgrad else None), results


def rmsprop_update(
    learning_rate: TensorLike,
    v: TensorLike,
    m: TensorLike | None,
    velocity: TensorLike | None,
    parameters: Sequence[TensorLike],
    gradients: Sequence[TensorLike],
    *,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    centered: bool = False,
    weight_decay: Sequence[float] = (),
) -> tuple[Any, Any, Any, list[Any]]:
    """RMSprop: `v' = v + (g g - v)(1 - rho); p' = p - lr g / sqrt(v' + epsilon)`.

    Args:
        learning_rate: `lr`, a scalar (shape `()`) of the parameters' dtype.
        v: means of squared gradients of all parameters in order, one flat array `(total,)`.
        m: if `centered` the means of gradients, likewise; else None.
        velocity: with momentum the last steps, likewise; else None.
        parameters: `p`, float arrays of any shapes, `total` elements together.
        gradients: `g`, one per parameter, of its shape.
        rho: decay of the means, at least 0 and below 1.
        momentum: `p' = p - velocity'` with `velocity' = momentum velocity + lr g / sqrt(...)`; at least 0 and below 1.
        epsilon: inside the root, as in Keras; PyTorch adds it to the root.
        centered: `v' - m'^2`, the variance of the gradients, stands for v' in p'.
        weight_decay: for each parameter a number; `p (1 - lr weight_decay)` stands for p. None at all: nothing decays.

    Returns:
        The new v, m and velocity (None where there is none) and the list of new parameters. The operands are left as they were.

    Raises:
        ValueError: a parameter outside its range, shapes that do not fit, a part of the state without its option.
        TypeError: dtypes that differ.

    Source:
        Tieleman and Hinton, "RMSprop", Coursera lecture 6.5, 2012; centered: Graves, arXiv:1308.0850, 2013.

    Example:
        >>> g = np.array([1.0, -2.0])
        >>> v, _, _, (p,) = ops.rmsprop_update(np.float64(0.1), np.zeros(2), None, None, [np.ones(2)], [g], rho=0.75)
        >>> v, p.round(4)
        (array([0.25, 1.  ]), array([0.8, 1.2]))
    """
    results = list(
        apply(
            "rmsprop_update",
            [learning_rate, v, m, velocity, *parameters, *gradients],
            outputs=0,
            rho=rho,
            momentum=momentum,
            epsilon=epsilon,
            centered=centered,
            weight_decay=list(weight_decay),
        )
    )
    return results.pop(0), (results.pop(0) if centered else None), (results.pop(0) if momentum else None), results


def adagrad_update(
    learning_rate: TensorLike,
    accumulator: TensorLike,
    parameters: Sequence[TensorLike],
    gradients: Sequence[TensorLike],
    *,
    epsilon: float = 1e-7,
    weight_decay: Sequence[float] = (),
) -> tuple[Any, list[Any]]:
    """Adagrad: `a' = a + g g; p' = p - lr g / sqrt(a' + epsilon)`.

    Args:
        learning_rate: `lr`, a scalar (shape `()`) of the parameters' dtype.
        accumulator: `a`, sums of squared gradients of all parameters in order, one flat array `(total,)`.
        parameters: `p`, float arrays of any shapes, `total` elements together.
        gradients: `g`, one per parameter, of its shape.
        epsilon: inside the root, as in Keras; PyTorch adds it to the root.
        weight_decay: for each parameter a number; `p (1 - lr weight_decay)` stands for p. None at all: nothing decays.

    Returns:
        The new accumulator and the list of new parameters. The operands are left as they were.

    Raises:
        ValueError: shapes that do not fit.
        TypeError: dtypes that differ.

    Source:
        Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 2011.

    Example:
        >>> a, (p,) = ops.adagrad_update(np.float64(0.1), np.zeros(2), [np.ones(2)], [np.array([1.0, -2.0])])
        >>> a, p.round(4)
        (array([1., 4.]), array([0.9, 1.1]))
    """
    new, *updated = apply(
        "adagrad_update",
        [learning_rate, accumulator, *parameters, *gradients],
        outputs=0,
        epsilon=epsilon,
        weight_decay=list(weight_decay),
    )
    return new, updated


def lion_update(
    learning_rate: TensorLike,
    m: TensorLike,
    parameters: Sequence[TensorLike],
    gradients: Sequence[TensorLike],
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
    weight_decay: Sequence[float] = (),
) -> tuple[Any, list[Any]]:
    """Lion: `p' = p - lr sign(m beta_1 + g (1 - beta_1)); m' = m + (g - m)(1 - beta_2)`.

    Args:
        learning_rate: `lr`, a scalar (shape `()`) of the parameters' dtype.
        m: means of gradients of all parameters in order, one flat array `(total,)`.
        parameters: `p`, float arrays of any shapes, `total` elements together.
        gradients: `g`, one per parameter, of its shape.
        beta_1: share of m in the step, at least 0 and below 1.
        beta_2: decay of m, likewise.
        weight_decay: for each parameter a number; `p (1 - lr weight_decay)` stands for p. None at all: nothing decays.

    Returns:
        The new m and the list of new parameters. The operands are left as they were.

    Raises:
        ValueError: a beta outside its range, shapes that do not fit.
        TypeError: dtypes that differ.

    Source:
        Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, arXiv:2302.06675.

    Example:
        >>> m, (p,) = ops.lion_update(np.float64(0.1), np.zeros(2), [np.ones(2)], [np.array([1.0, -2.0])])
        >>> m, p
        (array([ 0.01, -0.02]), array([0.9, 1.1]))
    """
    new, *updated = apply(
        "lion_update",
        [learning_rate, m, *parameters, *gradients],
        outputs=0,
        beta_1=beta_1,
        beta_2=beta_2,
        weight_decay=list(weight_decay),
    )
    return new, updated
