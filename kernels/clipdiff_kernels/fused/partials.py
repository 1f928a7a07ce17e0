"""What is made of what ``product_kernel`` wrote: sums joined, weights from kept exponentials."""

from __future__ import annotations

import triton
import triton.language as tl

from .entries import UNSHIFTED, row_and_column
from .launch import SIZES


@triton.jit(do_not_specialize=SIZES)
def kept_kernel(
    kept, row_in, col_in, scalars, weights, num_rows, num_pairs, kept_stride, stride,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr,
):  # fmt: skip
    """The WEIGHTS of ``product_kernel`` from exp2 of the logits (N, n), while the bound holds.

    Rows are written up to ``stride``, a multiple of 16, so that they are read 16 at a time.
    """
    bound = tl.load(scalars + 1)
    if bound > UNSHIFTED:
        return
    pairs = tl.program_id(0) * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    rows = tl.program_id(1) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    of_row = tl.load(row_in + rows, mask=rows < num_rows, other=0.0)
    of_col = tl.load(col_in + pairs, mask=pairs < num_pairs, other=0.0)
    inside = (pairs < num_pairs)[:, None] & (rows < stride)[None, :]
    place = pairs[:, None].to(tl.int64) * kept_stride + rows[None, :]
    exps = tl.load(kept + place, mask=inside, other=0.0).to(tl.float32)
    weight = exps * row_and_column(of_row, of_col)
    place = pairs[:, None].to(tl.int64) * stride + rows[None, :]
    tl.store(weights + place, weight, mask=inside)


@triton.jit(do_not_specialize=SIZES)
def merge_kernel(
    out, parts, scalars, num_parts, count, BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr
):
    """out = log2(exp2(out) + sum of ``log_sums`` parts), elementwise over (parts, count)."""
    index = tl.program_id(0) * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    live = index < count
    bounded = tl.load(scalars + 1) <= UNSHIFTED
    largest = tl.load(out + index, mask=live, other=0.0)
    total = tl.where(largest == float("-inf"), 0.0, 1.0)
    if bounded:
        total = tl.exp2(largest)
        largest = tl.zeros_like(largest)
    for start in range(0, num_parts, BLOCK_ROWS):
        part = start + tl.arange(0, BLOCK_ROWS)
        place = part[:, None].to(tl.int64) * count + index[None, :]
        inside = (part < num_parts)[:, None] & live[None, :]
        if bounded:
            total += tl.sum(tl.load(parts + place, mask=inside, other=0.0), 0)
        else:
            value = tl.load(parts + place, mask=inside, other=float("-inf"))
            new = tl.maximum(largest, tl.max(value, 0))
            shift = tl.where(new == float("-inf"), 0.0, new)
            total = total * tl.exp2(largest - shift) + tl.sum(tl.exp2(value - shift[None, :]), 0)
            largest = new
    tl.store(out + index, largest + tl.log2(total), mask=live)
