"""What the fused losses gather from: G = rows T^T, rows the centred images and a few differences.

A cosine is (G[i_k] - G[j_k]) / n_k, so an error of G comes out 1 / n_k times as large. Hence three
things: X is centred (differences stay, the common part that would cancel goes); in 16 bits each row
is a sum of two; and the shortest pairs get a row of their own, dhat_k, against a row of zeros. How
many pairs are short is known to the device only, and asking would wait for it: so there is room for
a fixed number, and the shortest take it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..differences import SHORT, unit_differences

DIRECT_PAIRS = 256
"""Most pairs with n_k < SHORT that are multiplied directly. Near-duplicate images are rare; the
rest, longer than these, keep the error of the trick."""

LOST = 1e-5
"""Of pairs shorter than this the trick keeps no digit: those without a row of their own are taken
for pairs without a direction."""


class GatherTable(NamedTuple):
    """The cosine of text r and pair k is (G[first_k, r] - G[second_k, r]) * inverse_k."""

    rows: Tensor  # (M', D) fp32: M centred images, directions of the shortest pairs, zeros
    pair_index: Tensor  # (N, 2) int64: rows (first, second)
    inverse: Tensor  # (N,) fp32: 1 / n_k, or 1 where the row is a direction


def gather_table(images: Tensor, pair_index: Tensor, inv_norm: Tensor, eps: float) -> GatherTable:
    """Build the table on the device, without waiting for it.

    Args:
        images: (M, D).
        pair_index: (N, 2) int64.
        inv_norm: (N,) fp32, 1 / max(n_k, eps).
        eps: length below which a difference has no direction.
    """
    wide = images.float()
    steepest, places = inv_norm.topk(min(DIRECT_PAIRS, len(pair_index)))
    directions, _ = unit_differences(images, pair_index[places], eps)
    rows = torch.cat([wide - wide.mean(0), directions, wide.new_zeros(1, wide.shape[1])])
    own = torch.arange(len(images), len(rows) - 1, device=images.device)
    own = torch.stack([own, torch.full_like(own, len(rows) - 1)], 1)
    short = steepest > 1 / SHORT
    routed, inverse = pair_index.clone(), torch.where(inv_norm > 1 / LOST, 0.0, inv_norm)
    routed[places] = torch.where(short.unsqueeze(1), own, pair_index[places])
    inverse[places] = torch.where(short, 1.0, steepest)
    return GatherTable(rows, routed, inverse)
