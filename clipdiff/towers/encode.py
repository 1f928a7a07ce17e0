"""Encoding texts by a CLIP's text tower, each batch no longer than its longest text."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from clipdiff.towers.load import LoadedClip

BATCH = 256


@torch.inference_mode()
def encode_texts(clip: LoadedClip, texts: Sequence[str], batch: int = BATCH) -> Tensor:
    """Encode texts; the same texts in the same order give the same bits.

    Args:
        clip: the model, in eval mode.
        texts: T texts; those longer than the context are cut.
        batch: texts encoded at once.

    Returns:
        text_embeds (T, D) float32, L2-normalised, on the CPU, in the order of ``texts``.
    """
    tower = clip.text_tower
    tokens = clip.tokenize(texts)  # (T, L)
    if not len(tokens):
        return torch.empty(0, _width(clip))
    order = tower.lengths(tokens).argsort(stable=True)
    parts = [tower(tokens[rows].to(clip.device)).float().cpu() for rows in order.split(batch)]
    text_embeds = torch.empty(len(tokens), parts[0].shape[1])
    text_embeds[order] = normalize(torch.cat(parts), dim=1)
    return text_embeds


def _width(clip: LoadedClip) -> int:
    return clip.text_tower(clip.tokenize([""]).to(clip.device)).shape[1]
