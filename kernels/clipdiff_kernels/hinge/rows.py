"""Hinge losses of a block of texts against all differences, forward and gradient in one pass.

The gradient of a hinge is a sum of signs: it needs no sum over the row first, so the pass that
finds the violations also multiplies them back (2 products of N x N x D, not 3). Blocks tell each
other s_kk, and a count (or, for ``hardest``, a maximum and its row) per column.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipdiff_kernels.blocks import AllReduce, alone, mask_group, own_entries
from clipdiff_kernels.differences import EPS
from clipdiff_kernels.hinge.reversed import reversed_rows
from clipdiff_kernels.similarity import DirectSimilarity


class Gradients(NamedTuple):
    """Gradients of the sum of violations to the block's texts (n, D), and to the images or None."""

    text: Tensor
    images: Tensor | None


def gather_own(own: Tensor, num_pairs: int, row_offset: int, all_reduce: AllReduce) -> Tensor:
    """s_kk (N,) of all blocks from the (n,) of each: N numbers moved."""
    everyone = own.new_zeros(num_pairs)
    everyone[row_offset : row_offset + len(own)] = own
    return all_reduce(everyone, "sum")


def all_negatives(
    similarity: DirectSimilarity,
    text: Tensor,
    margin: float,
    row_offset: int,
    group_ids: Tensor | None,
    all_reduce: AllReduce,
    needs_grad: bool,
) -> tuple[Tensor, Gradients | None]:
    """Sum over this block's rows r and all k of [m - s_rr + s_rk]+ + [m - s_kk + s_rk]+.

    Args:
        text: (n, D), rows ``row_offset`` to ``row_offset + n`` of all N texts.
        group_ids: (N,); entries of equal ids are no negatives.
        all_reduce: joins the blocks' s_kk and their counts of violations per column.
        needs_grad: without it the second product is left out.
    """
    num_pairs, num_rows = len(similarity.pair_index), len(text)
    own = similarity.own(text, row_offset)
    column_own = gather_own(own, num_pairs, row_offset, all_reduce).unsqueeze(1)
    total = own.new_zeros(())
    row_count, column_count = own.new_zeros(num_rows), own.new_zeros(num_pairs)
    grad = torch.empty_like(text) if needs_grad else None
    for low, high in similarity.chunks(num_rows):
        cosines = similarity.cosines(text[low:high])
        kept = cosines.clone() if similarity.needs_cosines else None
        mask_group(cosines, group_ids, row_offset + low, -torch.inf)
        own_entries(cosines, row_offset + low).fill_(-torch.inf)
        by_column = (cosines - (column_own - margin)).clamp_min_(0)
        by_row = cosines.sub_(own[low:high] - margin).clamp_min_(0)
        total += by_row.sum() + by_column.sum()
        if grad is None:
            continue
        row_count[low:high] = by_row.sign_().sum(0)
        column_count += by_column.sign_().sum(1)
        grad[low:high] = similarity.pull(by_row.add_(by_column), kept, text[low:high])
    if grad is None:
        return total, None
    column_count = all_reduce(column_count, "sum")
    return total, _less_own(similarity, text, grad, row_count, column_count, row_offset)


