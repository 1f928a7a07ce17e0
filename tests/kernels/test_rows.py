"""Blocks of rows that exchange N-vectors: the loss and gradients of all rows together."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from clipdiff_kernels import (
    contrastive_loss,
    contrastive_loss_rows,
    hinge_loss,
    hinge_loss_rows,
    squared_loss,
    squared_loss_rows,
)
from clipdiff_kernels.blocks import alone
from clipdiff_kernels.contrastive.rows import backward_rows, combine_columns, forward_rows
from clipdiff_kernels.similarity import DirectSimilarity

NUM_PAIRS = 48
SHARES = [[48], [29, 19], [7, 40, 1], [20, 0, 28]]
CASES = [
    (squared_loss, squared_loss_rows, {}, "chunked", 1),
    *(
        case
        for backend in ("chunked", "gather")
        for case in [
            (contrastive_loss, contrastive_loss_rows, {"logit_scale": 10.0}, backend, 98),
            (contrastive_loss, contrastive_loss_rows, {"logit_scale": 100.0}, backend, 98),
            (hinge_loss, hinge_loss_rows, {}, backend, 97),
            (hinge_loss, hinge_loss_rows, {"negatives": "hardest"}, backend, 145),
            (hinge_loss, hinge_loss_rows, {"negatives": "reversed"}, backend, 1),
        ]
    ),
]
NAMES = ["-".join(map(str, (op.__name__, *k.values(), b))) for op, _, k, b, _ in CASES]


class Blocks:
    """An all-reduce between threads, each of which plays one block; counts the numbers moved."""

    def __init__(self, count: int):
        self._barrier = threading.Barrier(count)
        self._parts: dict[int, torch.Tensor] = {}
        self._count = count
        self.moved = 0

    def member(self, index: int):
        def all_reduce(tensor, op):
            self._parts[index] = tensor.clone()
            self._barrier.wait(timeout=60)
            parts = torch.stack([self._parts[i] for i in range(self._count)])
            self._barrier.wait(timeout=60)
            if index == 0:
                self.moved += tensor.numel()
            return tensor.copy_({"sum": parts.sum(0), "max": parts.amax(0)}[op])

        return all_reduce

    def run(self, function) -> list:
        with ThreadPoolExecutor(self._count) as pool:
            return list(pool.map(function, range(self._count)))


@pytest.fixture(scope="module")
def batch(make_batch):
    return make_batch(NUM_PAIRS, 9, 17, seed=5)


def leaves(batch, rows):
    images = batch.image_embeds.clone().requires_grad_()
    return images, batch.text_embeds[rows].clone().requires_grad_()


def with_scale(settings):
    """The settings with logit_scale as a tensor that wants a gradient, and that tensor."""
    if "logit_scale" not in settings:
        return settings, None
    scale = torch.tensor([settings["logit_scale"]], dtype=torch.float64, requires_grad=True)
    return {**settings, "logit_scale": scale}, scale


@pytest.mark.parametrize(("op", "rows_op", "settings", "backend", "moved"), CASES, ids=NAMES)
@pytest.mark.parametrize("shares", SHARES, ids=str)
@pytest.mark.parametrize("grouped", [False, True])
def test_blocks_give_the_whole(batch, op, rows_op, settings, backend, moved, shares, grouped):
    if grouped and op is not squared_loss:
        settings = {**settings, "group_ids": batch.group_ids}
    images, text = leaves(batch, slice(None))
    whole_settings, scale = with_scale(settings)
    whole, stats = op(
        images, batch.pair_index, text, backend=backend, return_stats=True, **whole_settings
    )
    (2.5 * whole).backward()

    offsets = [sum(shares[:i]) for i in range(len(shares))]
    blocks = Blocks(len(shares))

    def one_block(index):
        rows = slice(offsets[index], offsets[index] + shares[index])
        block_images, block_text = leaves(batch, rows)
        block_settings, block_scale = with_scale(settings)
        loss, block_stats = rows_op(
            block_images, batch.pair_index, block_text, row_offset=offsets[index],
            all_reduce=blocks.member(index), backend=backend, return_stats=True, **block_settings,
        )  # fmt: skip
        (2.5 * loss).backward()
        return loss, block_stats, block_images.grad, block_text.grad, block_scale

    results = blocks.run(one_block)
    for loss, block_stats, *_ in results:
        torch.testing.assert_close(loss, whole)
        torch.testing.assert_close(block_stats, stats)
    torch.testing.assert_close(sum(r[2] for r in results), images.grad)
    torch.testing.assert_close(torch.cat([r[3] for r in results]), text.grad)
    if scale is not None:
        torch.testing.assert_close(sum(r[4].grad for r in results), scale.grad)
    assert blocks.moved == moved + len(stats)


def test_two_phases_by_hand(batch):
    """The passes that ContrastiveRows joins, with the exchange written out."""
    text, scale = batch.text_embeds, torch.tensor(100.0, dtype=torch.float64)
    bounds = [(0, 30), (30, 48)]
    similarity = DirectSimilarity(batch.image_embeds, batch.pair_index)
    parts = [forward_rows(similarity, text[a:b], scale, row_offset=a) for a, b in bounds]
    highest = torch.stack([part.column_max for part in parts]).amax(0)
    total = sum(part.column_sum * (part.column_max - highest).exp() for part in parts)
    column_lse = combine_columns(highest, total, alone)
    rows = sum((part.row_lse - 2 * part.own).sum() for part in parts)
    loss = (rows + column_lse.sum()) / (2 * NUM_PAIRS)
    grads = [
        backward_rows(similarity, text[a:b], scale, part.row_lse, column_lse, row_offset=a)
        for (a, b), part in zip(bounds, parts, strict=True)
    ]

    leaf = text.clone().requires_grad_()
    want = contrastive_loss(batch.image_embeds, batch.pair_index, leaf, scale, backend="reference")
    want.backward()
    torch.testing.assert_close(loss, want.detach())
    torch.testing.assert_close(torch.cat(grads) / (2 * NUM_PAIRS), leaf.grad)
