"""What the reference functions take and return."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def is_nan(x: Array) -> NDArray[np.bool_]:
    """Where x is not a number; nowhere for integers."""
    return np.asarray(x != x)
