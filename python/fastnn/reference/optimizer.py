"""Updates of all parameters of a model. Operands: the optimizer's state, then the parameters, then their gradients.

Of the parameters that `products` names the gradient is None: it is x^T dy of a pair of operands that follow.
"""

from __future__ import annotations

import math

import numpy as np

from ._types import Array

__all__ = ["adagrad_update", "adam_update", "lion_update", "rmsprop_update", "sgd_update"]


def _flat(arrays: tuple[Array, ...]) -> Array:
    return np.concatenate([a.reshape(-1) for a in arrays])


def _split(flat: Array, like: tuple[Array, ...]) -> list[Array]:
    ends = np.cumsum([a.size for a in like])[:-1]
    return [part.reshape(a.shape) for part, a in zip(np.split(flat, ends), like)]


def _operands(
    arrays: tuple[Array, ...], rate: Array, weight_decay: tuple[float, ...], products: tuple[int, ...]
) -> tuple[tuple[Array, ...], Array, Array]:
    """Return the parameters, and flat: the parameters that have decayed, p (1 - lr decay), and the gradients."""
    n = len(arrays) // 2 - len(products)
    parameters, gradients, pairs = arrays[:n], list(arrays[n : 2 * n]), arrays[2 * n :]
    for k, x, dy in zip(products, pairs[::2], pairs[1::2]):
        gradients[k] = np.tensordot(x, dy, axes=(range(x.ndim - 1), range(x.ndim - 1)))
    decayed = tuple(p - p * (rate * p.dtype.type(d)) for p, d in zip(parameters, weight_decay or [0.0] * n))
    return parameters, _flat(decayed), _flat(tuple(gradients))


def sgd_update(
    learning_rate: Array,
    velocity: Array | None,
    *arrays: Array,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: tuple[float, ...] = (),
    products: tuple[int, ...] = (),
) -> tuple[Array, ...]:
    """Return p - lr g for every parameter p; with momentum v' = momentum v - lr g, and p + v'.

    With nesterov p + momentum v' - lr g. The velocity v is flat, all parameters in order; with momentum v' comes first.
    """
    parameters, p, g = _operands(arrays, learning_rate, weight_decay, products)
    step = -learning_rate * g
    if velocity is None:
        return tuple(_split(p + step, parameters))
    v = momentum * velocity + step
    return v, *_split(p + momentum * v + step if nesterov else p + v, parameters)


def adam_update(
    learning_rate: Array,
    step: Array,
    m: Array,
    v: Array,
    v_max: Array | None,
    *arrays: Array,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    weight_decay: tuple[float, ...] = (),
    products: tuple[int, ...] = (),
) -> tuple[Array, ...]:
    """Return m' = m + (g - m)(1 - beta_1), v' = v + (g^2 - v)(1 - beta_2), p - alpha m' / (sqrt(v') + epsilon).

    alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t, 1 for the first. m and v are flat, all parameters in order. With
    amsgrad the largest v so far stands for v' in p'.
    """
    parameters, p, g = _operands(arrays, learning_rate, weight_decay, products)
    t = int(step)
    alpha = learning_rate * (math.sqrt(1 - beta_2**t) / (1 - beta_1**t))
    m = m + (g - m) * (1 - beta_1)
    v = v + (g * g - v) * (1 - beta_2)
    state = (m, v) if v_max is None else (m, v, np.maximum(v_max, v))
    return *state, *_split(p - alpha * m / (np.sqrt(state[-1]) + epsilon), parameters)


def rmsprop_update(
    learning_rate: Array,
    v: Array,
    m: Array | None,
    velocity: Array | None,
    *arrays: Array,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    centered: bool = False,
    weight_decay: tuple[float, ...] = (),
    products: tuple[int, ...] = (),
) -> tuple[Array, ...]:
    """Return v' = v + (g^2 - v)(1 - rho), p - lr g / sqrt(v' + epsilon).

    If centered m' = m + (g - m)(1 - rho), and v' - m'^2 stands for v' in p'. With momentum the step is added to momentum times
    the velocity, which becomes the step.
    """
    parameters, p, g = _operands(arrays, learning_rate, weight_decay, products)
    v = v + (g * g - v) * (1 - rho)
    state, spread = [v], v
    if m is not None:
        m = m + (g - m) * (1 - rho)
        spread = np.maximum(v - m * m, 0)
        state.append(m)
    step = learning_rate * g / np.sqrt(spread + epsilon)
    if velocity is not None:
        step = momentum * velocity + step
        state.append(step)
    return *state, *_split(p - step, parameters)


def adagrad_update(
    learning_rate: Array,
    accumulator: Array,
    *arrays: Array,
    epsilon: float = 1e-7,
    weight_decay: tuple[float, ...] = (),
    products: tuple[int, ...] = (),
) -> tuple[Array, ...]:
    """Return a' = a + g^2, p - lr g / sqrt(a' + epsilon)."""
    parameters, p, g = _operands(arrays, learning_rate, weight_decay, products)
    a = accumulator + g * g
    return a, *_split(p - learning_rate * g / np.sqrt(a + epsilon), parameters)


def lion_update(
    learning_rate: Array,
    m: Array,
    *arrays: Array,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
    weight_decay: tuple[float, ...] = (),
    products: tuple[int, ...] = (),
) -> tuple[Array, ...]:
    """Return m' = m + (g - m)(1 - beta_2), p - lr sign(m beta_1 + g (1 - beta_1))."""
    parameters, p, g = _operands(arrays, learning_rate, weight_decay, products)
    step = learning_rate * np.sign(m * beta_1 + g * (1 - beta_1))
    return m + (g - m) * (1 - beta_2), *_split(p - step, parameters)
