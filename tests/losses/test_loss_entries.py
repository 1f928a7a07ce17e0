"""The losses' entries: what settings reach the kernels, what is refused, what is said of them."""

import pytest
import torch
from clipdiff_kernels import contrastive_loss, hinge_loss, squared_loss
from pydantic import ValidationError
from torch.nn.functional import normalize

from clipdiff.errors import ConfigError
from clipdiff.losses.base import LOSSES, BlockLoss, BoundedLoss, KernelLoss
from clipdiff.losses.contrastive import Contrastive
from clipdiff.losses.hinge import Hinge
from clipdiff.losses.squared import Squared


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    pair_index = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0]])
    images, texts = (normalize(torch.randn(4, 5), dim=1) for _ in range(2))
    return images, pair_index, texts


def test_settings_reach_the_kernels(inputs):
    for entry, expected in (
        (Contrastive(logit_scale=7), contrastive_loss(*inputs, 7.0)),
        (Squared(), squared_loss(*inputs)),
        (Squared(normalize=True), squared_loss(*inputs, normalize=True)),
        (Hinge(margin=0.5), hinge_loss(*inputs, margin=0.5)),
        (Hinge(negatives="hardest"), hinge_loss(*inputs, negatives="hardest")),
        (Hinge(negatives="reversed"), hinge_loss(*inputs, negatives="reversed")),
    ):
        module = entry.module()
        value, _ = module(*inputs)
        assert float(value) == float(expected)
        block, _ = module.rows(*inputs, row_offset=0, all_reduce=lambda tensor, _op: tensor)
        assert float(block) == pytest.approx(float(value))
        assert isinstance(module, BlockLoss)
        assert isinstance(module, BoundedLoss)
        assert isinstance(module, KernelLoss)


@pytest.mark.parametrize("entry", [Contrastive(), Squared(), Hinge()])
def test_the_precision_reaches_the_kernels(entry, inputs, monkeypatch):
    module = entry.module()
    module.precision = "bf16"
    monkeypatch.setenv("CLIPDIFF_KERNELS_BACKEND", "triton")
    told = ("triton", "bf16", "CLIPDIFF_KERNELS_BACKEND asks for it")
    assert module.choose_backend(*inputs[:2]) == told
    module.precision = "int8"
    everyone = {"row_offset": 0, "all_reduce": lambda tensor, _op: tensor}
    for call in (module, lambda *given: module.rows(*given, **everyone)):
        with pytest.raises(ValueError, match=r"precision must be .*'int8'"):
            call(*inputs)


def test_equal_texts_are_no_negatives(inputs):
    loss = Contrastive(logit_scale=5).module()
    apart = loss(*inputs)[0]
    masked = loss(*inputs, torch.tensor([0, 1, 1, 1]))[0]
    alone = loss(*inputs, torch.zeros(4, dtype=torch.int64))[0]
    assert float(masked) < float(apart)
    assert float(alone) == pytest.approx(0, abs=1e-6)


def test_who_is_told_of_equal_texts():
    assert Contrastive().groups_texts
    assert Hinge().groups_texts
    assert not Contrastive(mask_duplicates=False).groups_texts
    assert not Hinge(negatives="reversed").groups_texts
    assert not Squared().groups_texts


@pytest.mark.parametrize(("value", "expected"), [(-3.0, 1e-3), (250.0, 100.0), (10.0, 10.0)])
def test_temperature_stays_in_range(value, expected):
    loss = Contrastive(learn_logit_scale=True).module()
    with torch.no_grad():
        loss.logit_scale.fill_(value)
    loss.clamp_()
    assert loss.logit_scale.shape == (1,)
    assert loss.logit_scale.item() == pytest.approx(expected)


def test_a_temperature_learns_where_it_is_asked_to(inputs):
    for learns in (False, True):
        loss = Contrastive(logit_scale=5, learn_logit_scale=learns).module()
        loss(*inputs[:2], inputs[2].requires_grad_())[0].backward()
        assert (loss.logit_scale.grad is not None) == learns


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "contrastive", "margin": 0.5}, "margin"),
        ({"kind": "contrastive", "logit_scale": 0}, "greater than 0"),
        ({"kind": "contrastive", "logit_scale_lr": 0.1}, "no effect without learn_logit_scale"),
        ({"kind": "squared", "negatives": "hardest"}, "negatives"),
        ({"kind": "squared", "mask_duplicates": True}, "mask_duplicates"),
        ({"kind": "hinge", "margin": -1}, "greater than 0"),
        ({"kind": "hinge", "negatives": "most"}, "'all', 'hardest' or 'reversed'"),
        (
            {"kind": "hinge", "negatives": "reversed", "mask_duplicates": False},
            "no effect with negatives: reversed",
        ),
    ],
)
def test_senseless_settings_are_errors(values, message):
    with pytest.raises(ValidationError, match=message):
        LOSSES.make(values)


def test_an_unknown_kind_is_an_error_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"got 'hinges' \(did you mean 'hinge'\?\); allowed: con"):
        LOSSES.make({"kind": "hinges"})


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            Contrastive(logit_scale=25),
            "InfoNCE in both directions, logit_scale 25, equal texts masked",
        ),
        (
            Contrastive(learn_logit_scale=True, logit_scale_lr=0.1, mask_duplicates=False),
            "InfoNCE in both directions, logit_scale 1, learned at rate 0.1, equal texts are "
            "negatives",
        ),
        (Hinge(), "max-margin ranking, margin 0.2, over all negatives, equal texts masked"),
        (Hinge(negatives="reversed"), "max-margin ranking, margin 0.2, over the reversed pair"),
        (
            Squared(normalize=True),
            "mean squared error between text and direction of the difference",
        ),
    ],
)
def test_words(entry, words):
    assert entry.describe() == words
