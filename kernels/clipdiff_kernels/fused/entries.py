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
def row_groups(groups, first_row, row_offset, num_rows, BLOCK_ROWS: tl.constexpr):
    """Group ids of texts (1, R), and all bits or, past the last, none."""
    rows = first_row + tl.arange(0, BLOCK_ROWS)
    of_row = tl.load(groups + row_offset + rows, mask=rows < num_rows, other=0)
    return of_row[None, :], tl.where(rows < num_rows, -1, 0)[None, :]


@triton.jit
def negatives(scores, of_pair, of_row, bits):
    """The scores (P, R) of negatives: of another group (an own entry is of its own); else -inf.

    Every instruction here is paid for N^2 times. Groups differ where any bit does, and a text past
    the last has no bit to differ in; pairs past the last are added -inf (``outside``) in the
    multiplication that comes next. ``of_pair`` (P,); others as of ``row_groups``.
    """
    return tl.where(((of_pair[:, None] ^ of_row) & bits) != 0, scores, float("-inf"))


@triton.jit
def outside(first_pair, num_pairs, BLOCK_PAIRS: tl.constexpr):
    """-inf for pairs past the last, else 0: (P, 1)."""
    pairs = first_pair + tl.arange(0, BLOCK_PAIRS)
    return tl.where(pairs < num_pairs, 0.0, float("-inf"))[:, None]


@triton.jit
def log_sums(logits, bound):
    """Of rows (R,) and of columns (P,): sum exp2 of the logits or, where they may pass the bound,
    log2 of it; 0 or -inf where there is none."""
    if bound <= UNSHIFTED:
        exps = tl.exp2(logits)
        by_row, by_col = tl.sum(exps, 0), tl.sum(exps, 1)
    else:
        row_max, col_max = tl.max(logits, 0), tl.max(logits, 1)
        row_shift = tl.where(row_max == float("-inf"), 0.0, row_max)
        col_shift = tl.where(col_max == float("-inf"), 0.0, col_max)
        by_row = row_shift + tl.log2(tl.sum(tl.exp2(logits - row_shift[None, :]), 0))
        by_col = col_shift + tl.log2(tl.sum(tl.exp2(logits - col_shift[:, None]), 1))
    return by_row, by_col


@triton.jit
def join_log_sums(a, b, bound):
    """Of two parts of a row or column, as ``log_sums`` gives them, the whole."""
    if bound <= UNSHIFTED:
        total = a + b
    else:
        largest = tl.maximum(a, b)
        shift = tl.where(largest == float("-inf"), 0.0, largest)
        total = shift + tl.log2(tl.exp2(a - shift) + tl.exp2(b - shift))
    return total


@triton.jit
def row_and_column(row_lse, col_lse):
    """WEIGHT_SCALE (exp(-a_r) + exp(-b_k)), (P, R), while the bound holds."""
    # a column of which this block has no negative may be known from much longer texts only
    of_col = tl.exp2(tl.minimum(-col_lse + LOG2_WEIGHT_SCALE, 120.0))
    return tl.exp2(-row_lse + LOG2_WEIGHT_SCALE)[None, :] + of_col[:, None]


@triton.jit
def weights_of(logits, row_lse, col_lse, bound):
    """WEIGHT_SCALE (exp(z - a_r) + exp(z - b_k)), (P, R); log-sum-exps in base 2."""
    if bound <= UNSHIFTED:
        weight = tl.exp2(logits) * row_and_column(row_lse, col_lse)
    else:
        weight = tl.exp2(logits + (-row_lse + LOG2_WEIGHT_SCALE)[None, :])
        weight += tl.exp2(logits + (-col_lse + LOG2_WEIGHT_SCALE)[:, None])
    return weight


@triton.jit
def violations_of(scores, row_own, col_own, margin):
    """Which entries (P, R) violate the margin by row, by column, and by how much in all."""
    of_row = scores + (margin - row_own)[None, :]
    of_col = scores + (margin - col_own)[:, None]
    total = tl.maximum(of_row, 0.0) + tl.maximum(of_col, 0.0)
    return (of_row > 0).to(tl.float32), (of_col > 0).to(tl.float32), total
