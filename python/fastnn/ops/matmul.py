"""Matrix product."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.ops.elementwise import _fit
from fastnn.ops.reshape import reshape
from fastnn.tracing import Tensor, TensorLike, apply


def matmul(a: TensorLike, b: TensorLike, *, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    """`c = a b`, matrix by matrix over the last two axes.

    Args:
        a: float array of shape `(..., M, K)`, or `(..., K, M)` with `transpose_a`.
        b: shape `(..., K, N)`, or `(..., N, K)` with `transpose_b`. The leading axes broadcast: counted from the last, they are
            equal or 1, or one operand has no more.
        transpose_a: use the transpose of each matrix of `a`.
        transpose_b: likewise for `b`.

    Returns:
        Shape `(..., M, N)`, the operands' dtype.

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the dtypes differ.

    Example:
        >>> ops.matmul(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]), transpose_b=True)
        array([[1., 3.],
               [2., 4.]])
    """
    return apply("matmul", [a, b], transpose_a=transpose_a, transpose_b=transpose_b)


@vjp("matmul")
def _matmul(node: Node, dc: Tensor) -> Cotangents:
    a, b = node.inputs
    assert a is not None and b is not None
    ta, tb = node.attributes["transpose_a"], node.attributes["transpose_b"]

    def product(x: Any, y: Any, tx: bool, ty: bool) -> Tensor:
        result: Tensor = apply("matmul", [x, y], transpose_a=tx, transpose_b=ty)
        return result

    # c = A B with A = a or a^T: dA = dc B^T, dB = A^T dc, each transposed back where its operand was.
    da = product(b, dc, tb, True) if ta else product(dc, b, False, not tb)
    if b.ndim == 2 and dc.ndim > 2 and a.ndim == dc.ndim and not ta:
        # One matrix for a whole batch: the sum over the batch is one product over all rows.
        a, dc = reshape(a, (-1, a.shape[-1])), reshape(dc, (-1, dc.shape[-1]))
    db = product(dc, a, True, ta) if tb else product(a, dc, not ta, False)
    return _fit(da, node.inputs[0]), _fit(db, b)
