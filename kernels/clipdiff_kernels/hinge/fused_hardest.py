"""Hinge against the hardest negative of each row and each column, in Triton.

One product finds the largest score and where it is; the gradient then has three entries for each
pair (its own score, its row's hardest, its column's hardest) and is added up in O(N D).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipdiff_kernels.differences import unit_differences
from clipdiff_kernels.launch import SIZES, TILES, rows_per_launch
from clipdiff_kernels.tiles import negative_tile, score_tile
from clipdiff_kernels.walk import Rows, Walk
from clipdiff_kernels.weights import scatter_unit_gradient


@triton.jit(do_not_specialize=SIZES)
def hinge_hardest_kernel(
    texts, images, gathered, stride, pair_index, inv_norm, group_ids,
    start_row, stop_row, num_pairs, width,
    row_max, row_arg, col_max, col_arg, tiles_per_split,
    BLOCK_ROWS: tl.constexpr, BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr, GATHER: tl.constexpr, GROUPS: tl.constexpr,
):  # fmt: skip
    """Partials (largest negative, its index): rows (splits, rows), columns (blocks, N)."""
    block, split = tl.program_id(0), tl.program_id(1)
    columns = block * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    rows = start_row + columns
    largest = tl.full((BLOCK_ROWS,), float("-inf"), dtype=tl.float32)
    where = tl.zeros((BLOCK_ROWS,), dtype=tl.int64)
    last = tl.minimum((split + 1) * tiles_per_split, tl.cdiv(num_pairs, BLOCK_PAIRS))
    for step in range(split * tiles_per_split, last):
        pairs = step * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
        scores = score_tile(
            texts, images, gathered, stride, pair_index, inv_norm, pairs, rows, columns,
            num_pairs, stop_row, width,
            BLOCK_PAIRS, BLOCK_ROWS, BLOCK_WIDTH, DOT, PRECISION, GATHER,
        )  # fmt: skip
        negative = negative_tile(group_ids, pairs, rows, num_pairs, stop_row, GROUPS)
        scores = tl.where(negative, scores, float("-inf"))
        tile_max, tile_arg = tl.max(scores, 0, return_indices=True)
        where = tl.where(tile_max > largest, step * BLOCK_PAIRS + tile_arg, where)
        largest = tl.maximum(largest, tile_max)
        column_max, column_arg = tl.max(scores, 1, return_indices=True)
        column = block.to(tl.int64) * num_pairs + pairs
        tl.store(col_max + column, column_max, mask=pairs < num_pairs)
        first_row = start_row + block * BLOCK_ROWS
        tl.store(col_arg + column, first_row + column_arg, mask=pairs < num_pairs)
    row = split.to(tl.int64) * (stop_row - start_row) + columns
    tl.store(row_max + row, largest, mask=rows < stop_row)
    tl.store(row_arg + row, where, mask=rows < stop_row)


def hardest(walk: Walk) -> tuple[Tensor, Tensor]:
    """Largest negative score (2, N) of each row and each column (-inf: none), and its index."""
    values = walk.diagonal.new_full((2, walk.num_pairs), -torch.inf)
    index = walk.pair_index.new_zeros(2, walk.num_pairs)
    for rows in walk.rows(bytes_per_logit=12 / walk.tile.rows):
        row_max, row_arg, col_max, col_arg = _launch(walk, rows)
        values[0, rows.start : rows.stop] = row_max
        index[0, rows.start : rows.stop] = row_arg
        index[1] = torch.where(col_max > values[1], col_arg, index[1])
        values[1] = torch.maximum(values[1], col_max)
    return values, index


def _launch(walk: Walk, rows: Rows) -> tuple[Tensor, ...]:
    """Largest and its index of these rows over all pairs, and of all columns over these rows."""
    blocks, parts, tiles_per_split = walk.plan(rows)
    row_max = walk.diagonal.new_empty(parts, rows.count)
    row_arg = walk.pair_index.new_empty(parts, rows.count)
    col_max = walk.diagonal.new_empty(blocks, walk.num_pairs)
    col_arg = walk.pair_index.new_empty(blocks, walk.num_pairs)
    hinge_hardest_kernel[(blocks, parts)](
        *walk.scores(rows), row_max, row_arg, col_max, col_arg, tiles_per_split, **walk.meta()
    )
    return (*_best(row_max, row_arg), *_best(col_max, col_arg))


def _best(values: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of the partials (parts, n) and its index, (n,) each."""
    largest, part = values.max(0)
    return largest, index.gather(0, part.unsqueeze(0)).squeeze(0)


class HingeHardestFunction(torch.autograd.Function):
    """Saves, for each pair, which negatives were hardest and whether they violate the margin."""

    @staticmethod
    def forward(ctx, images, texts, pair_index, group_ids, margin, eps, gather):
        settings = {"group_ids": group_ids, "eps": eps, "gather": gather}
        walk = Walk(images, pair_index, texts, use="hinge", **settings)
        values, index = hardest(walk)
        violations = (margin - walk.diagonal + values).relu()
        ctx.save_for_backward(images, texts, pair_index, index, violations > 0)
        ctx.eps = eps
        return violations.sum() / (2 * walk.num_pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        images, texts, pair_index, index, active = ctx.saved_tensors
        walk = Walk(images, pair_index, texts, eps=ctx.eps)
        slope = active * (grad.float() / (2 * walk.num_pairs))  # (2, N): by row, by column
        everyone = torch.arange(walk.num_pairs, device=texts.device)
        rows = torch.cat([everyone, everyone, index[1]])
        pairs = torch.cat([everyone, index[0], everyone])
        slopes = torch.cat([-slope.sum(0), slope[0], slope[1]])
        grad_images, grad_texts = _gradients(walk, rows, pairs, slopes, ctx.needs_input_grad)
        return grad_images, grad_texts, None, None, None, None, None


def _gradients(
    walk: Walk, rows: Tensor, pairs: Tensor, slopes: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    """From a sparse d loss / d s: ``slopes`` (3 N,) at text ``rows``, difference ``pairs``."""
    grad_images = torch.zeros_like(walk.images, dtype=torch.float32) if needed[0] else None
    grad_texts = torch.zeros_like(walk.texts, dtype=torch.float32) if needed[1] else None
    step = rows_per_launch(walk.width, 4, TILES["rowwise"].pairs)
    for start in range(0, len(rows), step):
        here = slice(start, start + step)
        index, slope = walk.pair_index[pairs[here]], slopes[here, None]
        if grad_texts is not None:
            unit, _ = unit_differences(walk.images, index, walk.eps)
            grad_texts.index_add_(0, rows[here], unit * slope)
        if grad_images is not None:
            grad_unit = walk.texts[rows[here]].float() * slope
            scatter_unit_gradient(walk, grad_images, grad_unit, index)
    return (
        None if grad_images is None else grad_images.to(walk.images.dtype),
        None if grad_texts is None else grad_texts.to(walk.texts.dtype),
    )
