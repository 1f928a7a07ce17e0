"""A block made ready for the kernels: contiguous texts in the dtype of the products, and what is
known of its pairs before any product."""

from __future__ import annotations

from functools import cached_property

import torch
import triton
from torch import Tensor

from ..blocks import Block
from ..dispatch import PRECISIONS
from .launch import available, interpreting
from .rowwise import own_part_kernel, pair_facts_kernel
from .tiles import tile_on

ALIGNED = 16  # elements: rows of texts and differences begin at multiples of 32 bytes


class Facts:
    """The block, and its pairs' facts (fp32).

    ``texts`` (n, padded) and ``units`` (N, padded), the directions dhat, are in the dtype of
    ``precision``, with zeros past the width D; ``inverse`` (N,) is 1 / max(n_k, eps); ``own`` (n,)
    s_rr; ``text_norm`` (n,).

    Args:
        block: its embeddings fp32, bf16 or fp16, on a GPU; any strides.
        precision: of the products, a key of ``PRECISIONS``.
        store: whether ``units`` are wanted at once; else they are made when they are asked for.

    Raises:
        ValueError: the tensors are not on a GPU (and the interpreter is off), or are float64.
    """

    def __init__(self, block: Block, precision: str, *, store: bool) -> None:
        _check(block.text_embeds)
        self.block, self.precision = block, precision
        self.device = block.text_embeds.device
        self.dtype = PRECISIONS[precision]
        self.images = block.image_embeds.contiguous()
        self.pair_index = block.pair_index.contiguous()
        self.num_rows, self.width = block.text_embeds.shape
        self.num_pairs, self.row_offset = block.num_pairs, block.row_offset
        self.padded = triton.cdiv(self.width, ALIGNED) * ALIGNED
        self.texts = _padded(block.text_embeds.to(self.dtype), self.padded)
        self.inverse = self.new(self.num_pairs)
        self.own, self.text_norm = self.new(self.num_rows), self.new(self.num_rows)
        if store:
            self.units = self._launch(store=True)
        else:
            self._launch(store=False)

    def new(self, *size: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """An uninitialised tensor on the device."""
        return self.images.new_empty(size, dtype=dtype)

    def scalars(self, *values: float | Tensor) -> Tensor:
        """Two numbers (2,) fp32 on the device, without waiting for it."""
        each = [v if isinstance(v, Tensor) else self.images.new_full((), v) for v in values]
        return torch.stack([v.to(torch.float32).reshape(()) for v in each])

    @cached_property
    def units(self) -> Tensor:
        """(N, padded) directions."""
        return self._launch(store=True)

    @cached_property
    def groups(self) -> Tensor:
        """(N,) int32, equal where the group ids are: the place of the first of them, sorted."""
        if self.block.group_ids is None:
            return torch.arange(self.num_pairs, dtype=torch.int32, device=self.device)
        ids = self.block.group_ids.contiguous()
        return torch.searchsorted(ids.sort().values, ids).int()

    def bound(self, scale: Tensor) -> Tensor:
        """What no |logit| can pass, by Cauchy and Schwarz, ()."""
        longest = torch.cat([self.text_norm, self.text_norm.new_zeros(1)]).amax()
        return scale.abs() * longest

    def add_own(
        self, out: Tensor, sums: Tensor, coefficient: Tensor, scalars: Tensor, first: int = 0
    ) -> Tensor:
        """out (c, D) = f (g sums + coefficient dhat), of the texts from ``first`` on.

        Returns:
            <text, g sums + coefficient dhat>, (c,).
        """
        inner = self.new(len(out))
        if len(out):
            tile = tile_on(self.device, "rowwise")
            own_part_kernel[(triton.cdiv(len(out), tile.pairs),)](
                out, inner, sums, self.texts[first:], self.images, self.pair_index, self.inverse,
                coefficient, scalars, self.row_offset + first, len(out), self.num_pairs,
                self.width, self.padded, sums.stride(0), **tile.meta("pairs", "width"),
            )  # fmt: skip
        return inner

    def _launch(self, store: bool) -> Tensor:
        dtype = torch.float32 if interpreting() else self.dtype  # it cuts bf16 off, unrounded
        units = self.new(self.num_pairs if store else 0, self.padded, dtype=dtype)
        tile = tile_on(self.device, "rowwise")
        pair_facts_kernel[(triton.cdiv(self.num_pairs, tile.pairs),)](
            self.texts, self.images, self.pair_index, self.inverse, self.own, self.text_norm, units,
            self.row_offset, self.num_rows, self.num_pairs, self.width, self.padded,
            self.block.eps, 1 / self.block.eps, **tile.meta("pairs", "width"), STORE=store,
        )  # fmt: skip
        return units.to(self.dtype)


def _padded(texts: Tensor, width: int) -> Tensor:
    """Contiguous, aligned rows of ``width``, zeros past their own; a copy where they are not so."""
    if texts.shape[1] == width:
        # a single row counts as contiguous whatever its stride: viewed anew, it gets its width
        texts = texts.contiguous().view(-1).view(texts.shape)
        return texts.clone() if texts.data_ptr() % 16 else texts
    return torch.nn.functional.pad(texts, (0, width - texts.shape[1]))


def _check(texts: Tensor) -> None:
    if not available(texts.device):
        raise ValueError(
            f"text_embeds is on {texts.device}: the Triton backends need a CUDA tensor "
            "(or TRITON_INTERPRET=1 in the environment before triton is imported)"
        )
    if texts.dtype == torch.float64:
        raise ValueError("text_embeds is float64: the Triton backends take fp32, bf16, fp16")
