"""The tiles that tuning tries: the one in use, and what differs from it in one number."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from typing import Any

import torch

from .record import Record

Tile = Any  # clipdiff_kernels' frozen dataclass: pairs, rows, width, num_warps, num_stages

LEAST = {"pairs": 16, "rows": 16, "width": 16, "num_warps": 4, "num_stages": 1}
MOST = {"pairs": 256, "rows": 256, "width": 256, "num_warps": 8, "num_stages": 6}
# The op and backend whose step a use is timed by, by the first part of its name that fits.
TIMED_BY = {
    "gather": ("contrastive", "triton-gather"),
    "segment": ("contrastive", "triton-gather"),
    "hinge": ("hinge", "triton"),
    "rowwise": ("squared", "triton"),
    "dot": ("contrastive", "triton"),
    "product": ("contrastive", "triton"),
}
TILES_MODULE = "clipdiff_kernels.launch"


def table() -> dict[str, Tile]:
    """The package's tiles by use; changed in place to try another."""
    return importlib.import_module(TILES_MODULE).TILES


@contextmanager
def using(use: str, tile: Tile) -> Iterator[None]:
    """``tile`` in place of what the package has for ``use``."""
    before = table()[use]
    table()[use] = tile
    try:
        yield
    finally:
        table()[use] = before


@contextmanager
def workspace(size: int) -> Iterator[None]:
    """``size`` bytes for weights and partial sums instead of the package's own."""
    module = importlib.import_module(TILES_MODULE)
    before = module.WORKSPACE_BYTES
    module.WORKSPACE_BYTES = size
    try:
        yield
    finally:
        module.WORKSPACE_BYTES = before


def timed_by(use: str) -> tuple[str, str] | None:
    """The op and backend that a use is timed by; None: none of these reaches it in bf16."""
    if use.endswith("32"):
        return None
    return next((by for part, by in TIMED_BY.items() if part in use), None)


def candidates(record: Record) -> list[tuple[str, Tile]]:
    """(use, tile) in order of worth: one change of every use before the next of any."""
    by_use = {use: list(_near(tile)) for use, tile in table().items() if timed_by(use)}
    longest = max(map(len, by_use.values()), default=0)
    found = [
        (use, near[i]) for i in range(longest) for use, near in by_use.items() if i < len(near)
    ]
    return found[:3] if record.dry else found


def _near(tile: Tile) -> Iterator[Tile]:
    """A step up and down in each number; warps and stages first, which keep the traffic."""
    for field in sorted(fields(tile), key=lambda each: not each.name.startswith("num_")):
        name, value = field.name, getattr(tile, field.name)
        steps = (value - 1, value + 1) if name == "num_stages" else (value // 2, value * 2)
        for other in steps:
            if LEAST[name] <= other <= MOST[name]:
                yield replace(tile, **{name: other})


def named(use: str, tile: Tile) -> str:
    return f"{use} {' '.join(f'{name}={value}' for name, value in asdict(tile).items())}"


def gpu_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
