"""What every loss is made of: the settings of an entry of ``loss_definitions``, and its module."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from pydantic import Field, ValidationError

from clipdiff.errors import ConfigError
from clipdiff.registry import Entry, Registry
from clipdiff.settings.training import TrainChanges

if TYPE_CHECKING:
    from clipdiff_kernels import AllReduce, Choice, Stats
    from torch import Tensor, nn


@runtime_checkable
class BlockLoss(Protocol):
    """A module that also computes its loss from a rank's rows of a batch.

    Any other module is given the texts of all ranks.
    """

    def rows(
        self,
        image_embeds: "Tensor",
        pair_index: "Tensor",
        text_embeds: "Tensor",
        group_ids: "Tensor | None" = None,
        *,
        row_offset: int,
        all_reduce: "AllReduce",
    ) -> "tuple[Tensor, Stats]":
        """Return the loss of the whole batch, whose texts (n, D) from ``row_offset`` on are here.

        The gradients to the images and to the loss's own parameters are this block's part: their
        sum over the blocks is the whole one. ``all_reduce`` makes a tensor the sum, or the
        maximum, over all blocks.
        """


@runtime_checkable
class KernelLoss(Protocol):
    """A module that ``clipdiff_kernels`` computes, in a precision that training sets.

    Any other module is given float32 embeddings, whatever ``train.precision`` says.
    """

    precision: str | None
    """What the kernels multiply in, as their argument of that name; None: as the embeddings are."""

    def choose_backend(self, image_embeds: "Tensor", pair_index: "Tensor") -> "Choice":
        """Return the backend that takes such a batch, the precision of its products, and why.

        Args:
            image_embeds: (M, D), the distinct images of the batch.
            pair_index: (N, 2), rows of them.
        """


@runtime_checkable
class BoundedLoss(Protocol):
    """A module whose own parameters have bounds."""

    def clamp_(self) -> None:
        """Bring them back into their bounds; called after every step."""


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

        It is called as :class:`clipdiff.losses.modules.difference_loss.DifferenceLoss` is, and
        returns a scalar, the mean over the pairs, and ``clipdiff_kernels.Stats``. It may be a
        :class:`BlockLoss`, a :class:`KernelLoss` and a :class:`BoundedLoss`, too.
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
        facts = {name: value for name, value in self.result().items() if value is not None}
        return ", ".join([facts.pop("kind"), *(f"{name} {value}" for name, value in facts.items())])


class NegativesLoss(LossEntry):
    """A loss that tells a text's own difference from those of the other pairs of the batch."""

    mask_duplicates: bool = Field(True, description="equal texts in a batch are no negatives")

    @property
    def groups_texts(self) -> bool:
        """Equal texts are no negatives, unless the entry says so."""
        return self.mask_duplicates

    @property
    def duplicates(self) -> str:
        """What becomes of equal texts, in words."""
        return "equal texts masked" if self.groups_texts else "equal texts are negatives"


LOSSES = Registry(LossEntry)


def describe_loss(values: Mapping[str, Any]) -> str:
    """Return a loss in words, of its settings as a provenance has them.

    A loss that is not installed here, or has changed, is described by its settings.
    """
    try:
        return LOSSES.make(values).describe()
    except (ConfigError, ValidationError):
        return ", ".join(f"{name} {value}" for name, value in values.items())
