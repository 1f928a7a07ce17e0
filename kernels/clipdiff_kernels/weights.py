"""Backward of the losses over all pairs: d loss / d score as weights, times differences or texts.

With w_rk = N d loss / d z_rk (softmax) or 2 N d loss / d s_rk (violations):

- direct: W is made for a few text rows at a time (workspace), then multiplied with the differences,
  which are gathered again: 2 units, no (N, D) matrix of differences;
- gather: no W at all. dG[r, m] sums w_rk / n_k over the pairs that row m of the table begins, less
  those that it ends; the program of (rows, m) walks both lists, so it is the only writer. Then dT
  is dG times the table;
- to the images: W for a few pairs at a time and all texts, times the texts, through the norm.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from clipdiff_kernels.differences import scatter_to_images, through_unit_norm, unit_differences
from clipdiff_kernels.gather_table import halves, product_of_halves
from clipdiff_kernels.launch import (
    SIZES,
    TILES,
    dot_dtype,
    product,
    rows_per_launch,
    split,
    walking_tile,
    weight_dtype,
)
from clipdiff_kernels.tiles import (
    difference_tile,
    gather_scores,
    load_pairs,
    logit_tile,
    negative_tile,
    score_tile,
)
from clipdiff_kernels.walk import Rows, Walk

SOFTMAX, VIOLATIONS = 0, 1


@dataclass(frozen=True)
class Weights:
    """How a score becomes a weight.

    Args:
        kind: ``SOFTMAX`` (``row`` and ``col``: log-sum-exps; ``parameter``: logit_scale) or
            ``VIOLATIONS`` (both: the violations counted at each pair; ``parameter``: margin).
        row, col: (N,) fp32.
        parameter: () fp32, on the device.
        bound: () fp32, the largest logit that texts of these norms can have.
    """

    kind: int
    row: Tensor
    col: Tensor
    parameter: Tensor
    bound: Tensor

    def arguments(self, walk: Walk) -> tuple[Tensor, ...]:
        return self.row, self.col, walk.diagonal, self.parameter, self.bound


@triton.jit
def weight_tile(
    scores, row, col, own, parameter, bound, group_ids, pairs, rows, stop_pair, stop_row,
    GROUPS: tl.constexpr, KIND: tl.constexpr,
):  # fmt: skip
    """Weights (P, R); KIND 0 is a softmax both ways, 1 counts the violations of a margin."""
    row_term = tl.load(row + rows, mask=rows < stop_row, other=0.0)
    col_term = tl.load(col + pairs, mask=pairs < stop_pair, other=0.0)
    value = tl.load(parameter)
    if KIND == 0:
        kept = logit_tile(group_ids, pairs, rows, stop_pair, stop_row, GROUPS)
        logits = tl.where(kept, scores * value, float("-inf"))
        if tl.load(bound) <= 75.0:
            both = tl.exp(-row_term)[None, :] + tl.exp(-col_term)[:, None]
            weights = 0.5 * tl.exp(logits) * both
        else:
            weights = 0.5 * tl.exp(logits - row_term[None, :])
            weights += 0.5 * tl.exp(logits - col_term[:, None])
        at_own = -1.0 + tl.zeros_like(row_term)
    else:
        negative = negative_tile(group_ids, pairs, rows, stop_pair, stop_row, GROUPS)
        row_own = tl.load(own + rows, mask=rows < stop_row, other=0.0)
        col_own = tl.load(own + pairs, mask=pairs < stop_pair, other=0.0)
        by_row = negative & (value - row_own[None, :] + scores > 0)
        by_col = negative & (value - col_own[:, None] + scores > 0)
        weights = by_row.to(tl.float32) + by_col.to(tl.float32)
        at_own = -row_term
    diagonal = (pairs[:, None] == rows[None, :]) & (rows < stop_row)[None, :]
    return tl.where(diagonal, weights + at_own[None, :], weights)


@triton.jit(do_not_specialize=SIZES)
def weights_kernel(
    texts, images, gathered, stride, pair_index, inv_norm, group_ids,
    start_row, stop_row, num_pairs, width,
    row, col, own, parameter, bound, out, inner, start_pair, stop_pair,
    BLOCK_ROWS: tl.constexpr, BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr, GATHER: tl.constexpr, GROUPS: tl.constexpr,
    KIND: tl.constexpr,
):  # fmt: skip
    """One tile of out = W^T (pairs, rows) of a rectangle, and its sum of w s in inner (blocks)."""
    block, step = tl.program_id(0), tl.program_id(1)
    columns = block * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    rows = start_row + columns
    pairs = start_pair + step * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    scores = score_tile(
        texts, images, gathered, stride, pair_index, inv_norm, pairs, rows, columns,
        stop_pair, stop_row, width,
        BLOCK_PAIRS, BLOCK_ROWS, BLOCK_WIDTH, DOT, PRECISION, GATHER,
    )  # fmt: skip
    weights = weight_tile(
        scores, row, col, own, parameter, bound, group_ids, pairs, rows, stop_pair, stop_row,
        GROUPS, KIND,
    )  # fmt: skip
    inside = (pairs < stop_pair)[:, None] & (rows < stop_row)[None, :]
    target = (pairs - start_pair)[:, None].to(tl.int64) * (stop_row - start_row) + (columns)[
        None, :
    ]
    tl.store(out + target, weights, mask=inside)
    tl.store(inner + block * tl.num_programs(1) + step, tl.sum(weights * scores))


@triton.jit(do_not_specialize=SIZES)
def weighted_differences_kernel(
    out, weights, images, pair_index, inv_norm, num_rows, num_pairs, width, steps_per_split,
    BLOCK_ROWS: tl.constexpr, BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out[split] = W[:, split] dhat[split], (splits, rows, D) fp32, from W^T (N, rows)."""
    rows = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    dims = tl.program_id(1) * BLOCK_WIDTH + tl.arange(0, BLOCK_WIDTH)
    split = tl.program_id(2)
    total = tl.zeros((BLOCK_ROWS, BLOCK_WIDTH), dtype=tl.float32)
    last = tl.minimum((split + 1) * steps_per_split, tl.cdiv(num_pairs, BLOCK_PAIRS))
    for step in range(split * steps_per_split, last):
        pairs = step * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
        first, second, inverse = load_pairs(pair_index, inv_norm, pairs, num_pairs)
        unit = difference_tile(images, first, second, dims, width) * inverse[:, None]
        inside = (rows < num_rows)[:, None] & (pairs < num_pairs)[None, :]
        weight = tl.load(
            weights + pairs[None, :].to(tl.int64) * num_rows + rows[:, None], inside, other=0.0
        )
        total = tl.dot(weight.to(DOT), unit.to(DOT), total, input_precision=PRECISION)
    inside = (rows < num_rows)[:, None] & (dims < width)[None, :]
    target = (split.to(tl.int64) * num_rows + rows)[:, None] * width + dims[None, :]
    tl.store(out + target, total, mask=inside)


