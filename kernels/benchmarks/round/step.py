"""The training step of ViT-L-14's text tower at random weights, and the loss's share of it."""

from __future__ import annotations

from functools import partial
from statistics import median
from time import perf_counter

import harness
import providers
import torch
from torch import Tensor, nn

from .record import Record
from .text_tower import Shape, TextTower

SECONDS = 60
MICRO_BATCH, DRY_MICRO_BATCH = 512, 8
BATCHES, DRY_BATCHES = (512, 4096, 32768), (8, 15)
DRY_SHAPE = Shape(width=16, layers=1, heads=2, context=5, vocabulary=50)
LOSSES = ("auto", "eager")
LARGEST_EAGER = 4096  # pairs: a step of more takes seconds


def run(record: Record) -> None:
    """A row ``step`` for each batch, compiled or not, and loss."""
    batches = DRY_BATCHES if record.dry else BATCHES
    record.each(
        {
            f"{batch} {loss} {'compiled' if compiled else 'eager tower'}": partial(
                measure, record, batch, compiled, loss
            )
            for batch in batches
            for compiled in (True, False)
            for loss in LOSSES
            if batch <= LARGEST_EAGER or loss != "eager"
        },
        SECONDS,
    )


class Step:
    """Forward, loss, backward and AdamW in bf16 autocast, by micro batches where there are more.

    Embeddings of all micro batches come first, without a graph; the loss gives their gradient,
    and each micro batch is run again with it (gradient caching: a third more FLOP, exact).
    """

    def __init__(self, shape: Shape, batch: int, micro_batch: int, compiled: bool, loss: str):
        torch.manual_seed(0)
        device = harness.device()
        self.tower = TextTower(shape).to(device)
        self.optimizer = torch.optim.AdamW(self.tower.parameters(), lr=1e-5, fused=True)
        self.size = harness.Size(batch, 1000, shape.width)
        self.images, self.pairs, _ = harness.make_batch(self.size, torch.bfloat16)
        tokens = torch.randint(shape.vocabulary, (batch, shape.context), device=device)
        self.tokens = tokens.split(micro_batch)
        backend = "inductor" if device == "cuda" else "aot_eager"
        tower: nn.Module = self.tower
        self.encode = torch.compile(tower, backend=backend, dynamic=False) if compiled else tower
        self.loss = (
            providers.provider("contrastive", "eager")
            if loss == "eager"
            else providers.ours("contrastive", "auto")
        )
        self.last = torch.tensor(torch.nan)
        self.marks: list[tuple[float, float]] = []

    def __call__(self) -> None:
        if len(self.tokens) == 1:
            embeds = self._encode(self.tokens[0])
            leaf = embeds.detach().requires_grad_()
            value = self._loss(leaf)
            embeds.backward(leaf.grad)
        else:
            with torch.no_grad():
                embeds = torch.cat([self._encode(part) for part in self.tokens])
            leaf = embeds.requires_grad_()
            value = self._loss(leaf)
            for part, grad in zip(self.tokens, leaf.grad.split(len(self.tokens[0])), strict=True):
                self._encode(part).backward(grad)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.last = value

    def _encode(self, tokens: Tensor) -> Tensor:
        with torch.autocast(harness.device(), torch.bfloat16):
            return self.encode(tokens).bfloat16()

    def _loss(self, embeds: Tensor) -> Tensor:
        """The loss and its gradient, timed."""
        begin = now()
        value = self.loss(self.images, self.pairs, embeds)
        value.backward()
        self.marks.append((begin, now()))
        return value.detach()


def now() -> float:
    """Seconds, when all that was queued is done; costs a step of tenths of a second nothing."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter()


def measure(record: Record, batch: int, compiled: bool, loss: str) -> None:
    shape = DRY_SHAPE if record.dry else Shape()
    micro_batch = min(batch, DRY_MICRO_BATCH if record.dry else MICRO_BATCH)
    step = Step(shape, batch, micro_batch, compiled, loss)
    step()  # compiles
    step.marks.clear()
    times = []

    def timed() -> None:
        for _ in range(1 if record.dry else max(2, min(8, 16384 // batch))):
            begin = now()
            step()
            times.append(now() - begin)

    peak = harness.peak_bytes(timed)
    value = step.last
    if not torch.isfinite(value):
        raise ValueError(f"the loss is {value.item()} at batch {batch}")
    seconds = median(times)
    in_loss = median(end - begin for begin, end in step.marks)
    record.add(
        "step",
        batch=batch,
        micro_batch=micro_batch,
        compiled=compiled,
        loss=loss,
        step_ms=1e3 * seconds,
        tokens_per_s=batch * shape.context / seconds,
        mfu=shape.flops(batch) / seconds / harness.product_rate(torch.bfloat16),
        loss_share=in_loss / seconds,
        peak_mb=peak / 1e6,
    )
