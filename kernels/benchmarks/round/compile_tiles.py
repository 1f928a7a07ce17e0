"""Every candidate tile once, small and side by side: compiled for the timing, and checked."""

from __future__ import annotations

from functools import partial

import harness
import providers
import torch
from clipdiff_kernels.fused.tiles import Tile

from .candidates import TIMED_BY, candidates, named, using
from .record import Record

SECONDS = 20
SIZE, DRY_SIZE = harness.Size(2048, 1000, 768), harness.Size(20, 6, 24)


def run(record: Record) -> None:
    """A row ``compiled`` a candidate; one that does not compile is ``failed``."""
    record.each(
        {named(use, tile): partial(check, record, use, tile) for use, tile in candidates(record)},
        SECONDS,
    )


def check(record: Record, use: str, tile: Tile) -> None:
    op, backend = TIMED_BY[use]
    size = DRY_SIZE if record.dry else SIZE
    with using(use, tile):
        errors = harness.errors(op, size, torch.bfloat16, providers.ours(op, backend))
    limits = harness.limits(torch.bfloat16)
    within = all(error <= limit for error, limit in zip(errors, limits, strict=True))
    record.add("compiled", piece=named(use, tile), errors=list(errors), within=within)
