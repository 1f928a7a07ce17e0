"""The accuracies of the training log."""

import torch
from torch.nn.functional import normalize

from clipdiff.train.accuracy import in_batch_accuracy


def test_accuracy_both_ways():
    torch.manual_seed(0)
    pair_index = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0]])
    images = normalize(torch.randn(4, 5), dim=1)
    differences = images[pair_index[:, 0]] - images[pair_index[:, 1]]
    assert [float(a) for a in in_batch_accuracy(images, pair_index, differences)] == [1, 1]
    moved = differences.roll(1, 0)
    assert [float(a) for a in in_batch_accuracy(images, pair_index, moved)] == [0, 0]
    same = differences[:1].expand(4, -1)
    assert float(in_batch_accuracy(images, pair_index, same)[0]) == 0.25
