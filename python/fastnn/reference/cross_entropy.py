"""Losses per sample, over the last axis: of logits, or of probabilities; against labels, or against target probabilities."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .elementwise import clip
from .softmax import log_softmax, softmax

__all__ = [
    "cross_entropy",
    "softmax_cross_entropy",
    "sparse_cross_entropy",
    "sparse_softmax_cross_entropy",
]


def _pick(x: Array, labels: Array) -> Array:
    return np.take_along_axis(x, labels[..., np.newaxis].astype(np.int64), axis=-1)[..., 0]


def _clip_probability(p: Array) -> Array:
    return clip(p, minimum=1e-7, maximum=1 - 1e-7)  # Keras's bounds: no loss is infinite


def sparse_softmax_cross_entropy(logits: Array, labels: Array, *, label_smoothing: float = 0.0) -> tuple[Array, Array]:
    """Return loss = -log softmax(logits)[label] and the probabilities softmax(logits); smoothed, as softmax_cross_entropy."""
    log_p = log_softmax(logits)
    loss = -_pick(log_p, labels)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing / logits.shape[-1] * np.sum(log_p, axis=-1)
    return loss, softmax(logits)


def softmax_cross_entropy(logits: Array, targets: Array, *, label_smoothing: float = 0.0) -> tuple[Array, Array]:
    """Return loss = -sum of t log softmax(logits) and the probabilities; smoothing makes t (1 - s) + s / N of t."""
    if label_smoothing:
        targets = targets * (1 - label_smoothing) + label_smoothing / logits.shape[-1]
    return np.asarray(-np.sum(targets * log_softmax(logits), axis=-1)), softmax(logits)


def sparse_cross_entropy(probabilities: Array, labels: Array) -> Array:
    """Return loss = -log p[label], p kept within 1e-7 of 0 and 1."""
    return -np.log(_clip_probability(_pick(probabilities, labels)))


def cross_entropy(probabilities: Array, targets: Array) -> Array:
    """Return loss = -sum of t log(p / sum of p), p / sum of p kept within 1e-7 of 0 and 1."""
    p = probabilities / np.sum(probabilities, axis=-1, keepdims=True)
    return np.asarray(-np.sum(targets * np.log(_clip_probability(p)), axis=-1))
