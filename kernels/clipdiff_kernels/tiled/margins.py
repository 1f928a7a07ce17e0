"""The passes of the hinge losses over the tiles of a block.

The gradient of a hinge is a sum of signs: it needs no sum over the row first, so the pass that
finds the violations also multiplies them back (2 products of N x N x D, not 3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block
from ..scores import Maxima, Violations
from .direct import DirectSimilarity
from .entries import mask_group, own_entries


def violations(
    similarity: DirectSimilarity,
    block: Block,
    text: Tensor,
    own: Tensor,
    margin: float,
    column_own: Tensor,
    pull: bool,
) -> Violations:
    """Margins violated by the block's texts (n, D), whose own cosines are ``own`` (n,)."""
    total = own.new_zeros(())
    row_count, column_count = torch.zeros_like(own), torch.zeros_like(column_own)
    grad = torch.empty_like(text) if pull else None
    column_own = column_own.unsqueeze(1)
    for low, high in similarity.chunks(len(text)):
        cosines = similarity.cosines(text[low:high])
        kept = cosines.clone() if similarity.needs_cosines else None
        mask_group(cosines, block.group_ids, block.row_offset + low, -torch.inf)
        own_entries(cosines, block.row_offset + low).fill_(-torch.inf)
        by_column = (cosines - (column_own - margin)).clamp_min_(0)
        by_row = cosines.sub_(own[low:high] - margin).clamp_min_(0)
        total += by_row.sum() + by_column.sum()
        if grad is None:
            continue
        row_count[low:high] = by_row.sign_().sum(0)
        column_count += by_column.sign_().sum(1)
        grad[low:high] = similarity.pull(by_row.add_(by_column), kept, text[low:high])
    return Violations(total, row_count, column_count, grad)


def maxima(similarity: DirectSimilarity, block: Block, text: Tensor) -> Maxima:
    """The largest negative of each row and column; of equal ones the first."""
    row_max = text.new_empty(len(text))
    row_pair = torch.empty_like(row_max, dtype=torch.int64)
    column_max = text.new_full((block.num_pairs,), -torch.inf)
    column_row = torch.zeros_like(block.pair_index[:, 0])
    for low, high in similarity.chunks(len(text)):
        cosines = similarity.cosines(text[low:high])
        first = block.row_offset + low
        mask_group(cosines, block.group_ids, first, -torch.inf)
        own_entries(cosines, first).fill_(-torch.inf)
        row_max[low:high], row_pair[low:high] = cosines.max(0)
        chunk_max, chunk_row = cosines.max(1)
        column_row = torch.where(chunk_max > column_max, chunk_row + first, column_row)
        column_max = torch.maximum(chunk_max, column_max)
    return Maxima(row_max, row_pair, column_max, column_row)
