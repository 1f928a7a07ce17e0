"""Encoding texts by a CLIP's text tower, each batch no longer than its longest text."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from clipdiff.towers.load import LoadedClip

BATCH = 256


def encode_texts(clip: LoadedClip, texts: Sequence[str], batch: int = BATCH) -> Tensor:
    """Encode texts; the same texts in the same order give the same bits.

    Args:
        clip: the model, in eval mode.
        texts: T texts; those longer than the context are cut.
        batch: texts encoded at once.

    Returns:
        text_embeds (T, D) float32, L2-normalised, on the CPU, in the order of ``texts``.
    """
    return encode_tokens(clip, clip.tokenize(texts), batch)


class TextEncoder:
    """Encodes texts as ``encode_texts`` does, for a CLIP whose weights change between calls.

    Each text is tokenised once, which on a CPU costs a small tower as much as encoding it.
    """

    def __init__(self, clip: LoadedClip):
        self.clip, self.tokens = clip, clip.tokenize([])
        self.places: dict[str, int] = {}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return text_embeds (T, D) float32, L2-normalised, on the CPU, of T texts."""
        new = [text for text in dict.fromkeys(texts) if text not in self.places]
        self.places |= {text: place for place, text in enumerate(new, len(self.places))}
        self.tokens = torch.cat([self.tokens, self.clip.tokenize(new)])
        return encode_tokens(self.clip, self.tokens[[self.places[text] for text in texts]])


@torch.inference_mode()
def encode_tokens(clip: LoadedClip, tokens: Tensor, batch: int = BATCH) -> Tensor:
    """Encode token ids (T, L) int64 as ``encode_texts`` does their texts."""
    tower = clip.text_tower
    if not len(tokens):
        return torch.empty(0, _width(clip))
    order = tower.lengths(tokens).argsort(stable=True)
    parts = [tower(tokens[rows].to(clip.device)).float().cpu() for rows in order.split(batch)]
    text_embeds = torch.empty(len(tokens), parts[0].shape[1])
    text_embeds[order] = normalize(torch.cat(parts), dim=1)
    return text_embeds


def _width(clip: LoadedClip) -> int:
    return clip.text_tower(clip.tokenize([""]).to(clip.device)).shape[1]
