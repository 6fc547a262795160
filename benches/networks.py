"""The networks that benches train and compare, told once: every library's program builds its own from these layers.

fastnn and Keras build theirs by the same words, `build(fastnn, CNN)` and `build(keras, CNN)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Conv:
    """A convolution; where it is normalized, a batch normalization stands in for its bias."""

    filters: int
    size: int = 3
    strides: int = 1
    same: bool = False  # padded as Keras's "same"; else not at all
    normalized: bool = False
    relu: bool = True


@dataclass(frozen=True)
class MaxPool:
    """Of windows of 2 x 2, without the last row and column of an odd image."""


@dataclass(frozen=True)
class GlobalAverage:
    """Of each channel."""


@dataclass(frozen=True)
class Flatten:
    """Row by row, the channels of a pixel together."""


@dataclass(frozen=True)
class Dense:
    units: int
    relu: bool = True


@dataclass(frozen=True)
class Residual:
    """relu(body(x) + shortcut(x)); without layers of its own the short cut is x."""

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class LSTM:
    """What the last step of a sequence puts out."""

    units: int


Layer = Conv | MaxPool | GlobalAverage | Flatten | Dense | LSTM | Residual


@dataclass(frozen=True)
class Network:
    """Ends with the logits of ten classes, whose softmax is the output."""

    shape: tuple[int, ...]  # of a sample, channels last; of a sequence, steps first
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class GPT:
    """`fastnn.models.GPT`: blocks of causal attention and gelu, each behind a norm; tokens in and out share a table."""

    vocabulary: int = 65
    context: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    deviation: float = 0.02  # of the weights it begins with


@dataclass(frozen=True)
class Generation:
    """A GPT goes on with a prompt, each time by its most probable token, and keeps the keys and values of those before."""

    gpt: GPT
    prompt: int
    new: int


@dataclass(frozen=True)
class Attention:
    """Causal attention and its gradients by query, key and value. It has no weights."""

    length: int
    heads: int
    size: int  # of a head


MOMENTUM, EPSILON = 0.9, 1e-3  # of batch normalization, as Keras understands them


def _block(filters: int, strides: int = 1) -> Residual:
    body = (
        Conv(filters, strides=strides, same=True, normalized=True),
        Conv(filters, same=True, normalized=True, relu=False),
    )
    return Residual(body, (Conv(filters, 1, strides, same=True, normalized=True, relu=False),) if strides > 1 else ())


# The README's, one of nothing but matrices, and that of examples/resnet.py.
CNN = Network((28, 28, 1), (Conv(32), MaxPool(), Conv(64), MaxPool(), Conv(64), Flatten(), Dense(64), Dense(10, relu=False)))
MLP = Network((784,), (Dense(512), Dense(512), Dense(10, relu=False)))
RESNET = Network(
    (32, 32, 3),
    (
        Conv(32, same=True, normalized=True),
        *(_block(32), _block(32), _block(64, 2), _block(64), _block(128, 2), _block(128)),
        *(GlobalAverage(), Dense(10, relu=False)),
    ),
)

LSTM_128 = Network((28, 28), (LSTM(128), Dense(10, relu=False)))
LSTM_256 = Network((64, 128), (LSTM(256), Dense(10, relu=False)))
# nanoGPT's for a CPU. Weights as small as those of training would make it say its last token again and again.
NANO_GPT = GPT()
GENERATION = Generation(GPT(deviation=0.2), prompt=4, new=60)
ATTENTION = Attention(length=2048, heads=8, size=64)

Weights = list[list[NDArray[np.float32]]]


def initial_weights(network: Network | GPT | Generation | Attention) -> Weights:
    """The same random start for every library, Glorot's. One list per layer that has weights, a body before its short cut.

    A list holds the kernel (size, size, in, filters) or (in, units), then the bias, or gamma, beta and the moving mean and
    variance; that of an LSTM the kernels (in, 4 units) and (units, 4 units), then the bias, of the gates i, f, c, o.
    """
    if not isinstance(network, Network):
        return [] if isinstance(network, Attention) else _gpt_weights(network if isinstance(network, GPT) else network.gpt)
    random = np.random.default_rng(0)
    found: Weights = []

    def add(kernel: tuple[int, ...], *others: float) -> None:
        limit = np.sqrt(6 / (np.prod(kernel[:-2]) * (kernel[-2] + kernel[-1])))
        start = random.uniform(-limit, limit, kernel).astype(np.float32)
        found.append([start, *(np.full(kernel[-1:], other, np.float32) for other in others)])

    def walk(layers: tuple[Layer, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape behind the layers."""
        for layer in layers:
            if isinstance(layer, Conv):
                add((layer.size, layer.size, shape[-1], layer.filters), *((1, 0, 0, 1) if layer.normalized else (0,)))
                lost = 0 if layer.same else layer.size - 1
                shape = (*((n - lost - 1) // layer.strides + 1 for n in shape[:2]), layer.filters)
            elif isinstance(layer, MaxPool):
                shape = (shape[0] // 2, shape[1] // 2, shape[2])
            elif isinstance(layer, GlobalAverage):
                shape = shape[-1:]
            elif isinstance(layer, Flatten):
                shape = (int(np.prod(shape)),)
            elif isinstance(layer, Dense):
                add((shape[0], layer.units), 0)
                shape = (layer.units,)
            elif isinstance(layer, LSTM):
                add((shape[-1], 4 * layer.units))
                add((layer.units, 4 * layer.units))
                found[-2:] = [[found[-2][0], found[-1][0], np.repeat(np.float32([0, 1, 0, 0]), layer.units)]]
                shape = (layer.units,)
            else:
                behind = walk(layer.body, shape)
                walk(layer.shortcut, shape)
                shape = behind
        return shape

    walk(network.layers, network.shape)
    return found


def _gpt_weights(gpt: GPT) -> Weights:
    """The tables of tokens and positions, and for each block, with biases: query, key, value, output, norm, up, down, norm."""
    random = np.random.default_rng(0)
    width = gpt.width

    def normal(*shape: int) -> NDArray[np.float32]:
        return np.float32(gpt.deviation) * random.standard_normal(shape, np.float32)

    def dense(*shape: int) -> list[NDArray[np.float32]]:
        return [normal(*shape), np.zeros(shape[-1], np.float32)]

    def norm() -> list[NDArray[np.float32]]:
        return [np.ones(width, np.float32), np.zeros(width, np.float32)]

    found = [[normal(gpt.vocabulary, width)], [normal(gpt.context, width)]]
    for _ in range(gpt.layers):
        found += [*(dense(width, width) for _ in range(4)), norm(), dense(width, 4 * width), dense(4 * width, width), norm()]
    return [*found, norm()]


def channels_first(kernel: NDArray[Any], channels: int) -> NDArray[Any]:
    """A dense kernel behind the flattening of images that have so many channels, for a library that keeps channels first."""
    return kernel.reshape(-1, channels, kernel.shape[-1]).swapaxes(0, 1).reshape(kernel.shape)


def build(library: Any, network: Network, weights: Weights | None = None, **compile_options: Any) -> Any:
    """A compiled model of `library`, which is the module fastnn or keras; with its own random start where `weights` is None."""
    layers = library.layers
    made: list[list[Any]] = []  # the layers that `weights` has a list for, in its order

    def apply(parts: tuple[Layer, ...], x: Any) -> Any:
        for part in parts:
            if isinstance(part, Conv):
                alone = part.relu and not part.normalized
                padding = "same" if part.same else "valid"
                convolution = layers.Conv2D(
                    part.filters,
                    part.size,
                    strides=part.strides,
                    padding=padding,
                    use_bias=not part.normalized,
                    activation="relu" if alone else None,
                )
                made.append([convolution])
                x = convolution(x)
                if part.normalized:
                    made[-1].append(layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON))
                    x = made[-1][-1](x)
                    x = layers.Activation("relu")(x) if part.relu else x
            elif isinstance(part, MaxPool):
                x = layers.MaxPooling2D((2, 2))(x)
            elif isinstance(part, GlobalAverage):
                x = layers.GlobalAveragePooling2D()(x)
            elif isinstance(part, Flatten):
                x = layers.Flatten()(x)
            elif isinstance(part, Dense):
                made.append([layers.Dense(part.units, activation="relu" if part.relu else "softmax")])
                x = made[-1][0](x)
            elif isinstance(part, LSTM):
                made.append([layers.LSTM(part.units)])
                x = made[-1][0](x)
            else:
                x = layers.Activation("relu")(layers.Add()([apply(part.body, x), apply(part.shortcut, x)]))
        return x

    inputs = library.Input(network.shape)
    model = library.Model(inputs, apply(network.layers, inputs))
    for group, arrays in zip(made, weights or []):
        split = len(arrays) if len(group) == 1 else 1
        group[0].set_weights(arrays[:split])
        for normalization in group[1:]:
            normalization.set_weights(arrays[split:])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], **compile_options)
    return model


def mnist_cnn(library: Any) -> Any:
    """The README's network."""
    return build(library, CNN)
