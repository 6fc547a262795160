"""A GPT in PyTorch: `fastnn.models.GPT` by PyTorch's own parts, query, key and value in one layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benches import networks


class GPT(nn.Module):
    def __init__(self, gpt: networks.GPT, weights: networks.Weights) -> None:
        super().__init__()
        self.gpt = gpt
        self.tokens, self.positions = (nn.Embedding.from_pretrained(torch.tensor(w), freeze=False) for (w,) in weights[:2])
        self.blocks = nn.ModuleList(_Block(gpt, weights[start : start + 8]) for start in range(2, len(weights) - 1, 8))
        self.norm = _norm(weights[-1])

    def caches(self, batch_size: int) -> list[Any]:
        """For each block the keys and values of every place."""
        shape = (2, batch_size, self.gpt.heads, self.gpt.context, self.gpt.width // self.gpt.heads)
        return [torch.zeros(shape) for _ in self.blocks]

    def forward(self, tokens: Any, caches: list[Any] | None = None, begin: int = 0) -> Any:
        """Logits of the next tokens. With caches `tokens` come after `begin` others, and only the last one's are computed."""
        x = self.tokens(tokens) + self.positions.weight[begin : begin + tokens.shape[1]]
        for i, block in enumerate(self.blocks):
            x = block(x, None if caches is None else caches[i], begin)
        return functional.linear(self.norm(x if caches is None else x[:, -1:]), self.tokens.weight)


class _Block(nn.Module):
    def __init__(self, gpt: networks.GPT, weights: networks.Weights) -> None:
        super().__init__()
        query, key, value, output, norm, up, down, second = weights
        self.heads = gpt.heads
        self.attention_norm, self.feedforward_norm = _norm(norm), _norm(second)
        self.operands = _linear([np.concatenate(parts, -1) for parts in zip(query, key, value)])
        self.output, self.up, self.down = _linear(output), _linear(up), _linear(down)

    def forward(self, x: Any, cache: Any, begin: int) -> Any:
        batch, time, width = x.shape
        operands = self.operands(self.attention_norm(x)).split(width, 2)
        query, key, value = (part.view(batch, time, self.heads, -1).transpose(1, 2) for part in operands)
        if cache is not None:
            cache[0, :, :, begin : begin + time], cache[1, :, :, begin : begin + time] = key, value
            key, value = cache[:, :, :, : begin + time]
        y = functional.scaled_dot_product_attention(query, key, value, is_causal=time > 1)
        x = x + self.output(y.transpose(1, 2).reshape(batch, time, width))
        return x + self.down(functional.gelu(self.up(self.feedforward_norm(x))))


def _linear(weights: list[Any]) -> Any:
    kernel, bias = map(torch.tensor, weights)
    linear = nn.Linear(*kernel.shape)
    linear.load_state_dict({"weight": kernel.T, "bias": bias})
    return linear


def _norm(weights: list[Any]) -> Any:
    gamma, beta = map(torch.tensor, weights)
    norm = nn.LayerNorm(len(gamma), 1e-5)
    norm.load_state_dict({"weight": gamma, "bias": beta})
    return norm