def hardest_negatives(
    similarity: DirectSimilarity,
    text: Tensor,
    margin: float,
    row_offset: int,
    group_ids: Tensor | None,
    all_reduce: AllReduce,
    needs_grad: bool,
) -> tuple[Tensor, Gradients | None]:
    """Sum over this block's r and its columns k of the largest violation, each direction apart.

    One product forward; the gradient touches two differences a row and costs O(n D). Arguments as
    for ``all_negatives``; of equal maxima the first row (or pair) counts, in every block.
    """
    num_pairs, num_rows = len(similarity.pair_index), len(text)
    own = similarity.own(text, row_offset)
    row_max = torch.empty_like(own)
    row_pair = torch.empty_like(own, dtype=torch.int64)
    column_max = own.new_full((num_pairs,), -torch.inf)
    column_row = torch.zeros_like(similarity.pair_index[:, 0])
    for low, high in similarity.chunks(num_rows):
        cosines = similarity.cosines(text[low:high])
        mask_group(cosines, group_ids, row_offset + low, -torch.inf)
        own_entries(cosines, row_offset + low).fill_(-torch.inf)
        row_max[low:high], row_pair[low:high] = cosines.max(0)
        chunk_max, chunk_row = cosines.max(1)
        column_row = torch.where(chunk_max > column_max, chunk_row + row_offset + low, column_row)
        column_max = torch.maximum(chunk_max, column_max)
    mine = slice(row_offset, row_offset + num_rows)
    column_own = gather_own(own, num_pairs, row_offset, all_reduce)
    highest = all_reduce(column_max.clone(), "max")
    # the first row that holds the maximum, as the largest of the negated row numbers
    holder = torch.where(column_max == highest, -column_row, -num_pairs)
    column_row = all_reduce(holder, "max").neg_()
    by_row = (row_max - own + margin).relu_()
    by_column = (highest - column_own + margin).relu_()
    total = by_row.sum() + by_column[mine].sum()
    if not needs_grad:
        return total, None
    by_row, by_column = by_row.sign_(), by_column.sign_()
    grad, every_row = torch.zeros_like(text), torch.arange(num_rows, device=text.device)
    similarity.add_entries(grad, every_row, row_pair, by_row, text)
    here = (column_row >= row_offset) & (column_row < row_offset + num_rows) & (by_column > 0)
    pairs = here.nonzero().squeeze(1)
    rows = column_row[pairs] - row_offset
    similarity.add_entries(grad, rows, pairs, by_column[pairs], text)
    return total, _less_own(similarity, text, grad, by_row, by_column, row_offset)


def _less_own(
    similarity: DirectSimilarity,
    text: Tensor,
    grad: Tensor,
    row_count: Tensor,
    column_count: Tensor,
    row_offset: int,
) -> Gradients:
    """Take off the part of -s_rr: once for every violation of row r (n,) and of column r (N,)."""
    rows = torch.arange(len(text), device=text.device)
    count = row_count + column_count[rows + row_offset]
    similarity.add_entries(grad, rows, rows + row_offset, -count, text)
    return Gradients(grad, similarity.finish())


class HingeRows(torch.autograd.Function):
    """The loss of all blocks, with its gradient to this block's texts and its part of the images'.

    The gradients are made in the forward pass and kept, (n, D) and (M, D), in the accumulation
    dtype: rounding to float16 waits until the upstream gradient (a loss scale) is known.
    """

    @staticmethod
    def forward(
        ctx, image_embeds, text_embeds, pair_index, margin, negatives, group_ids, kind,
        row_offset, all_reduce,
    ):  # fmt: skip
        needs_images, needs_text = ctx.needs_input_grad[:2]
        similarity = kind(image_embeds, pair_index, EPS, image_grad=needs_images)
        text = text_embeds.to(similarity.dtype)
        one_pass = {"all": all_negatives, "hardest": hardest_negatives}[negatives]
        total, grads = one_pass(
            similarity, text, margin, row_offset, group_ids, all_reduce,
            needs_grad=needs_images or needs_text,
        )  # fmt: skip
        ctx.num_pairs = len(pair_index)
        ctx.dtype = text_embeds.dtype
        if grads is not None:
            ctx.save_for_backward(grads.images, grads.text if needs_text else None)
        return all_reduce(total, "sum") / (2 * len(pair_index))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_loss):
        factor = grad_loss / (2 * ctx.num_pairs)
        images, text = (
            None if grad is None else (grad * factor).to(ctx.dtype) for grad in ctx.saved_tensors
        )
        return images, text, *(None,) * 7


def hinge_rows(
    kind: type[DirectSimilarity],
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    margin: float = 0.2,
    negatives: str = "all",
    group_ids: Tensor | None = None,
    row_offset: int = 0,
    all_reduce: AllReduce = alone,
) -> Tensor:
    """The loss over all blocks, its cosines by ``kind``; by default one block holds all rows."""
    if negatives == "reversed":
        return reversed_rows(
            image_embeds, pair_index, text_embeds,
            margin=margin, row_offset=row_offset, all_reduce=all_reduce,
        )  # fmt: skip
    return HingeRows.apply(
        image_embeds, text_embeds, pair_index, margin, negatives, group_ids,
        kind, row_offset, all_reduce,
    )  # fmt: skip
