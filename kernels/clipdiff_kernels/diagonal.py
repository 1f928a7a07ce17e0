"""Losses that look at each pair alone: loss and gradient in one O(n D) pass."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch
from torch import Tensor

from .blocks import Block
from .differences import (
    accumulate_dtype,
    differences,
    scatter_to_images,
    through_unit_norm,
    unit_differences,
)

PAIRS_PER_CHUNK = 512  # three tiles of them stay in a CPU's cache

Pass = tuple[Tensor, Tensor | None, Tensor | None]
"""The sum over a block's pairs (), and its gradients to the texts (n, D) and images (M, D)."""

Chunk = Callable[[Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor | None]]
"""(image_embeds, pairs (c, 2), text (c, D), image_grad) ->
(sum of the losses (), gradient to the differences (c, D) or None).

``text`` is a copy, which has to be overwritten with the gradient to the texts.
"""


def squared_distance(
    block: Block, backend: str, normalize: bool, want_text: bool, want_images: bool
) -> Pass:
    """1/2 sum_k |e_k - d_k|^2, or with ``normalize`` |e_k - dhat_k|^2."""
    if backend == "triton":
        fused = importlib.import_module(".fused.diagonal", __package__)
        return fused.squared_distance(block, normalize, want_text, want_images)

    def chunk(images: Tensor, pairs: Tensor, text: Tensor, image_grad: bool):
        if normalize:
            unit, norm = unit_differences(images, pairs, block.eps)
            residual = text.sub_(unit)
            grad_d = through_unit_norm(-residual, unit, norm, block.eps) if image_grad else None
        else:
            residual = text.sub_(differences(images, pairs))
            grad_d = -residual if image_grad else None
        return torch.linalg.vector_norm(residual, dim=1).square().sum() / 2, grad_d

    return _by_chunks(block, chunk, want_text, want_images)


def reversed_margin(
    block: Block, backend: str, margin: float, want_text: bool, want_images: bool
) -> Pass:
    """sum_k [margin - 2 s_kk]+: the swapped pair's cosine is -s_kk."""
    if backend in ("triton", "triton-gather"):
        fused = importlib.import_module(".fused.diagonal", __package__)
        return fused.reversed_margin(block, margin, want_text, want_images)

    def chunk(images: Tensor, pairs: Tensor, text: Tensor, image_grad: bool):
        unit, norm = unit_differences(images, pairs, block.eps)
        violation = (margin - 2 * (text * unit).sum(1)).relu_()
        weight = violation.sign().mul_(-2).unsqueeze(1)
        grad_d = through_unit_norm(weight * text, unit, norm, block.eps) if image_grad else None
        torch.mul(unit, weight, out=text)
        return violation.sum(), grad_d

    return _by_chunks(block, chunk, want_text, want_images)


def _by_chunks(block: Block, chunk: Chunk, want_text: bool, want_images: bool) -> Pass:
    dtype = accumulate_dtype(block.text_embeds)
    images, mine = block.image_embeds, block.pair_index[block.rows]
    total = block.text_embeds.new_zeros((), dtype=dtype)
    grad_text = block.text_embeds.to(dtype, copy=True)
    grad_images = torch.zeros_like(images, dtype=dtype) if want_images else None
    for low in range(0, len(mine), PAIRS_PER_CHUNK):
        rows = slice(low, low + PAIRS_PER_CHUNK)
        value, grad_d = chunk(images, mine[rows], grad_text[rows], want_images)
        total += value
        if grad_images is not None and grad_d is not None:
            scatter_to_images(grad_d, mine[rows], grad_images)
    return total, grad_text if want_text else None, grad_images
