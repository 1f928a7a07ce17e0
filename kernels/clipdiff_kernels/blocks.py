"""What the losses over blocks of rows share: the all-reduce they are given, and tile entries."""

from collections.abc import Callable

from torch import Tensor

AllReduce = Callable[[Tensor, str], Tensor]
"""(tensor, "sum" or "max") -> that tensor, reduced in place over all blocks.

The ops know no rank: with torch.distributed this is a few lines around ``all_reduce``.
"""


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


def alone(tensor: Tensor, _op: str) -> Tensor:
    """The all-reduce of a single block that holds all rows."""
    return tensor
