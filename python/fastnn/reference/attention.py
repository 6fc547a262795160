"""Scaled dot-product attention."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .random import uniform

__all__ = ["attention"]


def attention(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None = None,
    bias: Array | None = None,
    lengths: Array | None = None,
    positions: Array | None = None,
    random_state: Array | None = None,
    *,
    causal: bool = False,
    scale: float = 0.0,
    rate: float = 0.0,
    stream: int = 0,
) -> tuple[Array, Array]:
    """Return y = softmax(scale query key^T + bias) value, and log sum of exp of the scores (0 where a query sees no key).

    query is (B, T, NH, HS), key (B, S, KV, HS), value (B, S, KV, VS), NH a multiple of KV; a scale of 0 is 1 / sqrt(HS).
    """
    value = np.repeat(value, query.shape[2] // key.shape[2], axis=2)
    x, sees = scores(query, key, mask, bias, lengths, positions, causal=causal, scale=scale)
    largest = np.max(np.where(sees, np.real(x), -np.inf), axis=-1, keepdims=True, initial=-np.inf).astype(np.real(x).dtype)
    largest = np.where(largest == -np.inf, 0, largest)
    e = np.where(sees, np.exp(x - largest), 0)
    total = np.sum(e, axis=-1, keepdims=True)
    nothing = total == 0
    total = np.where(nothing, 1, total)
    p = e / total
    if rate > 0:
        assert random_state is not None
        seed, step = (int(number) & 0xFFFFFFFFFFFFFFFF for number in random_state)
        keep = uniform(seed, stream, step, p.size).reshape(p.shape) >= rate
        p = np.where(keep, p * (1 / (1 - rate)), 0)
    y = np.einsum("bhts,bshe->bthe", p, value)
    lse = np.where(nothing, 0, largest + np.log(total))[..., 0]
    return np.asarray(y), np.asarray(lse)


def scores(
    query: Array,
    key: Array,
    mask: Array | None = None,
    bias: Array | None = None,
    lengths: Array | None = None,
    positions: Array | None = None,
    *,
    causal: bool = False,
    scale: float = 0.0,
) -> tuple[Array, Array]:
    """Return x = scale query key^T + bias, (B, NH, T, S), 0 where a query does not see a key, and where it sees one."""
    B, T, NH, HS = query.shape
    S, KV = key.shape[1:3]
    x = np.einsum("bthd,bshd->bhts", query, np.repeat(key, NH // KV, axis=2)) * (scale or HS**-0.5)
    if bias is not None:
        x = x + bias
    sees = np.real(x) != -np.inf
    if mask is not None:
        sees = sees & mask
    s, t = np.arange(S), np.arange(T)[:, None]
    if lengths is not None:
        sees = sees & (s < lengths[:, None, None, None])
    if causal:
        place = np.full(B, S - T) if positions is None else positions
        sees = sees & (s <= t + place[:, None, None, None])
    return np.where(sees, x, 0), sees
