"""The sigmoid loss as a module."""

import torch
from clipdiff_kernels import Stats
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

SHORT = 1e-6  # a shorter difference has no direction


class SigmoidLoss(nn.Module):
    """A matrix of texts and differences, N x N; over ranks, every rank computes it whole."""

    def __init__(self, logit_scale: float, bias: float):
        super().__init__()
        self.logit_scale, self.bias = logit_scale, bias

    def forward(
        self,
        image_embeds: Tensor,
        pair_index: Tensor,
        text_embeds: Tensor,
        group_ids: Tensor | None = None,
    ) -> tuple[Tensor, Stats]:
        """Return the loss, a mean over texts, and the statistics of the training log."""
        difference = image_embeds[pair_index[:, 0]] - image_embeds[pair_index[:, 1]]  # (N, D)
        squares = difference.square().sum(1, keepdim=True)
        length = squares.clamp_min(SHORT**2).sqrt()  # whose gradient is 0 below the clamp
        cosines = text_embeds @ (difference / length).T  # texts x differences
        own = torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
        logits = self.logit_scale * cosines + self.bias
        losses = -logsigmoid(torch.where(own, logits, -logits))
        if group_ids is not None:
            losses = losses.masked_fill((group_ids[:, None] == group_ids) & ~own, 0)
        stats = Stats(cosines.diagonal().mean().detach(), length.mean().detach())
        return losses.sum() / len(losses), stats
