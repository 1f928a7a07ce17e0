"""Scores from products of the texts with the differences themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import triton
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from ..blocks import Block
from .facts import ALIGNED
from .launch import chunks, dot_dtype, dot_precision, product
from .partials import kept_kernel
from .product import GROUP, LOG_SUMS, PARTIAL_BYTES, WEIGHTS, pieces, product_kernel
from .scores import FusedScores, Partial
from .tiles import copies_in_bulk, tile_on

LIBRARY = False
"""Whether the texts are multiplied with the differences by the library, and the kernel is given the
cosines of a chunk: the way that the GPU round measures this one against."""


class ProductScores(FusedScores):
    """3 units of N x N x D for a contrastive loss and its text gradient: one forward, two back.

    One back with ``kept`` (N, >= n) bf16: exp z, which a forward pass wrote. While logits may pass
    the bound nothing is kept: only the device knows, so that of the two kernels that make weights
    then one ends at once.
    """

    def __init__(
        self,
        block: Block,
        precision: str,
        *,
        image_grad: bool = False,
        kept: Tensor | None = None,
    ) -> None:
        super().__init__(block, precision, store=True, image_grad=image_grad)
        self.kept = kept if kept is not None and len(kept) else None
        use = {"tf32x3": "productx3", "fp32": "product32"}.get(precision, "product16")
        self.tile = tile_on(self.facts.device, "library" if LIBRARY else use)
        self.descriptors = copies_in_bulk(self.facts.device)

    def parts(
        self, epilogue: int, scalars: Tensor, row_in: Tensor, col_in: Tensor, *, pull: bool
    ) -> Iterator[Partial]:
        facts, tile = self.facts, self.tile
        tiles_p = triton.cdiv(facts.num_pairs, tile.pairs)
        cost = PARTIAL_BYTES[epilogue] * (tiles_p + facts.num_pairs / tile.rows)
        cost += facts.num_pairs * (facts.dtype.itemsize * pull + 4 * LIBRARY)
        for low, high in chunks(facts.num_rows, cost, tile.rows):
            tiles_r = triton.cdiv(high - low, tile.rows)
            rows, cols = (tiles_p, high - low), (tiles_r, facts.num_pairs)
            outputs = self.outputs(epilogue, rows, cols)
            weights = self._weights(high - low) if pull else None
            target = weights
            if self.kept is not None and epilogue == LOG_SUMS:
                target = self.kept[:, low:high]
            elif self.kept is not None and weights is not None:
                self._from_kept(weights, low, row_in[low:high], col_in, scalars)
            arguments = row_in[low:high], col_in, scalars, *outputs
            self._launch(tiles_p * tiles_r, low, high, epilogue, arguments, target)
            sums = None if weights is None else self._pull(weights, low)
            del weights, target  # before the next are made: one workspace, not two
            yield Partial(low, high, *outputs, outputs[3], sums)

    def _weights(self, num_rows: int) -> Tensor:
        """(N, rows) in the dtype of the products, its rows aligned as descriptors ask for."""
        stride = triton.cdiv(num_rows, ALIGNED) * ALIGNED
        return self.facts.new(self.facts.num_pairs, stride, dtype=self.facts.dtype)[:, :num_rows]

    def _launch(
        self, grid: int, low: int, high: int, epilogue: int, arguments: tuple[Tensor, ...],
        weights: Tensor | None,
    ) -> None:  # fmt: skip
        facts, tile = self.facts, self.tile
        texts = facts.texts[low:high]
        number = pieces(tile, epilogue)
        sources: list[Any] = [facts.units, texts, arguments[0] if weights is None else weights]
        if LIBRARY:
            sources[0] = product(facts.units, texts.T, facts.precision)
        if self.descriptors:
            rows = tile.rows // number
            blocks = (tile.pairs, tile.width), (tile.rows, tile.width), (tile.pairs, rows)
            described = [not LIBRARY, not LIBRARY, weights is not None]
            sources = [
                _descriptor(*each) if by_descriptor else each[0]
                for by_descriptor, *each in zip(described, sources, blocks, strict=True)
            ]
        product_kernel[(grid,)](
            *sources[:2], facts.groups, *arguments, sources[2],
            facts.row_offset + low, high - low, facts.num_pairs, facts.padded,
            0 if weights is None else weights.stride(0),
            **tile.meta("pairs", "rows", "width"), DOT=dot_dtype(facts.dtype),
            PRECISION=dot_precision(facts.precision),
            EPILOGUE=epilogue, STORE=weights is not None, DESCRIPTORS=self.descriptors,
            LIBRARY=LIBRARY, PIECES=number, GROUP=GROUP,
            UNBOUNDED=self.kept is not None and epilogue == WEIGHTS,
        )  # fmt: skip

    def _from_kept(
        self, weights: Tensor, low: int, row_in: Tensor, col_in: Tensor, scalars: Tensor
    ) -> None:
        """Weights (N, rows) of the texts from ``low`` on, as far as exp z was kept."""
        assert self.kept is not None
        facts, tile, num_rows = self.facts, tile_on(self.facts.device, "kept"), weights.shape[1]
        grid = triton.cdiv(facts.num_pairs, tile.pairs), triton.cdiv(num_rows, tile.rows)
        kept_kernel[grid](
            self.kept[:, low:], row_in, col_in, scalars, weights, num_rows, facts.num_pairs,
            self.kept.stride(0), weights.stride(0), **tile.meta("pairs", "rows"),
        )  # fmt: skip

    def _pull(self, weights: Tensor, low: int) -> Tensor:
        """Weights times differences (rows, padded); adds their texts to the images' part."""
        facts = self.facts
        if self.grad_unit is not None:
            texts = facts.texts[low : low + weights.shape[1]]
            self.grad_unit += product(weights, texts, facts.precision)
        return product(weights.T, facts.units, facts.precision)


def _descriptor(matrix: Tensor, block: tuple[int, int]) -> TensorDescriptor:
    """Of a matrix that is read or written in blocks."""
    return TensorDescriptor(matrix, list(matrix.shape), list(matrix.stride()), list(block))
