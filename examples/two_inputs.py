"""A tabular model with two kinds of columns: numbers, and categories that are looked up.

python examples/two_inputs.py
"""

from __future__ import annotations

import argparse

import numpy as np

import fastnn
from fastnn import layers, ops

parser = argparse.ArgumentParser(description="Predict a price from numbers and categories.")
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--samples", type=int, default=4000)
arguments = parser.parse_args()

# Invented houses: the price depends on size and age, and on the district in a way that only a table knows.
rng = np.random.default_rng(0)
numbers = rng.normal(size=(arguments.samples, 2)).astype(np.float32)
districts = rng.integers(0, 20, (arguments.samples, 2))  # where it lies, and the one nearest to it
worth = rng.normal(size=20)
price = 1.5 * numbers[:, 0] - 0.5 * numbers[:, 1] ** 2 + worth[districts[:, 0]] + 0.3 * worth[districts[:, 1]]
price += rng.normal(0, 0.05, arguments.samples)
train, test = slice(0, arguments.samples * 4 // 5), slice(arguments.samples * 4 // 5, None)

fastnn.set_seed(0)
number_input = fastnn.Input((2,), name="numbers")
district_input = fastnn.Input((2,), name="districts", dtype="int32")
looked_up = layers.Flatten()(layers.Embedding(20, 4)(district_input))
joined = ops.concatenate([number_input, looked_up], axis=-1)
hidden = layers.Dense(32, activation="relu")(joined)
model = fastnn.Model([number_input, district_input], layers.Dense(1)(hidden))
model.compile(fastnn.optimizers.Adam(0.01), loss="mse", metrics=["mean_absolute_error"])
model.fit(
    {"numbers": numbers[train], "districts": districts[train]},
    price[train],
    batch_size=64,
    epochs=arguments.epochs,
    callbacks=fastnn.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.3, patience=3),
    verbose=0,
)
loss, error = model.evaluate({"numbers": numbers[test], "districts": districts[test]}, price[test])
print(f"explained: {1 - loss / price[test].var():.4f} of the variance; mean absolute error {error:.3f}")
