"""Every text and difference is a yes-or-no question of its own (SigLIP, Zhai 2023, eq. 1)."""

from typing import TYPE_CHECKING

from pydantic import Field

from clipdiff.losses.base import NegativesLoss

if TYPE_CHECKING:
    from torch import nn


class Sigmoid(NegativesLoss):
    """Binary cross entropy over all pairs of texts and differences."""

    kind: str = "sigmoid"
    logit_scale: float = Field(10.0, gt=0, description="inverse temperature")
    bias: float = Field(-2.0, description="added to every logit")

    def module(self) -> "nn.Module":
        """Return the loss as plain torch."""
        from differences_plus.modules.sigmoid_loss import SigmoidLoss

        return SigmoidLoss(self.logit_scale, self.bias)
