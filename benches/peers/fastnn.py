"""fastnn itself, by the rules of its peers: `model.fit`, `model.predict`, `model.generate`, and kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from benches import networks
from benches.peers import protocol


class Fastnn:
    def __init__(self, task: protocol.Task) -> None:
        import fastnn

        fastnn.set_seed(0)
        self.x, self.y, self.batch_size = task.x, task.y, task.batch_size
        self.model = self._model(fastnn, task)

    def _model(self, fastnn: Any, task: protocol.Task) -> Any:
        return networks.build(fastnn, task.network, task.weights)

    def prepare(self, x: Any) -> Any:
        return x

    def predict(self, images: Any) -> Any:
        return self.model.predict(images, batch_size=self.batch_size)

    def train(self, images: int, epochs: int) -> None:
        self.model.fit(self.x[:images], self.y[:images], batch_size=self.batch_size, epochs=epochs, verbose=0)


class Logits(Fastnn):
    """A GPT, in training."""

    def _model(self, fastnn: Any, task: protocol.Task) -> Any:
        model = _gpt(fastnn, task.network, task.weights)
        optimizer = fastnn.optimizers.AdamW(weight_decay=protocol.WEIGHT_DECAY, **protocol.ADAM)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        model.compile(optimizer, fastnn.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    def predict(self, x: Any) -> Any:
        logits = super().predict(x)
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)


class Generation(Fastnn):
    def _model(self, fastnn: Any, task: protocol.Task) -> Any:
        self.new = task.network.new
        return _gpt(fastnn, task.network.gpt, task.weights)

    def predict(self, prompts: Any) -> Any:
        batches = [prompts[start : start + self.batch_size] for start in range(0, len(prompts), self.batch_size)]
        return np.concatenate([self.model.generate(list(batch), self.new, greedy=True) for batch in batches])


class Attention(Fastnn):
    def _model(self, fastnn: Any, task: protocol.Task) -> Any:
        return fastnn.kernels

    def prepare(self, x: Any) -> Any:
        parts = np.moveaxis(x, 1, 0)
        return [
            [np.ascontiguousarray(part[start : start + self.batch_size]) for part in parts]
            for start in range(0, len(x), self.batch_size)
        ]

    def predict(self, batches: Any) -> Any:
        found = []
        for *operands, dy in batches:
            y, lse = self.model.attention(*operands, causal=True)
            gradients = self.model.attention_backward(dy, *operands, y, lse, causal=True)
            found.append(np.stack([array[:, :: protocol.CHECKED_EVERY] for array in (y, *gradients)], 1))
        return np.concatenate(found)


def _gpt(fastnn: Any, gpt: networks.GPT, weights: networks.Weights) -> Any:
    sizes = fastnn.models.GPTConfig(gpt.vocabulary, gpt.context, gpt.layers, gpt.heads, gpt.width)
    model = fastnn.models.GPT(sizes)
    model.build((None, gpt.context))
    arrays = [array for group in weights for array in group]
    model.set_weights([array.reshape(weight.shape) for array, weight in zip(arrays, model.weights)])
    return model


def make(task: protocol.Task) -> Fastnn:
    kinds = {networks.GPT: Logits, networks.Generation: Generation, networks.Attention: Attention}
    return kinds.get(type(task.network), Fastnn)(task)


def _version() -> str:
    import fastnn

    return fastnn.__version__


if __name__ == "__main__":
    protocol.run("fastnn", _version, make)
