"""Keras's `model.fit`, on the backend named by --backend."""

from __future__ import annotations

import argparse
import os
from typing import Any

from benches.cnn import mnist_cnn
from benches.peers import protocol


class Keras:
    def __init__(self, x: Any, y: Any, arguments: argparse.Namespace) -> None:
        os.environ["KERAS_BACKEND"] = arguments.backend
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        if arguments.backend == "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
            tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
        import keras

        keras.utils.set_random_seed(0)
        self.x, self.y = x, y
        self.batch_size = arguments.batch_size
        self.model = mnist_cnn(keras, jit_compile={"auto": "auto", "on": True, "off": False}[arguments.jit])

    def train(self, images: int, epochs: int) -> None:
        self.model.fit(self.x[:images], self.y[:images], batch_size=self.batch_size, epochs=epochs, verbose=0)

    def loss(self, x: Any, y: Any) -> float:
        return float(self.model.evaluate(x, y, verbose=0)[0])


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
