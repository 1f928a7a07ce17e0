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
from clipdiff_kernels.fused.launch import available

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TORCH = ("chunked", "gather")
TRITON = ("triton", "triton-gather") if available(DEVICE) else ()
NUM_PAIRS = 48
SHARES = [[48], [29, 19], [7, 40, 1], [20, 0, 28]]
CASES = [
    *((squared_loss, squared_loss_rows, {}, backend, 1) for backend in (TORCH[0], *TRITON[:1])),
    *(
        case
        for backend in (*TORCH, *TRITON)
        for case in [
            (contrastive_loss, contrastive_loss_rows, {"logit_scale": 10.0}, backend, 97),
            (contrastive_loss, contrastive_loss_rows, {"logit_scale": 100.0}, backend, 97),
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
        self._turn = threading.Lock()  # Triton's interpreter takes one thread at a time
        self._barrier = threading.Barrier(count)
        self._parts: dict[int, torch.Tensor] = {}
        self._count = count
        self.moved = 0

    def member(self, index: int):
        def all_reduce(tensor, op):
            self._parts[index] = tensor.clone()
            self._meet()
            parts = torch.stack([self._parts[i] for i in range(self._count)])
            self._meet()
            if index == 0:
                self.moved += tensor.numel()
            return tensor.copy_({"sum": parts.sum(0), "max": parts.amax(0)}[op])

        return all_reduce

    def _meet(self):
        self._turn.release()
        self._barrier.wait(timeout=60)
        self._turn.acquire()

    def run(self, function) -> list:
        def in_turn(index):
            with self._turn:
                return function(index)

        with ThreadPoolExecutor(self._count) as pool:
            return list(pool.map(in_turn, range(self._count)))


@pytest.fixture(scope="module")
def batches(make_batch):
    """Of the backends' dtypes: what Triton multiplies is no wider than float32."""
    wide = make_batch(NUM_PAIRS, 9, 17, seed=5)
    return {dtype: wide.to(dtype, DEVICE) for dtype in (torch.float64, torch.float32)}


def leaves(batch, rows):
    images = batch.image_embeds.clone().requires_grad_()
    return images, batch.text_embeds[rows].clone().requires_grad_()


def with_scale(settings):
    """The settings with logit_scale as a tensor that wants a gradient, and that tensor."""
    if "logit_scale" not in settings:
        return settings, None
    scale = torch.tensor([settings["logit_scale"]], dtype=torch.float64, device=DEVICE)
    scale.requires_grad_()
    return {**settings, "logit_scale": scale}, scale


@pytest.mark.parametrize(("op", "rows_op", "settings", "backend", "moved"), CASES, ids=NAMES)
@pytest.mark.parametrize("shares", SHARES, ids=str)
@pytest.mark.parametrize("grouped", [False, True])
def test_blocks_give_the_whole(batches, op, rows_op, settings, backend, moved, shares, grouped):
    batch = batches[torch.float64]
    if grouped and op is not squared_loss:
        settings = {**settings, "group_ids": batch.group_ids}
    images, text = leaves(batch, slice(None))
    whole_settings, scale = with_scale(settings)
    whole, stats = op(
        images, batch.pair_index, text, backend="reference", return_stats=True, **whole_settings
    )
    (2.5 * whole).backward()

    fused = backend in TRITON
    mine = batches[torch.float32 if fused else torch.float64]
    offsets = [sum(shares[:i]) for i in range(len(shares))]
    blocks = Blocks(len(shares))

    def one_block(index):
        rows = slice(offsets[index], offsets[index] + shares[index])
        block_images, block_text = leaves(mine, rows)
        block_settings, block_scale = with_scale(settings)
        loss, block_stats = rows_op(
            block_images, mine.pair_index, block_text, row_offset=offsets[index],
            all_reduce=blocks.member(index), backend=backend, return_stats=True, **block_settings,
        )  # fmt: skip
        (2.5 * loss).backward()
        return loss, block_stats, block_images.grad, block_text.grad, block_scale

    def close(got, want):
        near = {"rtol": 1e-4, "atol": 2e-5} if fused else {}
        torch.testing.assert_close(got.double(), want.double(), **near)

    results = blocks.run(one_block)
    for loss, block_stats, *_ in results:
        close(loss, whole)
        for mean, wanted in zip(block_stats, stats, strict=True):
            close(mean, wanted)
    close(sum(r[2] for r in results), images.grad)
    close(torch.cat([r[3] for r in results]), text.grad)
    if scale is not None:
        close(sum(r[4].grad for r in results), scale.grad)
    assert blocks.moved == moved + len(stats)
