"""Max-margin ranking in both directions (Kiros 2014; Faghri 2018, eq. 4-6)."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from clipdiff.losses.base import NegativesLoss

if TYPE_CHECKING:
    from clipdiff.losses.modules.difference_loss import DifferenceLoss


class Hinge(NegativesLoss):
    """A text has to be nearer to its own difference than to a negative, by a margin."""

    kind: Literal["hinge"] = "hinge"
    margin: float = Field(0.2, gt=0, description="of cosines")
    negatives: Literal["all", "hardest", "reversed"] = Field(
        "all", description="all of the batch, the hardest, or the reversed pair only"
    )

    @model_validator(mode="after")
    def _duplicates_among_negatives(self) -> Self:
        if self.negatives == "reversed" and not self.mask_duplicates:
            raise ValueError("mask_duplicates has no effect with negatives: reversed; remove it")
        return self

    @property
    def groups_texts(self) -> bool:
        """A pair's own reversal is the only negative there, whatever other pairs say."""
        return self.negatives != "reversed" and self.mask_duplicates

    def describe(self) -> str:
        """Say the margin, and what the negatives are."""
        negatives = {
            "all": f"over all negatives, {self.duplicates}",
            "hardest": f"over the hardest negative, {self.duplicates}",
            "reversed": "over the reversed pair",
        }[self.negatives]
        return f"max-margin ranking, margin {self.margin:g}, {negatives}"

    def module(self) -> "DifferenceLoss":
        """Return the hinge kernels with margin and negatives."""
        from clipdiff_kernels import hinge_loss, hinge_loss_rows

        from clipdiff.losses.modules.difference_loss import DifferenceLoss

        options = {"margin": self.margin, "negatives": self.negatives}
        return DifferenceLoss("hinge", hinge_loss, hinge_loss_rows, options)
