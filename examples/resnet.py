"""A residual network on coloured images: branches, batch normalisation, global pooling.

python examples/resnet.py
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import fastnn
from fastnn import layers, ops

parser = argparse.ArgumentParser(description="Train a small ResNet to tell stripes by their direction and colour.")
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--samples", type=int, default=2000)
parser.add_argument("--size", type=int, default=32, help="height and width of the images")
arguments = parser.parse_args()


def stripes(samples: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten classes: stripes in five directions, reddish or bluish, with noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, samples)
    angle = (labels % 5) * np.pi / 5
    y, x = np.mgrid[0:size, 0:size] / size
    phase = rng.uniform(0, 2 * np.pi, samples)
    wave = np.sin(20 * (np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y) + phase[:, None, None])
    colour = np.where(labels[:, None] < 5, [1.0, 0.5, 0.2], [0.2, 0.5, 1.0])
    images = wave[..., None] * colour[:, None, None, :] + rng.normal(0, 0.7, (samples, size, size, 3))
    return images.astype(np.float32), labels


def convolution(x: Any, filters: int, strides: int = 1) -> Any:
    """Without a bias: the normalisation behind it has one."""
    x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


def block(x: Any, filters: int, strides: int) -> Any:
    """Two convolutions beside a short cut."""
    y = ops.relu(convolution(x, filters, strides))
    y = convolution(y, filters)
    if strides > 1:
        x = layers.BatchNormalization()(layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x))
    return ops.relu(x + y)


fastnn.set_seed(0)
image = fastnn.Input((arguments.size, arguments.size, 3))
x = ops.relu(convolution(image, 32))
for stage, filters in enumerate((32, 64, 128)):
    for number in range(2):
        x = block(x, filters, strides=2 if stage > 0 and number == 0 else 1)
x = layers.GlobalAveragePooling2D()(x)
model = fastnn.Model(image, layers.Dense(10, activation="softmax")(x), name="resnet")
model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])

x_train, y_train = stripes(arguments.samples, arguments.size, seed=1)
x_test, y_test = stripes(arguments.samples // 4, arguments.size, seed=2)
model.fit(x_train, y_train, batch_size=32, epochs=arguments.epochs, validation_data=(x_test, y_test))
loss, accuracy = model.evaluate(x_test, y_test)
print(f"test accuracy: {accuracy:.4f} (loss {loss:.4f}), {model.count_params():,} weights")
