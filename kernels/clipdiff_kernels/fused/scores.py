"""What the fused scores of a block have in common: losses' questions answered from parts.

A *part* is what one launch says of some of the texts. ``ProductScores`` and ``GatherScores`` make
parts; here they are joined, own entries are added, and gradients are finished. The joins have a
fixed order, so that results are the same in every run.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from ..blocks import Block
from ..scores import Maxima, Violations
from .entries import WEIGHT_SCALE
from .facts import Facts
from .keyed import Keyed, unit_gradient_to_images
from .partials import merge_kernel
from .product import LOG_SUMS, MAXIMA, VIOLATIONS, WEIGHTS
from .tiles import tile_on

LOG2_E = 1 / math.log(2)


@dataclass(frozen=True)
class Partial:
    """What a launch says of the texts ``low`` to ``high`` of a block; see ``product_kernel``."""

    low: int
    high: int
    row_out: Tensor  # (p, high - low)
    row_more: Tensor
    col_out: Tensor  # (q, N)
    col_more: Tensor
    total: Tensor  # of VIOLATIONS: parts of their sum
    sums: Tensor | None  # (high - low, >= D) fp32: weights times differences


class FusedScores(ABC):
    """``scores.Scores`` of a block, but for the parts."""

    def __init__(self, block: Block, precision: str, *, store: bool, image_grad: bool) -> None:
        self.block = block
        self.facts = Facts(block, precision, store=store)
        self.grad_unit: Tensor | None = None  # (N, padded) fp32, over images_factor
        self.images_factor: Tensor | float = 1.0
        if image_grad:
            self.grad_unit = self.facts.new(block.num_pairs, self.facts.padded).zero_()

    @abstractmethod
    def parts(
        self, epilogue: int, scalars: Tensor, row_in: Tensor, col_in: Tensor, *, pull: bool
    ) -> Iterator[Partial]:
        """Launch a pass over all texts; ``pull``: with ``sums``. Arguments as of the kernels."""

    def outputs(
        self, epilogue: int, rows: tuple[int, int], cols: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``row_out``, ``row_more``, ``col_out``, ``col_more``, uninitialised; empty if unused."""
        out = (rows, cols) if epilogue != WEIGHTS else ((0, 1), (0, 1))
        more = (rows, cols) if epilogue in (VIOLATIONS, MAXIMA) else ((0, 1), (0, 1))
        dtype = torch.int32 if epilogue == MAXIMA else torch.float32
        return (
            self.facts.new(*out[0]), self.facts.new(*more[0], dtype=dtype),
            self.facts.new(*out[1]), self.facts.new(*more[1], dtype=dtype),
        )  # fmt: skip

    @property
    def own(self) -> Tensor:
        """s_rr (n,) fp32."""
        return self.facts.own

    def log_sums(self, scale: Tensor) -> tuple[Tensor, Tensor]:
        facts, own = self.facts, self.own * (scale * LOG2_E)
        columns = torch.full_like(facts.inverse, -torch.inf)
        columns[self.block.rows] = own
        rows = own.clone()
        scalars = facts.scalars(scale * LOG2_E, facts.bound(scale))
        for part in self.parts(LOG_SUMS, scalars, own, columns, pull=False):
            _merge(rows[part.low : part.high], part.row_out, scalars)
            _merge(columns, part.col_out, scalars)
        return rows.div_(LOG2_E), columns.div_(LOG2_E)

    def pull_softmax(
        self, scale: Tensor, row_lse: Tensor, column_lse: Tensor, factor: Tensor
    ) -> tuple[Tensor, Tensor]:
        facts, mine = self.facts, self.block.rows
        rows, columns, own = (each * LOG2_E for each in (row_lse, column_lse, self.own * scale))
        coefficient = (own - rows).exp2_() + (own - columns[mine]).exp2_() - 2
        grad = torch.empty_like(self.block.text_embeds, memory_format=torch.contiguous_format)
        inner = facts.new(facts.num_rows)
        finish = facts.scalars(1 / WEIGHT_SCALE, scale * factor)
        scalars = facts.scalars(scale * LOG2_E, facts.bound(scale))
        for part in self.parts(WEIGHTS, scalars, rows, columns, pull=True):
            here = slice(part.low, part.high)
            assert part.sums is not None, "the pass was asked for them"
            inner[here] = facts.add_own(grad[here], part.sums, coefficient[here], finish, part.low)
        self._add_own_images(coefficient * WEIGHT_SCALE)
        self.images_factor = scale * factor / WEIGHT_SCALE
        return grad, inner.sum() * factor

    def violations(self, margin: float, column_own: Tensor, pull: bool) -> Violations:
        facts = self.facts
        total = facts.new(1).zero_()[0]
        row_count = facts.new(facts.num_rows)
        column_count = torch.zeros_like(column_own)
        text = facts.new(facts.num_rows, facts.width) if pull else None
        scalars = facts.scalars(margin, 0.0)
        for part in self.parts(VIOLATIONS, scalars, self.own, column_own, pull=pull):
            total += part.total.sum()
            row_count[part.low : part.high] = part.row_out.sum(0)
            column_count += part.col_out.sum(0)
            if text is not None and part.sums is not None:
                text[part.low : part.high] = part.sums[:, : facts.width]
        return Violations(total, row_count, column_count, text)

    def maxima(self) -> Maxima:
        facts = self.facts
        row_max, column_max = facts.new(facts.num_rows), torch.full_like(facts.inverse, -torch.inf)
        row_pair = facts.new(facts.num_rows, dtype=torch.int64)
        column_row = torch.zeros_like(facts.pair_index[:, 0])
        scalars = facts.scalars(0.0, 0.0)
        for part in self.parts(MAXIMA, scalars, self.own, facts.inverse, pull=False):
            here = slice(part.low, part.high)
            row_max[here], pair = _best(part.row_out, part.row_more)
            row_pair[here] = pair.clamp_max_(facts.num_pairs - 1)  # NaN may win past the last
            largest, row = _best(part.col_out, part.col_more)
            first = self.block.row_offset + part.low
            column_row = torch.where(largest > column_max, row + first, column_row)
            column_max = torch.maximum(column_max, largest)
        return Maxima(row_max, row_pair, column_max, column_row)

    def less_own(self, text: Tensor, count: Tensor) -> Tensor:
        self.facts.add_own(text, text, -count, self.facts.scalars(1.0, 1.0))
        self._add_own_images(-count)
        return text

    def pull_hardest(self, maxima: Maxima, by_row: Tensor, by_column: Tensor) -> Tensor:
        facts, block = self.facts, self.block
        if not facts.num_rows:
            return facts.new(0, facts.width)
        mine = torch.arange(facts.num_rows, device=facts.device)
        every = torch.arange(facts.num_pairs, device=facts.device)
        holder = maxima.column_row - block.row_offset
        here = (holder >= 0) & (holder < facts.num_rows)
        rows = torch.cat([mine, mine, torch.where(here, holder, 0)])
        pairs = torch.cat([mine + block.row_offset, maxima.row_pair, every])
        weights = torch.cat([-by_row - by_column[block.rows], by_row, by_column * here])
        if self.grad_unit is not None:
            self.grad_unit += Keyed.of(pairs, facts.num_pairs).sum(facts.texts, rows, weights)
        text = Keyed.of(rows, facts.num_rows).sum(facts.units, pairs, weights)
        return text[:, : facts.width].contiguous()

    def images_gradient(self) -> Tensor | None:
        if self.grad_unit is None:
            return None
        grad_unit = self.grad_unit[:, : self.facts.width] * self.images_factor
        block, facts = self.block, self.facts
        return unit_gradient_to_images(facts.images, facts.pair_index, grad_unit, block.eps)

    def _add_own_images(self, coefficient: Tensor) -> None:
        if self.grad_unit is not None:
            self.grad_unit[self.block.rows] += coefficient.unsqueeze(1) * self.facts.texts


def _merge(out: Tensor, parts: Tensor, scalars: Tensor) -> None:
    """Join what is known of some rows or columns (count,), log2 sums, with ``log_sums`` parts."""
    tile = tile_on(out.device, "merge")
    merge_kernel[(triton.cdiv(len(out), tile.pairs),)](
        out, parts, scalars, len(parts), len(out), **tile.meta("pairs", "rows")
    )


def _best(values: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of the parts (parts, n) and its place, (n,) each; of equal ones the first."""
    largest, part = values.max(0)
    return largest, places.gather(0, part.unsqueeze(0)).squeeze(0).long()
