"""What the three references share: plain torch that autograd differentiates, float64-able."""

import torch
from torch import Tensor

from .differences import EPS, accumulate_dtype


def widen(tensor: Tensor) -> Tensor:
    """float64 stays, anything narrower becomes float32."""
    return tensor.to(accumulate_dtype(tensor))


def directions(image_embeds: Tensor, pair_index: Tensor, eps: float = EPS) -> tuple[Tensor, Tensor]:
    """dhat_k = d_k / max(n_k, eps) (N, D) and d_k (N, D), both differentiable to the images.

    Where n_k <= eps the pair has no direction: dhat_k passes no gradient on.
    """
    images = widen(image_embeds)
    d = images[pair_index[:, 0]] - images[pair_index[:, 1]]
    norm = torch.linalg.vector_norm(d.detach(), dim=1, keepdim=True)
    kept = torch.where(norm > eps, d, torch.ones_like(d))  # a norm of ones has a gradient, 0 not
    unit = kept / torch.linalg.vector_norm(kept, dim=1, keepdim=True)
    return torch.where(norm > eps, unit, d.detach() / eps), d


def no_negatives(group_ids: Tensor) -> Tensor:
    """(N, N), true where text r and difference k belong to one group (the diagonal included)."""
    return group_ids.unsqueeze(0) == group_ids.unsqueeze(1)
