"""What training logs beside the loss."""

from typing import NamedTuple

import torch
from torch import Tensor

from .blocks import AllReduce, alone
from .differences import unit_differences


class Stats(NamedTuple):
    """Detached means over the pairs, each ()."""

    mean_cosine: Tensor
    """mean s_kk, a text with its own difference"""
    mean_norm: Tensor
    """mean n_k, length of a difference"""


@torch.no_grad()
def pair_stats(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    row_offset: int = 0,
    all_reduce: AllReduce = alone,
) -> Stats:
    """The means over all blocks in one O(n D) pass, without a device sync."""
    mine = pair_index[row_offset : row_offset + len(text_embeds)]
    unit, norm = unit_differences(image_embeds, mine)
    sums = torch.stack([(unit * text_embeds).sum(), norm.sum()])
    return Stats(*(all_reduce(sums, "sum") / len(pair_index)).unbind())


def with_stats(
    loss: Tensor,
    return_stats: bool,
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    row_offset: int = 0,
    all_reduce: AllReduce = alone,
) -> Tensor | tuple[Tensor, Stats]:
    """What an op returns: the loss or, if asked for, also the statistics."""
    if not return_stats:
        return loss
    return loss, pair_stats(
        image_embeds, pair_index, text_embeds, row_offset=row_offset, all_reduce=all_reduce
    )
