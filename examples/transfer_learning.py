"""Little data: what a network has learnt on the digits 0 to 4 helps it to learn 5 to 9 from 20 images each.

python examples/transfer_learning.py
"""

from __future__ import annotations

import argparse

import numpy as np

import fastnn
from fastnn import layers

parser = argparse.ArgumentParser(description="Learn five digits from few images, with and without the other five.")
parser.add_argument("--images", type=int, default=30_000, help="of the first five digits")
parser.add_argument("--epochs", type=int, default=30, help="on the few images")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

(x_train, y_train), (x_test, y_test) = fastnn.datasets.mnist.load_data()
x_train, x_test = x_train[..., None], x_test[..., None]
first, late = np.flatnonzero(y_train < 5)[: arguments.images], y_test >= 5
few = np.concatenate([np.flatnonzero(y_train == digit)[:20] for digit in range(5, 10)])


def features() -> fastnn.Sequential:
    return fastnn.Sequential(
        [
            layers.Rescaling(1 / 255, input_shape=(28, 28, 1)),
            layers.Conv2D(16, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
        ]
    )


def classifier(base: fastnn.Sequential, rate: float) -> fastnn.Sequential:
    model = fastnn.Sequential([base, layers.Dropout(0.5), layers.Dense(5, activation="softmax")])
    model.compile(fastnn.optimizers.Adam(rate), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def learn_few(base: fastnn.Sequential) -> float:
    """The accuracy on 5 to 9 after training on 20 images of each."""
    model = classifier(base, rate=0.003)
    model.fit(x_train[few], y_train[few] - 5, batch_size=20, epochs=arguments.epochs, verbose=0)
    return float(model.evaluate(x_test[late], y_test[late] - 5, return_dict=True)["accuracy"])


fastnn.set_seed(arguments.seed)
base = features()
model = classifier(base, rate=0.001)
model.fit(x_train[first], y_train[first], batch_size=64, epochs=3, verbose=0)
early = y_test < 5
print(f"0 to 4: {model.evaluate(x_test[early], y_test[early])[1]:.4f}")

base.trainable = False  # what it has learnt stays
print(f"5 to 9 from 100 images, frozen features: {learn_few(base):.4f}")
print(f"5 to 9 from 100 images, from scratch:    {learn_few(features()):.4f}")
