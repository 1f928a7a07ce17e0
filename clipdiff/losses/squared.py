"""The squared loss."""

from typing import Any

from clipdiff_kernels import squared_loss, squared_loss_rows
from torch import Tensor

from clipdiff.losses.base import DifferenceLoss


class SquaredLoss(DifferenceLoss):
    """Mean squared error between texts and differences (Sam 2025, App. G.2).

    Args:
        normalize: compare with the normalised difference instead of the raw one.
    """

    whole = staticmethod(squared_loss)
    block = staticmethod(squared_loss_rows)

    def __init__(self, normalize: bool = False):
        super().__init__()
        self.normalize = normalize

    def settings(self, group_ids: Tensor | None) -> dict[str, Any]:
        """Return whether to normalise; without negatives ``group_ids`` have no effect."""
        return {"normalize": self.normalize}
