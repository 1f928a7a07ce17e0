"""Scores by tiles of cosines, from products with the differences or with the images."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from ..blocks import Block
from ..scores import Maxima, Violations
from . import margins, softmax
from .direct import DirectSimilarity
from .gather import GatherSimilarity


class TiledScores:
    """``scores.Scores`` of a block in float32, or float64 for float64 inputs."""

    def __init__(self, block: Block, *, gather: bool, image_grad: bool = False) -> None:
        kind = GatherSimilarity if gather else DirectSimilarity
        self.block = block
        self.similarity = kind(
            block.image_embeds, block.pair_index, block.eps, image_grad=image_grad
        )
        self.text = block.text_embeds.to(self.similarity.dtype)
        self._images_factor: Tensor | None = None

    @cached_property
    def own(self) -> Tensor:
        return self.similarity.own(self.text, self.block.row_offset)

    def log_sums(self, scale: Tensor) -> tuple[Tensor, Tensor]:
        return softmax.log_sums(self.similarity, self.block, self.text, self.own, scale)

    def pull_softmax(
        self, scale: Tensor, row_lse: Tensor, column_lse: Tensor, factor: Tensor
    ) -> tuple[Tensor, Tensor]:
        grad = softmax.pull(
            self.similarity, self.block, self.text, self.own, scale, row_lse, column_lse
        )
        # z is linear in both: <e_r, dL/de_r> summed is scale dL/dscale
        grad_scale = (grad * self.text).sum() * factor
        self._images_factor = scale * factor
        return grad.mul_(scale * factor).to(self.block.text_embeds.dtype), grad_scale

    def violations(self, margin: float, column_own: Tensor, pull: bool) -> Violations:
        return margins.violations(
            self.similarity, self.block, self.text, self.own, margin, column_own, pull
        )

    def maxima(self) -> Maxima:
        return margins.maxima(self.similarity, self.block, self.text)

    def less_own(self, text: Tensor, count: Tensor) -> Tensor:
        rows = torch.arange(len(text), device=text.device)
        pairs = rows + self.block.row_offset
        self.similarity.add_entries(text, rows, pairs, -count, self.text)
        return text

    def pull_hardest(self, maxima: Maxima, by_row: Tensor, by_column: Tensor) -> Tensor:
        block, text = self.block, torch.zeros_like(self.text)
        every_row = torch.arange(len(text), device=text.device)
        self.similarity.add_entries(text, every_row, maxima.row_pair, by_row, self.text)
        rows = maxima.column_row - block.row_offset
        here = (rows >= 0) & (rows < len(text)) & (by_column > 0)
        pairs = here.nonzero().squeeze(1)
        self.similarity.add_entries(text, rows[pairs], pairs, by_column[pairs], self.text)
        return self.less_own(text, by_row + by_column[block.rows])

    def images_gradient(self) -> Tensor | None:
        grad = self.similarity.finish()
        if grad is None or self._images_factor is None:
            return grad
        return grad.mul_(self._images_factor)
