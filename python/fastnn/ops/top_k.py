"""The largest numbers of every row."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def top_k(x: TensorLike, k: int) -> tuple[Any, Any]:
    """The `k` largest numbers along the last axis, the largest first, and where they stand.

    Of equal numbers the one with the lower index comes first; NaN counts as larger than everything. The gradient goes to where
    the values were taken from.

    Args:
        x: number array `(..., n)`.
        k: 1 to n.

    Returns:
        The values `(..., k)`, of x's dtype, and their indices `(..., k)`, int64 (int32 in Keras).

    Raises:
        ValueError: k outside 1 to n; a single number.
        TypeError: k is no integer; x's dtype.

    Example:
        >>> ops.top_k(np.array([[0.1, 0.7, 0.2, 0.7]]), 3)
        (array([[0.7, 0.7, 0.2]]), array([[1, 3, 2]]))
    """
    values, indices = apply("top_k", [x], outputs=2, k=k)
    return values, indices


@vjp("top_k")
def _top_k(node: Node, dvalues: Tensor | None, dindices: Tensor | None) -> Cotangents:
    return (None if dvalues is None else apply("top_k_backward", [dvalues, node.outputs[1], node.inputs[0]]),)