@triton.jit(do_not_specialize=SIZES)
def segment_kernel(
    texts, images, gathered, stride, pair_index, inv_norm, group_ids,
    start_row, stop_row, num_pairs, width,
    row, col, own, parameter, bound, out, inner, order, offsets, num_images,
    BLOCK_ROWS: tl.constexpr, BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr, GATHER: tl.constexpr, GROUPS: tl.constexpr,
    KIND: tl.constexpr,
):  # fmt: skip
    """dG^T[m, rows] = sum over the pairs m begins of w / n, less those it ends; inner = sum w s.

    ``order`` (2, N) lists pairs by first and by second image, ``offsets`` (2, M + 1) where each
    image's begin.
    """
    image, block = tl.program_id(0), tl.program_id(1)
    columns = block * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    rows = start_row + columns
    live = rows < stop_row
    total = tl.zeros((BLOCK_ROWS,), dtype=tl.float32)
    sum_inner = tl.zeros((BLOCK_ROWS,), dtype=tl.float32)
    for side in tl.static_range(2):
        sign = 1.0 - 2.0 * side
        start = tl.load(offsets + side * (num_images + 1) + image)
        stop = tl.load(offsets + side * (num_images + 1) + image + 1)
        for place in range(start, stop, BLOCK_PAIRS):
            places = place + tl.arange(0, BLOCK_PAIRS)
            listed = order + side * num_pairs + places
            pairs = tl.load(listed, mask=places < stop, other=num_pairs).to(tl.int32)
            first, second, inverse = load_pairs(pair_index, inv_norm, pairs, num_pairs)
            scores = gather_scores(gathered, stride, first, second, inverse, columns)
            weights = weight_tile(
                scores, row, col, own, parameter, bound, group_ids, pairs, rows,
                num_pairs, stop_row, GROUPS, KIND,
            )  # fmt: skip
            total += sign * tl.sum(weights * inverse[:, None], 0)
            # Each pair is met twice: half of its inner product each time.
            sum_inner += 0.5 * tl.sum(weights * scores, 0)
    count = stop_row - start_row
    tl.store(out + image.to(tl.int64) * count + columns, total, mask=live)
    tl.store(inner + image * tl.num_programs(1) + block, tl.sum(sum_inner))


def texts_gradient(walk: Walk, weights: Weights, factor: Tensor) -> tuple[Tensor, Tensor]:
    """factor W dhat, (N, D) in the texts' dtype, and sum_rk w_rk s_rk, (), fp32."""
    grad = torch.empty_like(walk.texts)
    inner = walk.diagonal.new_zeros(())
    order = _pairs_by_image(walk) if walk.gather else None
    bytes_per_logit = 0 if walk.gather else weight_dtype(walk.texts.dtype).itemsize
    for rows in walk.rows(bytes_per_logit):
        if order is None:
            made, part = _weights(walk, weights, rows, 0, walk.num_pairs)
            product_rows = weighted_differences(walk, made)
        else:
            product_rows, part = _segments(walk, weights, rows, *order)
        grad[rows.start : rows.stop] = product_rows.mul_(factor)
        inner += part
    return grad, inner


