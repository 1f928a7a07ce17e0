"""Contrastive loss of a block of texts against all differences: the two passes, and their glue.

A block of n texts knows its rows of the N x N matrix whole and a part of each column. What blocks
have to tell each other is a maximum and a sum per column; with them each block finds its share of
the loss and its own gradients (docs/kernels.md, "O(N) communication").
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clipdiff_kernels.blocks import AllReduce, alone, mask_group, own_entries
from clipdiff_kernels.differences import EPS
from clipdiff_kernels.similarity import DirectSimilarity

UNSHIFTED_BOUND = 70.0
"""Largest |logit| for which exp needs no shift: a sum of 10^8 terms stays below float32's 3e38."""


class RowBlock(NamedTuple):
    """What one block knows after the forward pass (float32, or float64 for float64 inputs)."""

    row_lse: Tensor  # (n,) log sum_k exp z_rk, complete
    own: Tensor  # (n,) z_rr
    column_max: Tensor  # (N,) shift of the column sums: their maximum over the block, or 0
    column_sum: Tensor  # (N,) sum over the block's rows of exp(z_rk - column_max_k)


def forward_rows(
    similarity: DirectSimilarity,
    text: Tensor,
    scale: Tensor,
    *,
    row_offset: int = 0,
    group_ids: Tensor | None = None,
    unshifted: bool = False,
) -> RowBlock:
    """One pass over the block's logits, a chunk of rows at a time.

    Args:
        similarity: gives the cosines (N, c) of a chunk of c texts.
        text: (n, D), rows ``row_offset`` to ``row_offset + n`` of all N texts.
        scale: (), logit_scale.
        group_ids: (N,); off-diagonal entries of equal ids are left out.
        unshifted: all logits are within UNSHIFTED_BOUND, so one exp serves rows and columns.
    """
    num_pairs, num_rows = len(similarity.pair_index), len(text)
    lowest = 0.0 if unshifted else torch.finfo(text.dtype).min
    row_lse, own = text.new_empty(num_rows), text.new_empty(num_rows)
    column_max = text.new_full((num_pairs,), lowest)
    column_sum = text.new_zeros(num_pairs)
    for low, high in similarity.chunks(num_rows):
        z = similarity.cosines(text[low:high] * scale)
        own[low:high] = own_entries(z, row_offset + low)
        mask_group(z, group_ids, row_offset + low, -torch.inf)
        if unshifted:
            row_lse[low:high] = z.exp_().sum(0).log_()
            column_sum += z.sum(1)
            continue
        row_lse[low:high] = z.logsumexp(0)
        new_max = torch.maximum(column_max, z.amax(1))
        column_sum *= column_max.sub_(new_max).exp_()
        column_sum += z.sub_(new_max.unsqueeze(1)).exp_().sum(1)
        column_max = new_max
    return RowBlock(row_lse, own, column_max, column_sum)


def combine_columns(column_max: Tensor, column_sum: Tensor, all_reduce: AllReduce) -> Tensor:
    """log sum over all rows of exp z_rk, (N,), from the parts of every block: 2 N numbers moved."""
    highest = all_reduce(column_max.clone(), "max")
    total = all_reduce(column_sum * (column_max - highest).exp_(), "sum")
    return total.log_().add_(highest)


def backward_rows(
    similarity: DirectSimilarity,
    text: Tensor,
    scale: Tensor,
    row_lse: Tensor,
    column_lse: Tensor,
    *,
    row_offset: int = 0,
    group_ids: Tensor | None = None,
    unshifted: bool = False,
) -> Tensor:
    """Gradient (n, D) of sum_r (row_lse_r - z_rr) + sum_k (column_lse_k - z_kk) to the texts.

    The logits are computed again: nothing of size N x n outlives a chunk. Gradients to the images
    collect in ``similarity`` (divided by ``scale``, as the cosines are what it pulls back).
    """
    grad = torch.empty_like(text)
    column_weight = (-column_lse).exp().unsqueeze(1) if unshifted else None
    for low, high in similarity.chunks(len(text)):
        rows = text[low:high]
        z = similarity.cosines(rows * scale)
        cosines = z / scale if similarity.needs_cosines else None
        if column_weight is not None:
            weights = z.exp_().mul_(column_weight + (-row_lse[low:high]).exp())
        else:
            weights = (z - row_lse[low:high]).exp_()
            weights += z.sub_(column_lse.unsqueeze(1)).exp_()
        mask_group(weights, group_ids, row_offset + low, 0)
        own_entries(weights, row_offset + low).sub_(2)
        grad[low:high] = similarity.pull(weights, cosines, rows)
    return grad.mul_(scale)


