"""CLIP's text tower in plain torch, and its FLOP."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention


@dataclass(frozen=True)
class Shape:
    """Sizes of a text tower; the defaults are ViT-L-14's."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    context: int = 77
    vocabulary: int = 49408

    def flops(self, texts: int) -> float:
        """Multiply-adds (2 FLOP each) of the blocks, forward and backward, without recomputing."""
        block = 24 * self.width**2 * self.context + 4 * self.width * self.context**2
        return 3.0 * self.layers * block * texts


class Block(nn.Module):
    """Causal attention and a perceptron of four times the width, both after a layer norm."""

    def __init__(self, shape: Shape):
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.before_attention, self.before_perceptron = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.from_heads = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, width) -> the same."""
        texts, length, width = x.shape
        qkv = self.to_qkv(self.before_attention(x))
        q, k, v = qkv.view(texts, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        heard = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.from_heads(heard.transpose(1, 2).reshape(texts, length, width))
        return x + self.narrow(nn.functional.gelu(self.widen(self.before_perceptron(x))))


class TextTower(nn.Module):
    """Token ids (N, context) -> unit embeddings (N, width); a text is read off its last token."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Parameter(torch.zeros(shape.context, shape.width))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.last = nn.LayerNorm(shape.width)
        self.projection = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.places
        for block in self.blocks:
            x = block(x)
        return normalize(self.projection(self.last(x[:, -1])), dim=1)
