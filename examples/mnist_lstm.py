"""An LSTM that reads handwritten digits row by row, as a sequence of 28 steps.

python examples/mnist_lstm.py
"""

from __future__ import annotations

import argparse

import fastnn
from fastnn import layers

parser = argparse.ArgumentParser(description="Train an LSTM on the rows of MNIST's images.")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--limit", type=int, default=60_000, help="train and test on the first so many images")
arguments = parser.parse_args()

fastnn.set_seed(0)
(x_train, y_train), (x_test, y_test) = fastnn.datasets.mnist.load_data()
x_train, y_train = x_train[: arguments.limit], y_train[: arguments.limit]
x_test, y_test = x_test[: arguments.limit], y_test[: arguments.limit]

model = fastnn.Sequential(
    [
        layers.Rescaling(1 / 255, input_shape=(28, 28)),  # (batch, time, channels): a row is a step
        layers.LSTM(128),
        layers.Dense(10, activation="softmax"),
    ]
)
rate = fastnn.schedules.CosineDecay(3e-3, decay_steps=arguments.epochs * -(-len(x_train) // 64))
model.compile(fastnn.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=arguments.epochs, batch_size=64)

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test accuracy: {accuracy:.4f} (loss {loss:.4f})")
