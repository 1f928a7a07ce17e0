"""Squared loss in Triton: one pass over texts and pairs, bound by bandwidth.

The backward is a second pass rather than a gradient kept from the first: images come from cache, so
it reads the texts and writes their gradient (3 N D values over both passes), where a kept gradient
costs a write, a read and a write to scale it by the upstream gradient (4 N D), and N D of memory.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipdiff_kernels.differences import EPS, scatter_to_images
from clipdiff_kernels.launch import SIZES, TILES, rows_per_launch
from clipdiff_kernels.tiles import difference_tile, load_pairs
from clipdiff_kernels.walk import Walk
from clipdiff_kernels.weights import scatter_unit_gradient


@triton.jit(do_not_specialize=SIZES)
def squared_kernel(
    texts, images, pair_index, inv_norm, sums, grad, factor, start_pair, stop_pair, width,
    BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    NORMALIZE: tl.constexpr, BACKWARD: tl.constexpr,
):  # fmt: skip
    """Forward: sums[program] = sum |e_k - u_k|^2. Backward: grad[k] = factor (e_k - u_k)."""
    block = tl.program_id(0)
    pairs = start_pair + block * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    live = pairs < stop_pair
    first, second, inverse = load_pairs(pair_index, inv_norm, pairs, stop_pair)
    total = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
    for start in range(0, width, BLOCK_WIDTH):
        dims = start + tl.arange(0, BLOCK_WIDTH)
        inside = live[:, None] & (dims < width)[None, :]
        target = difference_tile(images, first, second, dims, width)
        if NORMALIZE:
            target = target * inverse[:, None]
        text = tl.load(
            texts + pairs[:, None].to(tl.int64) * width + dims[None, :], mask=inside, other=0.0
        )
        residual = tl.where(inside, text.to(tl.float32) - target, 0.0)
        if BACKWARD:
            place = grad + (pairs - start_pair)[:, None].to(tl.int64) * width + dims[None, :]
            tl.store(place, residual * tl.load(factor), mask=inside)
        else:
            total += tl.sum(residual * residual, 1)
    if not BACKWARD:
        tl.store(sums + block, tl.sum(total))


class SquaredFunction(torch.autograd.Function):
    """Saves its inputs only."""

    @staticmethod
    def forward(ctx, images, texts, pair_index, normalize, eps):
        walk = Walk(images, pair_index, texts, eps=eps)
        sums = walk.diagonal.new_empty(triton.cdiv(walk.num_pairs, TILES["rowwise"].pairs))
        _launch(walk, 0, walk.num_pairs, normalize, sums=sums)
        ctx.save_for_backward(images, texts, pair_index)
        ctx.settings = normalize, eps
        return sums.sum() / texts.numel()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        images, texts, pair_index = ctx.saved_tensors
        normalize, eps = ctx.settings
        walk = Walk(images, pair_index, texts, eps=eps)
        factor = grad.float() * (2 / texts.numel())
        grad_images = grad_texts = None
        if ctx.needs_input_grad[1]:
            grad_texts = torch.empty_like(walk.texts)
            _launch(walk, 0, walk.num_pairs, normalize, grad=grad_texts, factor=factor)
        if ctx.needs_input_grad[0]:
            grad_images = _images_gradient(walk, normalize, -factor)
        return grad_images, grad_texts, None, None, None


def _images_gradient(walk: Walk, normalize: bool, factor: Tensor) -> Tensor:
    """(M, D) in the images' dtype; the residual of a few pairs at a time, scattered in fp32."""
    grad = torch.zeros_like(walk.images, dtype=torch.float32)
    step = rows_per_launch(walk.width, 4, TILES["rowwise"].pairs)
    for start in range(0, walk.num_pairs, step):
        stop = min(start + step, walk.num_pairs)
        part = walk.diagonal.new_empty(stop - start, walk.width)
        _launch(walk, start, stop, normalize, grad=part, factor=factor)
        pairs = walk.pair_index[start:stop]
        if normalize:
            scatter_unit_gradient(walk, grad, part, pairs)
        else:
            scatter_to_images(part, pairs, grad)
    return grad.to(walk.images.dtype)


def _launch(
    walk: Walk,
    start: int,
    stop: int,
    normalize: bool,
    *,
    sums: Tensor | None = None,
    grad: Tensor | None = None,
    factor: Tensor | None = None,
) -> None:
    """Forward into ``sums``, or backward into ``grad`` (stop - start, D)."""
    tile = TILES["rowwise"]
    unused = walk.inv_norm
    squared_kernel[(triton.cdiv(stop - start, tile.pairs),)](
        walk.texts, walk.images, walk.pair_index, walk.inv_norm,
        unused if sums is None else sums,
        unused if grad is None else grad,
        unused if factor is None else factor,
        start, stop, walk.width,
        **tile.rowwise(), NORMALIZE=normalize, BACKWARD=sums is None,
    )  # fmt: skip


def loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    normalize: bool = False,
    eps: float = EPS,
) -> Tensor:
    """L = mean over pairs and dimensions of (e_k - d_k)^2; with ``normalize``, of (e_k - dhat_k)^2.

    Args:
        image_embeds: X (M, D), fp32, bf16 or fp16, on a GPU.
        pair_index: (N, 2) integers.
        text_embeds: T (N, D), as ``image_embeds``.

    Returns:
        The scalar, fp32, differentiable to both embeddings.

    Source: arXiv 2409.09721, App. G.2.
    """
    return SquaredFunction.apply(image_embeds, text_embeds, pair_index, normalize, eps)
