"""Tiles that every fused loss is made of, as Triton device functions.

Shapes: P = BLOCK_PAIRS, R = BLOCK_ROWS, W = BLOCK_WIDTH. A score tile is (P, R): pairs along its
first axis and text rows along its second, so that the rows of G^T (gather source) and of the stored
weights are contiguous. Offsets are int64: row * N passes int32 at N = 46,341.
"""

from __future__ import annotations

import triton
import triton.language as tl

from clipdiff_kernels.launch import SIZES


@triton.jit
def load_pairs(pair_index, inv_norm, pairs, stop):
    """Images (i, j) and 1 / n of ``pairs`` (P,); the inverse norm past ``stop`` is 0."""
    live = pairs < stop
    first = tl.load(pair_index + 2 * pairs.to(tl.int64), mask=live, other=0)
    second = tl.load(pair_index + 2 * pairs.to(tl.int64) + 1, mask=live, other=0)
    inverse = tl.load(inv_norm + pairs, mask=live, other=0.0)
    return first, second, inverse


@triton.jit
def difference_tile(images, first, second, dims, width):
    """X[i] - X[j] in fp32, (P, W); dims past ``width`` are 0."""
    inside = (dims < width)[None, :]
    a = tl.load(images + first[:, None] * width + dims[None, :], mask=inside, other=0.0)
    b = tl.load(images + second[:, None] * width + dims[None, :], mask=inside, other=0.0)
    return a.to(tl.float32) - b.to(tl.float32)


@triton.jit
def dot_scores(
    texts, images, first, second, inverse, rows, stop_row, width,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Cosines <dhat_k, e_r> (P, R), gathering the images and multiplying in slices of the width.

    The difference is normalised before it is rounded to DOT: fp16 would lose small ones.
    """
    scores = tl.zeros((BLOCK_PAIRS, BLOCK_ROWS), dtype=tl.float32)
    for start in range(0, width, BLOCK_WIDTH):
        dims = start + tl.arange(0, BLOCK_WIDTH)
        unit = (difference_tile(images, first, second, dims, width) * inverse[:, None]).to(DOT)
        inside = (dims < width)[:, None] & (rows < stop_row)[None, :]
        text = tl.load(
            texts + rows[None, :].to(tl.int64) * width + dims[:, None], mask=inside, other=0.0
        )
        scores = tl.dot(unit, text.to(DOT), scores, input_precision=PRECISION)
    return scores


@triton.jit
def gather_scores(gathered, stride, first, second, inverse, columns):
    """Cosines (P, R) as (G[i] - G[j]) / n, from G^T (M, stride) = X texts^T of one launch's rows.

    ``columns`` (R,) are the rows' positions in the launch: aligned, so that with a stride that is a
    multiple of 16 (all launches but perhaps the last) four neighbours make one load.
    """
    live = (columns < stride)[None, :]
    a = tl.load(gathered + first[:, None] * stride + columns[None, :], mask=live, other=0.0)
    b = tl.load(gathered + second[:, None] * stride + columns[None, :], mask=live, other=0.0)
    return (a - b) * inverse[:, None]


@triton.jit
def score_tile(
    texts, images, gathered, stride, pair_index, inv_norm, pairs, rows, columns,
    stop_pair, stop_row, width,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr, GATHER: tl.constexpr,
):  # fmt: skip
    """Cosines (P, R) of ``pairs`` and ``rows`` from either source; 0 outside."""
    first, second, inverse = load_pairs(pair_index, inv_norm, pairs, stop_pair)
    if GATHER:
        scores = gather_scores(gathered, stride, first, second, inverse, columns)
    else:
        scores = dot_scores(
            texts, images, first, second, inverse, rows, stop_row, width,
            BLOCK_PAIRS, BLOCK_ROWS, BLOCK_WIDTH, DOT, PRECISION,
        )  # fmt: skip
    return scores


@triton.jit
def negative_tile(group_ids, pairs, rows, stop_pair, stop_row, GROUPS: tl.constexpr):
    """Which entries (P, R) are negatives: inside, off the diagonal, of another group."""
    inside = (pairs < stop_pair)[:, None] & (rows < stop_row)[None, :]
    negative = inside & (pairs[:, None] != rows[None, :])
    if GROUPS:
        group_pair = tl.load(group_ids + pairs, mask=pairs < stop_pair, other=0)
        group_row = tl.load(group_ids + rows, mask=rows < stop_row, other=0)
        negative = negative & (group_pair[:, None] != group_row[None, :])
    return negative


@triton.jit
def logit_tile(group_ids, pairs, rows, stop_pair, stop_row, GROUPS: tl.constexpr):
    """Which entries (P, R) take part in a softmax: the negatives and the diagonal."""
    inside = (pairs < stop_pair)[:, None] & (rows < stop_row)[None, :]
    if GROUPS:
        negative = negative_tile(group_ids, pairs, rows, stop_pair, stop_row, GROUPS)
        inside = inside & (negative | (pairs[:, None] == rows[None, :]))
    return inside


@triton.jit(do_not_specialize=SIZES)
def pair_facts_kernel(
    texts, images, pair_index, inv_norm, diagonal, text_norm, num_pairs, width, eps, undirected,
    BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
):  # fmt: skip
    """For each pair: 1 / n, cosine with its own text, norm of the text (all fp32).

    Where n <= eps the inverse is ``undirected``: 1 / eps, or 0 to drop the difference.
    """
    pairs = tl.program_id(0) * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    live = pairs < num_pairs
    first = tl.load(pair_index + 2 * pairs.to(tl.int64), mask=live, other=0)
    second = tl.load(pair_index + 2 * pairs.to(tl.int64) + 1, mask=live, other=0)
    squared = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
    inner = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
    text_squared = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
    for start in range(0, width, BLOCK_WIDTH):
        dims = start + tl.arange(0, BLOCK_WIDTH)
        difference = difference_tile(images, first, second, dims, width)
        inside = live[:, None] & (dims < width)[None, :]
        text = tl.load(
            texts + pairs[:, None].to(tl.int64) * width + dims[None, :], mask=inside, other=0.0
        )
        text = text.to(tl.float32)
        squared += tl.sum(difference * difference, 1)
        inner += tl.sum(difference * text, 1)
        text_squared += tl.sum(text * text, 1)
    norm = tl.sqrt(squared)
    inverse = tl.where(norm > eps, 1.0 / tl.maximum(norm, eps), undirected)
    tl.store(inv_norm + pairs, inverse, mask=live)
    tl.store(diagonal + pairs, inner * inverse, mask=live)
    tl.store(text_norm + pairs, tl.sqrt(text_squared), mask=live)


@triton.jit(do_not_specialize=SIZES)
def add_scaled_differences_kernel(
    out, images, pair_index, inv_norm, scale, num_pairs, width,
    BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
):  # fmt: skip
    """out[k] += scale[k] dhat_k, (N, D); the program of a pair is the only writer of its row."""
    pairs = tl.program_id(0) * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    live = pairs < num_pairs
    first, second, inverse = load_pairs(pair_index, inv_norm, pairs, num_pairs)
    factor = inverse * tl.load(scale + pairs, mask=live, other=0.0)
    for start in range(0, width, BLOCK_WIDTH):
        dims = start + tl.arange(0, BLOCK_WIDTH)
        inside = live[:, None] & (dims < width)[None, :]
        target = out + pairs[:, None].to(tl.int64) * width + dims[None, :]
        added = difference_tile(images, first, second, dims, width) * factor[:, None]
        before = tl.load(target, mask=inside, other=0.0).to(tl.float32)
        tl.store(target, before + added, mask=inside)
