"""Cross-entropy losses, one number per sample."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def sparse_softmax_cross_entropy(logits: TensorLike, labels: TensorLike, label_smoothing: float = 0.0) -> Any:
    """`loss = log(sum over j of exp(z[j])) - z[label]` for each row `z` of logits.

    The gradient by `z` is `softmax(z) - onehot(label)`. Smoothing replaces `onehot` by `onehot (1 - s) + s / classes`.

    Args:
        logits: float array of shape `(..., classes)`.
        labels: int32, int64 or uint8 of shape `(...)`, each at least 0 and below `classes`.
        label_smoothing: `s`, 0 to 1: how much of each target is spread over all classes.

    Returns:
        Shape `(...)`, the logits' dtype, in nats.

    Raises:
        ValueError: a label outside the classes, whose position is named; shapes that do not fit; smoothing outside 0 to 1.

    Source:
        Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for computer vision", CVPR 2016.

    Example:
        >>> ops.sparse_softmax_cross_entropy(np.zeros((1, 2)), np.array([1])).round(4)
        array([0.6931])
    """
    return apply("sparse_softmax_cross_entropy", [logits, labels], outputs=2, label_smoothing=float(label_smoothing))[0]


def softmax_cross_entropy(logits: TensorLike, targets: TensorLike, label_smoothing: float = 0.0) -> Any:
    """`loss = -sum over j of t[j] log softmax(z)[j]` for each row `z` of logits.

    Args:
        logits: float array of shape `(..., classes)`.
        targets: `t`, the same shape and dtype, usually probabilities. No gradient flows into them.
        label_smoothing: `s`, 0 to 1; the targets become `t (1 - s) + s / classes`.

    Returns:
        Shape `(...)`, in nats.

    Raises:
        ValueError: the shapes differ; smoothing outside 0 to 1.
        TypeError: the dtypes differ.

    Example:
        >>> ops.softmax_cross_entropy(np.zeros((1, 2)), np.array([[0.5, 0.5]])).round(4)
        array([0.6931])
    """
    return apply("softmax_cross_entropy", [logits, targets], outputs=2, label_smoothing=float(label_smoothing))[0]


def sparse_cross_entropy(probabilities: TensorLike, labels: TensorLike) -> Any:
    """`loss = -log p[label]`, with p clipped to 1e-7 .. 1 - 1e-7 as Keras does.

    In a trace, where `p` comes straight out of `softmax`, the loss and its gradient are computed from the logits instead,
    without the clipping. To do so everywhere call `sparse_softmax_cross_entropy`.

    Args:
        probabilities: float array of shape `(..., classes)`.
        labels: int32, int64 or uint8 of shape `(...)`, each at least 0 and below `classes`.

    Returns:
        Shape `(...)`, in nats.

    Raises:
        ValueError: a label outside the classes, whose position is named; shapes that do not fit.

    Example:
        >>> ops.sparse_cross_entropy(np.array([[0.25, 0.75], [0.0, 1.0]]), np.array([0, 0])).round(4)
        array([ 1.3863, 16.1181])
    """
    return apply("sparse_cross_entropy", [probabilities, labels])


def cross_entropy(probabilities: TensorLike, targets: TensorLike) -> Any:
    """`loss = -sum over j of t[j] log(p[j] / sum p)`, with `p / sum p` clipped to 1e-7 .. 1 - 1e-7 as Keras does.

    In a trace, where `p` comes straight out of `softmax`, the loss and its gradient are computed from the logits instead,
    without the clipping.

    Args:
        probabilities: float array of shape `(..., classes)`.
        targets: `t`, the same shape and dtype. No gradient flows into them.

    Returns:
        Shape `(...)`, in nats.

    Raises:
        ValueError: the shapes differ.
        TypeError: the dtypes differ.

    Example:
        >>> ops.cross_entropy(np.array([[0.25, 0.75]]), np.array([[1.0, 0.0]])).round(4)
        array([1.3863])
    """
    return apply("cross_entropy", [probabilities, targets])


@vjp("sparse_softmax_cross_entropy")
@vjp("softmax_cross_entropy")
def _from_logits(node: Node, dloss: Tensor | None, dprobabilities: Tensor | None) -> Cotangents:
    if dprobabilities is not None or dloss is None:
        raise ValueError(
            f"{node.op}: a gradient of its saved probabilities; expected one of its loss only; use fastnn.ops.softmax"
        )
    return apply(f"{node.op}_backward", [dloss, node.outputs[1], node.inputs[1]], **node.attributes), None


@vjp("sparse_cross_entropy")
@vjp("cross_entropy")
def _from_probabilities(node: Node, dloss: Tensor, *_: Tensor | None) -> Cotangents:
    # Fused, the node has a second result; only its backward op reads that, and has no derivative.
    return apply(f"{node.op}_backward", [dloss, *node.inputs]), None
