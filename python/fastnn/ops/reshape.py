"""Another shape for the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Dim, Tensor, TensorLike, apply


def reshape(x: TensorLike, shape: Dim | Sequence[Dim]) -> Any:
    """The elements of `x` in row-major order under another shape; nothing is copied in a program.

    Args:
        x: array of any dtype.
        shape: ints and symbolic extents (`x.shape[0]`), or a single one; one may be -1, the length that is left.

    Returns:
        x's dtype. Outside a trace a copy.

    Raises:
        ValueError: the number of elements differs.

    Example:
        >>> ops.reshape(np.arange(6), (2, -1))
        array([[0, 1, 2],
               [3, 4, 5]])
    """
    return apply("reshape", [x], shape=tuple(shape) if isinstance(shape, Sequence) else (shape,))


@vjp("reshape")
def _reshape(node: Node, dy: Tensor) -> Cotangents:
    (x,) = node.inputs
    assert x is not None
    return (apply("reshape", [dy], shape=x.shape),)
