"""How the rows of a global batch lie over the ranks, and what the ranks tell each other."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


def share_sizes(count: int, ranks: int) -> list[int]:
    """Return how many of ``count`` rows each rank has: near equal, the first ones larger."""
    small, more = divmod(count, ranks)
    return [small + (rank < more) for rank in range(ranks)]


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; one alone needs no process group."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "Ranks":
        """Return this process's place in the default process group."""
        if not dist.is_initialized():
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    def share(self, count: int) -> slice:
        """Return this rank's contiguous rows of ``count``; empty if there are fewer than ranks."""
        sizes = share_sizes(count, self.size)
        start = sum(sizes[: self.rank])
        return slice(start, start + sizes[self.rank])

    def gather(self, rows: Tensor, count: int) -> Tensor:
        """Return all ranks' rows (count, D) of shares (n, D), detached; uneven shares are fine."""
        if self.size == 1:
            return rows.detach()
        sizes = share_sizes(count, self.size)
        padded = rows.new_zeros(sizes[0], *rows.shape[1:])
        padded[: len(rows)] = rows.detach()
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def all_reduce(self, tensor: Tensor, op: str) -> Tensor:
        """Reduce a tensor in place over the ranks by "sum" or "max", and return it."""
        if self.size > 1:
            dist.all_reduce(tensor, getattr(dist.ReduceOp, op.upper()))
        return tensor

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.size > 1:
            dist.barrier()
