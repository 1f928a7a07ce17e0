"""Hinge loss over all in-batch negatives, in Triton; ``hardest`` and ``reversed`` stand beside it.

No log-sum-exp has to be known first, so one pass over the scores gives the loss and the weights of
its gradient: 2 units with the text gradient. With the gather trick it is made afterwards: there
scores are cheap and stored weights would not be.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipdiff_kernels.differences import EPS
from clipdiff_kernels.hinge import fused_hardest, fused_reversed
from clipdiff_kernels.launch import SIZES, weight_dtype
from clipdiff_kernels.tiles import negative_tile, score_tile
from clipdiff_kernels.walk import Rows, Walk, add_scaled_differences
from clipdiff_kernels.weights import (
    VIOLATIONS,
    Weights,
    images_gradient,
    texts_gradient,
    weighted_differences,
)


@triton.jit(do_not_specialize=SIZES)
def hinge_all_kernel(
    texts, images, gathered, stride, pair_index, inv_norm, group_ids,
    start_row, stop_row, num_pairs, width,
    own, margin, sums, row_count, col_count, weights, tiles_per_split,
    BLOCK_ROWS: tl.constexpr, BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr, GATHER: tl.constexpr, GROUPS: tl.constexpr,
    STORE: tl.constexpr,
):  # fmt: skip
    """Partials: loss (blocks, splits), violations of rows (splits, rows) and columns (blocks, N).

    With STORE also W^T (N, rows): how many of its two terms each score violates, 0, 1 or 2.
    """
    block, split = tl.program_id(0), tl.program_id(1)
    columns = block * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    rows = start_row + columns
    count = stop_row - start_row
    row_own = tl.load(own + rows, mask=rows < stop_row, other=0.0)
    total = tl.zeros((BLOCK_ROWS,), dtype=tl.float32)
    row_violations = tl.zeros((BLOCK_ROWS,), dtype=tl.float32)
    last = tl.minimum((split + 1) * tiles_per_split, tl.cdiv(num_pairs, BLOCK_PAIRS))
    for step in range(split * tiles_per_split, last):
        pairs = step * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
        scores = score_tile(
            texts, images, gathered, stride, pair_index, inv_norm, pairs, rows, columns,
            num_pairs, stop_row, width,
            BLOCK_PAIRS, BLOCK_ROWS, BLOCK_WIDTH, DOT, PRECISION, GATHER,
        )  # fmt: skip
        negative = negative_tile(group_ids, pairs, rows, num_pairs, stop_row, GROUPS)
        col_own = tl.load(own + pairs, mask=pairs < num_pairs, other=0.0)
        by_row = tl.where(negative, margin - row_own[None, :] + scores, 0.0)
        by_col = tl.where(negative, margin - col_own[:, None] + scores, 0.0)
        total += tl.sum(tl.maximum(by_row, 0.0) + tl.maximum(by_col, 0.0), 0)
        violated = (by_row > 0).to(tl.float32)
        row_violations += tl.sum(violated, 0)
        col_violated = (by_col > 0).to(tl.float32)
        column = block.to(tl.int64) * num_pairs + pairs
        tl.store(col_count + column, tl.sum(col_violated, 1), mask=pairs < num_pairs)
        if STORE:
            target = weights + pairs[:, None].to(tl.int64) * count + columns[None, :]
            inside = (pairs < num_pairs)[:, None] & (rows < stop_row)[None, :]
            tl.store(target, violated + col_violated, mask=inside)
    row = split.to(tl.int64) * count + columns
    tl.store(row_count + row, row_violations, mask=rows < stop_row)
    tl.store(sums + block * tl.num_programs(1) + split, tl.sum(total))


def _pass(walk: Walk, rows: Rows, margin: float, counts: Tensor, store: bool) -> tuple:
    """One launch: its loss and, stored, W^T (N, rows); adds to ``counts`` (N,)."""
    blocks, parts, tiles_per_split = walk.plan(rows)
    sums = walk.diagonal.new_empty(blocks, parts)
    row_count = walk.diagonal.new_empty(parts, rows.count)
    col_count = walk.diagonal.new_empty(blocks, walk.num_pairs)
    weights = None
    if store:
        dtype = weight_dtype(walk.texts.dtype)
        weights = walk.texts.new_empty(walk.num_pairs, rows.count, dtype=dtype)
    hinge_all_kernel[(blocks, parts)](
        *walk.scores(rows), walk.diagonal, margin, sums, row_count, col_count,
        sums if weights is None else weights, tiles_per_split, **walk.meta(), STORE=store,
    )  # fmt: skip
    counts[rows.start : rows.stop] += row_count.sum(0)
    counts += col_count.sum(0)
    return sums.sum(), weights


class HingeAllFunction(torch.autograd.Function):
    """Saves the violations counted at each pair and, without gathering, the text gradient."""

    @staticmethod
    def forward(ctx, images, texts, pair_index, group_ids, margin, eps, gather):
        settings = {"group_ids": group_ids, "eps": eps, "gather": gather}
        walk = Walk(images, pair_index, texts, use="hinge", **settings)
        counts = walk.diagonal.new_zeros(walk.num_pairs)
        total = walk.diagonal.new_zeros(())
        keep = ctx.needs_input_grad[1] and not gather
        unscaled = torch.empty_like(walk.texts) if keep else None
        cost = 4 / walk.tile.rows + (weight_dtype(texts.dtype).itemsize if keep else 0)
        for rows in walk.rows(cost):
            part, weights = _pass(walk, rows, margin, counts, keep)
            total += part
            if weights is not None and unscaled is not None:
                added = weighted_differences(walk, weights)
                unscaled[rows.start : rows.stop] = added.div_(walk.num_pairs)
        if unscaled is not None:
            add_scaled_differences(walk, unscaled, counts / -walk.num_pairs)
        ctx.save_for_backward(images, texts, pair_index, group_ids, counts, unscaled)
        ctx.settings = margin, eps, gather
        return total / (2 * walk.num_pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        images, texts, pair_index, group_ids, counts, unscaled = ctx.saved_tensors
        margin, eps, gather = ctx.settings
        grads: list[Tensor | None] = [None] * 7
        half = grad.float() / 2
        if unscaled is not None:
            grads[1] = (unscaled.float() * half).to(texts.dtype)
        walk = None
        if ctx.needs_input_grad[0] or gather:
            walk = Walk(images, pair_index, texts, group_ids=group_ids, eps=eps, gather=gather)
            weights = Weights(VIOLATIONS, counts, counts, counts.new_full((), margin), half)
        if walk is not None and ctx.needs_input_grad[1] and gather:
            grads[1], _ = texts_gradient(walk, weights, half / walk.num_pairs)
        if walk is not None and ctx.needs_input_grad[0]:
            grads[0] = images_gradient(walk, weights, half / walk.num_pairs)
        return tuple(grads)


def loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    margin: float = 0.2,
    negatives: str = "all",
    group_ids: Tensor | None = None,
    eps: float = EPS,
    gather: bool = False,
) -> Tensor:
    """Max-margin ranking both ways over in-batch ``negatives``, or over the swapped pair.

    Args:
        image_embeds: X (M, D), fp32, bf16 or fp16, on a GPU.
        pair_index: (N, 2) integers.
        text_embeds: T (N, D), as ``image_embeds``.
        margin: at least 0.
        negatives: ``all`` sums over them, ``hardest`` takes the worst of each row and column,
            ``reversed`` is (i, j) against (j, i) only.
        group_ids: (N,) integers; equal ids off the diagonal are no negatives.
        gather: read scores from G = T X^T (worth it where N is well above M). For a frozen image
            side: ignored where ``image_embeds`` needs a gradient.

    Returns:
        The scalar, fp32, differentiable to both embeddings.

    Source: Kiros et al. 2014; Faghri et al. 2018, eq. 4-6.
    """
    gather = gather and not image_embeds.requires_grad
    inputs = image_embeds, text_embeds, pair_index
    if negatives == "reversed":
        return fused_reversed.HingeReversedFunction.apply(*inputs, margin, eps)
    function = fused_hardest.HingeHardestFunction if negatives == "hardest" else HingeAllFunction
    return function.apply(*inputs, group_ids, margin, eps, gather)
