"""fastnn itself, by the rules of its peers: `model.fit`."""

from __future__ import annotations

import argparse
from typing import Any

from benches.cnn import mnist_cnn
from benches.peers import protocol


class Fastnn:
    def __init__(self, x: Any, y: Any, arguments: argparse.Namespace) -> None:
        import fastnn

        fastnn.set_seed(0)
        self.x, self.y = x, y
        self.batch_size = arguments.batch_size
        self.model = mnist_cnn(fastnn)

    def train(self, images: int, epochs: int) -> None:
        self.model.fit(self.x[:images], self.y[:images], batch_size=self.batch_size, epochs=epochs, verbose=0)

    def loss(self, x: Any, y: Any) -> float:
        return float(self.model.evaluate(x, y, return_dict=True)["loss"])


def _version() -> str:
    import fastnn

    return fastnn.__version__


if __name__ == "__main__":
    protocol.run("fastnn", _version, Fastnn)
