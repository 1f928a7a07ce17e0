"""The tiles that tuning tries: the one in use, and what differs from it in one number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace

import harness
import torch
from clipdiff_kernels.fused import launch, tiles
from clipdiff_kernels.fused.tiles import Tile

from .record import Record

LEAST = {"pairs": 16, "rows": 8, "width": 16, "num_warps": 4, "num_stages": 1}
MOST = {"pairs": 512, "rows": 256, "width": 256, "num_warps": 32, "num_stages": 6}
# The op and backend whose step, in bf16, a use is timed by; the others are left as they are.
TIMED_BY = {
    "product16": ("contrastive", "triton"),
    "walk": ("contrastive", "triton-gather"),
    "segment": ("contrastive", "triton-gather"),
    "merge": ("contrastive", "triton"),
    "rowwise": ("squared", "triton"),
}


def in_use(use: str) -> Tile:
    """What the package takes on this device."""
    return tiles.tile_on(torch.device(harness.device()), use)


@contextmanager
def using(use: str, tile: Tile) -> Iterator[None]:
    """``tile`` in place of what the package takes for ``use``."""
    tiles.OVERRIDES[use] = tile
    try:
        yield
    finally:
        del tiles.OVERRIDES[use]


@contextmanager
def workspace(size: int) -> Iterator[None]:
    """``size`` bytes for weights and partial sums instead of the package's own."""
    before = launch.WORKSPACE_BYTES
    launch.WORKSPACE_BYTES = size
    try:
        yield
    finally:
        launch.WORKSPACE_BYTES = before


def candidates(record: Record) -> list[tuple[str, Tile]]:
    """(use, tile) in order of worth: one change of every use before the next of any."""
    by_use = {use: list(_near(in_use(use))) for use in TIMED_BY}
    longest = max(map(len, by_use.values()), default=0)
    found = [
        (use, near[i]) for i in range(longest) for use, near in by_use.items() if i < len(near)
    ]
    return found[:3] if record.dry else found


def _near(tile: Tile) -> Iterator[Tile]:
    """A step up and down in each number; warps and stages first, which keep the traffic."""
    for field in sorted(fields(tile), key=lambda each: not each.name.startswith("num_")):
        name, value = field.name, getattr(tile, field.name)
        if not value:  # a size that the kernel has not
            continue
        steps = (value - 1, value + 1) if name == "num_stages" else (value // 2, value * 2)
        for other in steps:
            if LEAST[name] <= other <= MOST[name]:
                yield replace(tile, **{name: other})


def named(use: str, tile: Tile) -> str:
    return f"{use} {' '.join(f'{name}={value}' for name, value in asdict(tile).items())}"


def gpu_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
