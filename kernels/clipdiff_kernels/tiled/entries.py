"""Entries of a tile (N, c): its own ones, and those of equal groups."""

from __future__ import annotations

from torch import Tensor


def own_entries(tile: Tensor, first_row: int) -> Tensor:
    """View of the entries (r, r) in a tile (N, c) of the rows from ``first_row`` on."""
    return tile[first_row : first_row + tile.shape[1]].diagonal()


def mask_group(tile: Tensor, group_ids: Tensor | None, first_row: int, value: float) -> None:
    """Write ``value`` at the off-diagonal entries of a tile (N, c) whose group ids are equal."""
    if group_ids is None:
        return
    own = own_entries(tile, first_row).clone()
    rows = group_ids[first_row : first_row + tile.shape[1]]
    tile.masked_fill_(group_ids.unsqueeze(1) == rows, value)
    own_entries(tile, first_row).copy_(own)
