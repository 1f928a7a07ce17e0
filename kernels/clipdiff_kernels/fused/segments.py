"""The way back from weights to the texts, through the images: dG, then dT = dG^T X.

dG[m, r] sums w_rk / n_k over the pairs that image m begins, less those that it ends. A row of a
tile is an image, a column a text; step t takes the t-th pair of every image. The program of a tile
is the only one that writes it. Lists are cut into parts of a bounded length, sorted by it, so that
the images of a tile end together and one that is in every pair holds up nobody; the parts of an
image share its row of X, so that nothing has to be added up for them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .entries import negatives, row_groups, violations_of, weights_of
from .launch import SIZES

SOFTMAX, MARGIN = 0, 1


class Segments(NamedTuple):
    """Which pairs each image is in: V parts of lists that hold 2 N entries in all."""

    owners: Tensor  # (V,) int32, rows of G
    starts: Tensor  # (V,) int32, places in the lists
    stops: Tensor  # (V,) int32
    pairs: Tensor  # (2 N,) int64, list entries: pairs
    others: Tensor  # (2 N,) int32, the other image of each
    inverse: Tensor  # (2 N,) fp32, 1 / n where the owner is the first image, else -1 / n


def segments_of(pair_index: Tensor, inverse: Tensor, num_images: int) -> Segments:
    """Sort the pairs (N, 2) by their images, on the device and without waiting for it."""
    num_pairs, device = len(pair_index), pair_index.device
    keys, order = pair_index.T.flatten().sort(stable=True)  # first images, then second ones
    is_first, pairs = order < num_pairs, order % num_pairs
    offsets = torch.searchsorted(keys, torch.arange(num_images + 1, device=device))
    longest = 4 * triton.cdiv(2 * num_pairs, num_images)
    parts = (offsets.diff() + longest - 1) // longest
    last = parts.cumsum(0)
    numbers = torch.arange(num_images + triton.cdiv(2 * num_pairs, longest), device=device)
    owners = torch.searchsorted(last, numbers, right=True).clamp_max_(num_images - 1)
    starts = offsets[owners] + (numbers - last[owners] + parts[owners]) * longest
    stops = torch.minimum(starts + longest, offsets[owners + 1])
    starts = torch.where(numbers < last[-1], starts, stops)  # those past the last are empty
    by_length = (starts - stops).argsort(stable=True)
    owners, starts, stops = (each[by_length].int() for each in (owners, starts, stops))
    others = pair_index[pairs, is_first.long()].int()
    signed = torch.where(is_first, inverse[pairs], -inverse[pairs])
    return Segments(owners, starts, stops, pairs, others, signed)


@triton.jit(do_not_specialize=SIZES)
def segment_kernel(
    gathered, owners, starts, stops, others, inverse, list_groups, list_col, groups, row_in,
    scalars, out, row_offset, num_rows, num_images, num_parts, tiles_per_split,
    BLOCK_PAIRS: tl.constexpr, BLOCK_ROWS: tl.constexpr, KIND: tl.constexpr,
):  # fmt: skip
    """out (V, slices * R) = dG; KIND 0: softmax weights, 1: violations of a margin.

    ``list_groups`` and ``list_col`` (2 N,) are what ``groups`` and ``col_in`` are elsewhere, in the
    lists' order.
    """
    number, split = tl.program_id(0), tl.program_id(1)
    columns = tl.arange(0, BLOCK_ROWS)
    rows = number * BLOCK_ROWS + columns
    live_rows = rows < num_rows
    slice_of = gathered + number.to(tl.int64) * num_images * BLOCK_ROWS
    factor, bound = tl.load(scalars), tl.load(scalars + 1)
    of_row = tl.load(row_in + rows, mask=live_rows, other=0.0)
    group, bits = row_groups(groups, number * BLOCK_ROWS, row_offset, num_rows, BLOCK_ROWS)
    last = tl.minimum((split + 1) * tiles_per_split, tl.cdiv(num_parts, BLOCK_PAIRS))
    for step in range(split * tiles_per_split, last):
        parts = step * BLOCK_PAIRS + tl.arange(0, BLOCK_PAIRS)
        inside = parts < num_parts
        owner = tl.load(owners + parts, mask=inside, other=0)
        start = tl.load(starts + parts, mask=inside, other=0)
        stop = tl.load(stops + parts, mask=inside, other=0)
        at_owner = tl.load(slice_of + owner[:, None] * BLOCK_ROWS + columns[None, :])
        total = tl.zeros((BLOCK_PAIRS, BLOCK_ROWS), dtype=tl.float32)
        for place in range(0, tl.max(stop - start, 0)):
            entry = start + place
            live = entry < stop
            past = tl.where(live, 0.0, float("-inf"))[:, None]  # as exp2 may overflow: inf * 0
            other = tl.load(others + entry, mask=live, other=0)
            scale = tl.load(inverse + entry, mask=live, other=0.0)
            of_col = tl.load(list_col + entry, mask=live, other=0.0)
            of_group = tl.load(list_groups + entry, mask=live, other=0)
            at_other = tl.load(slice_of + other[:, None] * BLOCK_ROWS + columns[None, :])
            scores = (at_owner - at_other) * scale[:, None]
            scores = negatives(scores, of_group, group, bits)
            if KIND == 0:
                weight = weights_of(scores * factor + past, of_row, of_col, bound)
            else:
                by_row, by_col, _ = violations_of(scores, of_row, of_col, factor)
                weight = by_row + by_col
            total += weight * scale[:, None]  # 0 past the end of a list
        place = parts[:, None].to(tl.int64) * (tl.num_programs(0) * BLOCK_ROWS) + rows[None, :]
        tl.store(out + place, total, mask=inside[:, None])
