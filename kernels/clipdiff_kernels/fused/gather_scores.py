"""Scores gathered from the products of the texts with the images: for N well above M.

For a frozen image side: gradients to the images come from ``ProductScores``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
import triton
from torch import Tensor

from ..blocks import Block
from .gather_table import GatherTable, gather_table
from .launch import PROGRAMS, chunks, halves, product_of_halves
from .product import PARTIAL_BYTES, WEIGHTS
from .scores import FusedScores, Partial
from .segments import MARGIN, SOFTMAX, Segments, segment_kernel, segments_of
from .tiles import tile_on
from .walk import walk_kernel


class GatherScores(FusedScores):
    """3 products of N x M x D for a contrastive loss and its text gradient (7 in 16 bits)."""

    def __init__(self, block: Block, precision: str) -> None:
        super().__init__(block, precision, store=False, image_grad=False)
        self.walk, self.segment = (tile_on(self.facts.device, use) for use in ("walk", "segment"))

    @cached_property
    def table(self) -> GatherTable:
        facts = self.facts
        return gather_table(facts.images, facts.pair_index, facts.inverse, self.block.eps)

    @cached_property
    def segments(self) -> Segments:
        table = self.table
        return segments_of(table.pair_index, table.inverse, len(table.rows))

    def parts(
        self, epilogue: int, scalars: Tensor, row_in: Tensor, col_in: Tensor, *, pull: bool
    ) -> Iterator[Partial]:
        facts, num_images = self.facts, len(self.table.rows)
        cost = PARTIAL_BYTES[epilogue] * facts.num_pairs / self.walk.rows
        cost += num_images * (8 + 16 * pull)  # G twice; its gradient, and the halves of that
        list_col = col_in[self.segments.pairs] if pull else None
        for low, high in chunks(facts.num_rows, cost, self.walk.rows):
            sliced = self._slices(low, high)
            here = low, high, sliced, scalars, row_in[low:high]
            slices = len(sliced)
            splits, each = _split(slices, triton.cdiv(facts.num_pairs, self.walk.pairs))
            rows, cols = (splits, high - low), (slices, facts.num_pairs)
            outputs = self.outputs(epilogue, rows, cols)
            if epilogue != WEIGHTS:
                self._walk((slices, splits), each, epilogue, *here, col_in, outputs)
            kind = SOFTMAX if epilogue == WEIGHTS else MARGIN
            sums = None if list_col is None else self._segments(kind, *here, list_col)
            yield Partial(low, high, *outputs, outputs[1], sums)

    def _slices(self, low: int, high: int) -> Tensor:
        """G of the texts (slices, M', R) fp32; texts past the last are 0."""
        facts, width = self.facts, self.walk.rows
        texts = facts.texts[low:high, : facts.width].T
        gathered = product_of_halves(self._rows, (texts,), facts.precision)  # (M', rows)
        slices = triton.cdiv(high - low, width)
        gathered = torch.nn.functional.pad(gathered, (0, slices * width - (high - low)))
        return gathered.view(len(gathered), slices, width).transpose(0, 1).contiguous()

    def _walk(
        self, grid: tuple[int, int], steps: int, epilogue: int, low: int, high: int, sliced: Tensor,
        scalars: Tensor, row_in: Tensor, col_in: Tensor, outputs: tuple[Tensor, ...],
    ) -> None:  # fmt: skip
        facts = self.facts
        walk_kernel[grid](
            sliced, *self._places, self.table.inverse, facts.groups, row_in, col_in, scalars,
            *outputs, facts.row_offset + low, high - low, facts.num_pairs, len(self.table.rows),
            steps, **self.walk.meta("pairs", "rows"), EPILOGUE=epilogue,
        )  # fmt: skip

    @cached_property
    def _rows(self) -> tuple[Tensor, ...]:
        """The table's rows (M', D), in halves."""
        return halves(self.table.rows, self.facts.dtype)

    @cached_property
    def _owned(self) -> tuple[Tensor, ...]:
        """The rows that the lists belong to (V, D), in halves to meet dG.

        Sums of weights over n_k pass the range of float16; bfloat16 halves keep 16 bits, too.
        """
        narrow = self.facts.dtype != torch.float32
        rows = self.table.rows[self.segments.owners.long()]
        return halves(rows, torch.bfloat16 if narrow else torch.float32)

    @cached_property
    def _list_groups(self) -> Tensor:
        """(2 N,) groups of the pairs, in the lists' order."""
        return self.facts.groups[self.segments.pairs]

    @cached_property
    def _places(self) -> tuple[Tensor, Tensor]:
        """First and second rows of the table, (N,) int32 each."""
        first, second = self.table.pair_index.int().T.contiguous()
        return first, second

    def _segments(
        self, kind: int, low: int, high: int, sliced: Tensor, scalars: Tensor, row_in: Tensor,
        list_col: Tensor,
    ) -> Tensor:  # fmt: skip
        """Weights times differences (rows, D), as dG times the rows of the table."""
        facts, tile, lists = self.facts, self.segment, self.segments
        num_parts = len(lists.owners)
        splits, each = _split(len(sliced), triton.cdiv(num_parts, tile.pairs))
        grad = facts.new(num_parts, len(sliced) * tile.rows)
        segment_kernel[(len(sliced), splits)](
            sliced, lists.owners, lists.starts, lists.stops, lists.others, lists.inverse,
            self._list_groups, list_col, facts.groups, row_in, scalars, grad,
            facts.row_offset + low, high - low, len(self.table.rows), num_parts, each,
            **tile.meta("pairs", "rows"), KIND=kind,
        )  # fmt: skip
        owned = self._owned
        left = halves(grad[:, : high - low].T, owned[0].dtype)
        return product_of_halves(left, owned, facts.precision)


def _split(blocks: int, steps: int) -> tuple[int, int]:
    """Programs to cut a walk of ``steps`` tiles into, beside ``blocks`` others; tiles of each."""
    each = triton.cdiv(steps, max(1, min(steps, PROGRAMS // max(1, blocks))))
    return triton.cdiv(steps, each), each
