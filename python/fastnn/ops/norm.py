"""Normalisations."""

from __future__ import annotations

from typing import Any

from fastnn.autodiff import Cotangents, Node, vjp
from fastnn.tracing import Tensor, TensorLike, apply


def layer_norm(x: TensorLike, gamma: TensorLike | None = None, beta: TensorLike | None = None, *, epsilon: float = 1e-3) -> Any:
    """`y = (x - mean) / sqrt(variance + epsilon) gamma + beta`, with the mean and variance of each row, the last axis.

    Args:
        x: float array of shape `(..., channels)`.
        gamma: shape `(channels,)`, or None.
        beta: likewise.
        epsilon: above 0, added to the variance; Keras's default, PyTorch's is 1e-5.

    Returns:
        x's shape and dtype. The variance divides by the number of channels.

    Raises:
        ValueError: shapes that do not fit, an epsilon that is not above 0.
        TypeError: the dtypes differ.

    Source:
        Ba, Kiros, Hinton, "Layer normalization", 2016, arXiv:1607.06450.

    Example:
        >>> ops.layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), epsilon=1e-9).round(3)
        array([[-1.,  1.],
               [-1.,  1.]])
    """
    return apply("layer_norm", [x, gamma, beta], outputs=3, epsilon=epsilon)[0]


def rms_norm(x: TensorLike, gamma: TensorLike | None = None, *, epsilon: float = 1e-6) -> Any:
    """`y = x / sqrt(mean of x^2 + epsilon) gamma`, over the last axis.

    Args:
        x: float array of shape `(..., channels)`.
        gamma: shape `(channels,)`, or None.
        epsilon: above 0.

    Returns:
        x's shape and dtype.

    Raises:
        ValueError: shapes that do not fit, an epsilon that is not above 0.
        TypeError: the dtypes differ.

    Source:
        Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019, arXiv:1910.07467.

    Example:
        >>> ops.rms_norm(np.array([[3.0, 4.0, 0.0, 0.0]])).round(3)
        array([[1.2, 1.6, 0. , 0. ]])
    """
    return apply("rms_norm", [x, gamma], outputs=2, epsilon=epsilon)[0]


def group_norm(
    x: TensorLike,
    gamma: TensorLike | None = None,
    beta: TensorLike | None = None,
    *,
    groups: int = 32,
    epsilon: float = 1e-3,
) -> Any:
    """`y = (x - mean) / sqrt(variance + epsilon) gamma + beta`, of each sample and each of `groups` runs of its channels.

    With one group it normalises whole samples, with as many as channels it is instance normalisation.

    Args:
        x: float array of shape `(batch, ..., channels)`; the statistics are over all axes between, too.
        gamma: shape `(channels,)`, or None.
        beta: likewise.
        groups: divides the number of channels.
        epsilon: above 0, added to the variance; Keras's default, PyTorch's is 1e-5.

    Returns:
        x's shape and dtype.

    Raises:
        ValueError: shapes that do not fit, groups that do not divide the channels, an epsilon that is not above 0.
        TypeError: the dtypes differ.

    Source:
        Wu and He, "Group normalization", ECCV 2018, arXiv:1803.08494.

    Example:
        >>> ops.group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), groups=2, epsilon=1e-9).round(3)
        array([[-1.,  1., -1.,  1.]])
    """
    return apply("group_norm", [x, gamma, beta], outputs=3, groups=groups, epsilon=epsilon)[0]


def batch_norm(
    x: TensorLike, gamma: TensorLike | None = None, beta: TensorLike | None = None, *, epsilon: float = 1e-3
) -> tuple[Any, Any, Any]:
    """`y = (x - mean) / sqrt(variance + epsilon) gamma + beta`, with each channel's mean and variance in this batch.

    Args:
        x: float array of shape `(batch, ..., channels)`.
        gamma: shape `(channels,)`, or None.
        beta: likewise.
        epsilon: above 0, added to the variance; Keras's default, PyTorch's is 1e-5.

    Returns:
        y, of x's shape and dtype, and the mean and the variance, `(channels,)`. The variance divides by the number of elements
        (PyTorch's running variance by one less). Gradients flow through all three.

    Raises:
        ValueError: shapes that do not fit, an epsilon that is not above 0.
        TypeError: the dtypes differ.

    Source:
        Ioffe and Szegedy, "Batch normalization", ICML 2015, arXiv:1502.03167.

    Example:
        >>> y, mean, variance = ops.batch_norm(np.array([[1.0, 10.0], [3.0, 30.0]]), epsilon=1e-9)
        >>> y.round(3), mean, variance
        (array([[-1., -1.],
               [ 1.,  1.]]), array([ 2., 20.]), array([  1., 100.]))
    """
    y, mean, variance = apply("batch_norm", [x, gamma, beta], outputs=3, epsilon=epsilon)
    return y, mean, variance


