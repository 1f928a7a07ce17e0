"""A block of texts against all differences, and what blocks tell each other.

Every loss is that of a block: n texts, rows ``row_offset`` to ``row_offset + n`` of all N. The
whole batch is the block with ``row_offset`` 0 and nobody to tell anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

AllReduce = Callable[[Tensor, str], Tensor]
"""(tensor, "sum" or "max") -> that tensor, reduced in place over all blocks.

The ops know no rank: with torch.distributed this is a few lines around ``all_reduce``.
"""


class Block(NamedTuple):
    """What every backend computes a loss from."""

    image_embeds: Tensor  # (M, D)
    pair_index: Tensor  # (N, 2) int64
    text_embeds: Tensor  # (n, D)
    row_offset: int = 0
    group_ids: Tensor | None = None  # (N,) integers
    eps: float = 1e-6

    @property
    def num_pairs(self) -> int:
        """N."""
        return len(self.pair_index)

    @property
    def rows(self) -> slice:
        """This block's rows among all N."""
        return slice(self.row_offset, self.row_offset + len(self.text_embeds))


def alone(tensor: Tensor, _op: str) -> Tensor:
    """The all-reduce of a single block that holds all rows."""
    return tensor


_HANDLES = itertools.count(1)
_EXCHANGES: dict[int, AllReduce] = {0: alone}


class Exchange:
    """``with Exchange(all_reduce) as handle``: a number that stands for a function.

    A custom op takes tensors and numbers only; it asks ``exchange_of`` for the function.
    """

    def __init__(self, all_reduce: AllReduce):
        self.all_reduce = all_reduce
        self.handle = 0

    def __enter__(self) -> int:
        if self.all_reduce is not alone:
            self.handle = next(_HANDLES)
            _EXCHANGES[self.handle] = self.all_reduce
        return self.handle

    def __exit__(self, *_: object) -> None:
        if self.handle:
            del _EXCHANGES[self.handle]


def exchange_of(handle: int) -> AllReduce:
    """The all-reduce that a handle stands for; 0 is a single block's."""
    return _EXCHANGES[handle]


def gather_own(own: Tensor, block: Block, all_reduce: AllReduce) -> Tensor:
    """s_kk (N,) of all blocks from the (n,) of each: N numbers moved."""
    everyone = own.new_zeros(block.num_pairs)
    everyone[block.rows] = own
    return all_reduce(everyone, "sum")


def join_columns(column_lse: Tensor, all_reduce: AllReduce) -> Tensor:
    """log sum over all rows of exp z_rk, (N,), from that over each block's: 2 N numbers moved."""
    highest = all_reduce(column_lse.clone(), "max")
    total = all_reduce((column_lse - highest).exp_(), "sum")
    return total.log_().add_(highest)
