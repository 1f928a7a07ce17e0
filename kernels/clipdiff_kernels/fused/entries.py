"""What becomes of a tile of scores (pairs, rows), as Triton device functions.

Exponents are in base 2. While no |z| can pass 75 (in base e; ``bound`` is what none can pass, by
Cauchy and Schwarz), exp needs no shift: one serves rows and columns. Above, each takes its own.
Own entries are no negatives: they are added where all is O(N), from cosines made in fp32.
"""

from __future__ import annotations

import triton
import triton.language as tl

UNSHIFTED = tl.constexpr(75.0)
"""Largest |logit| that needs no shift: a sum of 10^5 terms of exp(75) stays below 3e38."""

WEIGHT_SCALE = 256.0
LOG2_WEIGHT_SCALE = tl.constexpr(8.0)
"""Softmax weights, about 1 / N, are stored this much larger: in the range of float16."""


@triton.jit
def negative_tile(groups, pairs, rows, row_offset, num_pairs, num_rows):
    """Which entries (P, R) are negatives: inside, of another group (an own entry is of its own)."""
    of_pair = tl.load(groups + pairs, mask=pairs < num_pairs, other=-1)
    of_row = tl.load(groups + row_offset + rows, mask=rows < num_rows, other=-1)
    inside = (pairs < num_pairs)[:, None] & (rows < num_rows)[None, :]
    return inside & (of_pair[:, None] != of_row[None, :])


@triton.jit
def log_sums(logits, negative, bound):
    """log2 sum exp2 of the negatives: of rows (R,), of columns (P,); -inf where there are none."""
    logits = tl.where(negative, logits, float("-inf"))
    if bound <= UNSHIFTED:
        exps = tl.exp2(logits)
        by_row, by_col = tl.log2(tl.sum(exps, 0)), tl.log2(tl.sum(exps, 1))
    else:
        row_max, col_max = tl.max(logits, 0), tl.max(logits, 1)
        row_shift = tl.where(row_max == float("-inf"), 0.0, row_max)
        col_shift = tl.where(col_max == float("-inf"), 0.0, col_max)
        by_row = row_shift + tl.log2(tl.sum(tl.exp2(logits - row_shift[None, :]), 0))
        by_col = col_shift + tl.log2(tl.sum(tl.exp2(logits - col_shift[:, None]), 1))
    return by_row, by_col


@triton.jit
def weights_of(logits, negative, row_lse, col_lse, bound):
    """WEIGHT_SCALE (exp(z - a_r) + exp(z - b_k)), (P, R); log-sum-exps in base 2; 0 elsewhere."""
    row_less = LOG2_WEIGHT_SCALE - row_lse
    col_less = LOG2_WEIGHT_SCALE - col_lse
    if bound <= UNSHIFTED:
        both = tl.exp2(row_less)[None, :] + tl.exp2(col_less)[:, None]
        weight = tl.exp2(logits) * both
    else:
        weight = tl.exp2(logits + row_less[None, :]) + tl.exp2(logits + col_less[:, None])
    return tl.where(negative, weight, 0.0)


@triton.jit
def violations_of(scores, negative, row_own, col_own, margin):
    """Which entries (P, R) violate the margin by row, by column, and by how much in all."""
    of_row = tl.where(negative, margin - row_own[None, :] + scores, 0.0)
    of_col = tl.where(negative, margin - col_own[:, None] + scores, 0.0)
    total = tl.maximum(of_row, 0.0) + tl.maximum(of_col, 0.0)
    return (of_row > 0).to(tl.float32), (of_col > 0).to(tl.float32), total


@triton.jit
def maxima_of(scores, negative):
    """Largest negative of rows (R,) and its pair in the tile, of columns (P,) and its row."""
    scores = tl.where(negative, scores, float("-inf"))
    row_max, row_place = tl.max(scores, 0, return_indices=True)
    col_max, col_place = tl.max(scores, 1, return_indices=True)
    return row_max, row_place, col_max, col_place
