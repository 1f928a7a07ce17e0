"""Losses as modules for someone else's trainer."""

import pytest
import torch
from torch.nn.functional import normalize

from clipdiff import make_loss
from clipdiff.errors import ConfigError
from clipdiff.losses.base import LossEntry


class NoModule(LossEntry):
    """What other losses could derive from."""


def test_a_loss_is_a_module_that_trains() -> None:
    torch.manual_seed(0)
    images = normalize(torch.randn(6, 8), dim=1)
    pairs = torch.tensor([[0, 1], [2, 3], [4, 5]])
    texts = torch.nn.Parameter(torch.randn(3, 8))
    loss = make_loss("contrastive", logit_scale=10.0, learn_logit_scale=True)
    optimizer = torch.optim.SGD([texts, *loss.parameters()], lr=0.1)
    values = []
    for _ in range(20):
        value, stats = loss(images, pairs, normalize(texts, dim=1))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        loss.clamp_()
        values.append(value.item())
    assert values[-1] < values[0] / 2
    assert stats is not None
    assert loss.logit_scale.item() != 10.0


def test_settings_are_those_of_an_entry() -> None:
    images = normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    pairs = torch.tensor([[0, 1], [2, 3]])
    values = [float(make_loss("hinge", margin=m)(images, pairs, images[:2])[0]) for m in (0.1, 2.0)]
    assert values[1] > values[0]


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("hinje", {}, r"got 'hinje' \(did you mean 'hinge'\?\); allowed: contrastive, hinge"),
        ("hinge", {"margn": 1}, r"unknown key 'margn' \(did you mean 'margin'\?\); allowed: marg"),
        ("hinge", {"margin": -1}, "margin: got -1: Input should be greater than 0"),
        ("contrastive", {"logit_scale_lr": 1.0}, "has no effect without learn_logit_scale"),
        ("no.such:Loss", {}, "'no.such:Loss' can't be imported"),
        (":x", {}, "':x' can't be imported"),
        ("clipdiff.losses.base:LossEntry", {}, "LossEntry"),
        (f"{__name__}:NoModule", {}, "NoModule defines no module; name a LossEntry that does"),
        (None, {}, "make_loss: got None; expected one of contrastive, hinge"),
        ("hinge", {"train": {"lr": 0.1}}, "train has no effect on a module; remove it"),
    ],
)
def test_what_is_not_allowed_is_told(
    kind: str | None, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_loss(kind, **settings)  # type: ignore[arg-type]
