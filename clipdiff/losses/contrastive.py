"""The contrastive loss with its temperature."""

import torch
from clipdiff_kernels import AllReduce, Stats, contrastive_loss, contrastive_loss_rows
from torch import Tensor, nn

SMALLEST, LARGEST = 1e-3, 100.0


class ContrastiveLoss(nn.Module):
    """InfoNCE in both directions between texts and differences (Radford 2021; Sam 2025, eq. 3-4).

    Args:
        logit_scale: inverse temperature, in (0, 100]; apart from CLIP's own ``logit_scale``.
        learnable: whether ``logit_scale``, a parameter of shape (1,), is trained.
    """

    def __init__(self, logit_scale: float = 1.0, learnable: bool = False):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor([logit_scale]), requires_grad=learnable)

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
        return contrastive_loss(
            image_embeds,
            pair_index,
            text_embeds,
            self.logit_scale,
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
        """Return the same where ``text_embeds`` (n, D) are the rows from ``row_offset`` on.

        The gradient to ``logit_scale`` is this block's part of it.
        """
        return contrastive_loss_rows(
            image_embeds,
            pair_index,
            text_embeds,
            self.logit_scale,
            group_ids=group_ids,
            row_offset=row_offset,
            all_reduce=all_reduce,
            return_stats=True,
        )

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring ``logit_scale`` back into (0, 100] after a step."""
        self.logit_scale.clamp_(SMALLEST, LARGEST)
