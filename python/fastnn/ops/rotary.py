"""Rotary position embedding."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def rotary(
    x: TensorLike,
    positions: TensorLike | None = None,
    *,
    base: float = 10000.0,
    interleaved: bool = False,
    reverse: bool = False,
) -> Any:
    """Each pair `(u, v)` of a head turned to `(u cos a - v sin a, v cos a + u sin a)`, `a = place base^(-2 i / size)`.

    Done to queries and keys, their products depend on how far apart they are, not on where.

    Args:
        x: float array of shape `(batch, time, heads, size)`, the size even.
        positions: int32 or int64 `(batch,)`, the place of the first row; default 0.
        base: of the frequencies, above 0.
        interleaved: whether pair `i` is elements `2 i` and `2 i + 1`, as in the paper and GPT-J, instead of `i` and
            `i + size / 2`, as in GPT-NeoX, Llama and Hugging Face's files.
        reverse: turn back.

    Returns:
        x's shape and dtype.

    Raises:
        ValueError: another number of axes, an odd size, a base that is not above 0.
        TypeError: x is no float array, or the positions are no integers.

    Source:
        Su, Lu, Pan, Murtadha, Wen, Liu, "RoFormer: enhanced Transformer with rotary position embedding", 2021,
        arXiv:2104.09864.

    Example:
        >>> ops.rotary(np.ones((1, 3, 1, 2))).round(3)[0, :, 0]
        array([[ 1.   ,  1.   ],
               [-0.301,  1.382],
               [-1.325,  0.493]])
    """
    return apply("rotary", [x, positions], base=float(base), interleaved=interleaved, reverse=reverse)


@vjp("rotary")
def _rotary(node: Node, dy: Tensor) -> Cotangents:
    # A rotation's transpose is the rotation back.
    attributes = {**node.attributes, "reverse": not node.attributes["reverse"]}
    return apply("rotary", [dy, *node.inputs[1:]], **attributes), None