def images_gradient(walk: Walk, weights: Weights, factor: Tensor) -> Tensor:
    """Gradient to X (M, D) in its dtype, from factor W^T texts through the norm.

    Summed in fp32 by index_add_, which loses no update; its order on a GPU is free unless
    ``torch.use_deterministic_algorithms`` is on.
    """
    grad = torch.zeros_like(walk.images, dtype=torch.float32)
    dtype = weight_dtype(walk.texts.dtype)
    texts = walk.texts.to(dtype)
    step = rows_per_launch(walk.num_pairs, dtype.itemsize, walking_tile(walk.texts, "dot").pairs)
    everyone = Rows(0, walk.num_pairs, None)
    for start in range(0, walk.num_pairs, step):
        stop = min(start + step, walk.num_pairs)
        grad_unit = product(_weights(walk, weights, everyone, start, stop)[0], texts).mul_(factor)
        scatter_unit_gradient(walk, grad, grad_unit, walk.pair_index[start:stop])
    return grad.to(walk.images.dtype)


def scatter_unit_gradient(walk: Walk, grad: Tensor, grad_unit: Tensor, pair_index: Tensor) -> None:
    """Add to ``grad`` (M, D) fp32 what the gradient (n, D) to the unit differences of n pairs is to
    the images; ``grad_unit`` is used up."""
    unit, norm = unit_differences(walk.images, pair_index, walk.eps)
    grad_d = through_unit_norm(grad_unit, unit, norm, walk.eps)
    scatter_to_images(grad_d, pair_index, grad)


def weighted_differences(walk: Walk, weights: Tensor) -> Tensor:
    """W dhat (rows, D) in fp32, from W^T (N, rows)."""
    tile = walking_tile(weights, "product")
    num_rows = weights.shape[1]
    blocks = triton.cdiv(num_rows, tile.rows), triton.cdiv(walk.width, tile.width)
    parts, per_split = split(blocks[0] * blocks[1], triton.cdiv(walk.num_pairs, tile.pairs))
    out = walk.diagonal.new_empty(parts, num_rows, walk.width)
    weighted_differences_kernel[(*blocks, parts)](
        out, weights, walk.images, walk.pair_index, walk.inv_norm,
        num_rows, walk.num_pairs, walk.width, per_split,
        **tile.meta(), DOT=dot_dtype(weights.dtype), PRECISION="ieee",
    )  # fmt: skip
    return out.sum(0) if parts > 1 else out[0]


def _weights(
    walk: Walk, weights: Weights, rows: Rows, start: int, stop: int
) -> tuple[Tensor, Tensor]:
    """W^T (stop - start, rows) and its sum of w s, by the direct product."""
    tile = walking_tile(walk.texts, "dot")
    dtype = weight_dtype(walk.texts.dtype)
    grid = triton.cdiv(rows.count, tile.rows), triton.cdiv(stop - start, tile.pairs)
    out = walk.texts.new_empty(stop - start, rows.count, dtype=dtype)
    inner = walk.diagonal.new_empty(grid)
    weights_kernel[grid](
        *walk.scores(rows), *weights.arguments(walk), out, inner, start, stop,
        **{**walk.meta(tile), "GATHER": False}, KIND=weights.kind,
    )  # fmt: skip
    return out, inner.sum()


def _segments(
    walk: Walk, weights: Weights, rows: Rows, order: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    """W dhat (rows, D) in fp32 as dG times the table, and the sum of w s, from gathered scores."""
    tile = TILES["segment"]
    num_images = len(walk.table.rows)
    grid = num_images, triton.cdiv(rows.count, tile.rows)
    grad_gathered = walk.diagonal.new_empty(num_images, rows.count)
    inner = walk.diagonal.new_empty(grid)
    segment_kernel[grid](
        *walk.scores(rows), *weights.arguments(walk), grad_gathered, inner, order, offsets,
        num_images, **walk.meta(tile), KIND=weights.kind,
    )  # fmt: skip
    dtype = weight_dtype(walk.texts.dtype)
    table = halves(walk.table.rows, dtype)
    return product_of_halves(halves(grad_gathered.T, dtype), table), inner.sum()


def _pairs_by_image(walk: Walk) -> tuple[Tensor, Tensor]:
    """Pairs sorted by first and by second row of the table, and where each row's begin."""
    keys, order = walk.table.pair_index.T.contiguous().sort(dim=1, stable=True)  # (2, N)
    images = torch.arange(len(walk.table.rows) + 1, device=keys.device).expand(2, -1).contiguous()
    return order, torch.searchsorted(keys, images)  # (2, M' + 1)
