"""Squared loss as it is written down."""

from torch import Tensor
from torch.nn import functional

from ..reference import directions, widen


def loss(
    image_embeds: Tensor, pair_index: Tensor, text_embeds: Tensor, *, normalize: bool = False
) -> Tensor:
    """L = mean over pairs and dimensions of (e_k - d_k)^2, or (``normalize``) (e_k - dhat_k)^2."""
    dhat, d = directions(image_embeds, pair_index)
    return functional.mse_loss(widen(text_embeds), dhat if normalize else d)
