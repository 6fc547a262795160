"""The guard against NaN and infinity."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def check_finite(x: TensorLike) -> Any:
    """`x` itself; a run in which it holds NaN or infinity raises and commits nothing.

    Args:
        x: float array of any shape.

    Returns:
        x.

    Raises:
        ValueError: when run, for the first element that is not finite, whose position is named.

    Example:
        >>> ops.check_finite(np.array([1.0, np.nan]))
        Traceback (most recent call last):
        ValueError: check_finite: element 1 is not finite (nan); expected ...
    """
    return apply("check_finite", [x])


@vjp("check_finite")
def _check_finite(node: Node, dy: Tensor) -> Cotangents:
    return (dy,)
