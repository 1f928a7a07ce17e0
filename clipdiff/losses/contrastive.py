"""The contrastive loss with its temperature."""

from typing import Any

import torch
from clipdiff_kernels import contrastive_loss, contrastive_loss_rows
from torch import Tensor, nn

from clipdiff.losses.base import DifferenceLoss

SMALLEST, LARGEST = 1e-3, 100.0


class ContrastiveLoss(DifferenceLoss):
    """InfoNCE in both directions between texts and differences (Radford 2021; Sam 2025, eq. 3-4).

    Args:
        logit_scale: inverse temperature, in (0, 100]; apart from CLIP's own ``logit_scale``.
        learnable: whether ``logit_scale``, a parameter of shape (1,), is trained.
    """

    whole = staticmethod(contrastive_loss)
    block = staticmethod(contrastive_loss_rows)

    def __init__(self, logit_scale: float = 1.0, learnable: bool = False):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor([logit_scale]), requires_grad=learnable)

    def settings(self, group_ids: Tensor | None) -> dict[str, Any]:
        """Return the temperature and the groups."""
        return {"logit_scale": self.logit_scale, "group_ids": group_ids}

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring ``logit_scale`` back into (0, 100] after a step."""
        self.logit_scale.clamp_(SMALLEST, LARGEST)
