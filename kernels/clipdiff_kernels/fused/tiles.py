"""Block sizes of the kernels, by use and architecture.

The numbers come from the compiler: the bounds of ``aot`` hold for them. ``tiles.json`` beside this
file, which the GPU round of the benchmarks writes, holds faster ones for the GPUs that it ran on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from .launch import interpreting

MEASURED = Path(__file__).with_name("tiles.json")


@dataclass(frozen=True)
class Tile:
    """Block sizes of one kernel: pairs, text rows, a slice of the embedding width."""

    pairs: int
    rows: int
    width: int
    num_warps: int
    num_stages: int

    def meta(self, *sizes: str) -> dict[str, int]:
        """The compile-time arguments of a launch; ``sizes`` are of "pairs", "rows", "width"."""
        blocks = {f"BLOCK_{size.upper()}": getattr(self, size) for size in sizes}
        return {**blocks, "num_warps": self.num_warps, "num_stages": self.num_stages}


# "product": texts times differences ("32": fp32, IEEE; "x3": three products on tensor cores);
# "library": what is left of that where a library multiplies;
# "walk": texts against all pairs, gathered; "segment": images against the pairs they are in;
# "kept": weights from exponentials; "rowwise": along the width of each pair; "merge": partials of
# many texts or pairs.
TILES = {
    "product16": Tile(pairs=256, rows=128, width=64, num_warps=8, num_stages=3),
    "product32": Tile(pairs=64, rows=64, width=32, num_warps=8, num_stages=2),
    "productx3": Tile(pairs=128, rows=64, width=32, num_warps=8, num_stages=2),
    "library": Tile(pairs=64, rows=64, width=64, num_warps=4, num_stages=1),
    "walk": Tile(pairs=256, rows=32, width=0, num_warps=32, num_stages=1),
    "segment": Tile(pairs=256, rows=32, width=0, num_warps=32, num_stages=1),
    "kept": Tile(pairs=32, rows=128, width=0, num_warps=4, num_stages=1),
    "rowwise": Tile(pairs=16, rows=0, width=64, num_warps=4, num_stages=2),
    "merge": Tile(pairs=128, rows=8, width=0, num_warps=4, num_stages=2),
}
# Where those above do not fit: smaller ones, without bulk copies (sm_80), or with 64 KiB of shared
# memory.
OF_ARCHITECTURE = {
    "sm_80": {"product16": Tile(128, 128, 32, 8, 3)},
    "gfx942": {
        "product16": Tile(128, 128, 32, 8, 2),
        "walk": Tile(64, 32, 0, 16, 1),
        "segment": Tile(64, 32, 0, 16, 1),
    },
}
BULK_COPIES = ("sm_90", "sm_100")
OVERRIDES: dict[str, Tile] = {}
"""Tiles that a sweep puts in the place of all others, by use."""


def tile(use: str, architecture: str, gpu: str = "") -> Tile:
    """The tile of a kernel: chosen by hand, measured on this GPU, of its architecture, or usual."""
    for table in (OVERRIDES, measured(gpu), OF_ARCHITECTURE.get(architecture, {})):
        if use in table:
            return table[use]
    return TILES[use]


def tile_on(device: torch.device, use: str) -> Tile:
    """The tile of a kernel on the device that it will run on."""
    return tile(use, *_names(device))


def copies_in_bulk(device: torch.device) -> bool:
    """Whether the architecture of a device has copies by tensor descriptor."""
    return _names(device)[0] in BULK_COPIES


@cache
def _names(device: torch.device) -> tuple[str, str]:
    """Architecture, as in ``OF_ARCHITECTURE``, and name of a device."""
    if interpreting() or device.type != "cuda":
        return "sm_90", ""
    name = torch.cuda.get_device_name(device)
    if torch.version.hip is not None:
        return "gfx942", name
    major = torch.cuda.get_device_capability(device)[0]
    return {9: "sm_90", 10: "sm_100"}.get(major, "sm_80"), name


@cache
def measured(gpu: str) -> dict[str, Tile]:
    """What ``tiles.json`` says of a GPU, by its name.

    Raises:
        ValueError: the file is not as the sweep writes it.
    """
    if not gpu or not MEASURED.exists():
        return {}
    try:
        content: dict[str, Any] = json.loads(MEASURED.read_text())
        return {use: Tile(**values) for use, values in content.get(gpu, {}).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{MEASURED}: {error}; expected {{gpu: {{use: {{pairs, rows, width, num_warps, "
            "num_stages}}}; delete it, or sweep again (benchmarks/gpu.py)"
        ) from None
