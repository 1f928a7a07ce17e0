"""The hinge loss."""

from typing import Any

from clipdiff_kernels import hinge_loss, hinge_loss_rows
from torch import Tensor

from clipdiff.losses.base import DifferenceLoss


class HingeLoss(DifferenceLoss):
    """Max-margin ranking in both directions (Kiros 2014; Faghri 2018, eq. 4-6).

    Args:
        margin: by how much a text has to be nearer to its difference than to a negative.
        negatives: ``all`` of the batch, the ``hardest``, or the ``reversed`` pair only.
    """

    whole = staticmethod(hinge_loss)
    block = staticmethod(hinge_loss_rows)

    def __init__(self, margin: float = 0.2, negatives: str = "all"):
        super().__init__()
        self.margin = margin
        self.negatives = negatives

    def settings(self, group_ids: Tensor | None) -> dict[str, Any]:
        """Return margin, negatives and groups."""
        return {"margin": self.margin, "negatives": self.negatives, "group_ids": group_ids}
