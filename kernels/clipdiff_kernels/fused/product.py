"""Texts times differences, and everything that a loss asks of the product before it is gone.

One kernel makes a tile (pairs, rows) of cosines from the texts and the unit differences, both
written once in the dtype of the products, and hands it to one of four epilogues. Tensor descriptors
feed it where the architecture copies in bulk (sm_90, sm_100), pointers elsewhere. The partial
results of a tile belong to it alone, so that sums are the same in every run.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .entries import (
    UNSHIFTED,
    join_log_sums,
    log_sums,
    negatives,
    outside,
    row_groups,
    violations_of,
    weights_of,
)
from .launch import SIZES
from .tiles import Tile

LOG_SUMS, WEIGHTS, VIOLATIONS, MAXIMA = 0, 1, 2, 3
PARTIAL_BYTES = {LOG_SUMS: 4, WEIGHTS: 0, VIOLATIONS: 8, MAXIMA: 8}
"""What an epilogue says of a row, or column, of a tile."""

# Tiles of texts whose tiles of pairs are made together: what they read stays in L2.
GROUP = 8


def pieces(tile: Tile, epilogue: int) -> int:
    """Pieces in which a tile is finished; VIOLATIONS hold most beside the scores."""
    large, entries = 128 * 128, tile.pairs * tile.rows
    return 1 if entries < large else 8 if entries > large and epilogue == VIOLATIONS else 4


@triton.jit
def product_tile(
    units, texts, first_pair, first_row, num_pairs, num_rows, width,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr, DESCRIPTORS: tl.constexpr,
):  # fmt: skip
    """Cosines <dhat_k, e_r> (P, R) of dhat (N, width) and texts (n, width); 0 outside."""
    scores = tl.zeros((BLOCK_PAIRS, BLOCK_ROWS), dtype=tl.float32)
    pairs = (first_pair + tl.arange(0, BLOCK_PAIRS))[:, None]
    rows = (first_row + tl.arange(0, BLOCK_ROWS))[None, :]
    for start in range(0, width, BLOCK_WIDTH):
        if DESCRIPTORS:
            unit = units.load([first_pair, start])
            text = texts.load([first_row, start]).T
        else:
            dims = start + tl.arange(0, BLOCK_WIDTH)
            wide = dims < width
            unit = tl.load(
                units + pairs.to(tl.int64) * width + dims[None, :],
                mask=(pairs < num_pairs) & wide[None, :], other=0.0,
            )  # fmt: skip
            text = tl.load(
                texts + rows.to(tl.int64) * width + dims[:, None],
                mask=(rows < num_rows) & wide[:, None], other=0.0,
            )  # fmt: skip
        scores = tl.dot(unit.to(DOT), text.to(DOT), scores, input_precision=PRECISION)
    return scores


@triton.jit
def left_and_right(tile, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A tile (ROWS, COLUMNS) cut in two; its registers stay where they are."""
    return tl.split(tl.permute(tl.reshape(tile, (ROWS, 2, COLUMNS // 2)), (0, 2, 1)))


@triton.jit
def store_weights(
    weights, weight, stride, first_pair, first_row, num_pairs, num_rows,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, DESCRIPTORS: tl.constexpr,
):  # fmt: skip
    """A piece of the weights (N, n)."""
    if DESCRIPTORS:
        weights.store([first_pair, first_row], weight.to(weights.dtype))
    else:
        pairs = (first_pair + tl.arange(0, BLOCK_PAIRS))[:, None]
        rows = (first_row + tl.arange(0, BLOCK_ROWS))[None, :]
        place = weights + pairs.to(tl.int64) * stride + rows
        tl.store(place, weight, mask=(pairs < num_pairs) & (rows < num_rows))


@triton.jit
def finish_tile(
    scores, groups, row_in, col_in, factor, bound, row_out, row_more, weights, stride,
    first_pair, first_row, row_offset, num_rows, num_pairs,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, EPILOGUE: tl.constexpr,
    STORE: tl.constexpr, DESCRIPTORS: tl.constexpr,
):  # fmt: skip
    """Write what a tile says of its rows, and its weights; return what it says of its columns."""
    pairs = first_pair + tl.arange(0, BLOCK_PAIRS)
    rows = first_row + tl.arange(0, BLOCK_ROWS)
    live_rows = rows < num_rows
    of_pair = tl.load(groups + pairs, mask=pairs < num_pairs, other=0)
    group, bits = row_groups(groups, first_row, row_offset, num_rows, BLOCK_ROWS)
    scores = negatives(scores, of_pair, group, bits)
    past = outside(first_pair, num_pairs, BLOCK_PAIRS)
    by_col = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
    more = tl.zeros((BLOCK_PAIRS,), dtype=tl.int32 if EPILOGUE == 3 else tl.float32)
    if EPILOGUE == 0:
        logits = scores * factor + past
        if STORE and bound <= UNSHIFTED:
            exps = tl.exp2(logits)
            by_row, by_col = tl.sum(exps, 0), tl.sum(exps, 1)
            store_weights(
                weights, exps, stride, first_pair, first_row, num_pairs, num_rows,
                BLOCK_PAIRS, BLOCK_ROWS, DESCRIPTORS,
            )  # fmt: skip
        else:
            by_row, by_col = log_sums(logits, bound)
        tl.store(row_out + rows, by_row, mask=live_rows)
    elif EPILOGUE == 3:
        scores += past
        by_row, row_place = tl.max(scores, 0, return_indices=True)
        by_col, more = tl.max(scores, 1, return_indices=True)
        tl.store(row_out + rows, by_row, mask=live_rows)
        tl.store(row_more + rows, first_pair + row_place, mask=live_rows)
        more += first_row
    elif EPILOGUE == 1:
        of_row = tl.load(row_in + rows, mask=live_rows, other=0.0)
        of_col = tl.load(col_in + pairs, mask=pairs < num_pairs, other=0.0)
        weight = weights_of(scores * factor, of_row, of_col, bound)
        store_weights(
            weights, weight, stride, first_pair, first_row, num_pairs, num_rows,
            BLOCK_PAIRS, BLOCK_ROWS, DESCRIPTORS,
        )  # fmt: skip
    elif first_row < num_rows:  # a branch, and so no load of the next piece before this one is done
        of_row = tl.load(row_in + rows, mask=live_rows, other=0.0)
        of_col = tl.load(col_in + pairs, mask=pairs < num_pairs, other=0.0)
        row_count, col_count, total = violations_of(scores + past, of_row, of_col, factor)
        tl.store(row_out + rows, tl.sum(row_count, 0), mask=live_rows)
        by_col, more = tl.sum(col_count, 1), tl.sum(total, 1)
        if STORE:
            store_weights(
                weights, row_count + col_count, stride, first_pair, first_row, num_pairs, num_rows,
                BLOCK_PAIRS, BLOCK_ROWS, DESCRIPTORS,
            )  # fmt: skip
    return by_col, more


@triton.jit
def join(a, a_more, b, b_more, bound, EPILOGUE: tl.constexpr):
    """What two tiles say of the same columns."""
    if EPILOGUE == 0:
        a = join_log_sums(a, b, bound)
    elif EPILOGUE == 3:
        a_more = tl.where(b > a, b_more, a_more)
        a = tl.maximum(a, b)
    else:
        a, a_more = a + b, a_more + b_more
    return a, a_more


@triton.jit
def finish(
    scores, groups, row_in, col_in, factor, bound, row_out, row_more, weights, stride,
    first_pair, first_row, row_offset, num_rows, num_pairs,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, EPILOGUE: tl.constexpr,
    STORE: tl.constexpr, DESCRIPTORS: tl.constexpr, PIECES: tl.constexpr,
):  # fmt: skip
    """``finish_tile`` of the pieces of a tile, one after the other."""
    if PIECES == 1:
        by_col, more = finish_tile(
            scores, groups, row_in, col_in, factor, bound, row_out, row_more, weights, stride,
            first_pair, first_row, row_offset, num_rows, num_pairs,
            BLOCK_PAIRS, BLOCK_ROWS, EPILOGUE, STORE, DESCRIPTORS,
        )  # fmt: skip
    else:
        HALF: tl.constexpr = BLOCK_ROWS // 2
        left, right = left_and_right(scores, BLOCK_PAIRS, BLOCK_ROWS)
        by_col, more = finish(
            left, groups, row_in, col_in, factor, bound, row_out, row_more, weights, stride,
            first_pair, first_row, row_offset, num_rows, num_pairs,
            BLOCK_PAIRS, HALF, EPILOGUE, STORE, DESCRIPTORS, PIECES // 2,
        )  # fmt: skip
        beside, beside_more = finish(
            right, groups, row_in, col_in, factor, bound, row_out, row_more, weights, stride,
            first_pair, first_row + HALF, row_offset, num_rows, num_pairs,
            BLOCK_PAIRS, HALF, EPILOGUE, STORE, DESCRIPTORS, PIECES // 2,
        )  # fmt: skip
        by_col, more = join(by_col, more, beside, beside_more, bound, EPILOGUE)
    return by_col, more


@triton.jit(do_not_specialize=SIZES)
def product_kernel(
    units, texts, groups, row_in, col_in, scalars, row_out, row_more, col_out, col_more, weights,
    row_offset, num_rows, num_pairs, width, stride,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr, EPILOGUE: tl.constexpr, STORE: tl.constexpr,
    DESCRIPTORS: tl.constexpr, LIBRARY: tl.constexpr, PIECES: tl.constexpr, GROUP: tl.constexpr,
    UNBOUNDED: tl.constexpr,
):  # fmt: skip
    """One tile. Outputs by EPILOGUE: rows (tiles of pairs, n), columns (tiles of rows, N).

    - LOG_SUMS: ``scalars`` (scale log2 e, bound); out: ``log_sums`` of the negatives. STORE: while
      the bound holds, exp2 of the negatives' logits, 0 elsewhere, as ``weights``.
    - WEIGHTS: the same scalars, ``row_in`` (n,) and ``col_in`` (N,) log-sum-exps in base 2;
      ``weights`` (N, n).
    - VIOLATIONS: ``scalars`` (margin, _), own cosines in; out: violations counted, ``col_more``:
      their sum. STORE: ``weights``, too: how many of its two terms an entry violates.
    - MAXIMA: out: the largest negative; ``more``: its pair, its row (of the block).

    ``units`` (N, width), ``texts`` (n, width) and ``weights`` (N, n) of some ``stride`` are tensor
    DESCRIPTORS, or else pointers. LIBRARY: ``units`` points at the cosines (N, n), fp32, that a
    library multiplied. The tile is finished in PIECES, one after the other: not much more than its
    scores fill the registers. UNBOUNDED: only where logits may pass the bound; ``kept_kernel`` has
    done the rest.
    """
    if UNBOUNDED and tl.load(scalars + 1) <= UNSHIFTED:
        return
    tiles_p, tiles_r = tl.cdiv(num_pairs, BLOCK_PAIRS), tl.cdiv(num_rows, BLOCK_ROWS)
    in_group = GROUP * tiles_p
    group = tl.program_id(0) // in_group * GROUP
    height = tl.minimum(tiles_r - group, GROUP)
    tile_r = group + tl.program_id(0) % in_group % height
    tile_p = tl.program_id(0) % in_group // height
    first_row = tile_r * BLOCK_ROWS
    first_pair = tile_p * BLOCK_PAIRS
    pairs = first_pair + tl.arange(0, BLOCK_PAIRS)
    if LIBRARY:
        rows = first_row + tl.arange(0, BLOCK_ROWS)
        inside = (pairs < num_pairs)[:, None] & (rows < num_rows)[None, :]
        place = pairs[:, None].to(tl.int64) * num_rows + rows[None, :]
        scores = tl.load(units + place, mask=inside, other=0.0)
    else:
        scores = product_tile(
            units, texts, first_pair, first_row, num_pairs, num_rows, width,
            BLOCK_PAIRS, BLOCK_ROWS, BLOCK_WIDTH, DOT, PRECISION, DESCRIPTORS,
        )  # fmt: skip
    factor, bound = tl.load(scalars), tl.load(scalars + 1)
    row_out += tile_p.to(tl.int64) * num_rows
    row_more += tile_p.to(tl.int64) * num_rows
    by_col, more = finish(
        scores, groups, row_in, col_in, factor, bound, row_out, row_more, weights, stride,
        first_pair, first_row, row_offset, num_rows, num_pairs,
        BLOCK_PAIRS, BLOCK_ROWS, EPILOGUE, STORE, DESCRIPTORS, PIECES,
    )  # fmt: skip
    if EPILOGUE != 1:
        col = tile_r.to(tl.int64) * num_pairs + pairs
        tl.store(col_out + col, by_col, mask=pairs < num_pairs)
        if EPILOGUE != 0:
            tl.store(col_more + col, more, mask=pairs < num_pairs)
