"""Hinge against the swapped pair only: L = 1/N sum_k [margin - 2 s_kk]+, bound by bandwidth.

The pass that every loss begins with already gives s_kk; the backward reads the images again and
writes the text gradient, so nothing of size N D is kept between them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipdiff_kernels.launch import TILES, rows_per_launch
from clipdiff_kernels.walk import Walk, add_scaled_differences
from clipdiff_kernels.weights import scatter_unit_gradient


class HingeReversedFunction(torch.autograd.Function):
    """Saves its inputs only."""

    @staticmethod
    def forward(ctx, images, texts, pair_index, margin, eps):
        walk = Walk(images, pair_index, texts, eps=eps)
        ctx.save_for_backward(images, texts, pair_index)
        ctx.settings = margin, eps
        return (margin - 2 * walk.diagonal).relu().mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        images, texts, pair_index = ctx.saved_tensors
        margin, eps = ctx.settings
        walk = Walk(images, pair_index, texts, eps=eps)
        slope = (2 * walk.diagonal < margin) * (grad.float() * (-2 / walk.num_pairs))
        grad_images = grad_texts = None
        if ctx.needs_input_grad[1]:
            grad_texts = torch.zeros_like(walk.texts)
            add_scaled_differences(walk, grad_texts, slope)
        if ctx.needs_input_grad[0]:
            grad_images = _images_gradient(walk, slope)
        return grad_images, grad_texts, None, None, None


def _images_gradient(walk: Walk, slope: Tensor) -> Tensor:
    """(M, D) in the images' dtype, from d loss / d s_kk, a few pairs at a time."""
    grad = torch.zeros_like(walk.images, dtype=torch.float32)
    step = rows_per_launch(walk.width, 4, TILES["rowwise"].pairs)
    for start in range(0, walk.num_pairs, step):
        stop = min(start + step, walk.num_pairs)
        grad_unit = walk.texts[start:stop].float() * slope[start:stop, None]
        scatter_unit_gradient(walk, grad, grad_unit, walk.pair_index[start:stop])
    return grad.to(walk.images.dtype)
