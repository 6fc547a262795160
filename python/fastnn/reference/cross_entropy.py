"""Losses per sample, over the last axis: of logits, or of probabilities; against labels, or against target probabilities."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .elementwise import clip
from .softmax import softmax

__all__ = [
    "cross_entropy",
    "softmax_cross_entropy",
    "sparse_cross_entropy",
    "sparse_softmax_cross_entropy",
]


def _log_softmax(logits: Array) -> Array:
    shifted = logits - np.max(np.real(logits), axis=-1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True)))


def _pick(x: Array, labels: Array) -> Array:
    return np.take_along_axis(x, labels[..., np.newaxis].astype(np.int64), axis=-1)[..., 0]


def _clip_probability(p: Array) -> Array:
    return clip(p, minimum=1e-7, maximum=1 - 1e-7)  # Keras's bounds: no loss is infinite


def sparse_softmax_cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return loss = -log softmax(logits)[label] and the probabilities softmax(logits)."""
    return -_pick(_log_softmax(logits), labels), softmax(logits)


def softmax_cross_entropy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return loss = -sum of t log softmax(logits) and the probabilities softmax(logits)."""
    return np.asarray(-np.sum(targets * _log_softmax(logits), axis=-1)), softmax(logits)


def sparse_cross_entropy(probabilities: Array, labels: Array) -> Array:
    """Return loss = -log p[label], p kept within 1e-7 of 0 and 1."""
    return -np.log(_clip_probability(_pick(probabilities, labels)))


def cross_entropy(probabilities: Array, targets: Array) -> Array:
    """Return loss = -sum of t log(p / sum of p), p / sum of p kept within 1e-7 of 0 and 1."""
    p = probabilities / np.sum(probabilities, axis=-1, keepdims=True)
    return np.asarray(-np.sum(targets * np.log(_clip_probability(p)), axis=-1))
