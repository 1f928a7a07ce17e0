"""Hinge losses as they are written down: an N x N matrix of cosines and its violations."""

import torch
from torch import Tensor

from ..reference import directions, no_negatives, widen


def loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    *,
    margin: float = 0.2,
    negatives: str = "all",
    group_ids: Tensor | None = None,
) -> Tensor:
    """Max-margin ranking in both directions over the ``negatives``, or over the swapped pair."""
    dhat, _ = directions(image_embeds, pair_index)
    text = widen(text_embeds)
    if negatives == "reversed":
        return (margin - 2 * (text * dhat).sum(1)).relu().mean()
    cosines = text @ dhat.T
    own = cosines.diagonal()
    if group_ids is None:
        group_ids = torch.arange(len(text), device=text.device)
    negative = cosines.masked_fill(no_negatives(group_ids), -torch.inf)
    by_row = (margin - own.unsqueeze(1) + negative).relu()  # text r against difference k
    by_column = (margin - own.unsqueeze(0) + negative).relu()  # difference k against text r
    if negatives == "hardest":
        return (by_row.max(1).values.sum() + by_column.max(0).values.sum()) / (2 * len(text))
    return (by_row.sum() + by_column.sum()) / (2 * len(text))
