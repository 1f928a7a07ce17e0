"""One batch made ready for the fused kernels: contiguous inputs, facts of its pairs, launches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
import triton
from torch import Tensor

from clipdiff_kernels.gather_table import GatherTable, gather_table, halves, product_of_halves
from clipdiff_kernels.launch import (
    TILES,
    Tile,
    available,
    dot_dtype,
    rows_per_launch,
    split,
    walking_tile,
)
from clipdiff_kernels.tiles import add_scaled_differences_kernel, pair_facts_kernel


@dataclass(frozen=True)
class Rows:
    """Text rows [start, stop) of one launch; to gather from, G^T (M', stop - start) in fp32."""

    start: int
    stop: int
    gathered: Tensor | None

    @property
    def count(self) -> int:
        return self.stop - self.start


class Walk:
    """A batch, walked over in tiles of pairs and text rows.

    Args:
        images: (M, D), fp32, bf16 or fp16, as ``texts`` (N, D); any strides.
        pair_index: (N, 2) integers.
        group_ids: (N,) integers, or None.
        gather: scores are read from products with the rows of ``table`` instead of multiplied anew.
        use: which tile the walking kernel takes (``launch.TILES``).

    Raises:
        ValueError: the tensors are not on a GPU (and the interpreter is off), or are float64.
    """

    def __init__(
        self,
        images: Tensor,
        pair_index: Tensor,
        texts: Tensor,
        *,
        group_ids: Tensor | None = None,
        eps: float,
        gather: bool = False,
        use: str = "dot",
    ) -> None:
        if not available(texts.device):
            raise ValueError(
                f"text_embeds is on {texts.device}: the Triton backends need a CUDA tensor "
                "(or TRITON_INTERPRET=1 in the environment before triton is imported)"
            )
        if texts.dtype == torch.float64:
            raise ValueError("text_embeds is float64: the Triton backends take fp32, bf16, fp16")
        self.images = images.detach().contiguous()
        self.texts = texts.detach().contiguous()
        self.pair_index = pair_index.long().contiguous()
        self.group_ids = None if group_ids is None else group_ids.contiguous()
        self.eps = eps
        self.gather = gather
        self.tile = walking_tile(texts, "gather" if gather else use)
        self.num_pairs, self.width = self.texts.shape
        self.inv_norm, self.diagonal, self.text_norm = self._facts()

    def _facts(self) -> tuple[Tensor, Tensor, Tensor]:
        facts = self.texts.new_empty(3, self.num_pairs, dtype=torch.float32)
        tile = TILES["rowwise"]
        pair_facts_kernel[(triton.cdiv(self.num_pairs, tile.pairs),)](
            self.texts, self.images, self.pair_index, *facts, self.num_pairs, self.width,
            self.eps, 0.0 if self.gather else 1 / self.eps, **tile.rowwise(),
        )  # fmt: skip
        return facts[0], facts[1], facts[2]

    def plan(self, rows: Rows) -> tuple[int, int, int]:
        """Blocks of texts, splits of all pairs, and tiles of a split, for one launch."""
        blocks = triton.cdiv(rows.count, self.tile.rows)
        return blocks, *split(blocks, triton.cdiv(self.num_pairs, self.tile.pairs))

    def rows(self, bytes_per_logit: float) -> Iterator[Rows]:
        """Launches over all texts whose workspace is ``bytes_per_logit`` a logit (or a column)."""
        step = rows_per_launch(self.num_pairs, bytes_per_logit, self.tile.rows)
        if self.gather:  # G^T, its gradient, and the halves of that
            step = min(step, rows_per_launch(len(self.table.rows), 12, self.tile.rows))
            left = halves(self.table.rows, self.texts.dtype)
        for start in range(0, self.num_pairs, step):
            stop = min(start + step, self.num_pairs)
            texts = self.texts[start:stop]
            yield Rows(start, stop, product_of_halves(left, (texts.T,)) if self.gather else None)

    @cached_property
    def table(self) -> GatherTable:
        """What scores are gathered from, where ``gather`` is on."""
        return gather_table(self.images, self.pair_index, self.inv_norm, self.eps)

    def scores(self, rows: Rows) -> tuple:
        """The arguments that every walking kernel begins with."""
        source = self.texts, 0, self.pair_index, self.inv_norm
        if rows.gathered is not None:
            source = rows.gathered, rows.count, self.table.pair_index, self.table.inverse
        groups = self.pair_index if self.group_ids is None else self.group_ids
        return (
            self.texts, self.images, *source, groups,
            rows.start, rows.stop, self.num_pairs, self.width,
        )  # fmt: skip

    def meta(self, tile: Tile | None = None) -> dict:
        """Compile-time arguments of a walking kernel."""
        return {
            **(tile or self.tile).meta(),
            "DOT": dot_dtype(self.texts.dtype),
            "PRECISION": "ieee",
            "GATHER": self.gather,
            "GROUPS": self.group_ids is not None,
        }


def add_scaled_differences(walk: Walk, out: Tensor, scale: Tensor) -> None:
    """out[k] += scale[k] dhat_k in place; ``out`` (N, D), ``scale`` (N,) fp32."""
    tile = TILES["rowwise"]
    add_scaled_differences_kernel[(triton.cdiv(walk.num_pairs, tile.pairs),)](
        out, walk.images, walk.pair_index, walk.inv_norm, scale, walk.num_pairs, walk.width,
        **tile.rowwise(),
    )  # fmt: skip
