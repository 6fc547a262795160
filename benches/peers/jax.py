"""JAX: jitted functions, channels last, donated weights, Adam written out.

Max-pooling is a maximum over reshaped windows. With JAX's own idiom, reduce_window, whose gradient is a select_and_scatter, a
step of the CNN on one thread takes 1.7 times as long (measured with JAX 0.10).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from benches import networks
from benches.networks import Conv, Dense, Flatten, GlobalAverage, MaxPool, Residual
from benches.peers import protocol


class Jax:
    def __init__(self, task: protocol.Task) -> None:
        protocol.refuse_others("jax", task.network, Conv, MaxPool, GlobalAverage, Flatten, Dense, Residual)
        import jax
        import jax.numpy as jnp

        self.jax, self.jnp = jax, jnp
        self.batch_size, self.layers = task.batch_size, task.network.layers
        self.random = np.random.default_rng(0)
        self.x, self.y = jnp.asarray(task.x), jnp.asarray(task.y.astype(np.int32))
        # A normalized convolution's last two arrays are moving averages, which have no gradients.
        self.weights = [[jnp.asarray(array) for array in arrays[:3]] for arrays in task.weights]
        self.averages = [[jnp.asarray(array) for array in arrays[3:]] for arrays in task.weights]
        zeros = partial(jax.tree.map, jnp.zeros_like)
        self.state = (jnp.zeros((), jnp.int32), zeros(self.weights), zeros(self.weights))
        self.step = jax.jit(self._step, donate_argnums=(0, 1, 2))
        self.probabilities = jax.jit(self._probabilities)

    def _apply(self, layers: Sequence[Any], x: Any, weights: Iterator[Any], averages: Iterator[Any], new: Any) -> Any:
        """The layers' output. In training `new` is a list, to which each layer's moving averages are added, else None."""
        jnp = self.jnp
        for layer in layers:
            if isinstance(layer, Conv):
                (kernel, *others), moving = next(weights), next(averages)
                padding, strides = "SAME" if layer.same else "VALID", (layer.strides, layer.strides)
                x = self.jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
                x = self._normalize(x, *others, moving, new) if layer.normalized else x + others[0]
                if new is not None and not layer.normalized:
                    new.append([])
            elif isinstance(layer, MaxPool):
                batch, height, width, channels = x.shape
                x = x[:, : height // 2 * 2, : width // 2 * 2]
                x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))
            elif isinstance(layer, GlobalAverage):
                x = x.mean((1, 2))
            elif isinstance(layer, Flatten):
                x = x.reshape(len(x), -1)
            elif isinstance(layer, Dense):
                kernel, bias = next(weights)
                next(averages)
                x = x @ kernel + bias
                if new is not None:
                    new.append([])
            else:
                body = self._apply(layer.body, x, weights, averages, new)
                x = jnp.maximum(body + self._apply(layer.shortcut, x, weights, averages, new), 0)
            if getattr(layer, "relu", False):
                x = jnp.maximum(x, 0)
        return x

    def _normalize(self, x: Any, gamma: Any, beta: Any, moving: Any, new: Any) -> Any:
        mean, variance = moving
        if new is not None:
            mean = x.mean((0, 1, 2))
            variance = (x * x).mean((0, 1, 2)) - mean * mean  # both sums in one pass
            new.append([old + (1 - networks.MOMENTUM) * (now - old) for old, now in zip(moving, (mean, variance))])
        return (x - mean) * (gamma * self.jax.lax.rsqrt(variance + networks.EPSILON)) + beta

    def _probabilities(self, weights: Any, averages: Any, x: Any) -> Any:
        return self.jax.nn.softmax(self._apply(self.layers, x, iter(weights), iter(averages), None))

    def _loss(self, weights: Any, averages: Any, x: Any, y: Any) -> Any:
        new: list[Any] = []
        logits = self._apply(self.layers, x, iter(weights), iter(averages), new)
        return -self.jnp.take_along_axis(self.jax.nn.log_softmax(logits), y[:, None], 1).mean(), new

    def _step(self, weights: Any, averages: Any, state: Any, x: Any, y: Any, batch: Any) -> Any:
        gradients, averages = self.jax.grad(self._loss, has_aux=True)(weights, averages, x[batch], y[batch])
        adam, jnp, tree_map = protocol.ADAM, self.jnp, self.jax.tree.map
        step, m, v = state
        step += 1
        m = tree_map(lambda m, g: m + (1 - adam["beta_1"]) * (g - m), m, gradients)
        v = tree_map(lambda v, g: v + (1 - adam["beta_2"]) * (g * g - v), v, gradients)
        rate = adam["learning_rate"] * jnp.sqrt(1 - adam["beta_2"] ** step) / (1 - adam["beta_1"] ** step)
        weights = tree_map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + adam["epsilon"]), weights, m, v)
        return weights, averages, (step, m, v)

    def prepare(self, x: Any) -> Any:
        # Batches apart: a slice of an array is a copy, and to be compiled.
        return [self.jnp.asarray(x[start : start + self.batch_size]) for start in range(0, len(x), self.batch_size)]

    def predict(self, images: Any) -> Any:
        return np.concatenate([self.probabilities(self.weights, self.averages, batch) for batch in images])

    def train(self, images: int, epochs: int) -> None:
        for _ in range(epochs):
            order = self.random.permutation(images).astype(np.int32)
            for start in range(0, images, self.batch_size):
                batch = order[start : start + self.batch_size]
                self.weights, self.averages, self.state = self.step(
                    self.weights, self.averages, self.state, self.x, self.y, batch
                )
        self.jax.block_until_ready(self.weights)


def _version() -> str:
    import jax

    return str(jax.__version__)


if __name__ == "__main__":
    protocol.run("jax", _version, Jax)
