"""Contrastive loss in Triton: forward in one product of N x N x D, no N x N matrix anywhere.

A program owns a block of text rows and a share of the pairs. It makes a tile of cosines, keeps the
rows' log-sum-exp in registers and writes the columns' as partials that only it owns; the partials
of one launch are merged before the next, so memory stays O(N) and the result is deterministic.

Exponents: a shift of 0 is exact while |z| <= scale max_r |e_r| <= 75 in fp32. That bound is made on
the device and each program reads it: below it one exp serves rows and columns, above it the online
maximum (one exp each). No host sync, and no assumption that texts have unit norm.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipdiff_kernels.differences import EPS
from clipdiff_kernels.launch import SIZES
from clipdiff_kernels.tiles import logit_tile, score_tile
from clipdiff_kernels.walk import Rows, Walk
from clipdiff_kernels.weights import SOFTMAX, Weights, images_gradient, texts_gradient

MERGE_BLOCK = 256


@triton.jit(do_not_specialize=SIZES)
def contrastive_fwd_kernel(
    texts, images, gathered, stride, pair_index, inv_norm, group_ids,
    start_row, stop_row, num_pairs, width,
    logit_scale, bound, row_max, row_sum, col_max, col_sum, tiles_per_split,
    BLOCK_ROWS: tl.constexpr, BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr, GATHER: tl.constexpr, GROUPS: tl.constexpr,
):  # fmt: skip
    """Partials (maximum, sum of exp(z - maximum)): rows (splits, rows), columns (blocks, N)."""
    block, split = tl.program_id(0), tl.program_id(1)
    columns = block * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    rows = start_row + columns
    scale = tl.load(logit_scale)
    bounded = tl.load(bound) <= 75.0
    running_max = tl.full((BLOCK_ROWS,), 0.0, dtype=tl.float32)
    if not bounded:
        running_max = tl.full((BLOCK_ROWS,), float("-inf"), dtype=tl.float32)
    running_sum = tl.zeros((BLOCK_ROWS,), dtype=tl.float32)
    last = tl.minimum((split + 1) * tiles_per_split, tl.cdiv(num_pairs, BLOCK_PAIRS))
    for step in range(split * tiles_per_split, last):
        pairs = step * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
        scores = score_tile(
            texts, images, gathered, stride, pair_index, inv_norm, pairs, rows, columns,
            num_pairs, stop_row, width,
            BLOCK_PAIRS, BLOCK_ROWS, BLOCK_WIDTH, DOT, PRECISION, GATHER,
        )  # fmt: skip
        kept = logit_tile(group_ids, pairs, rows, num_pairs, stop_row, GROUPS)
        logits = tl.where(kept, scores * scale, float("-inf"))
        column_max = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
        if bounded:
            exps = tl.exp(logits)
            running_sum += tl.sum(exps, 0)
            column_sum = tl.sum(exps, 1)
        else:
            new_max = tl.maximum(running_max, tl.max(logits, 0))
            shift = tl.where(new_max == float("-inf"), 0.0, new_max)
            running_sum = running_sum * tl.exp(running_max - shift)
            running_sum += tl.sum(tl.exp(logits - shift[None, :]), 0)
            running_max = new_max
            column_max = tl.max(logits, 1)
            column_shift = tl.where(column_max == float("-inf"), 0.0, column_max)
            column_sum = tl.sum(tl.exp(logits - column_shift[:, None]), 1)
        column = block.to(tl.int64) * num_pairs + pairs
        tl.store(col_max + column, column_max, mask=pairs < num_pairs)
        tl.store(col_sum + column, column_sum, mask=pairs < num_pairs)
    row = split.to(tl.int64) * (stop_row - start_row) + columns
    tl.store(row_max + row, running_max, mask=rows < stop_row)
    tl.store(row_sum + row, running_sum, mask=rows < stop_row)


@triton.jit(do_not_specialize=SIZES)
def merge_kernel(lse, part_max, part_sum, num_parts, count, BLOCK: tl.constexpr):
    """lse = log(exp(lse) + sum_p sum_p exp(max_p)), elementwise over ``count`` (parts, count)."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    live = index < count
    shift = tl.load(lse + index, mask=live, other=0.0)
    total = tl.where(shift == float("-inf"), 0.0, 1.0)
    offset = index
    for _ in range(num_parts):
        value = tl.load(part_max + offset, mask=live, other=0.0)
        amount = tl.load(part_sum + offset, mask=live, other=0.0)
        value = tl.where(amount > 0, value, float("-inf"))
        new = tl.maximum(shift, value)
        safe = tl.where(new == float("-inf"), 0.0, new)
        total = total * tl.exp(shift - safe) + amount * tl.exp(value - safe)
        shift = new
        offset += count
    tl.store(lse + index, shift + tl.log(total), mask=live)


