"""scikit-learn's MLPClassifier, for training networks of dense layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from benches.networks import Dense
from benches.peers import protocol


class Sklearn:
    def __init__(self, task: protocol.Task) -> None:
        protocol.refuse_others("scikit-learn", task.network, Dense)
        from sklearn.neural_network import MLPClassifier

        adam = protocol.ADAM
        self.model = MLPClassifier(
            [len(bias) for _, bias in task.weights[:-1]],
            activation="relu",
            solver="adam",
            alpha=0.0,  # no weight decay
            batch_size=task.batch_size,
            learning_rate_init=adam["learning_rate"],
            beta_1=adam["beta_1"],
            beta_2=adam["beta_2"],
            epsilon=adam["epsilon"],
            random_state=0,
        )
        self.x, self.y, self.batch_size = task.x, task.y, task.batch_size
        # The first step makes weights, of the data's type; ours replace them, and the optimizer forgets.
        self.model.partial_fit(self.x[: self.batch_size], self.y[: self.batch_size], classes=np.arange(10))
        self.model.coefs_ = [kernel.copy() for kernel, _ in task.weights]
        self.model.intercepts_ = [bias.copy() for _, bias in task.weights]
        del self.model._optimizer

    def prepare(self, x: Any) -> Any:
        return x

    def predict(self, images: Any) -> Any:
        batches = range(0, len(images), self.batch_size)
        return np.concatenate([self.model.predict_proba(images[start : start + self.batch_size]) for start in batches])

    def train(self, images: int, epochs: int) -> None:
        for _ in range(epochs):
            self.model.partial_fit(self.x[:images], self.y[:images])


def _version() -> str:
    import sklearn

    return str(sklearn.__version__)


if __name__ == "__main__":
    protocol.run("scikit-learn", _version, Sklearn)