def batch_norm_inference(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    gamma: TensorLike | None = None,
    beta: TensorLike | None = None,
    *,
    epsilon: float = 1e-3,
) -> Any:
    """`y = (x - mean) / sqrt(variance + epsilon) gamma + beta`, with statistics that are given.

    Args:
        x: float array of shape `(batch, ..., channels)`.
        mean: shape `(channels,)`.
        variance: likewise.
        gamma: likewise, or None.
        beta: likewise.
        epsilon: above 0, added to the variance.

    Returns:
        x's shape and dtype.

    Raises:
        ValueError: shapes that do not fit, an epsilon that is not above 0.
        TypeError: the dtypes differ.

    Example:
        >>> ops.batch_norm_inference(np.array([[1.0, 10.0]]), np.zeros(2), np.array([1.0, 4.0]), epsilon=1e-9).round(3)
        array([[1., 5.]])
    """
    return apply("batch_norm_inference", [x, mean, variance, gamma, beta], epsilon=epsilon)


def _operands(node: Node, count: int) -> list[Tensor | None]:
    return [*node.inputs, None, None][:count]


@vjp("layer_norm")
@vjp("group_norm")
def _normalized(node: Node, dy: Tensor, *_: Tensor | None) -> Cotangents:
    x, gamma, _beta = _operands(node, 3)
    statistics = node.outputs[1:]
    return apply(f"{node.op}_backward", [dy, x, gamma, *statistics], outputs=3, **node.attributes)


@vjp("rms_norm")
def _rms_norm(node: Node, dy: Tensor, _: Tensor | None) -> Cotangents:
    x, gamma = _operands(node, 2)
    return apply("rms_norm_backward", [dy, x, gamma, node.outputs[1]], outputs=2, **node.attributes)


@vjp("batch_norm")
def _batch_norm(node: Node, dy: Tensor | None, dmean: Tensor | None, dvariance: Tensor | None) -> Cotangents:
    x, gamma, _ = _operands(node, 3)
    _, mean, variance = node.outputs
    assert x is not None
    terms: list[Any] = []
    dgamma = dbeta = None
    if dy is not None:
        dx, dgamma, dbeta = apply("batch_norm_backward", [dy, x, gamma, mean, variance], outputs=3, **node.attributes)
        terms.append(dx)
    axes = tuple(range(len(x.shape) - 1))
    # mean = sum x / n and variance = sum (x - mean)^2 / n, whose derivative by the mean is 0.
    if dmean is not None:
        terms.append(apply("mean_backward", [dmean, x], axes=axes))
    if dvariance is not None:
        terms.append(apply("mean_backward", [dvariance, x], axes=axes) * ((x - mean) * 2.0))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total, dgamma, dbeta


@vjp("batch_norm_inference")
def _batch_norm_inference(node: Node, dy: Tensor) -> Cotangents:
    x, mean, variance, gamma, _ = [*node.inputs, None, None][:5]
    assert x is not None and mean is not None and variance is not None
    axes = tuple(range(len(x.shape) - 1))
    deviation = apply("sqrt", [variance + node.attributes["epsilon"]])
    scale = 1.0 / deviation if gamma is None else gamma / deviation
    dbeta = apply("sum", [dy], axes=axes)
    along_x = apply("sum", [dy * (x - mean)], axes=axes)
    dgamma = along_x / deviation
    dvariance = -0.5 * (along_x * scale) / (deviation * deviation)
    return dy * scale, -(dbeta * scale), dvariance, dgamma, dbeta
