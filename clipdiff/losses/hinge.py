"""The hinge loss."""

from clipdiff_kernels import AllReduce, Stats, hinge_loss, hinge_loss_rows
from torch import Tensor, nn


class HingeLoss(nn.Module):
    """Max-margin ranking in both directions (Kiros 2014; Faghri 2018, eq. 4-6).

    Args:
        margin: by how much a text has to be nearer to its difference than to a negative.
        negatives: ``all`` of the batch, the ``hardest``, or the ``reversed`` pair only.
    """

    def __init__(self, margin: float = 0.2, negatives: str = "all"):
        super().__init__()
        self.margin = margin
        self.negatives = negatives

    def forward(
        self,
        image_embeds: Tensor,
        pair_index: Tensor,
        text_embeds: Tensor,
        group_ids: Tensor | None = None,
    ) -> tuple[Tensor, Stats]:
        """Return the scalar loss, mean over pairs, and detached statistics.

        Args:
            image_embeds: (M, D), L2-normalised.
            pair_index: (N, 2) int64, rows of ``image_embeds``.
            text_embeds: (N, D), L2-normalised, dtype of ``image_embeds``.
            group_ids: (N,) int64; pairs with equal ids are no negatives of each other.
        """
        return hinge_loss(
            image_embeds,
            pair_index,
            text_embeds,
            margin=self.margin,
            negatives=self.negatives,
            group_ids=group_ids,
            return_stats=True,
        )

    def rows(
        self,
        image_embeds: Tensor,
        pair_index: Tensor,
        text_embeds: Tensor,
        group_ids: Tensor | None = None,
        *,
        row_offset: int,
        all_reduce: AllReduce,
    ) -> tuple[Tensor, Stats]:
        """Return the same where ``text_embeds`` (n, D) are the rows from ``row_offset`` on."""
        return hinge_loss_rows(
            image_embeds,
            pair_index,
            text_embeds,
            margin=self.margin,
            negatives=self.negatives,
            group_ids=group_ids,
            row_offset=row_offset,
            all_reduce=all_reduce,
            return_stats=True,
        )
