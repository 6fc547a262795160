"""fastnn itself, by the rules of its peers: `model.fit` and `model.predict`."""

from __future__ import annotations

from typing import Any

from benches import networks
from benches.peers import protocol


class Fastnn:
    def __init__(self, task: protocol.Task) -> None:
        import fastnn

        fastnn.set_seed(0)
        self.x, self.y, self.batch_size = task.x, task.y, task.batch_size
        self.model = networks.build(fastnn, task.network, task.weights)

    def prepare(self, x: Any) -> Any:
        return x

    def predict(self, images: Any) -> Any:
        return self.model.predict(images, batch_size=self.batch_size)

    def train(self, images: int, epochs: int) -> None:
        self.model.fit(self.x[:images], self.y[:images], batch_size=self.batch_size, epochs=epochs, verbose=0)


def _version() -> str:
    import fastnn

    return fastnn.__version__


if __name__ == "__main__":
    protocol.run("fastnn", _version, Fastnn)
