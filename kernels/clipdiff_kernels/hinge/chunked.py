"""Hinge losses by products with the differences, a chunk of rows at a time: no N x N matrix."""

from typing import Any

from torch import Tensor

from clipdiff_kernels.hinge.rows import hinge_rows
from clipdiff_kernels.similarity import DirectSimilarity


def loss(image_embeds: Tensor, pair_index: Tensor, text_embeds: Tensor, **settings: Any) -> Tensor:
    """The loss of ``reference.loss`` in 2 products of N x N x D (``hardest``: 1, ``reversed``: 0).

    ``settings`` are those of ``hinge_rows``: margin, negatives, group_ids, and for a block of rows
    row_offset and all_reduce.
    """
    return hinge_rows(DirectSimilarity, image_embeds, pair_index, text_embeds, **settings)
