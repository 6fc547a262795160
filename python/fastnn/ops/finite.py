"""The guard against NaN and infinity."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def check_finite(x: TensorLike) -> Any:
    """`x` itself; a run in which it holds NaN or infinity raises and commits nothing.

    Args:
        x: float array.

    Raises:
        ValueError: when run, on the first element that is not finite.

    Example:
        >>> import fastnn, numpy as np
        >>> fastnn.ops.check_finite(np.ones(2))
        array([1., 1.])
    """
    return apply("check_finite", [x])


@vjp("check_finite")
def _check_finite(node: Node, dy: Tensor) -> Cotangents:
    return (dy,)
