"""A kernel as a module: called on a whole batch, or on a rank's rows of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from clipdiff_kernels import AllReduce, Choice, Stats, choose_backend
from torch import Tensor, nn

Kernel = Callable[..., Tensor | tuple[Tensor, Stats]]


@dataclass(frozen=True)
class Learned:
    """A number of shape (1,) that the loss may learn, kept within its bounds after every step."""

    value: float
    learns: bool
    least: float
    most: float


class DifferenceLoss(nn.Module):
    """A loss between texts and differences.

    ``precision`` is what the kernels multiply in ("fp32", "bf16", "fp16"; None: the dtype of the
    texts, or autocast's). Sums are float32, and gradients have the dtypes of the embeddings.

    Args:
        op: the kernels' name, for ``choose_backend``.
        whole: the kernel of a whole batch, which is the block of all its rows.
        block: the kernel of some rows of a batch.
        options: keyword arguments of both.
        learned: parameters that both take by name.
        takes_groups: whether both take ``group_ids``.
    """

    def __init__(
        self,
        op: str,
        whole: Kernel,
        block: Kernel,
        options: dict[str, Any],
        learned: dict[str, Learned] | None = None,
        takes_groups: bool = True,
    ):
        super().__init__()
        self.op, self.whole, self.block, self.options = op, whole, block, options
        self.precision: str | None = None
        self.learned, self.takes_groups = learned or {}, takes_groups
        for name, each in self.learned.items():
            value = nn.Parameter(torch.tensor([each.value]), requires_grad=each.learns)
            self.register_parameter(name, value)

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
        result = self.whole(image_embeds, pair_index, text_embeds, **self._arguments(group_ids))
        return cast("tuple[Tensor, Stats]", result)

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
        arguments = self._arguments(group_ids) | {
            "row_offset": row_offset,
            "all_reduce": all_reduce,
        }
        result = self.block(image_embeds, pair_index, text_embeds, **arguments)
        return cast("tuple[Tensor, Stats]", result)

    def choose_backend(self, image_embeds: Tensor, pair_index: Tensor) -> Choice:
        """Return the backend that takes such a batch, the precision of its products, and why."""
        return choose_backend(self.op, image_embeds, pair_index, precision=self.precision)

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring learned numbers back into their bounds after a step."""
        for name, each in self.learned.items():
            self.get_parameter(name).clamp_(each.least, each.most)

    def _arguments(self, group_ids: Tensor | None) -> dict[str, Any]:
        groups = {"group_ids": group_ids} if self.takes_groups else {}
        learned = {name: self.get_parameter(name) for name in self.learned}
        how = {"precision": self.precision, "return_stats": True}
        return {**self.options, **learned, **groups, **how}
