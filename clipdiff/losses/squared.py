"""Mean squared error between texts and differences (Sam 2025, App. G.2)."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clipdiff.losses.base import LossEntry

if TYPE_CHECKING:
    from clipdiff.losses.modules.difference_loss import DifferenceLoss


class Squared(LossEntry):
    """The raw difference is compared, or its direction; there are no negatives."""

    kind: Literal["squared"] = "squared"
    normalize: bool = Field(False, description="compare with the normalised difference")

    def describe(self) -> str:
        """Say what the texts are compared with."""
        target = "direction of the difference" if self.normalize else "raw difference"
        return f"mean squared error between text and {target}"

    def module(self) -> "DifferenceLoss":
        """Return the squared kernels."""
        from clipdiff_kernels import squared_loss, squared_loss_rows

        from clipdiff.losses.modules.difference_loss import DifferenceLoss

        options = {"normalize": self.normalize}
        return DifferenceLoss(
            "squared", squared_loss, squared_loss_rows, options, takes_groups=False
        )
