"""A training loop written by hand: the loss, its gradients and the optimizer's update in one traced function.

The task: two interleaved spirals, told apart by a small network.

    python examples/custom_training_loop.py
"""

from __future__ import annotations

import argparse

import numpy as np

import fastnn
from fastnn import layers, ops

parser = argparse.ArgumentParser(description="Tell two spirals apart with a training loop written by hand.")
parser.add_argument("--steps", type=int, default=2000)
arguments = parser.parse_args()

BATCH = 64


def spirals(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points on two spirals with a little noise, and which spiral each is on."""
    labels = rng.integers(0, 2, count)
    turn = np.sqrt(rng.uniform(0.02, 1.0, count)) * 3.0 * np.pi
    angle = turn + np.pi * labels
    points = turn[:, None] / 9.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (points + rng.normal(0.0, 0.02, points.shape)).astype(np.float32), labels


fastnn.set_seed(0)
rng = np.random.default_rng(0)
x_train, y_train = spirals(4000, rng)
x_test, y_test = spirals(1000, rng)

model = fastnn.Sequential(
    [
        layers.Dense(64, activation="relu", input_shape=(2,)),
        layers.Dense(64, activation="relu"),
        layers.Dense(2),
    ]
)
optimizer = fastnn.optimizers.Adam(learning_rate=0.005)
variables = model.trainable_variables


@fastnn.function
def train_step(x, y):
    """Traced when first called, one program from then on. It assigns all or, on an error, nothing."""

    def batch_loss():
        return ops.mean(ops.sparse_softmax_cross_entropy(model(x), y))

    loss, gradients = fastnn.value_and_grad(batch_loss, variables=variables)()
    optimizer.apply(gradients, variables)
    return loss


@fastnn.function(shapes=[("batch", 2)])  # any number of points without another trace
def classify(x):
    return ops.argmax(model(x))


for step in range(1, arguments.steps + 1):
    batch = rng.integers(0, len(x_train), BATCH)
    loss = train_step(x_train[batch], y_train[batch])
    if step == 1 or step % 500 == 0:
        accuracy = np.mean(classify(x_test) == y_test)
        print(f"step {step:5}: loss {float(loss):.4f}, test accuracy {accuracy:.3f}")
print(f"test accuracy: {np.mean(classify(x_test) == y_test):.4f}")
