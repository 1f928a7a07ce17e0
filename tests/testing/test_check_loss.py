"""The kit's check of losses: what is built in passes, what is broken does not."""

import pytest
import torch
from clipdiff_kernels import Stats
from pydantic import ConfigDict
from torch import nn
from torch.nn.functional import mse_loss

from clipdiff.losses.base import LOSSES, LossEntry
from clipdiff.settings import Values
from clipdiff.testing import check_loss

SETTINGS: dict[str, list[Values]] = {
    "contrastive": [{}, {"logit_scale": 7, "learn_logit_scale": True, "mask_duplicates": False}],
    "hinge": [{"negatives": name} for name in ("all", "hardest", "reversed")],
    "squared": [{}, {"normalize": True}],
}


@pytest.mark.parametrize("kind", LOSSES.kinds)
def test_built_in_losses_pass(kind):
    for values in SETTINGS[kind]:
        check_loss(LOSSES.make({"kind": kind, **values}))


class Sound(nn.Module):
    """Mean squared error; the broken modules below change one thing of it."""

    def forward(self, image_embeds, pair_index, text_embeds, group_ids=None):
        first, second = pair_index.T
        difference = image_embeds[first] - image_embeds[second]
        value = self.value(text_embeds, difference)
        with torch.no_grad():
            return value, Stats(
                (text_embeds * difference).sum(1).mean(), difference.norm(dim=1).mean()
            )

    def value(self, texts, difference):
        return mse_loss(texts, difference)


class WrongGradient(Sound):
    def value(self, texts, difference):
        return mse_loss(texts, difference.detach())


class NoDirection(Sound):
    def value(self, texts, difference):
        return mse_loss(texts, difference / difference.norm(dim=1, keepdim=True))


class FirstPairOnly(Sound):
    def value(self, texts, difference):
        return mse_loss(texts[:1], difference[:1])


class NoScalar(Sound):
    def value(self, texts, difference):
        return (texts - difference).square().mean(1)


class HalfARank(Sound):
    """Its blocks tell each other nothing."""

    def rows(self, images, pairs, texts, group_ids=None, *, row_offset, all_reduce):
        return self(images, pairs[row_offset : row_offset + len(texts)], texts)


class Unbounded(Sound):
    """A learned weight that clamp_ leaves anywhere."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def value(self, texts, difference):
        return mse_loss(texts, difference) * self.scale.exp().squeeze()

    def clamp_(self):
        """Do nothing."""


class Entry(LossEntry):
    """A loss of a module that a test names."""

    kind: str = "broken"
    module_class: str = "Sound"

    def module(self) -> nn.Module:
        return globals()[self.module_class]()


class Silent(Entry):
    def describe(self) -> str:
        return " "


class Careless(Entry):
    model_config = ConfigDict(extra="ignore")


def test_a_sound_loss_passes():
    check_loss(Entry())


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (Entry(module_class="WrongGradient"), "gradient to image_embeds is .* away"),
        (Entry(module_class="NoDirection"), "with a pair of equal images the loss is nan"),
        (Entry(module_class="FirstPairOnly"), "depends on the order of the pairs"),
        (Entry(module_class="NoScalar"), "has to be a scalar"),
        (Entry(module_class="HalfARank"), r"rows\(\) gives the loss .* on rank 0 of 2"),
        (Entry(module_class="Unbounded"), r"and clamp_\(\) the loss is inf"),
        (Silent(), r"describe\(\) is empty"),
        (Careless(), "takes a setting that it does not have"),
    ],
)
def test_broken_losses_fail(entry, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_loss(entry)
