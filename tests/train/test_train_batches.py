"""The order of training, and the learning rate."""

import numpy as np
import pytest
import torch

from clipdiff.settings import Train
from clipdiff.train.batches import epoch_batches, steps_per_epoch
from clipdiff.train.schedule import learning_rate

LENGTHS = torch.from_numpy(np.random.default_rng(0).integers(5, 60, 1003))


@pytest.mark.parametrize("batch", [1, 7, 128, 1002, 1003, 5000])
def test_every_row_once_in_batches_of_near_equal_size(batch):
    batches = epoch_batches(LENGTHS, batch, seed=1, epoch=0)
    assert len(batches) == steps_per_epoch(len(LENGTHS), batch)
    assert sorted(torch.cat(batches).tolist()) == list(range(len(LENGTHS)))
    sizes = [len(rows) for rows in batches]
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        return torch.cat(epoch_batches(LENGTHS, 64, seed, epoch)).tolist()

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(*key)) for key in ((1, 2), (2, 1), (1, 3), (-1, 2))}) == 4


def test_buckets_pad_less_than_random_batches():
    def padded(batches):
        return sum(int(LENGTHS[rows].max()) * len(rows) for rows in batches)

    bucketed = padded(epoch_batches(LENGTHS, 64, seed=0, epoch=0))
    at_random = padded(torch.randperm(len(LENGTHS)).split(64))
    assert bucketed < 0.8 * at_random


def rates(**changes):
    train = Train(lr=2.0, **changes)
    return [learning_rate(train, step, 20, step // 5) for step in range(20)]


def test_cosine_warms_up_peaks_and_falls_towards_zero():
    got = rates(schedule="cosine", warmup=0.2)
    assert got[:4] == pytest.approx([0.4, 0.8, 1.2, 1.6])
    assert got[4] == 2.0
    assert got[12] == pytest.approx(1.0)
    assert got[4:] == sorted(got[4:], reverse=True)
    assert 0 < got[-1] < 0.05


def test_exponential_falls_once_an_epoch():
    got = rates(schedule="exponential", gamma=0.5, warmup=0)
    assert got == [2.0] * 5 + [1.0] * 5 + [0.5] * 5 + [0.25] * 5


def test_constant():
    assert rates(schedule="constant", warmup=0) == [2.0] * 20
