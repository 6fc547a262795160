"""JAX: one jitted step, channels-last, donated weights, Adam written out.

Max-pooling is a maximum over reshaped windows. JAX's own idiom, reduce_window, has a gradient (select_and_scatter) that takes
half of the step on a CPU.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from benches.peers import protocol


class Jax:
    def __init__(self, x: Any, y: Any, arguments: argparse.Namespace) -> None:
        import jax
        import jax.numpy as jnp
        import numpy as np

        self.jax, self.jnp, self.np = jax, jnp, np
        self.batch_size = arguments.batch_size
        self.random = np.random.default_rng(0)
        self.x, self.y = jnp.asarray(x), jnp.asarray(y.astype(np.int32))
        shapes = [(3, 3, 1, 32), (3, 3, 32, 64), (3, 3, 64, 64), (576, 64), (64, 10)]
        keys = jax.random.split(jax.random.key(0), len(shapes))
        glorot = jax.nn.initializers.glorot_uniform()
        self.weights = [(glorot(key, shape), jnp.zeros(shape[-1])) for key, shape in zip(keys, shapes)]
        zeros = partial(jax.tree.map, jnp.zeros_like)
        self.state = (jnp.zeros((), jnp.int32), zeros(self.weights), zeros(self.weights))
        self.step = jax.jit(self._step, donate_argnums=(0, 1))
        self.evaluate = jax.jit(self._loss)

    def _logits(self, weights: Any, x: Any) -> Any:
        def convolution(x: Any, layer: int) -> Any:
            kernel, bias = weights[layer]
            y = self.jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            return self.jax.nn.relu(y + bias)

        def pool(x: Any) -> Any:
            batch, height, width, channels = x.shape
            x = x[:, : height // 2 * 2, : width // 2 * 2]
            return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))

        x = convolution(pool(convolution(pool(convolution(x, 0)), 1)), 2).reshape(len(x), -1)
        x = self.jax.nn.relu(x @ weights[3][0] + weights[3][1])
        return x @ weights[4][0] + weights[4][1]

    def _loss(self, weights: Any, x: Any, y: Any) -> Any:
        log_probabilities = self.jax.nn.log_softmax(self._logits(weights, x))
        return -self.jnp.take_along_axis(log_probabilities, y[:, None], 1).mean()

    def _step(self, weights: Any, state: Any, x: Any, y: Any, batch: Any) -> Any:
        gradients = self.jax.grad(self._loss)(weights, x[batch], y[batch])
        adam, jnp, tree_map = protocol.ADAM, self.jnp, self.jax.tree.map
        step, m, v = state
        step += 1
        m = tree_map(lambda m, g: m + (1 - adam["beta_1"]) * (g - m), m, gradients)
        v = tree_map(lambda v, g: v + (1 - adam["beta_2"]) * (g * g - v), v, gradients)
        rate = adam["learning_rate"] * jnp.sqrt(1 - adam["beta_2"] ** step) / (1 - adam["beta_1"] ** step)
        weights = tree_map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + adam["epsilon"]), weights, m, v)
        return weights, (step, m, v)

    def train(self, images: int, epochs: int) -> None:
        for _ in range(epochs):
            order = self.random.permutation(images).astype(self.np.int32)
            for start in range(0, images, self.batch_size):
                batch = order[start : start + self.batch_size]
                self.weights, self.state = self.step(self.weights, self.state, self.x, self.y, batch)
        self.jax.block_until_ready(self.weights)

    def loss(self, x: Any, y: Any) -> float:
        return float(self.evaluate(self.weights, x, y.astype(self.np.int32)))


def _version() -> str:
    import jax

    return str(jax.__version__)


if __name__ == "__main__":
    protocol.run("jax", _version, Jax)
