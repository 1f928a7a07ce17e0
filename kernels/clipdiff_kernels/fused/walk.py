"""Texts against all pairs, with cosines gathered from the products of the texts and the images.

A cosine is (G[i_k, r] - G[j_k, r]) / n_k. G lies in slices (M', 32), one for 32 texts: 128 bytes an
image, 128 KB in all at M = 1,000. The program of a slice fills a multiprocessor and walks over all
pairs, so its slice stays in the first-level cache and gathers come from there, not from the second.
Each thread keeps its own sums over the pairs that it meets; they are joined once, at the end.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .entries import UNSHIFTED, negatives, outside, row_groups, violations_of
from .launch import SIZES


@triton.jit
def gathered_tile(
    slice_of, first, second, inverse, pairs, columns, num_pairs, STRIDE: tl.constexpr
):
    """Cosines (P, R) as (G[i] - G[j]) / n from a slice (M', R); a slice has no ragged end."""
    live = pairs < num_pairs
    i = tl.load(first + pairs, mask=live, other=0)
    j = tl.load(second + pairs, mask=live, other=0)
    scale = tl.load(inverse + pairs, mask=live, other=0.0)
    a = tl.load(slice_of + i[:, None] * STRIDE + columns[None, :])
    b = tl.load(slice_of + j[:, None] * STRIDE + columns[None, :])
    return (a - b) * scale[:, None]


@triton.jit(do_not_specialize=SIZES)
def walk_kernel(
    gathered, first, second, inverse, groups, row_in, col_in, scalars,
    row_out, row_more, col_out, col_more,
    row_offset, num_rows, num_pairs, num_images, tiles_per_split,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, EPILOGUE: tl.constexpr,
):  # fmt: skip
    """Outputs as those of ``product_kernel``: rows (splits, n), columns (slices, N).

    But for the sum of VIOLATIONS, which is in ``row_more``.
    """
    number, split = tl.program_id(0), tl.program_id(1)
    columns = tl.arange(0, BLOCK_ROWS)
    rows = number * BLOCK_ROWS + columns
    live_rows = rows < num_rows
    slice_of = gathered + number.to(tl.int64) * num_images * BLOCK_ROWS
    factor, bound = tl.load(scalars), tl.load(scalars + 1)
    bounded = bound <= UNSHIFTED
    group, bits = row_groups(groups, number * BLOCK_ROWS, row_offset, num_rows, BLOCK_ROWS)
    of_row = tl.load(row_in + rows, mask=live_rows, other=0.0)
    largest = tl.full((BLOCK_PAIRS, BLOCK_ROWS), 0.0, dtype=tl.float32)
    if EPILOGUE == 3 or (EPILOGUE == 0 and not bounded):
        largest = tl.full((BLOCK_PAIRS, BLOCK_ROWS), float("-inf"), dtype=tl.float32)
    total = tl.zeros((BLOCK_PAIRS, BLOCK_ROWS), dtype=tl.float32)
    place = tl.zeros((BLOCK_PAIRS, BLOCK_ROWS), dtype=tl.int32)
    last = tl.minimum((split + 1) * tiles_per_split, tl.cdiv(num_pairs, BLOCK_PAIRS))
    for step in range(split * tiles_per_split, last):
        pairs = step * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
        live_pairs = pairs < num_pairs
        scores = gathered_tile(
            slice_of, first, second, inverse, pairs, columns, num_pairs, BLOCK_ROWS
        )
        of_pair = tl.load(groups + pairs, mask=live_pairs, other=0)
        scores = negatives(scores, of_pair, group, bits)
        past = outside(step * BLOCK_PAIRS, num_pairs, BLOCK_PAIRS)
        col = number.to(tl.int64) * num_pairs + pairs
        if EPILOGUE == 0:
            logits = scores * factor + past
            if bounded:
                exps = tl.exp2(logits)
                total += exps
                by_col = tl.sum(exps, 1)
            else:
                new = tl.maximum(largest, logits)
                shift = tl.where(new == float("-inf"), 0.0, new)
                total = total * tl.exp2(largest - shift) + tl.exp2(logits - shift)
                largest = new
                col_max = tl.max(logits, 1)
                col_shift = tl.where(col_max == float("-inf"), 0.0, col_max)
                by_col = col_shift + tl.log2(tl.sum(tl.exp2(logits - col_shift[:, None]), 1))
        elif EPILOGUE == 2:
            of_col = tl.load(col_in + pairs, mask=live_pairs, other=0.0)
            row_count, col_count, more = violations_of(scores + past, of_row, of_col, factor)
            largest += row_count
            total += more
            by_col = tl.sum(col_count, 1)
        else:
            scores += past
            place = tl.where(scores > largest, pairs[:, None], place)
            largest = tl.maximum(scores, largest)
            by_col, col_place = tl.max(scores, 1, return_indices=True)
            tl.store(col_more + col, number * BLOCK_ROWS + col_place, mask=live_pairs)
        tl.store(col_out + col, by_col, mask=live_pairs)
    row = split.to(tl.int64) * num_rows + rows
    if EPILOGUE == 0 and bounded:
        by_row = tl.sum(total, 0)
    elif EPILOGUE == 0:
        most = tl.max(largest, 0)
        shift = tl.where(most == float("-inf"), 0.0, most)
        by_row = shift + tl.log2(tl.sum(total * tl.exp2(largest - shift[None, :]), 0))
    elif EPILOGUE == 2:
        by_row = tl.sum(largest, 0)
        tl.store(row_more + row, tl.sum(total, 0), mask=live_rows)
    else:
        by_row = tl.max(largest, 0)
        place = tl.where(largest == by_row[None, :], place, num_pairs)  # of equal ones the first
        tl.store(row_more + row, tl.min(place, 0), mask=live_rows)
    tl.store(row_out + row, by_row, mask=live_rows)
