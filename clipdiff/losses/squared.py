"""The squared loss."""

from clipdiff_kernels import AllReduce, Stats, squared_loss, squared_loss_rows
from torch import Tensor, nn


class SquaredLoss(nn.Module):
    """Mean squared error between texts and differences (Sam 2025, App. G.2).

    Args:
        normalize: compare with the normalised difference instead of the raw one.
    """

    def __init__(self, normalize: bool = False):
        super().__init__()
        self.normalize = normalize

    def forward(
        self,
        image_embeds: Tensor,
        pair_index: Tensor,
        text_embeds: Tensor,
        group_ids: Tensor | None = None,
    ) -> tuple[Tensor, Stats]:
        """Return the scalar loss, mean over pairs and dimensions, and detached statistics.

        Args:
            image_embeds: (M, D), L2-normalised.
            pair_index: (N, 2) int64, rows of ``image_embeds``.
            text_embeds: (N, D), L2-normalised, dtype of ``image_embeds``.
            group_ids: without effect: this loss has no negatives.
        """
        return squared_loss(
            image_embeds, pair_index, text_embeds, normalize=self.normalize, return_stats=True
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
        return squared_loss_rows(
            image_embeds,
            pair_index,
            text_embeds,
            normalize=self.normalize,
            row_offset=row_offset,
            all_reduce=all_reduce,
            return_stats=True,
        )
