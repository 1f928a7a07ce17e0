"""Texts times differences, and everything that a loss asks of the product before it is gone.

One kernel makes a tile (pairs, rows) of cosines from the texts and the unit differences, both
written once in the dtype of the products, and hands it to one of four epilogues. Tensor descriptors
feed it: bulk copies where the architecture has them, pointers elsewhere. The partial results of a
tile belong to it alone, so that sums are the same in every run.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .entries import log_sums, maxima_of, negative_tile, violations_of, weights_of
from .launch import SIZES

LOG_SUMS, WEIGHTS, VIOLATIONS, MAXIMA = 0, 1, 2, 3

# Tiles of texts whose tiles of pairs are made together: what they read stays in L2.
GROUP = 8


@triton.jit
def product_tile(
    units, texts, first_pair, first_row, width,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Cosines <dhat_k, e_r> (P, R) from descriptors of dhat (N, D) and texts (n, D); 0 outside."""
    scores = tl.zeros((BLOCK_PAIRS, BLOCK_ROWS), dtype=tl.float32)
    for start in range(0, width, BLOCK_WIDTH):
        unit = units.load([first_pair, start]).to(DOT)
        text = texts.load([first_row, start]).to(DOT)
        scores = tl.dot(unit, text.T, scores, input_precision=PRECISION)
    return scores


@triton.jit(do_not_specialize=SIZES)
def product_kernel(
    units, texts, groups, row_in, col_in, scalars, row_out, row_more, col_out, col_more, weights,
    row_offset, num_rows, num_pairs, width,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr, EPILOGUE: tl.constexpr, STORE: tl.constexpr,
    LIBRARY: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """One tile. Outputs by EPILOGUE: rows (tiles of pairs, n), columns (tiles of rows, N).

    - LOG_SUMS: ``scalars`` (scale log2 e, bound); out: log2 sum exp2 of the negatives.
    - WEIGHTS: the same scalars, ``row_in`` (n,) and ``col_in`` (N,) log-sum-exps in base 2;
      ``weights`` (N, n): a descriptor.
    - VIOLATIONS: ``scalars`` (margin, _), own cosines in; out: violations counted, ``row_more``:
      their sum. STORE: ``weights``, too: how many of its two terms an entry violates.
    - MAXIMA: out: the largest negative; ``more``: its pair, its row (of the block).

    LIBRARY: ``units`` holds the cosines (N, n), fp32, that a library multiplied.
    """
    tiles_p, tiles_r = tl.cdiv(num_pairs, BLOCK_PAIRS), tl.cdiv(num_rows, BLOCK_ROWS)
    in_group = GROUP * tiles_p
    first = tl.program_id(0) // in_group * GROUP
    height = tl.minimum(tiles_r - first, GROUP)
    tile_r = first + tl.program_id(0) % in_group % height
    tile_p = tl.program_id(0) % in_group // height
    pairs = tile_p * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    rows = tile_r * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    live_pairs, live_rows = pairs < num_pairs, rows < num_rows
    if LIBRARY:
        place = pairs[:, None].to(tl.int64) * num_rows + rows[None, :]
        scores = tl.load(units + place, mask=live_pairs[:, None] & live_rows[None, :], other=0.0)
    else:
        scores = product_tile(
            units, texts, tile_p * BLOCK_PAIRS, tile_r * BLOCK_ROWS, width,
            BLOCK_PAIRS, BLOCK_ROWS, BLOCK_WIDTH, DOT, PRECISION,
        )  # fmt: skip
    negative = negative_tile(groups, pairs, rows, row_offset, num_pairs, num_rows)
    row = tile_p.to(tl.int64) * num_rows + rows
    col = tile_r.to(tl.int64) * num_pairs + pairs
    factor, bound = tl.load(scalars), tl.load(scalars + 1)
    if EPILOGUE == 0:
        by_row, by_col = log_sums(scores * factor, negative, bound)
        tl.store(row_out + row, by_row, mask=live_rows)
        tl.store(col_out + col, by_col, mask=live_pairs)
    elif EPILOGUE == 3:
        by_row, row_place, by_col, col_place = maxima_of(scores, negative)
        tl.store(row_out + row, by_row, mask=live_rows)
        tl.store(row_more + row, tile_p * BLOCK_PAIRS + row_place, mask=live_rows)
        tl.store(col_out + col, by_col, mask=live_pairs)
        tl.store(col_more + col, tile_r * BLOCK_ROWS + col_place, mask=live_pairs)
    else:
        of_row = tl.load(row_in + rows, mask=live_rows, other=0.0)
        of_col = tl.load(col_in + pairs, mask=live_pairs, other=0.0)
        if EPILOGUE == 1:
            weight = weights_of(scores * factor, negative, of_row, of_col, bound)
        else:
            by_row, by_col, total = violations_of(scores, negative, of_row, of_col, factor)
            tl.store(row_out + row, tl.sum(by_row, 0), mask=live_rows)
            tl.store(row_more + row, tl.sum(total, 0), mask=live_rows)
            tl.store(col_out + col, tl.sum(by_col, 1), mask=live_pairs)
            weight = by_row + by_col
        if STORE:
            weights.store([tile_p * BLOCK_PAIRS, tile_r * BLOCK_ROWS], weight.to(weights.dtype))


@triton.jit(do_not_specialize=SIZES)
def merge_kernel(
    out, parts, num_parts, count, BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr
):
    """out = log2(exp2(out) + sum_p exp2(parts[p])), elementwise over (parts, count)."""
    index = tl.program_id(0) * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    live = index < count
    largest = tl.load(out + index, mask=live, other=0.0)
    total = tl.where(largest == float("-inf"), 0.0, 1.0)
    for start in range(0, num_parts, BLOCK_ROWS):
        part = start + tl.arange(0, BLOCK_ROWS)
        place = part[:, None].to(tl.int64) * count + index[None, :]
        inside = (part < num_parts)[:, None] & live[None, :]
        value = tl.load(parts + place, mask=inside, other=float("-inf"))
        new = tl.maximum(largest, tl.max(value, 0))
        shift = tl.where(new == float("-inf"), 0.0, new)
        total = total * tl.exp2(largest - shift) + tl.sum(tl.exp2(value - shift[None, :]), 0)
        largest = new
    tl.store(out + index, largest + tl.log2(total), mask=live)
