"""What every loss is made of: the settings of an entry of ``loss_definitions``, and its module."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationError

from clipdiff.errors import ConfigError
from clipdiff.registry import Entry, Registry
from clipdiff.settings.training import TrainChanges

if TYPE_CHECKING:
    from torch import nn


class LossEntry(Entry):
    """One entry of ``loss_definitions``."""

    room: ClassVar[str] = "clipdiff.losses"

    train: TrainChanges = Field(
        default_factory=TrainChanges,
        exclude=True,  # what it changes stands in the section of the cell
        description="keys of the section train that differ for the cells of this entry",
    )

    def module(self) -> "nn.Module":
        """Return the loss as a module.

        It is called as ``module(image_embeds, pair_index, text_embeds, group_ids)`` with what
        :class:`clipdiff.losses.modules.difference_loss.DifferenceLoss` takes, and returns a scalar
        and ``clipdiff_kernels.Stats``. A module that also has ``rows`` does without gathering the
        texts of all ranks; ``clamp_()``, if it has one, is called after every step.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no module")

    @property
    def groups_texts(self) -> bool:
        """Whether the module is told which texts of a batch are equal (``group_ids``)."""
        return False

    @property
    def own_lr(self) -> float | None:
        """Learning rate of the module's own parameters; None: that of the section ``train``."""
        return None

    def describe(self) -> str:
        """Return the loss in words, for the report, ``trace`` and the model card."""
        facts = self.result()
        facts.pop("kind")
        return ", ".join([self.kind, *(f"{name} {value}" for name, value in facts.items())])


class NegativesLoss(LossEntry):
    """A loss that tells a text's own difference from those of the other pairs of the batch."""

    mask_duplicates: bool = Field(True, description="equal texts in a batch are no negatives")

    @property
    def groups_texts(self) -> bool:
        """Equal texts are no negatives, unless the entry says so."""
        return self.mask_duplicates


LOSSES = Registry(LossEntry)


def describe_loss(values: Mapping[str, Any]) -> str:
    """Return a loss in words, of its settings as a provenance has them.

    A loss that is not installed here, or has changed, is told by its settings.
    """
    try:
        return LOSSES.make(values).describe()
    except (ConfigError, ValidationError):
        return ", ".join(f"{name} {value}" for name, value in values.items())
