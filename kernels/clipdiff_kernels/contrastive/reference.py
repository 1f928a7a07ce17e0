"""Contrastive loss as it is written down: an N x N matrix and two cross entropies."""

import torch
from torch import Tensor
from torch.nn import functional

from ..differences import EPS
from ..reference import directions, no_negatives, widen


def loss(
    image_embeds: Tensor,
    pair_index: Tensor,
    text_embeds: Tensor,
    logit_scale: float | Tensor,
    *,
    group_ids: Tensor | None = None,
    eps: float = EPS,
) -> Tensor:
    """L = 1/2 [mean_r CE(z_r., r) + mean_k CE(z_.k, k)], z = logit_scale T dhat^T (N, N)."""
    if isinstance(logit_scale, Tensor):
        logit_scale = widen(logit_scale).reshape(())
    dhat, _ = directions(image_embeds, pair_index, eps)
    logits = logit_scale * (widen(text_embeds) @ dhat.T)
    if group_ids is not None:
        logits = logits.masked_fill(no_negatives(group_ids) & ~_diagonal(logits), -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    return (
        functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
    ) / 2


def _diagonal(logits: Tensor) -> Tensor:
    return torch.eye(len(logits), dtype=torch.bool, device=logits.device)
