"""Pairwise differences of image embeddings, and the way back from their gradients to the images."""

import torch
from torch import Tensor

EPS = 1e-6
"""Differences shorter than this have no direction (Sec. "The method": dhat = d / max(n, eps))."""

SHORT = 0.03
"""The gather trick multiplies pairs with n_k below this directly.

It subtracts before it divides, so its float32 error grows as 1/n_k: 2.5e-5 at n_k = 0.01.
"""


def accumulate_dtype(tensor: Tensor) -> torch.dtype:
    """float64 for float64 inputs, float32 for every narrower one."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def differences(image_embeds: Tensor, pair_index: Tensor) -> Tensor:
    """d_k = X[i_k] - X[j_k], (N, D), in the accumulation dtype.

    Subtracted after widening: two nearby bf16 embeddings differ exactly in float32.
    """
    images = image_embeds.to(accumulate_dtype(image_embeds))
    return images[pair_index[:, 0]].sub_(images[pair_index[:, 1]])


def unit_differences(
    image_embeds: Tensor, pair_index: Tensor, eps: float = EPS
) -> tuple[Tensor, Tensor]:
    """Directions dhat_k = d_k / max(n_k, eps), (N, D), and lengths n_k = |d_k|, (N,)."""
    d = differences(image_embeds, pair_index)
    norm = torch.linalg.vector_norm(d, dim=1)
    return d.div_(norm.clamp_min(eps).unsqueeze(1)), norm


def through_unit_norm(grad_unit: Tensor, unit: Tensor, norm: Tensor, eps: float = EPS) -> Tensor:
    """Gradient to d from the gradient g to dhat: (g - dhat <dhat, g>) / n, in place of g.

    It is 0 where n_k <= eps: a pair without a direction moves no image (and makes no NaN).
    """
    radial = (grad_unit * unit).sum(1, keepdim=True)
    grad = grad_unit.addcmul_(unit, radial, value=-1)
    inverse = torch.where(norm > eps, 1 / norm, 0)
    return grad.mul_(inverse.unsqueeze(1))


def scatter_to_images(grad_d: Tensor, pair_index: Tensor, grad_images: Tensor) -> Tensor:
    """Add the gradient to d, (N, D), to the gradient to X, (M, D): plus at i_k, minus at j_k."""
    grad_images.index_add_(0, pair_index[:, 0], grad_d)
    return grad_images.index_add_(0, pair_index[:, 1], grad_d, alpha=-1)
