"""Keras's `model.fit` and `model.predict`, on the backend named by --backend."""

from __future__ import annotations

import os
from typing import Any

from benches import networks
from benches.networks import LSTM, Conv, Dense, Flatten, GlobalAverage, MaxPool, Residual
from benches.peers import protocol


class Keras:
    def __init__(self, task: protocol.Task) -> None:
        protocol.refuse_others("keras", task.network, Conv, MaxPool, GlobalAverage, Flatten, Dense, LSTM, Residual)
        os.environ["KERAS_BACKEND"] = task.options.backend
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        if task.options.backend == "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(task.threads)
            tf.config.threading.set_inter_op_parallelism_threads(task.threads)
        import keras

        keras.utils.set_random_seed(0)
        self.x, self.y, self.batch_size = task.x, task.y, task.batch_size
        jit = {"auto": "auto", "on": True, "off": False}[task.options.jit]
        self.model = networks.build(keras, task.network, task.weights, jit_compile=jit)

    def prepare(self, x: Any) -> Any:
        return x

    def predict(self, images: Any) -> Any:
        return self.model.predict(images, batch_size=self.batch_size, verbose=0)

    def train(self, images: int, epochs: int) -> None:
        self.model.fit(self.x[:images], self.y[:images], batch_size=self.batch_size, epochs=epochs, verbose=0)


def _version() -> str:
    import keras

    backend = __import__(keras.backend.backend())
    return f"{keras.__version__} on {backend.__name__} {backend.__version__}"


if __name__ == "__main__":
    protocol.run(
        "keras",
        _version,
        Keras,
        flags={
            "--backend": {"choices": ["tensorflow", "jax", "torch"], "default": "tensorflow"},
            "--jit": {"choices": ["auto", "on", "off"], "default": "auto"},
        },
    )
