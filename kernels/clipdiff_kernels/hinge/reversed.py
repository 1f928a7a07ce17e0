"""Hinge against the swapped pair: L = 1/N sum_k [margin - 2 s_kk]+, each pair for itself."""

import torch
from torch import Tensor

from clipdiff_kernels.blocks import AllReduce, alone
from clipdiff_kernels.diagonal import DiagonalLoss
from clipdiff_kernels.differences import through_unit_norm, unit_differences


def reversed_rows(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    margin: float = 0.2,
    row_offset: int = 0,
    all_reduce: AllReduce = alone,
) -> Tensor:
    """The swapped pair's cosine is -s_kk, so its violation is margin - 2 s_kk. One O(N D) pass."""

    def chunk(images: Tensor, pairs: Tensor, text: Tensor, image_grad: bool):
        unit, norm = unit_differences(images, pairs)
        violation = (margin - 2 * (text * unit).sum(1)).relu_()
        weight = violation.sign().mul_(-2).unsqueeze(1)
        grad_d = through_unit_norm(weight * text, unit, norm) if image_grad else None
        torch.mul(unit, weight, out=text)
        return violation.sum(), grad_d

    mine = pair_index[row_offset : row_offset + len(text_embeds)]
    scale = 1 / len(pair_index)
    return DiagonalLoss.apply(image_embeds, text_embeds, mine, chunk, scale, all_reduce)
