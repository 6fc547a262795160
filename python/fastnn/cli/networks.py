"""The networks for MNIST that `fastnn train` has: from images to the probabilities of the ten digits."""

from __future__ import annotations

from collections.abc import Callable

from fastnn import layers
from fastnn.cli.data import CLASSES, IMAGE
from fastnn.layers import Layer
from fastnn.models import Sequential, VisionTransformer, VisionTransformerConfig


def build(name: str) -> Sequential:
    """The network of that name, with new weights."""
    return Sequential([layers.Rescaling(1 / 255, input_shape=(*IMAGE, 1)), *_NETWORKS[name]()])


def _cnn() -> list[Layer]:
    return [
        layers.Conv2D(32, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(CLASSES, activation="softmax"),
    ]


def _transformer() -> list[Layer]:
    """Sixteen patches: with 49 an epoch takes three and a half times as long."""
    config = VisionTransformerConfig(classes=CLASSES, image_size=IMAGE[0], patch_size=7, dropout=0.1)
    return [VisionTransformer(config), layers.Softmax()]


def _lstm() -> list[Layer]:
    """A row of pixels is a step."""
    return [layers.Reshape(IMAGE), layers.LSTM(128), layers.Dense(CLASSES, activation="softmax")]


_NETWORKS: dict[str, Callable[[], list[Layer]]] = {
    "mnist-cnn": _cnn,
    "mnist-transformer": _transformer,
    "mnist-lstm": _lstm,
}
