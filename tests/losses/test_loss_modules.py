"""The loss modules: what settings reach the kernels, and the temperature's range."""

import pytest
import torch
from clipdiff_kernels import hinge_loss, squared_loss
from torch.nn.functional import normalize

from clipdiff.settings import Loss
from clipdiff.train.accuracy import in_batch_accuracy
from clipdiff.losses.contrastive import ContrastiveLoss
from clipdiff.losses.make import make_loss


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    pair_index = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0]])
    images, texts = (normalize(torch.randn(4, 5), dim=1) for _ in range(2))
    return images, pair_index, texts


def test_settings_reach_the_kernels(inputs):
    images, pair_index, texts = inputs
    for settings, expected in (
        (Loss(kind="squared"), squared_loss(images, pair_index, texts)),
        (Loss(kind="squared", normalize=True), squared_loss(*inputs, normalize=True)),
        (Loss(kind="hinge", margin=0.5), hinge_loss(*inputs, margin=0.5)),
        (Loss(kind="hinge", negatives="hardest"), hinge_loss(*inputs, negatives="hardest")),
        (Loss(kind="hinge", negatives="reversed"), hinge_loss(*inputs, negatives="reversed")),
    ):
        assert float(make_loss(settings)(*inputs)[0]) == float(expected)


def test_equal_texts_are_no_negatives(inputs):
    loss = make_loss(Loss(kind="contrastive", logit_scale=5))
    apart = loss(*inputs)[0]
    masked = loss(*inputs, torch.tensor([0, 1, 1, 1]))[0]
    alone = loss(*inputs, torch.zeros(4, dtype=torch.int64))[0]
    assert float(masked) < float(apart)
    assert float(alone) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("value", "expected"), [(-3.0, 1e-3), (250.0, 100.0), (10.0, 10.0)])
def test_temperature_stays_in_range(value, expected):
    loss = ContrastiveLoss(10.0, learnable=True)
    with torch.no_grad():
        loss.logit_scale.fill_(value)
    loss.clamp_()
    assert loss.logit_scale.shape == (1,)
    assert loss.logit_scale.item() == pytest.approx(expected)


def test_accuracy_both_ways(inputs):
    images, pair_index, _ = inputs
    differences = images[pair_index[:, 0]] - images[pair_index[:, 1]]
    assert [float(a) for a in in_batch_accuracy(images, pair_index, differences)] == [1, 1]
    moved = differences.roll(1, 0)
    assert [float(a) for a in in_batch_accuracy(images, pair_index, moved)] == [0, 0]
    same = differences[:1].expand(4, -1)
    assert float(in_batch_accuracy(images, pair_index, same)[0]) == 0.25
