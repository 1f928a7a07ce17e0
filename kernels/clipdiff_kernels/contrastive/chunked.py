"""Contrastive loss by products with the differences, a chunk of rows at a time: no N x N matrix."""

from typing import Any

from torch import Tensor

from clipdiff_kernels.contrastive.rows import contrastive_rows
from clipdiff_kernels.similarity import DirectSimilarity


def loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    logit_scale: float | Tensor,
    **settings: Any,
) -> Tensor:
    """The loss of ``reference.loss`` in 3 products of N x N x D (4 with an image gradient).

    ``settings`` are those of ``contrastive_rows``: group_ids, eps, and for a block of rows
    row_offset and all_reduce.
    """
    return contrastive_rows(
        DirectSimilarity, image_embeds, pair_index, text_embeds, logit_scale, **settings
    )
