"""Hinge losses by products with the images and gathers: the backend for N well above M."""

from typing import Any

from torch import Tensor

from clipdiff_kernels.gather import GatherSimilarity
from clipdiff_kernels.hinge.rows import hinge_rows


def loss(image_embeds: Tensor, pair_index: Tensor, text_embeds: Tensor, **settings: Any) -> Tensor:
    """The loss of ``reference.loss`` in 2 products of N x M x D (``hardest``: 1, ``reversed``: 0).

    ``settings`` are those of ``hinge_rows``: margin, negatives, group_ids, and for a block of rows
    row_offset and all_reduce.
    """
    return hinge_rows(GatherSimilarity, image_embeds, pair_index, text_embeds, **settings)
