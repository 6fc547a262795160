"""Cross-entropy losses, one number per sample."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def sparse_softmax_cross_entropy(logits: TensorLike, labels: TensorLike) -> Any:
    """`loss = log(sum over j of exp(z[j])) - z[label]` for each row `z` of logits.

    Args:
        logits: float array of shape `(..., classes)`.
        labels: integers of shape `(...)`, each at least 0 and below `classes`.

    Returns:
        Shape `(...)`.

    Raises:
        ValueError: a label outside the classes; its position is named.

    Example:
        >>> import fastnn, numpy as np
        >>> fastnn.ops.sparse_softmax_cross_entropy(np.zeros((1, 2)), np.array([1])).round(4)
        array([0.6931])
    """
    return apply("sparse_softmax_cross_entropy", [logits, labels], outputs=2)[0]


def softmax_cross_entropy(logits: TensorLike, targets: TensorLike) -> Any:
    """`loss = -sum over j of t[j] log softmax(z)[j]` for each row `z` of logits.

    Args:
        logits: float array of shape `(..., classes)`.
        targets: the same shape and dtype, usually probabilities. No gradient flows into them.

    Returns:
        Shape `(...)`.
    """
    return apply("softmax_cross_entropy", [logits, targets], outputs=2)[0]


def sparse_cross_entropy(probabilities: TensorLike, labels: TensorLike) -> Any:
    """`loss = -log p[label]`, with p clipped to 1e-7 .. 1 - 1e-7 as Keras does.

    After a softmax the pass `softmax_cross_entropy` computes it from the logits instead, exactly.

    Args:
        probabilities: float array of shape `(..., classes)`.
        labels: integers of shape `(...)`.

    Returns:
        Shape `(...)`.
    """
    return apply("sparse_cross_entropy", [probabilities, labels])


def cross_entropy(probabilities: TensorLike, targets: TensorLike) -> Any:
    """`loss = -sum over j of t[j] log(p[j] / sum p)`, clipped to 1e-7 .. 1 - 1e-7 as Keras does.

    Args:
        probabilities: float array of shape `(..., classes)`.
        targets: the same shape and dtype. No gradient flows into them.

    Returns:
        Shape `(...)`.
    """
    return apply("cross_entropy", [probabilities, targets])


@vjp("sparse_softmax_cross_entropy")
@vjp("softmax_cross_entropy")
def _from_logits(node: Node, dloss: Tensor | None, dprobabilities: Tensor | None) -> Cotangents:
    if dprobabilities is not None or dloss is None:
        raise ValueError(
            f"{node.op}: a gradient of its saved probabilities; expected one of its loss only; use fastnn.ops.softmax"
        )
    return apply(f"{node.op}_backward", [dloss, node.outputs[1], node.inputs[1]]), None


@vjp("sparse_cross_entropy")
@vjp("cross_entropy")
def _from_probabilities(node: Node, dloss: Tensor, *_: Tensor | None) -> Cotangents:
    # Fused, the node has a second result; only its backward op reads that, and has no derivative.
    return apply(f"{node.op}_backward", [dloss, *node.inputs]), None
