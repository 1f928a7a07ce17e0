"""Times, memory and launches of each op by every provider, beside floors and machine rates."""

from __future__ import annotations

from functools import partial

import harness
import providers
import torch

from .clock import launched, median_ms
from .record import Record

SECONDS = 45
DTYPE = torch.bfloat16
PAIRS, DRY_PAIRS = (32768, 65536, 4096), (17,)
WIDTH, IMAGES = 768, 1000
DRY_WIDTH, DRY_IMAGES = 16, 6
PROVIDERS = {
    "contrastive": [
        "eager", "triton", "triton-gather", "triton-kept", "triton-library", "eager-compiled",
        "open_clip", "memeff", "inf-cl",
    ],
    "hinge": ["eager", "triton", "triton-gather", "triton-library", "eager-compiled"],
    "squared": ["eager", "triton", "eager-compiled"],
}  # fmt: skip
DRY_ROUNDS = {"least": 1, "most": 1}


def run(record: Record) -> None:
    """Rows ``rates``, ``times`` and ``kernels``; ``unavailable`` for a peer that is not there."""
    pieces = {"rates": partial(rates, record)}
    pairs = DRY_PAIRS if record.dry else PAIRS
    shape = (DRY_IMAGES, DRY_WIDTH) if record.dry else (IMAGES, WIDTH)
    for op, names in PROVIDERS.items():
        for count in pairs:
            for name in names:
                size = harness.Size(count, *shape)
                pieces[f"{op} {count} {name}"] = partial(measure, record, op, size, name)
    record.each(pieces, SECONDS)


def rates(record: Record) -> None:
    """The machine's own product and copy, which floors are made of."""
    record.add(
        "rates",
        product_tflops=harness.product_rate(DTYPE) / 1e12,
        copy_tbs=harness.copy_rate() / 1e12,
        dtype=str(DTYPE),
    )


def measure(record: Record, op: str, size: harness.Size, name: str) -> None:
    """One provider at one size, our own in the ways that there are."""
    with providers.alternative(name) as backend:
        take_times(record, op, size, name, backend)


def take_times(record: Record, op: str, size: harness.Size, name: str, backend: str) -> None:
    """The times first, then what the profiler says."""
    piece = f"{op} {size.pairs} {name}"
    try:
        loss = providers.provider(op, backend)
        loss_error, grad_error = harness.errors(op, size, DTYPE, loss)
    except providers.UnavailableError as reason:
        record.add("unavailable", piece=piece, why=str(reason))
        return
    loss_limit, grad_limit = harness.limits(DTYPE)
    within = (
        loss_error <= loss_limit and grad_error <= grad_limit and not record.red(op, name, "bf16")
    )
    few = DRY_ROUNDS if record.dry else {"seconds": 0.25}
    images, pairs, texts = harness.make_batch(size, DTYPE)
    leaf = texts.detach().requires_grad_()

    def step() -> None:
        leaf.grad = None
        loss(images, pairs, leaf).backward()

    forward_ms = median_ms(lambda: loss(images, pairs, leaf), **few)
    step_ms = median_ms(step, **few)
    leaf.grad = None
    record.add(
        "times",
        piece=piece,
        op=op,
        provider=name,
        N=size.pairs,
        M=size.images,
        D=size.width,
        forward_ms=forward_ms,
        step_ms=step_ms,
        floor_ms=1e3 * harness.floor_seconds(op, size, DTYPE),
        tflops=harness.UNITS[op] * 2 * size.pairs**2 * size.width / step_ms / 1e9,
        tbs=3 * texts.nbytes / step_ms / 1e9,
        peak_mb=harness.peak_bytes(step) / 1e6,
        loss_error=loss_error,
        grad_error=grad_error,
        within=within,
    )
    leaf.grad = None
    record.add("kernels", piece=piece, **launched(step))
