"""Squared loss in one pass over chunks of pairs: no (N, D) difference outlives its chunk."""

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
    """The loss of ``reference.loss``, its gradient 2 (e_k - d_k) / (N D) made in the same pass."""

    def chunk(images: Tensor, pairs: Tensor, text: Tensor, image_grad: bool):
        if normalize:
            unit, norm = unit_differences(images, pairs)
            residual = text - unit
            grad_d = through_unit_norm(-2 * residual, unit, norm) if image_grad else None
        else:
            residual = text - differences(images, pairs)
            grad_d = -2 * residual if image_grad else None
        return residual.square().sum(), residual.mul_(2), grad_d

    mine = pair_index[row_offset : row_offset + len(text_embeds)]
    scale = 1 / (len(pair_index) * text_embeds.shape[1])
    return DiagonalLoss.apply(image_embeds, text_embeds, mine, chunk, scale, all_reduce)