def _merge(lse: Tensor, part_max: Tensor, part_sum: Tensor) -> None:
    parts, count = part_max.shape
    grid = (triton.cdiv(count, MERGE_BLOCK),)
    merge_kernel[grid](lse, part_max, part_sum, parts, count, BLOCK=MERGE_BLOCK)


def largest_logit(walk: Walk, scale: Tensor) -> Tensor:
    """What no |logit| can pass, by Cauchy and Schwarz, () fp32 on the device."""
    return scale.abs() * walk.text_norm.amax()


def log_sum_exps(walk: Walk, scale: Tensor) -> tuple[Tensor, Tensor]:
    """log sum exp of each text's and each difference's logits, (N,) each, fp32."""
    row_lse, col_lse = walk.diagonal.new_full((2, walk.num_pairs), -torch.inf)
    bound = largest_logit(walk, scale)
    for rows in walk.rows(bytes_per_logit=8 / walk.tile.rows):
        _log_sum_exps_of(walk, rows, scale, bound, row_lse, col_lse)
    return row_lse, col_lse


def _log_sum_exps_of(
    walk: Walk, rows: Rows, scale: Tensor, bound: Tensor, row_lse: Tensor, col_lse: Tensor
) -> None:
    """One launch: rows are finished, columns have these rows added."""
    blocks, parts, tiles_per_split = walk.plan(rows)
    row_max, row_sum = walk.diagonal.new_empty(2, parts, rows.count)
    col_max, col_sum = walk.diagonal.new_empty(2, blocks, walk.num_pairs)
    contrastive_fwd_kernel[(blocks, parts)](
        *walk.scores(rows), scale, bound, row_max, row_sum, col_max, col_sum, tiles_per_split,
        **walk.meta(),
    )  # fmt: skip
    _merge(row_lse[rows.start : rows.stop], row_max, row_sum)
    _merge(col_lse, col_max, col_sum)


class ContrastiveFunction(torch.autograd.Function):
    """Saves the inputs and two vectors of N floats; the backward recomputes the logits."""

    @staticmethod
    def forward(ctx, images, texts, logit_scale, pair_index, group_ids, eps, gather):
        walk = Walk(images, pair_index, texts, group_ids=group_ids, eps=eps, gather=gather)
        scale = logit_scale.detach().float().reshape(())
        row_lse, col_lse = log_sum_exps(walk, scale)
        ctx.save_for_backward(images, texts, logit_scale, pair_index, group_ids, row_lse, col_lse)
        ctx.settings = eps, gather
        return ((row_lse + col_lse) / 2 - scale * walk.diagonal).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        images, texts, logit_scale, pair_index, group_ids, row_lse, col_lse = ctx.saved_tensors
        eps, gather = ctx.settings
        walk = Walk(images, pair_index, texts, group_ids=group_ids, eps=eps, gather=gather)
        scale = logit_scale.detach().float().reshape(())
        weights = Weights(SOFTMAX, row_lse, col_lse, scale, largest_logit(walk, scale))
        per_pair = grad.float() / walk.num_pairs
        grads: list[Tensor | None] = [None] * 7
        need_images, need_texts, need_scale = ctx.needs_input_grad[:3]
        if need_texts or need_scale:
            grad_texts, inner = texts_gradient(walk, weights, scale * per_pair)
            grads[1] = grad_texts
            grads[2] = (per_pair * inner).reshape(logit_scale.shape).to(logit_scale.dtype)
        if need_images:
            grads[0] = images_gradient(walk, weights, scale * per_pair)
        return tuple(grads)


def loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    logit_scale: float | Tensor,
    *,
    group_ids: Tensor | None = None,
    eps: float = EPS,
    gather: bool = False,
) -> Tensor:
    """L = 1/2 [mean_r CE(z_r., r) + mean_k CE(z_.k, k)], z_rk = logit_scale <e_r, dhat_k>.

    Args:
        image_embeds: X (M, D), fp32, bf16 or fp16, on a GPU.
        pair_index: (N, 2) integers.
        text_embeds: T (N, D), as ``image_embeds``.
        logit_scale: positive; a tensor of shape () or (1,) gets a gradient.
        group_ids: (N,) integers; equal ids off the diagonal are no negatives.
        gather: read logits from G = T X^T (worth it where N is well above M). For a frozen image
            side: ignored where ``image_embeds`` needs a gradient.

    Returns:
        The scalar, fp32, differentiable to both embeddings and the scale.

    Source: Radford et al. 2021, Fig. 3; arXiv 2409.09721, eq. 3-4.
    """
    if not isinstance(logit_scale, Tensor):
        logit_scale = torch.full((), logit_scale, device=text_embeds.device)
    gather = gather and not image_embeds.requires_grad
    return ContrastiveFunction.apply(
        image_embeds, text_embeds, logit_scale, pair_index, group_ids, eps, gather
    )
