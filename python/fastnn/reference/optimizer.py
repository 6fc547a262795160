"""Updates of all parameters of a model. Operands: the optimizer's state, then the parameters, then their gradients."""

from __future__ import annotations

import math

import numpy as np

from ._types import Array

__all__ = ["adam_update", "sgd_update"]


def _flat(arrays: tuple[Array, ...]) -> Array:
    return np.concatenate([a.reshape(-1) for a in arrays])


def _split(flat: Array, like: tuple[Array, ...]) -> list[Array]:
    ends = np.cumsum([a.size for a in like])[:-1]
    return [part.reshape(a.shape) for part, a in zip(np.split(flat, ends), like)]


def sgd_update(
    learning_rate: Array, velocity: Array | None, *arrays: Array, momentum: float = 0.0, nesterov: bool = False
) -> tuple[Array, ...]:
    """Return p - lr g for every parameter p; with momentum v' = momentum v - lr g, and p + v'.

    With nesterov p + momentum v' - lr g. The velocity v is flat, all parameters in order; with momentum v' comes first.
    """
    parameters, gradients = arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]
    p, step = _flat(parameters), -learning_rate * _flat(gradients)
    if velocity is None:
        return tuple(_split(p + step, parameters))
    v = momentum * velocity + step
    return v, *_split(p + momentum * v + step if nesterov else p + v, parameters)


def adam_update(
    learning_rate: Array,
    step: Array,
    m: Array,
    v: Array,
    *arrays: Array,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> tuple[Array, ...]:
    """Return m' = m + (g - m)(1 - beta_1), v' = v + (g^2 - v)(1 - beta_2), p - alpha m' / (sqrt(v') + epsilon).

    alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t, 1 for the first. m and v are flat, all parameters in order.
    """
    parameters, gradients = arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]
    p, g = _flat(parameters), _flat(gradients)
    t = int(step)
    alpha = learning_rate * (math.sqrt(1 - beta_2**t) / (1 - beta_1**t))
    m = m + (g - m) * (1 - beta_1)
    v = v + (g * g - v) * (1 - beta_2)
    return m, v, *_split(p - alpha * m / (np.sqrt(v) + epsilon), parameters)
