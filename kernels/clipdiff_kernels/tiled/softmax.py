"""Both passes of the contrastive loss over the tiles of a block."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block
from .direct import DirectSimilarity
from .entries import mask_group, own_entries

UNSHIFTED_BOUND = 70.0
"""Largest |logit| for which exp needs no shift: a sum of 10^8 terms stays below float32's 3e38."""


def log_sums(
    similarity: DirectSimilarity, block: Block, text: Tensor, own: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """log sum exp of the logits of each row (n,), and of each column over this block's rows (N,).

    Args:
        similarity: gives the cosines (N, c) of a chunk of c texts.
        block: whose group ids and place count.
        text: (n, D), its texts, widened.
        own: (n,), their own cosines: what the loss takes off again, to the last bit.
        scale: (), logit_scale.
    """
    unshifted = is_unshifted(text, scale)
    row_lse = text.new_empty(len(text))
    column_max = text.new_full(
        (block.num_pairs,), 0.0 if unshifted else torch.finfo(text.dtype).min
    )
    column_sum = text.new_zeros(block.num_pairs)
    for low, high in similarity.chunks(len(text)):
        z = similarity.cosines(text[low:high] * scale)
        mask_group(z, block.group_ids, block.row_offset + low, -torch.inf)
        own_entries(z, block.row_offset + low).copy_(own[low:high] * scale)
        if unshifted:
            row_lse[low:high] = z.exp_().sum(0).log_()
            column_sum += z.sum(1)
            continue
        row_lse[low:high] = z.logsumexp(0)
        new_max = torch.maximum(column_max, z.amax(1))
        column_sum *= column_max.sub_(new_max).exp_()
        column_sum += z.sub_(new_max.unsqueeze(1)).exp_().sum(1)
        column_max = new_max
    return row_lse, column_sum.log_().add_(column_max)


def pull(
    similarity: DirectSimilarity,
    block: Block,
    text: Tensor,
    own: Tensor,
    scale: Tensor,
    row_lse: Tensor,
    column_lse: Tensor,
) -> Tensor:
    """Gradient (n, D), over ``scale``, of sum_r (row_lse_r - z_rr) + sum_k (column_lse_k - z_kk).

    The logits are computed again: nothing of size N x n outlives a chunk. Gradients to the images
    collect in ``similarity``.
    """
    grad = torch.empty_like(text)
    column_weight = (-column_lse).exp().unsqueeze(1) if is_unshifted(text, scale) else None
    for low, high in similarity.chunks(len(text)):
        rows = text[low:high]
        z = similarity.cosines(rows * scale)
        own_entries(z, block.row_offset + low).copy_(own[low:high] * scale)
        cosines = z / scale if similarity.needs_cosines else None
        if column_weight is not None:
            weights = z.exp_().mul_(column_weight + (-row_lse[low:high]).exp())
        else:
            weights = (z - row_lse[low:high]).exp_()
            weights += z.sub_(column_lse.unsqueeze(1)).exp_()
        mask_group(weights, block.group_ids, block.row_offset + low, 0)
        own_entries(weights, block.row_offset + low).sub_(2)
        grad[low:high] = similarity.pull(weights, cosines, rows)
    return grad


def is_unshifted(text: Tensor, scale: Tensor) -> bool:
    """Whether no logit of these texts can pass UNSHIFTED_BOUND: |z| <= scale |e_r|.

    Asked on the CPU only: elsewhere the answer would wait for the device.
    """
    if text.device.type != "cpu":
        return False
    longest = torch.cat([text.new_zeros(1), torch.linalg.vector_norm(text, dim=1)]).amax()
    return bool(scale * longest <= UNSHIFTED_BOUND)
