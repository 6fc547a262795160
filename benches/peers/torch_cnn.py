"""PyTorch, channels-last, fused Adam: eager, or with --compile through torch.compile."""

from __future__ import annotations

import argparse
from typing import Any

from benches.peers import protocol


class Torch:
    def __init__(self, x: Any, y: Any, arguments: argparse.Namespace) -> None:
        import torch
        from torch import nn

        torch.set_num_threads(arguments.threads)
        torch.set_num_interop_threads(1)
        torch.set_flush_denormal(True)
        torch.manual_seed(0)
        self.torch = torch
        self.batch_size = arguments.batch_size
        self.x = self._images(x)
        self.y = torch.from_numpy(y)
        self.model = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10),
        ).to(memory_format=torch.channels_last)  # fmt: skip
        adam = protocol.ADAM
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=adam["learning_rate"],
            betas=(adam["beta_1"], adam["beta_2"]),
            eps=adam["epsilon"],
            fused=True,
        )
        self.cross_entropy = nn.CrossEntropyLoss()
        self.forward = self._loss
        if arguments.compile:
            self.forward = torch.compile(self._loss)
            try:
                self.train(self.batch_size, 1)
            except Exception as error:  # no C++ compiler, no headers: every machine fails in its own way
                line = next(iter(str(error).strip().splitlines()), type(error).__name__)
                arguments.note(f"torch.compile does not work here, this is eager: {line}")
                self.forward = self._loss

    def _images(self, x: Any) -> Any:
        return self.torch.from_numpy(x).permute(0, 3, 1, 2).to(memory_format=self.torch.channels_last)

    def _loss(self, x: Any, y: Any) -> Any:
        return self.cross_entropy(self.model(x), y)

    def train(self, images: int, epochs: int) -> None:
        for _ in range(epochs):
            order = self.torch.randperm(images)
            for start in range(0, images, self.batch_size):
                batch = order[start : start + self.batch_size]
                x = self.x[batch].to(memory_format=self.torch.channels_last)
                loss = self.forward(x, self.y[batch])
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()

    def loss(self, x: Any, y: Any) -> float:
        with self.torch.no_grad():
            return float(self._loss(self._images(x), self.torch.from_numpy(y)))


def _version() -> str:
    import torch

    return str(torch.__version__)


if __name__ == "__main__":
    protocol.run("torch", _version, Torch, flags={"--compile": {"action": "store_true"}})
