"""A convolutional network that reads handwritten digits, in Keras's words.

python examples/mnist_cnn.py
"""

from __future__ import annotations

import argparse

import fastnn
from fastnn import layers

parser = argparse.ArgumentParser(description="Train a convolutional network on MNIST.")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--limit", type=int, default=60_000, help="train and test on the first so many images")
arguments = parser.parse_args()

fastnn.set_seed(0)
(x_train, y_train), (x_test, y_test) = fastnn.datasets.mnist.load_data()
x_train, y_train = x_train[: arguments.limit, ..., None], y_train[: arguments.limit]
x_test, y_test = x_test[: arguments.limit, ..., None], y_test[: arguments.limit]

model = fastnn.Sequential(
    [
        layers.Rescaling(1 / 255, input_shape=(28, 28, 1)),  # uint8 images go in as they are
        layers.Conv2D(32, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=arguments.epochs, batch_size=64)

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test accuracy: {accuracy:.4f} (loss {loss:.4f})")

digits = model.predict(x_test[:10], verbose=0).argmax(axis=-1)
print("the first ten test images read:", *digits)
print("their labels are:              ", *y_test[:10])
