"""PyTorch with fused Adam; --variant says whether images lie channels first or last, or through torch.compile, channels last.

PyTorch pads both sides of an image alike, Keras's "same" with strides the far side alone: there a layer of its own pads. Of the
two biases of its LSTM the second stays as it begins, 0: the others have one. A GPT is in torch_gpt.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benches import networks
from benches.networks import LSTM, Conv, Dense, Flatten, GlobalAverage, MaxPool
from benches.peers import protocol


class Torch:
    def __init__(self, task: protocol.Task) -> None:
        import torch

        torch.set_num_threads(task.threads)
        torch.set_num_interop_threads(1)
        torch.set_flush_denormal(True)
        torch.manual_seed(0)
        self.torch = torch
        self.batch_size = task.batch_size
        last = task.options.variant != "eager" and task.x.ndim == 4
        self.layout = torch.channels_last if last else torch.contiguous_format
        self.x, self.y = self.prepare(task.x), torch.from_numpy(task.y)
        self.model = self._model(task)
        adam = protocol.ADAM
        options = {"lr": adam["learning_rate"], "betas": (adam["beta_1"], adam["beta_2"]), "eps": adam["epsilon"]}
        self.optimizer = self._optimizer(**options, fused=True)
        self.cross_entropy = torch.nn.CrossEntropyLoss()
        self.loss, self.probabilities = self._loss, self._probabilities
        if task.options.variant == "compile":
            self.loss, self.probabilities = torch.compile(self._loss), torch.compile(self._probabilities)
            try:
                self.predict(self.prepare(task.x[: task.batch_size]))
            except Exception as error:  # no C++ compiler, no headers: every machine fails in its own way
                sys.exit(
                    f"torch.compile does not work here: {next(iter(str(error).strip().splitlines()), type(error).__name__)}"
                )

    def _model(self, task: protocol.Task) -> Any:
        model = self._sequence(task.network.layers, iter(task.weights), task.network.shape[-1])[0]
        return model.to(memory_format=self.layout)

    def _optimizer(self, **options: Any) -> Any:
        return self.torch.optim.Adam(self.model.parameters(), **options)

    def _sequence(self, layers: Sequence[Any], weights: Iterator[Any], channels: int) -> tuple[Any, int]:
        """A module of these layers, and how many channels it puts out."""
        nn = self.torch.nn
        modules: list[Any] = []
        for layer in layers:
            if isinstance(layer, Conv):
                strided = layer.same and layer.strides > 1 and layer.size > 1
                if strided:
                    modules.append(nn.ZeroPad2d((0, layer.size - 2, 0, layer.size - 2)))
                padding = layer.size // 2 if layer.same and not strided else 0
                bias = not layer.normalized
                modules.append(nn.Conv2d(channels, layer.filters, layer.size, layer.strides, padding, bias=bias))
                kernel, *others = next(weights)
                self._set(modules[-1], weight=kernel.transpose(3, 2, 0, 1), **({"bias": others[0]} if bias else {}))
                if layer.normalized:
                    modules.append(nn.BatchNorm2d(layer.filters, networks.EPSILON, 1 - networks.MOMENTUM))
                    names = ("weight", "bias", "running_mean", "running_var")
                    self._set(modules[-1], **dict(zip(names, others)))
                channels = layer.filters
            elif isinstance(layer, MaxPool):
                modules.append(nn.MaxPool2d(2))
            elif isinstance(layer, GlobalAverage):
                modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
            elif isinstance(layer, Flatten):
                modules.append(nn.Flatten())
            elif isinstance(layer, Dense):
                kernel, bias = next(weights)
                modules.append(nn.Linear(*kernel.shape))
                self._set(modules[-1], weight=networks.channels_first(kernel, channels).T, bias=bias)
                channels = layer.units
            elif isinstance(layer, LSTM):
                kernel, recurrent, bias = next(weights)
                modules.append(self._lstm(channels, layer.units))
                second = np.zeros_like(bias)
                self._set(modules[-1].lstm, weight_ih_l0=kernel.T, weight_hh_l0=recurrent.T, bias_ih_l0=bias, bias_hh_l0=second)
                modules[-1].lstm.bias_hh_l0.requires_grad_(False)
                channels = layer.units
            else:
                body, behind = self._sequence(layer.body, weights, channels)
                shortcut, _ = self._sequence(layer.shortcut, weights, channels)
                modules.append(self._residual(body, shortcut))
                channels = behind
            if getattr(layer, "relu", False):
                modules.append(nn.ReLU())
        return nn.Sequential(*modules), channels

    def _set(self, module: Any, **arrays: Any) -> None:
        module.load_state_dict({name: self.torch.tensor(array) for name, array in arrays.items()}, strict=False)

    def _residual(self, body: Any, shortcut: Any) -> Any:
        torch = self.torch

        class Residual(torch.nn.Module):  # type: ignore[name-defined,misc]
            def __init__(self) -> None:
                super().__init__()
                self.body, self.shortcut = body, shortcut

            def forward(self, x: Any) -> Any:
                return torch.relu(self.body(x) + self.shortcut(x))

        return Residual()

    def _lstm(self, inputs: int, units: int) -> Any:
        torch = self.torch

        class LastStep(torch.nn.Module):  # type: ignore[name-defined,misc]
            def __init__(self) -> None:
                super().__init__()
                self.lstm = torch.nn.LSTM(inputs, units, batch_first=True)

            def forward(self, x: Any) -> Any:
                return self.lstm(x)[1][0][0]

        return LastStep()

    def _loss(self, x: Any, y: Any) -> Any:
        return self.cross_entropy(self.model(x).flatten(0, -2), y.flatten())

    def _probabilities(self, x: Any) -> Any:
        return self.torch.softmax(self.model(x), -1)

    def prepare(self, x: Any) -> Any:
        images = self.torch.from_numpy(x)
        return images.permute(0, 3, 1, 2).contiguous(memory_format=self.layout) if images.ndim == 4 else images

    def predict(self, images: Any) -> Any:
        self.model.eval()
        outputs = None
        with self.torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                batch = slice(start, start + self.batch_size)
                found = self.probabilities(images[batch])
                if outputs is None:
                    outputs = np.empty((len(images), *found.shape[1:]), np.float32)
                outputs[batch] = found
        return outputs

    def train(self, images: int, epochs: int) -> None:
        self.model.train()
        for _ in range(epochs):
            order = self.torch.randperm(images)
            for start in range(0, images, self.batch_size):
                batch = order[start : start + self.batch_size]
                loss = self.loss(self.x[batch].contiguous(memory_format=self.layout), self.y[batch])
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()


class Logits(Torch):
    """A GPT, in training."""

    def _model(self, task: protocol.Task) -> Any:
        from benches.peers import torch_gpt

        return torch_gpt.GPT(task.network, task.weights)

    def _optimizer(self, **options: Any) -> Any:
        parameters = list(self.model.parameters())
        groups = [
            {"params": [each for each in parameters if each.ndim > 1], "weight_decay": protocol.WEIGHT_DECAY},
            {"params": [each for each in parameters if each.ndim == 1], "weight_decay": 0.0},
        ]
        return self.torch.optim.AdamW(groups, **options)


class Generation:
    def __init__(self, task: protocol.Task) -> None:
        import torch

        torch.set_num_threads(task.threads)
        torch.set_num_interop_threads(1)
        from benches.peers import torch_gpt

        self.torch, self.batch_size, self.new = torch, task.batch_size, task.network.new
        self.model = torch_gpt.GPT(task.network.gpt, task.weights).eval()

    def prepare(self, x: Any) -> Any:
        return self.torch.from_numpy(x).long()

    def predict(self, prompts: Any) -> Any:
        return np.concatenate([self._continue(batch) for batch in prompts.split(self.batch_size)])

    def _continue(self, tokens: Any) -> Any:
        found = np.empty((len(tokens), self.new), np.int64)
        with self.torch.inference_mode():
            caches, begin = self.model.caches(len(tokens)), 0
            for i in range(self.new):
                logits = self.model(tokens, caches, begin)
                begin += tokens.shape[1]
                tokens = logits[:, -1].argmax(-1, keepdim=True)
                found[:, i] = tokens[:, 0].numpy()  # as they come, as they would be shown
        return found

    def train(self, samples: int, epochs: int) -> None:
        raise NotImplementedError("generation: it does not train; expected a workload of inference")


class Attention:
    """`scaled_dot_product_attention`, on heads that lie apart in memory."""

    def __init__(self, task: protocol.Task) -> None:
        import torch

        torch.set_num_threads(task.threads)
        torch.set_num_interop_threads(1)
        self.torch, self.batch_size = torch, task.batch_size

    def prepare(self, x: Any) -> Any:
        parts = self.torch.from_numpy(x).transpose(2, 3)
        return [[batch[:, i].contiguous().requires_grad_(i < 3) for i in range(4)] for batch in parts.split(self.batch_size)]

    def predict(self, batches: Any) -> Any:
        found = []
        for *operands, dy in batches:
            y = self.torch.nn.functional.scaled_dot_product_attention(*operands, is_causal=True)
            gradients = self.torch.autograd.grad(y, operands, dy)
            parts = [array.detach()[:, :, :: protocol.CHECKED_EVERY].transpose(1, 2) for array in (y, *gradients)]
            found.append(self.torch.stack(parts, 1).numpy())
        return np.concatenate(found)

    def train(self, samples: int, epochs: int) -> None:
        raise NotImplementedError("attention: it has no weights; expected a workload of inference")


def make(task: protocol.Task) -> protocol.Participant:
    kinds: dict[type, Any] = {networks.GPT: Logits, networks.Generation: Generation, networks.Attention: Attention}
    kind = kinds.get(type(task.network), Torch)
    if task.options.variant == "compile" and kind in (Generation, Attention):
        sys.exit("torch: --variant compile takes no part in generation and attention; expected eager; leave it out")
    return kind(task)  # type: ignore[no-any-return]


def _version() -> str:
    import torch

    return str(torch.__version__)


if __name__ == "__main__":
    variants = ["eager", "channels-last", "compile"]
    protocol.run("torch", _version, make, flags={"--variant": {"choices": variants, "default": "channels-last"}})
