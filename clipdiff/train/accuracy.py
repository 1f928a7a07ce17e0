"""In-batch accuracy, for the training log."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

MOST_PAIRS = 256


@torch.no_grad()
def in_batch_accuracy(
    image_embeds: Tensor, pair_index: Tensor, text_embeds: Tensor
) -> tuple[Tensor, Tensor]:
    """Return how often a text is nearest to its own difference, and the other way round.

    Over the first 256 pairs at most, so that it stays cheap beside losses without an N x N matrix.

    Args:
        image_embeds: (M, D), L2-normalised.
        pair_index: (N, 2) int64.
        text_embeds: (N, D), L2-normalised.
    """
    first, second = pair_index[:MOST_PAIRS].T
    differences = normalize(image_embeds[first] - image_embeds[second], dim=1)
    cosines = text_embeds[:MOST_PAIRS] @ differences.T  # texts x differences
    own = torch.arange(len(cosines), device=cosines.device)
    by_text, by_difference = ((cosines.argmax(dim) == own).float().mean() for dim in (1, 0))
    return by_text, by_difference
