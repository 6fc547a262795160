"""Normalisations: x minus a mean, over a standard deviation, times gamma, plus beta."""

from __future__ import annotations

import numpy as np

from ._types import Array

__all__ = ["batch_norm", "batch_norm_inference", "group_norm", "layer_norm", "rms_norm"]


def _mean(x: Array, axes: tuple[int, ...]) -> Array:
    count = np.prod([x.shape[axis] for axis in axes], dtype=np.int64)
    return np.asarray(np.sum(x, axis=axes, keepdims=True) / x.dtype.type(count))


def _scaled(distance: Array, variance: Array, gamma: Array | None, beta: Array | None, epsilon: float) -> Array:
    y = distance / np.sqrt(variance + epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def layer_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, *, epsilon: float = 1e-3
) -> tuple[Array, Array, Array]:
    """Return y = (x - mean) / sqrt(variance + epsilon) gamma + beta over the last axis, the means and the variances."""
    mean = _mean(x, (-1,))
    variance = _mean((x - mean) ** 2, (-1,))
    return _scaled(x - mean, variance, gamma, beta, epsilon), mean[..., 0], variance[..., 0]


def rms_norm(x: Array, gamma: Array | None = None, *, epsilon: float = 1e-6) -> tuple[Array, Array]:
    """Return y = x / sqrt(mean of x^2 + epsilon) gamma over the last axis, and the means of x^2."""
    mean_square = _mean(x * x, (-1,))
    return _scaled(x, mean_square, gamma, None, epsilon), mean_square[..., 0]


def group_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, *, groups: int = 32, epsilon: float = 1e-3
) -> tuple[Array, Array, Array]:
    """Return what layer_norm does of each sample and each of `groups` runs of its channels, with all axes between."""
    parts = x.reshape(x.shape[0], int(np.prod(x.shape[1:-1], dtype=np.int64)), groups, x.shape[-1] // groups)
    mean = _mean(parts, (1, 3))
    variance = _mean((parts - mean) ** 2, (1, 3))
    y = _scaled(parts - mean, variance, None, None, epsilon).reshape(x.shape)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta, mean[:, 0, :, 0], variance[:, 0, :, 0]


def batch_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, *, epsilon: float = 1e-3
) -> tuple[Array, Array, Array]:
    """Return y = (x - mean) / sqrt(variance + epsilon) gamma + beta with each channel's own statistics, and these."""
    axes = tuple(range(x.ndim - 1))
    mean = _mean(x, axes)
    variance = _mean((x - mean) ** 2, axes)
    return _scaled(x - mean, variance, gamma, beta, epsilon), mean.reshape(-1), variance.reshape(-1)


def batch_norm_inference(
    x: Array, mean: Array, variance: Array, gamma: Array | None = None, beta: Array | None = None, *, epsilon: float = 1e-3
) -> Array:
    """Return y = (x - mean) / sqrt(variance + epsilon) gamma + beta with statistics that are given."""
    return _scaled(x - mean, variance, gamma, beta, epsilon)
