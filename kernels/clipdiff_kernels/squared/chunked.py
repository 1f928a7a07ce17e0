"""Squared loss in one pass over chunks of pairs: no (N, D) difference outlives its chunk."""

import torch
from torch import Tensor

from clipdiff_kernels.blocks import AllReduce, alone
from clipdiff_kernels.diagonal import DiagonalLoss
from clipdiff_kernels.differences import differences, through_unit_norm, unit_differences


def loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    normalize: bool = False,
    row_offset: int = 0,
    all_reduce: AllReduce = alone,
) -> Tensor:
    """The loss of ``reference.loss``, its gradient 2 / (N D) (e_k - d_k) made in the same pass."""

    def chunk(images: Tensor, pairs: Tensor, text: Tensor, image_grad: bool):
        if normalize:
            unit, norm = unit_differences(images, pairs)
            residual = text.sub_(unit)
            grad_d = through_unit_norm(-residual, unit, norm) if image_grad else None
        else:
            residual = text.sub_(differences(images, pairs))
            grad_d = -residual if image_grad else None
        return torch.linalg.vector_norm(residual, dim=1).square().sum() / 2, grad_d

    mine = pair_index[row_offset : row_offset + len(text_embeds)]
    scale = 2 / (len(pair_index) * text_embeds.shape[1])
    return DiagonalLoss.apply(image_embeds, text_embeds, mine, chunk, scale, all_reduce)