class ContrastiveRows(torch.autograd.Function):
    """The loss of all blocks, with its gradient to this block's texts.

    To logit_scale and the images it gives this block's part: summed over blocks they are whole.
    """

    @staticmethod
    def forward(
        ctx, image_embeds, text_embeds, logit_scale, pair_index, group_ids, eps, kind,
        row_offset, all_reduce,
    ):  # fmt: skip
        similarity = kind(image_embeds, pair_index, eps)
        text = text_embeds.to(similarity.dtype)
        scale = logit_scale.to(similarity.dtype).reshape(())
        ctx.unshifted = _unshifted(text, scale, all_reduce)
        block = forward_rows(
            similarity, text, scale,
            row_offset=row_offset, group_ids=group_ids, unshifted=ctx.unshifted,
        )  # fmt: skip
        column_lse = combine_columns(block.column_max, block.column_sum, all_reduce)
        ctx.save_for_backward(
            image_embeds, text_embeds, logit_scale, pair_index, group_ids, block.row_lse, column_lse
        )
        ctx.settings = eps, kind, row_offset
        mine = column_lse[row_offset : row_offset + len(text)]
        share = (block.row_lse + mine - 2 * block.own).sum() / (2 * len(pair_index))
        return all_reduce(share, "sum")

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_loss):
        image_embeds, text_embeds, logit_scale, pair_index, group_ids, row_lse, column_lse = (
            ctx.saved_tensors
        )
        eps, kind, row_offset = ctx.settings
        similarity = kind(image_embeds, pair_index, eps, image_grad=ctx.needs_input_grad[0])
        text = text_embeds.to(similarity.dtype)
        scale = logit_scale.to(similarity.dtype).reshape(())
        grad_text = backward_rows(
            similarity, text, scale, row_lse, column_lse,
            row_offset=row_offset, group_ids=group_ids, unshifted=ctx.unshifted,
        ).mul_(grad_loss / (2 * len(pair_index)))  # fmt: skip
        # z is linear in both: <e_r, dL/de_r> summed is logit_scale dL/dlogit_scale
        grad_scale = (grad_text * text).sum() / scale
        grad_images = similarity.finish()
        if grad_images is not None:
            grad_images = grad_images.mul_(scale * grad_loss / (2 * len(pair_index)))
            grad_images = grad_images.to(image_embeds.dtype)
        return (
            grad_images,
            grad_text.to(text_embeds.dtype),
            grad_scale.to(logit_scale.dtype).reshape(logit_scale.shape),
            *(None,) * 6,
        )


def _unshifted(text: Tensor, scale: Tensor, all_reduce: AllReduce) -> bool:
    """Whether no logit can pass UNSHIFTED_BOUND (|z| <= scale |e_r|), the same for all blocks.

    Asked on the CPU only: elsewhere the answer would wait for the device.
    """
    if text.device.type != "cpu":
        return False
    longest = torch.cat([text.new_zeros(1), torch.linalg.vector_norm(text, dim=1)]).amax()
    return bool(all_reduce(scale * longest, "max") <= UNSHIFTED_BOUND)


def _as_scale(logit_scale: float | Tensor, like: Tensor) -> Tensor:
    """A float as a tensor () on the device of ``like``, without waiting for it."""
    if isinstance(logit_scale, Tensor):
        return logit_scale
    return torch.full((), logit_scale, dtype=torch.float64, device=like.device)


def contrastive_rows(
    kind: type[DirectSimilarity],
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    logit_scale: float | Tensor,
    *,
    row_offset: int = 0,
    all_reduce: AllReduce = alone,
    group_ids: Tensor | None = None,
    eps: float = EPS,
) -> Tensor:
    """The loss over all blocks, its cosines by ``kind``; by default one block holds all rows."""
    return ContrastiveRows.apply(
        image_embeds, text_embeds, _as_scale(logit_scale, text_embeds), pair_index, group_ids, eps,
        kind, row_offset, all_reduce,
    )  # fmt: skip
