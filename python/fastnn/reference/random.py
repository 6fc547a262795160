"""Random numbers as a pure function of (key, counter): Philox 4x32-10.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WORD = 0xFFFFFFFF
_LONG = 0xFFFFFFFFFFFFFFFF


def philox(key: int, counter_low: NDArray[np.uint64], counter_high: int) -> NDArray[np.uint64]:
    """Return four 32-bit words for each counter, along a new last axis."""
    low = np.asarray(counter_low, np.uint64)
    word, shift = np.uint64(_WORD), np.uint64(32)
    c0, c1 = low & word, low >> shift
    c2, c3 = np.full_like(low, counter_high & _WORD), np.full_like(low, counter_high >> 32 & _WORD)
    for i in range(10):
        k0 = np.uint64((key + i * 0x9E3779B9) & _WORD)
        k1 = np.uint64(((key >> 32) + i * 0xBB67AE85) & _WORD)
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & word, (p0 >> shift) ^ c3 ^ k1, p0 & word
    return np.stack([c0, c1, c2, c3], axis=-1)


def philox_key(seed: int, stream: int) -> int:
    """Return the key of one stream of a seed, mixed by SplitMix64's finalizer, so that streams are unrelated."""
    z = (seed + 0x9E3779B97F4A7C15 * (stream + 1)) & _LONG
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _LONG
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _LONG
    return z ^ z >> 31


def uniform(seed: int, stream: int, step: int, count: int) -> NDArray[np.float64]:
    """Return `count` multiples of 2^-24 in [0, 1): element i is made of word i % 4 of counter (i // 4, step)."""
    counters = np.arange(-(-count // 4), dtype=np.uint64)
    words = philox(philox_key(seed, stream), counters, step).reshape(-1)[:count]
    return (words >> np.uint64(8)).astype(np.float64) * 2.0**-24
