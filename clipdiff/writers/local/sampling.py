"""Sampling whose draws belong to a row, not to the batch that it happens to be in.

Adding Gumbel noise to logits and taking the largest is sampling from their softmax (Gumbel 1954;
Maddison et al. 2014). The noise is a hash of (row's seed, step, token), so it is the same on every
device, in every batch, and after every resumption.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from clipdiff.settings import Generate

_GOLDEN = -7046029254386353131  # 2^64 / golden ratio, odd, as int64 (SplitMix64; Steele 2014)
_MIX_1, _MIX_2 = -4658895280553007687, -7723592293110705685


class GumbelNoise(LogitsProcessor):
    """Adds each row's own noise, so that the largest logit is a sample."""

    def __init__(self, seeds: Sequence[int], prompt_length: int):
        self.seeds = torch.tensor(list(seeds), dtype=torch.int64)
        self.prompt_length = prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (N, V) plus noise, for the step after input_ids (N, L)."""
        step = input_ids.shape[1] - self.prompt_length
        return scores + gumbel(self.seeds.to(scores.device), step, scores.shape[1]).to(scores.dtype)


def gumbel(seeds: Tensor, step: int, size: int) -> Tensor:
    """Return (N, size) float32 standard Gumbel noise of N rows' seeds (int64) at one step."""
    rows = _hash(seeds[:, None] * _GOLDEN + step)  # (N, 1)
    columns = torch.arange(size, device=seeds.device)
    bits = _hash(rows + columns * _GOLDEN) & 0x7FFFFF  # (N, size); 23 bits are exact in float32
    uniform = (bits.float() + 0.5) / 2**23  # in (0, 1), both ends left out
    return -torch.log(-torch.log(uniform))


def sampler(generate: Generate, seeds: Sequence[int], prompt_length: int) -> LogitsProcessorList:
    """Return what turns greedy decoding into seeded sampling; nothing at temperature 0."""
    processors = LogitsProcessorList()
    if generate.temperature > 0:
        processors.append(TemperatureLogitsWarper(float(generate.temperature)))
        if generate.top_p < 1:
            processors.append(TopPLogitsWarper(generate.top_p))
        processors.append(GumbelNoise(seeds, prompt_length))
    return processors


def _hash(x: Tensor) -> Tensor:
    """SplitMix64's finaliser on int64; shifts are made logical by masking the sign bits."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * _MIX_1
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * _MIX_2
    return x ^ ((x >> 31) & 0x1FFFFFFFF)
