"""Kernels that go along the width of each pair: what is known of a pair before any product, and
what is added to a text's gradient after them."""

from __future__ import annotations

import triton
import triton.language as tl

from .launch import SIZES


@triton.jit
def difference_tile(images, first, second, dims, width):
    """X[i] - X[j] in fp32, (P, W); dims past ``width`` are 0."""
    inside = (dims < width)[None, :]
    a = tl.load(images + first[:, None] * width + dims[None, :], mask=inside, other=0.0)
    b = tl.load(images + second[:, None] * width + dims[None, :], mask=inside, other=0.0)
    return a.to(tl.float32) - b.to(tl.float32)


@triton.jit
def load_pairs(pair_index, pairs, num_pairs):
    """Images (i, j) of ``pairs`` (P,); (0, 0) past the last."""
    live = pairs < num_pairs
    first = tl.load(pair_index + 2 * pairs.to(tl.int64), mask=live, other=0)
    second = tl.load(pair_index + 2 * pairs.to(tl.int64) + 1, mask=live, other=0)
    return first, second


@triton.jit(do_not_specialize=SIZES)
def pair_facts_kernel(
    texts, images, pair_index, inverse, own, text_norm, units,
    row_offset, num_rows, num_pairs, width, padded, eps, undirected,
    BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr, STORE: tl.constexpr,
):  # fmt: skip
    """For each pair 1 / n (N,); for each text its cosine with its own pair and its norm, (n,).

    With STORE also the directions dhat (N, padded), in the dtype of ``units`` and 0 past ``width``.
    Where n <= eps the inverse is ``undirected``, 1 / eps.
    """
    pairs = tl.program_id(0) * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    rows = pairs - row_offset
    is_own = (rows >= 0) & (rows < num_rows)
    first, second = load_pairs(pair_index, pairs, num_pairs)
    squared = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
    inner = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
    text_squared = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
    for start in range(0, width, BLOCK_WIDTH):
        dims = start + tl.arange(0, BLOCK_WIDTH)
        difference = difference_tile(images, first, second, dims, width)
        inside = is_own[:, None] & (dims < width)[None, :]
        place = rows[:, None].to(tl.int64) * padded + dims[None, :]
        text = tl.load(texts + place, mask=inside, other=0.0).to(tl.float32)
        squared += tl.sum(difference * difference, 1)
        inner += tl.sum(difference * text, 1)
        text_squared += tl.sum(text * text, 1)
    norm = tl.sqrt(squared)
    scale = tl.where(norm > eps, 1.0 / tl.maximum(norm, eps), undirected)
    tl.store(inverse + pairs, scale, mask=pairs < num_pairs)
    tl.store(own + rows, inner * scale, mask=is_own)
    tl.store(text_norm + rows, tl.sqrt(text_squared), mask=is_own)
    if STORE:
        for start in range(0, padded, BLOCK_WIDTH):
            dims = start + tl.arange(0, BLOCK_WIDTH)
            unit = difference_tile(images, first, second, dims, width) * scale[:, None]
            inside = (pairs < num_pairs)[:, None] & (dims < padded)[None, :]
            place = pairs[:, None].to(tl.int64) * padded + dims[None, :]
            tl.store(units + place, unit, mask=inside)


@triton.jit(do_not_specialize=SIZES)
def own_part_kernel(
    out, inner, sums, texts, images, pair_index, inverse, coefficient, scalars,
    row_offset, num_rows, num_pairs, width, padded, stride,
    BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
):  # fmt: skip
    """out[r] = f (g sums[r] + coefficient_r dhat_r), (n, D), with (g, f) = ``scalars``.

    And inner_r = <text_r, g sums[r] + coefficient_r dhat_r>. ``out`` may be ``sums``.
    """
    rows = tl.program_id(0) * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    live = rows < num_rows
    first, second = load_pairs(pair_index, rows + row_offset, num_pairs)
    scale = tl.load(inverse + row_offset + rows, mask=live, other=0.0)
    scale *= tl.load(coefficient + rows, mask=live, other=0.0)
    of_sums, factor = tl.load(scalars), tl.load(scalars + 1)
    total = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
    for start in range(0, width, BLOCK_WIDTH):
        dims = start + tl.arange(0, BLOCK_WIDTH)
        inside = live[:, None] & (dims < width)[None, :]
        long = rows[:, None].to(tl.int64)
        grad = tl.load(sums + long * stride + dims[None, :], mask=inside, other=0.0) * of_sums
        grad += difference_tile(images, first, second, dims, width) * scale[:, None]
        text = tl.load(texts + long * padded + dims[None, :], mask=inside, other=0.0)
        total += tl.sum(tl.where(inside, grad * text.to(tl.float32), 0.0), 1)
        tl.store(out + long * width + dims[None, :], grad * factor, mask=inside)
    tl.store(inner + rows, total, mask=live)


@triton.jit(do_not_specialize=SIZES)
def squared_kernel(
    texts, images, pair_index, inverse, sums, grad,
    row_offset, num_rows, num_pairs, width,
    BLOCK_PAIRS: tl.constexpr, BLOCK_WIDTH: tl.constexpr,
    NORMALIZE: tl.constexpr, STORE: tl.constexpr,
):  # fmt: skip
    """sums[r] = |e_r - u_r|^2 (n,), u the difference or its direction; STORE: grad = e - u."""
    rows = tl.program_id(0) * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
    live = rows < num_rows
    first, second = load_pairs(pair_index, rows + row_offset, num_pairs)
    scale = tl.load(inverse + row_offset + rows, mask=live, other=0.0)
    total = tl.zeros((BLOCK_PAIRS,), dtype=tl.float32)
    for start in range(0, width, BLOCK_WIDTH):
        dims = start + tl.arange(0, BLOCK_WIDTH)
        inside = live[:, None] & (dims < width)[None, :]
        place = rows[:, None].to(tl.int64) * width + dims[None, :]
        target = difference_tile(images, first, second, dims, width)
        if NORMALIZE:
            target = target * scale[:, None]
        text = tl.load(texts + place, mask=inside, other=0.0).to(tl.float32)
        residual = tl.where(inside, text - target, 0.0)
        total += tl.sum(residual * residual, 1)
        if STORE:
            tl.store(grad + place, residual, mask=inside)
    tl.store(sums + rows, total, mask=live)
