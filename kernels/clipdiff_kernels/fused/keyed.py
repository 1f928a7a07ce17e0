"""Sums of rows by key: deterministic, where an index_add_ on a GPU is not."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..differences import through_unit_norm, unit_differences

PAIRS_PER_CHUNK = 1 << 15  # whose fp32 gradients are held at once


class Keyed(NamedTuple):
    """Entries sorted by key: bag b holds ``order[starts[b] : starts[b + 1]]``."""

    order: Tensor
    starts: Tensor

    @classmethod
    def of(cls, keys: Tensor, count: int) -> Keyed:
        """Sort entries by their keys (P,), 0 to ``count``, without waiting for the device."""
        ordered, order = keys.sort(stable=True)
        numbers = torch.arange(count, device=keys.device)
        return cls(order, torch.searchsorted(ordered, numbers))

    def sum(self, rows: Tensor, places: Tensor, weights: Tensor) -> Tensor:
        """(count, D) fp32: of each key the sum of weights_p rows[places_p] over its entries p.

        Args:
            rows: (S, D), any floating dtype.
            places: (P,) int64.
            weights: (P,).
        """
        rows = rows.float()
        return functional.embedding_bag(
            places[self.order], rows, self.starts, mode="sum",
            per_sample_weights=weights[self.order].to(rows.dtype),
        )  # fmt: skip


def unit_gradient_to_images(
    images: Tensor, pair_index: Tensor, grad_unit: Tensor, eps: float
) -> Tensor:
    """Gradient to X (M, D), fp32, of the gradient (N, D) to the directions, which is used up."""
    for low in range(0, len(pair_index), PAIRS_PER_CHUNK):
        part = slice(low, low + PAIRS_PER_CHUNK)
        unit, norm = unit_differences(images, pair_index[part], eps)
        grad_unit[part] = through_unit_norm(grad_unit[part], unit, norm, eps)
    return gradient_to_images(pair_index, grad_unit, len(images))


def gradient_to_images(pair_index: Tensor, grad_d: Tensor, num_images: int) -> Tensor:
    """Gradient to X (M, D), fp32, of that to the differences (N, D): plus at i_k, minus at j_k."""
    pairs = torch.arange(len(pair_index), device=grad_d.device)
    signs = torch.ones_like(pairs)
    bags = Keyed.of(pair_index.T.flatten(), num_images)
    return bags.sum(grad_d, torch.cat([pairs, pairs]), torch.cat([signs, -signs]))
