"""Losses that look at each pair alone: loss and gradient in one pass over chunks of pairs."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipdiff_kernels.differences import accumulate_dtype, scatter_to_images

PAIRS_PER_CHUNK = 512  # three tiles of them stay in a CPU's cache

Chunk = Callable[[Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor | None]]
"""(image_embeds, pairs (c, 2), text (c, D), image_grad) ->
(sum of the losses (), gradient to the differences (c, D) or None).

``text`` is a copy, which has to be overwritten with the gradient to the texts.
"""


class DiagonalLoss(torch.autograd.Function):
    """``scale`` times the sum of a per-pair loss over all blocks (``all_reduce`` joins them).

    Keeps the unscaled gradients to its own texts (n, D) and, if wanted, images (M, D) for backward,
    in the accumulation dtype: rounding to float16 waits until the upstream gradient is known.
    """

    @staticmethod
    def forward(ctx, image_embeds, text_embeds, pair_index, chunk: Chunk, scale, all_reduce):
        needs_images, _ = ctx.needs_input_grad[:2]
        dtype = accumulate_dtype(text_embeds)
        total = text_embeds.new_zeros((), dtype=dtype)
        grad_text = text_embeds.to(dtype, copy=True)
        grad_images = torch.zeros_like(image_embeds, dtype=dtype) if needs_images else None
        for low in range(0, len(pair_index), PAIRS_PER_CHUNK):
            rows = slice(low, low + PAIRS_PER_CHUNK)
            value, grad_d = chunk(image_embeds, pair_index[rows], grad_text[rows], needs_images)
            total += value
            if grad_images is not None:
                assert grad_d is not None, "the chunk was asked for it"
                scatter_to_images(grad_d, pair_index[rows], grad_images)
        ctx.dtype, ctx.scale = text_embeds.dtype, scale
        ctx.save_for_backward(grad_images, grad_text)
        return all_reduce(total * scale, "sum")

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_loss):
        factor = grad_loss * ctx.scale
        images, text = (
            None if grad is None else (grad * factor).to(ctx.dtype) for grad in ctx.saved_tensors
        )
        return images, text, *(None,) * 4
