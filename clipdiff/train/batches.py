"""The order of training: batches of near equal size and texts of like length, fixed by a seed."""

import math

import numpy as np
import torch
from torch import Tensor

from clipdiff.train.ranks import share_sizes

POOL = 8  # batches whose texts are sorted together: shorter padding, yet random negatives


def steps_per_epoch(count: int, batch: int) -> int:
    """Return how many batches of at most ``batch`` rows make an epoch."""
    return math.ceil(count / batch)


def epoch_batches(lengths: Tensor, batch: int, seed: int, epoch: int) -> list[Tensor]:
    """Return the rows of every batch of one epoch, each row once.

    The rows are shuffled; within each pool of 8 batches texts of similar length come together; then
    batches and the rows within them are shuffled again, so that the ranks' shares weigh the same.

    Args:
        lengths: (N,) int64 tokens of each text.
        batch: most rows of a batch; sizes differ by one at most, so none is tiny.
        seed, epoch: what the order depends on, and nothing else.

    Returns:
        (n,) int64 rows of each of ``steps_per_epoch(N, batch)`` batches.
    """
    rng = np.random.default_rng([seed % 2**32, epoch])
    sizes = share_sizes(len(lengths), steps_per_epoch(len(lengths), batch))
    order, batches, start = rng.permutation(len(lengths)), [], 0
    for first in range(0, len(sizes), POOL):
        pooled = sizes[first : first + POOL]
        pool = order[start : start + sum(pooled)]
        pool = pool[np.argsort(lengths.numpy()[pool], kind="stable")]
        batches += np.split(pool, np.cumsum(pooled)[:-1])
        start += sum(pooled)
    return [torch.from_numpy(rng.permutation(batches[i])) for i in rng.permutation(len(batches))]
