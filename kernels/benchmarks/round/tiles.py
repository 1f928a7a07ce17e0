"""Times of candidate tiles and of other workspaces; ``tiles.json`` holds the best known so far."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

import harness
import providers
import torch
from clipdiff_kernels.fused.tiles import MEASURED, Tile

from .candidates import TIMED_BY, candidates, gpu_name, in_use, named, using, workspace
from .clock import median_ms
from .record import Record

SECONDS = 15
SIZE, DRY_SIZE = harness.Size(32768, 1000, 768), harness.Size(20, 6, 24)
WORKSPACES, DRY_WORKSPACES = (64, 128, 256, 512, 1024), (1,)  # MiB
NOISE = 0.99  # of the time in use: a smaller gain is none


def run(record: Record) -> None:
    """A row ``tile`` for each candidate that ``compile_tiles`` found right."""
    right = {row["piece"] for row in record.rows("compile_tiles", "compiled") if row["within"]}
    pieces = {
        f"time {named(use, tile)}": partial(measure, record, use, tile)
        for use, tile in candidates(record)
        if named(use, tile) in right
    }
    for backend in providers.FUSED["contrastive"]:
        for mib in DRY_WORKSPACES if record.dry else WORKSPACES:
            pieces[f"workspace {backend} {mib} MiB"] = partial(in_workspace, record, backend, mib)
    record.each(pieces, SECONDS)


def measure(record: Record, use: str, tile: Tile) -> None:
    """Time a candidate beside the tile in use, in turns, and keep the better one on disk."""
    before, now = with_tile(record, use, in_use(use)), with_tile(record, use, tile)
    best = min([row["ms"] for row in record.rows("tiles", "tile") if row["use"] == use] + [before])
    better = now < NOISE * best
    record.add("tile", use=use, tile=named(use, tile), ms=now, in_use_ms=before, best=better)
    if better:
        keep(record.out / "tiles.json", use, tile)
        if not record.dry:
            keep(MEASURED, use, tile)  # for the parts that follow, and processes after them


def in_workspace(record: Record, backend: str, mib: int) -> None:
    """Time the contrastive loss with another workspace."""
    with workspace(mib * 2**20):
        record.add(
            "workspace", backend=backend, mib=mib, ms=step_ms(record, "contrastive", backend)
        )


def with_tile(record: Record, use: str, tile: Tile) -> float:
    with using(use, tile):
        return step_ms(record, *TIMED_BY[use])


def step_ms(record: Record, op: str, backend: str) -> float:
    """Median of a loss with its text gradient."""
    images, pairs, texts = harness.make_batch(DRY_SIZE if record.dry else SIZE, torch.bfloat16)
    leaf = texts.detach().requires_grad_()
    loss = providers.ours(op, backend)
    few = {"least": 1, "most": 1} if record.dry else {"seconds": 0.1}
    return median_ms(lambda: loss(images, pairs, leaf).backward(), **few)


def keep(path: Path, use: str, tile: Tile) -> None:
    """Write the file anew, whole or not at all: {GPU: {use: numbers of its tile}}."""
    held = json.loads(path.read_text()) if path.exists() else {}
    held.setdefault(gpu_name(), {})[use] = asdict(tile)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n")
    os.replace(fresh, path)
