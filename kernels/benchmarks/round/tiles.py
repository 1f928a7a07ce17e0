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

from .candidates import Tile, candidates, gpu_name, named, table, timed_by, using
from .clock import median_ms
from .record import Record

SECONDS = 15
SIZE, DRY_SIZE = harness.Size(32768, 1000, 768), harness.Size(20, 6, 24)
NOISE = 0.99  # of the time in use: a smaller gain is none


def run(record: Record) -> None:
    """A row ``tile`` for each candidate that ``compile_tiles`` found right."""
    right = {row["piece"] for row in record.rows("compile_tiles", "compiled") if row["within"]}
    for use in table():
        if timed_by(use) is None:
            record.add("not swept", use=use)
    record.each(
        {
            f"time {named(use, tile)}": partial(measure, record, use, tile)
            for use, tile in candidates(record)
            if named(use, tile) in right
        },
        SECONDS,
    )


def measure(record: Record, use: str, tile: Tile) -> None:
    """Time a candidate beside the tile in use, in turns, and keep the better one on disk."""
    before = step_ms(record, use, table()[use])
    now = step_ms(record, use, tile)
    best = min([row["ms"] for row in record.rows("tiles", "tile") if row["use"] == use] + [before])
    better = now < NOISE * best
    record.add("tile", use=use, tile=named(use, tile), ms=now, in_use_ms=before, best=better)
    if better:
        keep(record.out / "tiles.json", use, tile)


def step_ms(record: Record, use: str, tile: Tile) -> float:
    """Median of a loss with its text gradient."""
    op, backend = timed_by(use)
    images, pairs, texts = harness.make_batch(DRY_SIZE if record.dry else SIZE, torch.bfloat16)
    leaf = texts.detach().requires_grad_()
    loss = providers.ours(op, backend)
    few = {"least": 1, "most": 1} if record.dry else {"seconds": 0.1}
    with using(use, tile):
        return median_ms(lambda: loss(images, pairs, leaf).backward(), **few)


def keep(path: Path, use: str, tile: Tile) -> None:
    """Write the file anew, whole or not at all: {GPU: {use: numbers of its tile}}."""
    held = json.loads(path.read_text()) if path.exists() else {}
    held.setdefault(gpu_name(), {})[use] = asdict(tile)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n")
    os.replace(fresh, path)
