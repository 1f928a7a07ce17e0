"""What the losses have in common: a kernel, called on a whole batch or on a rank's rows of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from clipdiff_kernels import AllReduce, Stats
from torch import Tensor, nn


class DifferenceLoss(nn.Module, ABC):
    """A loss between texts and differences; a subclass names its kernels and their settings."""

    whole: ClassVar[Callable[..., tuple[Tensor, Stats]]]
    """The kernel of a whole batch, as a staticmethod."""
    block: ClassVar[Callable[..., tuple[Tensor, Stats]]]
    """The kernel of some rows of a batch."""

    @abstractmethod
    def settings(self, group_ids: Tensor | None) -> dict[str, Any]:
        """Return the kernels' keyword arguments for this loss."""

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
        settings = self.settings(group_ids)
        return self.whole(image_embeds, pair_index, text_embeds, **settings, return_stats=True)

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

        The gradients to the images and to the loss's own parameters are this block's part.
        """
        return self.block(
            image_embeds,
            pair_index,
            text_embeds,
            **self.settings(group_ids),
            row_offset=row_offset,
            all_reduce=all_reduce,
            return_stats=True,
        )
