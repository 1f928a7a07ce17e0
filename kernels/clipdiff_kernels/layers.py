"""The losses as modules: settings are told once, a batch at each call."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .checks import check_logit_scale
from .contrastive import contrastive_loss
from .differences import EPS, accumulate_dtype
from .hinge import hinge_loss
from .squared import squared_loss
from .stats import Stats


class LossModule(nn.Module):
    """What the three have in common: settings that are the function's keyword arguments."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())


class ContrastiveDifferenceLoss(LossModule):
    """``contrastive_loss``, with a logit scale that may be learned.

    ``logit_scale`` is a parameter of shape (), as in CLIP the logarithm of what multiplies the
    cosines: it has its entry in ``state_dict``, learned or not. Nothing bounds it. CLIP does so
    after each step: ``with torch.no_grad(): loss.logit_scale.clamp_(0, math.log(100))``.

    Args:
        logit_scale: what multiplies the cosines at the start, positive; CLIP starts at 1 / 0.07.
        learnable: whether the parameter wants a gradient.
        eps, backend, precision, return_stats: as in ``contrastive_loss``.
    """

    def __init__(
        self,
        logit_scale: float = 1 / 0.07,
        *,
        learnable: bool = False,
        eps: float = EPS,
        backend: str = "auto",
        precision: str | None = None,
        return_stats: bool = False,
    ) -> None:
        super().__init__(eps=eps, backend=backend, precision=precision, return_stats=return_stats)
        check_logit_scale(logit_scale, torch.empty(0))
        start = torch.tensor(math.log(logit_scale), dtype=torch.float32)
        self.logit_scale = nn.Parameter(start, requires_grad=learnable)

    def forward(
        self,
        image_embeds: Tensor,
        pair_index: Tensor,
        text_embeds: Tensor,
        group_ids: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Stats]:
        """The loss (), or (loss, Stats); X (M, D), pairs (N, 2), texts (N, D), ids (N,)."""
        # a parameter of 16 bits must not round its exponential, too
        scale = self.logit_scale.to(accumulate_dtype(self.logit_scale)).exp()
        return contrastive_loss(
            image_embeds, pair_index, text_embeds, scale, group_ids=group_ids, **self.settings
        )

    def extra_repr(self) -> str:
        return f"learnable={self.logit_scale.requires_grad}, {super().extra_repr()}"


class SquaredDifferenceLoss(LossModule):
    """``squared_loss``; arguments as there."""

    def __init__(
        self,
        *,
        normalize: bool = False,
        backend: str = "auto",
        precision: str | None = None,
        return_stats: bool = False,
    ) -> None:
        super().__init__(
            normalize=normalize, backend=backend, precision=precision, return_stats=return_stats
        )

    def forward(
        self,
        image_embeds: Tensor,
        pair_index: Tensor,
        text_embeds: Tensor,
        group_ids: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Stats]:
        """The loss (), or (loss, Stats). It knows no negatives: ``group_ids`` have no effect."""
        return squared_loss(image_embeds, pair_index, text_embeds, **self.settings)


class HingeDifferenceLoss(LossModule):
    """``hinge_loss``; arguments as there."""

    def __init__(
        self,
        *,
        margin: float = 0.2,
        negatives: str = "all",
        backend: str = "auto",
        precision: str | None = None,
        return_stats: bool = False,
    ) -> None:
        super().__init__(
            margin=margin, negatives=negatives,
            backend=backend, precision=precision, return_stats=return_stats,
        )  # fmt: skip

    def forward(
        self,
        image_embeds: Tensor,
        pair_index: Tensor,
        text_embeds: Tensor,
        group_ids: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Stats]:
        """The loss (), or (loss, Stats); X (M, D), pairs (N, 2), texts (N, D), ids (N,)."""
        return hinge_loss(
            image_embeds, pair_index, text_embeds, group_ids=group_ids, **self.settings
        )
